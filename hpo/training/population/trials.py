"""A job in the population: one member, or one for each fold of its data, whose steps are averaged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from hpo.executors.ending import Evaluation
from hpo.objective import Step
from hpo.training.folds import mean_step
from hpo.training.metrics import Metric
from hpo.training.population.member import Member
from hpo.trial import Job, Outcome, Progress


class TrainsMembers(Protocol):
    """What the engine asks of an objective."""

    def members(self, job: Job) -> list[Member]:
        """What is trained for a job, before its first epoch; one for each fold."""
        ...

    def scoring(self) -> Metric:
        """The metric that is optimised."""
        ...


class TrialUnderWay:
    """A job and its members.

    Args:
        job: the job.
        members: one, or one for each fold; each where it was left.

    Attributes:
        evaluation: of the job.
        members: those given.
    """

    def __init__(self, job: Job, members: Sequence[Member]) -> None:
        self.members = list(members)
        if any(member.last is None for member in members):  # of one that was lost, all train again
            for member in members:
                member.reset()
        self._steps: dict[Member, list[Step]] = {member: [] for member in members}  # not averaged yet
        self._last = {member: member.last for member in members}
        steps = [member.last for member in members if member.last is not None]
        self.evaluation = Evaluation(job, mean_step(steps) if steps else None)

    @property
    def job(self) -> Job:
        """The job."""
        return self.evaluation.job

    def is_over(self, member: Member) -> bool:
        """Whether nothing is left to be trained of a member, for this job."""
        last = member.last
        return last is not None and (last.ended or last.epoch >= self.job.target or math.isnan(last.value))

    def record(self, member: Member, step: Step) -> Iterator[Progress | Outcome]:
        """What a member's step means, once all folds have come as far; nothing follows an outcome."""
        reached = self._last[member]
        if reached is not None and step.epoch <= reached.epoch:
            return  # trained again after it was lost
        self._steps[member].append(step)
        self._last[member] = step
        while all(steps or _ended(self._last[each]) for each, steps in self._steps.items()) and any(
            self._steps.values()
        ):
            parts = [steps.pop(0) if steps else self._last[each] for each, steps in self._steps.items()]
            event = self.evaluation.record(mean_step([part for part in parts if part is not None]))
            if event is not None:
                yield event
            if isinstance(event, Outcome):
                return


def _ended(step: Step | None) -> bool:
    return step is not None and step.ended
