"""Trials of one objective on several splits of its data, trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.execution import DEFAULT, Execution
from hpo.objective import Objective, Run, TestScore
from hpo.training.metrics import Metric
from hpo.training.population.member import Member
from hpo.training.population.trials import TrainsMembers
from hpo.trial import Job

if TYPE_CHECKING:
    from hpo.executors.base import Executor
    from hpo.training.objective import SimpleNNObjective


class Routed(Objective):
    """Gives each job to the objective of its study.

    Args:
        first: says what they have in common, and where trials train.
        objectives: by study; helper processes get a pickled copy.
    """

    joins = True
    has_epochs = True

    def __init__(self, first: SimpleNNObjective, objectives: Mapping[int, SimpleNNObjective]) -> None:
        self.name, self.direction = first.name, first.direction
        self._first = first
        self._objectives = dict(objectives)

    def describe(self) -> dict[str, Any]:
        """What the first one says."""
        return self._first.describe()

    def members(self, job: Job) -> list[Member]:
        """See `SimpleNNObjective.members`."""
        return self._objectives[job.study].members(job)

    def scoring(self) -> Metric:
        """The metric that is optimised."""
        return self._first.scoring()

    def start(self, job: Job) -> Run:
        """See `Objective.start`."""
        return self._objectives[job.study].start(job)

    def check_execution(self, execution: Execution) -> None:
        """See `Objective.check_execution`."""
        self._first.check_execution(execution)

    def executor(self, execution: Execution = DEFAULT) -> Executor:
        """All trials of all splits train together."""
        return executor_of(self, self._first.device, execution)

    def numerics(self) -> str:
        """See `Objective.numerics`."""
        return self._first.numerics()

    def test_all(self, jobs: Sequence[Job]) -> list[TestScore | None]:
        """Each on the test data of its own split."""
        by_study: dict[int, list[Job]] = {}
        for job in jobs:
            by_study.setdefault(job.study, []).append(job)
        scores = {
            (job.study, job.evaluation): score
            for study, its in by_study.items()
            for job, score in zip(its, self._objectives[study].test_all(its), strict=True)
        }
        return [scores[job.study, job.evaluation] for job in jobs]


def executor_of(objective: TrainsMembers, device: str, execution: Execution) -> Executor:
    """What trains all jobs of an objective together on a device, "auto", "cpu", "cuda" or "mps"."""
    from hpo.training.population.executor import PopulationExecutor
    from hpo.training.population.machine import choose_device
    from hpo.training.population.parallel import ParallelExecutor

    place = choose_device(device)
    if place.type != "cpu":
        return PopulationExecutor(objective, place)
    return ParallelExecutor(objective, threads=execution.workers)
