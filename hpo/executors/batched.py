"""All waiting jobs in one call of a function that takes a list."""

import time
from collections.abc import Iterable, Sequence

from hpo.errors import Interrupt
from hpo.executors.base import Event, Executor
from hpo.executors.ending import Spent, failed, succeeded
from hpo.function_objective import FunctionObjective
from hpo.trial import Job, Outcome
from hpo.values import as_value


class BatchedExecutor(Executor):
    """Calls a batched objective once for everything submitted since the last call.

    Args:
        objective: with `batched=True`.
    """

    def __init__(self, objective: FunctionObjective) -> None:
        self._objective = objective
        self._waiting: list[Job] = []

    @property
    def busy(self) -> bool:
        """See `Executor.busy`."""
        return bool(self._waiting)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Executor.submit`."""
        self._waiting.extend(jobs)

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor.wait`; a call of the function is not interrupted by the timeout."""
        if not self._waiting:
            return []
        jobs, self._waiting = self._waiting, []
        begin = time.perf_counter()
        try:
            values = self._objective.call_batch(jobs)
        except Interrupt:
            self._waiting = jobs
            raise
        except BaseException as error:  # SystemExit and KeyboardInterrupt of an objective fail its trials
            seconds = (time.perf_counter() - begin) / len(jobs)
            return [(job, _failure(job, error, seconds)) for job in jobs]
        seconds = (time.perf_counter() - begin) / len(jobs)
        return [(job, _outcome(job, value, seconds)) for job, value in zip(jobs, values, strict=True)]

    def cancel(self, jobs: Iterable[Job]) -> None:
        """See `Executor.cancel`."""
        dropped = {(job.study, job.evaluation) for job in jobs}
        self._waiting = [job for job in self._waiting if (job.study, job.evaluation) not in dropped]


def _failure(job: Job, error: BaseException, seconds: float) -> Outcome:
    return failed(job, error, Spent(1, 1, seconds, {}))


def _outcome(job: Job, value: object, seconds: float) -> Outcome:
    try:
        number = as_value(value, "the objective returned")
    except Exception as error:  # foreign types may fail in any way to become a number
        return _failure(job, error, seconds)
    return succeeded(job, number, Spent(1, 1, seconds, {}))
