"""How an evaluation ends, in every executor's words."""

import math
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hpo.trial import Job, Outcome, Reason, State


@dataclass(frozen=True)
class Spent:
    """What an evaluation has cost so far.

    Attributes:
        epoch: epoch reached.
        charged: epochs newly trained.
        seconds: time spent.
        curve: metric name to its values after each epoch newly trained.
    """

    epoch: int
    charged: int
    seconds: float
    curve: Mapping[str, list[float]]


def succeeded(job: Job, value: float, spent: Spent) -> Outcome:
    """The outcome of a job that ended with `value`: a failure if that is not finite."""
    outcome = _outcome(job, State.DONE, spent, value=value)
    if math.isfinite(value):
        return replace(outcome, epochs=job.target)  # a trial that stopped by itself counts as having reached it
    error = f"the value is {value} after epoch {spent.epoch}"
    return replace(outcome, state=State.FAILED, reason=Reason.NON_FINITE, error=error)


def failed(job: Job, error: BaseException, spent: Spent) -> Outcome:
    """The outcome of a job that raised `error`."""
    reason = Reason.OOM if _out_of_memory(error) else Reason.EXCEPTION
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
    )


def _out_of_memory(error: BaseException) -> bool:
    torch: Any = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))


def _text(error: BaseException) -> str:
    """The traceback from the objective's first frame on: ours above it would only hide it."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "hpo":
        frame = frame.tb_next
    if frame is None:  # raised by hpo itself, about what the objective returned: the message says it all
        return "".join(traceback.format_exception_only(error))
    return "".join(traceback.format_exception(type(error), error, frame))
