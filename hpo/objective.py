"""The contract of what is optimised: an objective says *how* a trial is trained, an executor *runs* it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hpo.errors import UsageError
from hpo.execution import DEFAULT, Execution
from hpo.live_trial import LiveTrial
from hpo.space import Space
from hpo.trial import Job

if TYPE_CHECKING:
    from hpo.executors.base import Executor


@dataclass(frozen=True)
class Step:
    """What a run reports after training for a while.

    Attributes:
        epoch: epochs trained so far.
        value: what is optimised; may be non-finite, which fails the trial.
        metrics: name to value of everything measured, the curve's new point.
        ended: whether the trial trains no further, by its own choice.
        health: what tells whether training went well, name to value; of the last step only.
    """

    epoch: int
    value: float
    metrics: Mapping[str, float]
    ended: bool = False
    health: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TestScore:
    """What a trained model is worth on test data.

    Attributes:
        metrics: name to value, what the study optimises first; not finite if the training diverged.
        low: lower end of the first metric's 95 % bootstrap interval, of at least 1000 resamples of the test rows.
        high: its upper end.
    """

    __test__: ClassVar[bool] = False  # pytest takes a class of this name for tests

    metrics: Mapping[str, float]
    low: float
    high: float


class Run(ABC):
    """One trial under training, from its first epoch on; kept while the trial is paused.

    Attributes:
        live: the evaluation under way, for a function that reports to it; set by the executor before `advance`.
    """

    live: LiveTrial | None = None

    @abstractmethod
    def advance(self, target: int) -> Iterator[Step]:
        """Train on to epoch `target`, a step after every epoch (or after several); may end early by itself."""

    def close(self) -> None:
        """Give back what the run holds; it will not be advanced again."""


class Objective(ABC):
    """What is optimised.

    Attributes:
        name: what studies are named after.
        direction: "maximize" or "minimize", or None where the user must say.
        has_epochs: whether trials can be trained for fewer epochs than the most.
        restarts: whether every evaluation starts anew, and so is charged all its epochs.
        default_epochs: the most a trial trains unless the user says otherwise; None without epochs.
        epochs_optional: whether a study may do without epochs although the objective can be trained for fewer.
        saves_models: whether it has a `model_file`.
        joins: whether bundles that are sent together train together, faster, whatever their company.
        company_shows: whether the last bits of a trial may depend on those that it trained with.
    """

    name: str
    direction: str | None = None
    has_epochs: bool = False
    restarts: bool = False
    default_epochs: int | None = None
    epochs_optional: bool = False
    saves_models: bool = False
    joins: bool = False
    company_shows: bool = False

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """JSON that identifies the objective: a study is refused when resumed under another one."""

    def source(self) -> str | None:
        """Hash of the code that a user may change between runs, which is warned about; None without such code."""
        return None

    @abstractmethod
    def start(self, job: Job) -> Run:
        """A run of the trial, before its first epoch."""

    def check_execution(self, execution: Execution) -> None:
        """Raise UsageError for a way of running that this objective's trials cannot be run in."""
        given = [name for name in ("workers", "fresh", "trial_timeout", "trial_memory") if getattr(execution, name)]
        if given:
            raise UsageError(
                f"objective {self.name!r} runs in this process: settings such as {', '.join(given)} are for functions; "
                "leave them out"
            )

    def executor(self, execution: Execution = DEFAULT) -> "Executor":
        """The executor on this machine that suits this objective best."""
        from hpo.executors.in_process import InProcessExecutor

        return InProcessExecutor(self, execution)

    def bundles(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """`jobs` divided into what is sent to another machine together, to be run by one `executor` there."""
        return [[job] for job in jobs]

    def space(self, name: str = "default") -> Space | None:
        """One of the objective's own spaces, or None."""
        return None

    def code(self, params: Mapping[str, Any], title: str) -> str | None:
        """A Python script that rebuilds the model of a configuration without hpo; None where there is no model.

        Args:
            params: the configuration.
            title: what its first line says.
        """
        return None

    def check_space(self, space: Space) -> None:
        """Raise SpaceError if `space` has a hyperparameter that the objective does not know."""

    def on_device(self, device: str) -> "Objective":
        """The same objective, whose trials run on `device`; raises UsageError if that is not its to choose."""
        raise UsageError(f"objective {self.name!r} runs where its own code runs: leave out the device, {device!r}")

    def numerics(self) -> str:
        """Where trials run and in which precision: what their results may depend on besides versions."""
        return "cpu"

    def notices(self) -> Sequence[str]:
        """What users should know about their data and trials, said at the beginning of a run."""
        return ()

    def advice(self) -> str | None:
        """How the user would make trials faster, said once at the beginning of a run; None where there is nothing."""
        return None

    def test_data(self) -> str | None:
        """Text that identifies the test data, alike for all objectives that share it; None without test data."""
        return None

    def test(self, job: Job) -> TestScore | None:
        """The score on test data of the very trial (job.params, job.seed), trained again to `job.target`.

        None without test data. The interval's resampling is seeded by `hpo.seeding`: the same job, the same score.
        """
        return None

    def test_all(self, jobs: Sequence[Job]) -> list[TestScore | None]:
        """`test` of each of the jobs."""
        return [self.test(job) for job in jobs]

    def resplit(self, seed: int) -> "Objective":
        """The same objective on another split of its data, a function of `seed`; raises UsageError if it has none."""
        raise UsageError(
            f"objective {self.name!r} has no split of data that hpo could draw anew: compare without resplit"
        )

    def routed(self, objectives: Mapping[int, "Objective"]) -> "Objective | None":
        """One objective that trains jobs of several splits together: those of study `i` are of `objectives[i]`.

        None: they train split by split.
        """
        return None

    def model_file(
        self, job: Job, *, study: str, scores: Mapping[str, Any] | None, everything: bool = False
    ) -> bytes | None:
        """A file with the model of the very trial (job.params, job.seed), trained again to `job.target`.

        Args:
            job: the trial.
            study: its name.
            scores: of the model, see `Study.save`; None: none belongs to it.
            everything: whether to train on all rows, those of the test part, too.

        Returns:
            None if training diverges.

        Raises:
            UsageError: the objective does not save models.
        """
        raise UsageError(f"objective {self.name!r} has no models to save")
