"""The records that travel between searcher, loop, executor and store: frozen, plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a trial or one of its evaluations stands."""

    PENDING = "pending"  # enqueued, not yet begun
    RUNNING = "running"  # handed to an executor, or to the user by `study.ask()`
    PAUSED = "paused"  # trained to less than the most epochs, may be trained on
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"  # stopped by a signal or time limit; runs again on resume


class Reason:
    """Why an evaluation failed; stored as text."""

    EXCEPTION = "exception"
    NON_FINITE = "non_finite"
    OOM = "oom"
    TIMEOUT = "timeout"
    LOST = "lost"  # of a cluster: what it ended with is not known here

    @staticmethod
    def died(code: int) -> str:
        """What its process ended with: "exit(1)", or "killed(9)" for the signal -9, as `subprocess` counts."""
        return f"killed({-code})" if code < 0 else f"exit({code})"

    @classmethod
    def is_violent(cls, reason: str | None) -> bool:
        """Whether a trial that failed so may take the process with it that it runs in."""
        return reason in (cls.TIMEOUT, cls.OOM, cls.LOST) or (reason or "").startswith(("killed(", "exit("))


@dataclass(frozen=True)
class Proposal:
    """What a searcher asks to be evaluated.

    Attributes:
        params: the configuration.
        epochs: train up to this epoch; None: the most a trial may train.
        continues: number of the paused trial that is trained on; None: a new trial.
        info: why it was proposed: JSON, stored with the evaluation.
    """

    params: Mapping[str, Any]
    epochs: int | None = None
    continues: int | None = None
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One evaluation handed to an executor: train trial `number` of `study` from epoch `start` to `target`.

    Attributes:
        study: key of the study in its store.
        evaluation: number of the evaluation within the study, dense from 0 in the order asked.
        number: number of the trial within the study, dense from 0.
        params: the configuration.
        seed: the trial's own seed, in [0, 2^63): all its randomness.
        start: epochs it has been trained (and charged) already.
        target: train up to this epoch; 1 for an objective without epochs.
        epochs: the most that the trial may ever train; schedules depend on it.
    """

    study: int
    evaluation: int
    number: int
    params: Mapping[str, Any]
    seed: int
    start: int
    target: int
    epochs: int


@dataclass(frozen=True)
class Progress:
    """An executor's notice that `job` has reached `epoch`."""

    job: Job
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """How an evaluation ended.

    Attributes:
        number: the trial.
        params: its configuration.
        state: DONE or FAILED, of the evaluation.
        value: what is optimised, in the user's own direction; kept on failure where there is one.
        epochs: epoch reached; a trial that stopped early by itself counts as having reached its target.
        charged: epochs that this evaluation newly trained.
        curve: metric name to its value after each epoch newly trained; all lists of equal length. Of a function that
            reports, what it reported: "value" and "step", from 0 on.
        seconds: time spent on it by a monotonic clock.
        reason: of a failure, one of `Reason`.
        error: traceback or explanation of a failure.
        evaluation: number of the evaluation; -1 where none is stored: another searcher's trial.
        health: what tells whether training went well, name to value; see `hpo.training.health`.
        attempts: how often it was begun by this driver: more than once if what ran it died.
        log: what the objective printed, cut in the middle if long; empty where that is not caught.
        user_attrs: what the objective noted about it, name to JSON; see `LiveTrial.set_user_attr`.
    """

    number: int
    params: Mapping[str, Any]
    state: State
    value: float | None = None
    epochs: int = 1
    charged: int = 1
    curve: Mapping[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str | None = None
    error: str | None = None
    evaluation: int = -1
    health: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 1
    log: str = ""
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation as it is stored, without its curve.

    Attributes:
        id: number of the evaluation within the study, dense from 0 in the order asked.
        number: the trial.
        start: epochs the trial had been trained before.
        target: epoch it was to reach.
        epochs: epoch reached.
        charged: epochs newly trained, counted against the budget.
        state: RUNNING, DONE, FAILED or CANCELLED.
        value: what is optimised, in the user's own direction; None if there is none.
        seconds: spent on it.
        info: why the searcher proposed it.
    """

    id: int
    number: int
    start: int
    target: int
    epochs: int
    charged: int
    state: State
    value: float | None
    seconds: float
    info: Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """A configuration and all that came of it.

    Attributes:
        number: dense from 0 within the study.
        params: the configuration.
        seed: all randomness of the trial.
        state: see `State`.
        value: metric at the last epoch trained; None if there is none.
        epochs: epochs trained, 1 for an objective without epochs, 0 before the first outcome.
        target: epochs that the evaluation under way trains to; None if none is.
        curve: metric name to its value after each epoch.
        seconds: time spent on all its evaluations.
        reason: why it failed.
        error: traceback of the failure.
        info: why the searcher proposed it.
        health: what tells whether training went well at the last epoch trained, name to value; empty where the
            objective does not say.
        attempts: how often its hardest evaluation was begun: more than once if a process that ran it died.
        user_attrs: what the objective noted about it, name to JSON.
    """

    number: int
    params: Mapping[str, Any]
    seed: int
    state: State
    value: float | None = None
    epochs: int = 0
    target: int | None = None
    curve: Mapping[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str | None = None
    error: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    health: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 1
    user_attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """Every metric after the last epoch."""
        return {name: values[-1] for name, values in self.points[1].items() if values}

    @property
    def points(self) -> tuple[list[int], dict[str, list[float]]]:
        """The curve as epochs, counted from 1, and each metric after them: of reports there may be gaps between."""
        metrics = dict(self.curve)
        steps = metrics.pop("step", None)
        if steps is not None:
            return [int(step) + 1 for step in steps], metrics
        return list(range(1, max(map(len, metrics.values()), default=0) + 1)), metrics

    def _repr_html_(self) -> str:
        from hpo.notebook import trial_html

        return trial_html(self)
