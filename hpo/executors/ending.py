"""How an evaluation ends, in every executor's words."""

import math
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hpo.live_trial import Reports
from hpo.objective import Step
from hpo.trial import Job, Outcome, Progress, Reason, State


@dataclass(frozen=True)
class Spent:
    """What an evaluation has cost so far.

    Attributes:
        epoch: epoch reached.
        charged: epochs newly trained.
        seconds: time spent.
        curve: metric name to its values after each epoch newly trained.
        user_attrs: what the objective noted.
    """

    epoch: int
    charged: int
    seconds: float
    curve: Mapping[str, list[float]]
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


class Evaluation:
    """A job under way, from the steps that its run reports to its outcome.

    Args:
        job: the job.
        last: the last step of the run it goes on from; None for one that starts from nothing.
        restarts: whether the objective starts anew, and so is charged all epochs.
        reports: of a function that reports while it runs: if there are any, they are the curve.

    Attributes:
        job: the job.
        last: the last step so far.
        seconds: time spent so far; the executor's to keep.
    """

    def __init__(
        self, job: Job, last: Step | None = None, restarts: bool = False, reports: Reports | None = None
    ) -> None:
        self.job = job
        self.last = last
        self.seconds = 0.0
        self._restarts = restarts
        self._reports = Reports() if reports is None else reports
        self._curve: dict[str, list[float]] = {}

    def record(self, step: Step) -> Progress | Outcome | None:
        """What `step` means; None while epochs that were charged before are trained again."""
        self.last = step
        if step.epoch > self.job.start:
            for name, value in step.metrics.items():
                self._curve.setdefault(name, []).append(value)
        if math.isfinite(step.value) and step.epoch < self.job.target and not step.ended:
            return Progress(self.job, step.epoch, step.metrics) if step.epoch > self.job.start else None
        return self.end()

    def end(self) -> Outcome:
        """The outcome after the last step, at the target or where the run ended by itself."""
        assert self.last is not None
        return replace(succeeded(self.job, self.last.value, self._spent()), health=self.last.health)

    def fail(self, error: BaseException) -> Outcome:
        """The outcome if training raised `error`: the epoch in which it happened is charged, too."""
        return failed(self.job, error, self._spent(failing=True))

    def stop(self, reason: str, error: str) -> Outcome:
        """The outcome if training was ended from outside; what it had come to is kept."""
        value = self.last.value if self.last is not None else None
        if self._reports.last is not None:
            value = self._reports.last[1]
        outcome = _outcome(self.job, State.FAILED, self._spent(failing=True), value)
        return replace(outcome, reason=reason, error=error)

    def _spent(self, failing: bool = False) -> Spent:
        reached = self.last.epoch if self.last is not None else min(self._reports.reached, self.job.target)
        epoch = max(reached, self.job.start)
        charged = max(
            0, min(reached + failing, self.job.target) - self.job.start
        )  # what is trained again costs nothing
        curve = self._reports.curve(self.job) or self._curve
        charged = self.job.target if self._restarts else charged
        return Spent(epoch, charged, self.seconds, curve, self._reports.user_attrs)


def succeeded(job: Job, value: float, spent: Spent) -> Outcome:
    """The outcome of a job that ended with `value`: a failure if that is not finite."""
    outcome = _outcome(job, State.DONE, spent, value=value)
    if math.isfinite(value):
        return replace(outcome, epochs=job.target)  # a trial that stopped by itself counts as having reached it
    error = f"the value is {value} after epoch {spent.epoch}"
    return replace(outcome, state=State.FAILED, reason=Reason.NON_FINITE, error=error)


def failed(job: Job, error: BaseException, spent: Spent) -> Outcome:
    """The outcome of a job that raised `error`."""
    reason = Reason.OOM if out_of_memory(error) else Reason.EXCEPTION
    return replace(_outcome(job, State.FAILED, spent, value=None), reason=reason, error=_text(error))


def _outcome(job: Job, state: State, spent: Spent, value: float | None) -> Outcome:
    return Outcome(
        number=job.number,
        params=job.params,
        state=state,
        value=value,
        epochs=spent.epoch,
        charged=spent.charged,
        curve=spent.curve,
        seconds=spent.seconds,
        evaluation=job.evaluation,
        user_attrs=spent.user_attrs,
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out: Python's, the system's or a GPU's."""
    torch: Any = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    if type(error) is not RuntimeError:  # nobody else's, whose text may raise anything
        return False
    text = str(error)  # of torch's CPU allocator, of cuBLAS
    return "can't allocate memory" in text or "ALLOC_FAILED" in text


def _text(error: BaseException) -> str:
    """The traceback from the objective's first frame on: ours above it would only hide it."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "hpo":
        frame = frame.tb_next
    if frame is None:  # raised by hpo itself, about what the objective returned: the message says it all
        return "".join(traceback.format_exception_only(error))
    return "".join(traceback.format_exception(type(error), error, frame))
