"""A job on its way to an outcome, as the driver of the workers sees it."""

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence

from hpo.errors import UsageError
from hpo.executors.ending import Evaluation
from hpo.live_trial import Reports
from hpo.objective import Step
from hpo.trial import Job, Outcome, Progress


class Task:
    """A job and its present attempt.

    Args:
        job: the job.
        restarts: whether the objective is charged all epochs at each evaluation.

    Attributes:
        attempts: how often it was begun.
        evaluation: what is known of the present attempt.
    """

    def __init__(self, job: Job, restarts: bool) -> None:
        self.job = job
        self.attempts = 0
        self._restarts = restarts

    def begin(self) -> None:
        """Another attempt."""
        self.attempts += 1
        self._reports = Reports()
        self.evaluation = Evaluation(self.job, None, self._restarts, self._reports)
        self._began = time.monotonic()

    def progress(self, points: Iterable[tuple[int, Mapping[str, float]]]) -> list[Progress]:
        """Take note of epochs that a generator has come to."""
        found = []
        for epoch, metrics in points:
            event = self.evaluation.record(Step(epoch, metrics["value"], metrics))
            if isinstance(event, Progress):
                found.append(event)
        return found

    def reports(self, points: Sequence[tuple[int, float]]) -> list[Progress]:
        """Take note of what a function has reported, the latest last."""
        before = max(self._reports.reached, self.job.start)
        for step, value in points:
            with contextlib.suppress(UsageError):  # the worker has thinned them in another way
                self._reports.add(step, value)
        epoch = self._reports.reached
        return [Progress(self.job, epoch, {"value": points[-1][1]})] if before < epoch < self.job.target else []

    def stop(self, reason: str, error: str) -> Outcome:
        """The outcome if it was ended from outside."""
        self.evaluation.seconds = time.monotonic() - self._began
        return self.evaluation.stop(reason, error)
