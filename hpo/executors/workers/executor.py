"""Jobs in worker processes: what one does to its process harms neither this one nor its siblings."""

import contextlib
import math
import queue
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from hpo.execution import Execution
from hpo.executors.base import FINISH_SECONDS, Event, Executor
from hpo.executors.in_process import MAX_PAUSED
from hpo.executors.workers.starter import Starter
from hpo.executors.workers.task import Task
from hpo.executors.workers.worker import Worker
from hpo.objective import Objective
from hpo.text import duration
from hpo.trial import Job, Outcome, Reason, State

TERMINATE_SECONDS: Final = 10.0  # from SIGTERM to SIGKILL
CANCEL_SECONDS: Final = 1.0  # for a function that asks whether it should end
CLOSE_SECONDS: Final = 2.0  # for `finally` blocks of paused trials


class WorkersExecutor(Executor):
    """Runs each job of one objective in one of several processes.

    A worker is used again, unless it died, took too long or ran out of memory. A paused trial stays in the worker that
    has it; if that is lost, the trial is trained again from its seed, uncharged.

    Args:
        objective: what the jobs train; it is sent to the workers by cloudpickle.
        execution: how many workers, and how long and large a trial may be.

    Raises:
        UsageError: the objective cannot be sent, or the system has no such limits.
    """

    def __init__(self, objective: Objective, execution: Execution) -> None:
        self._objective, self._execution = objective, execution
        self._inbox: queue.SimpleQueue[tuple[Worker, Any]] = queue.SimpleQueue()
        self._starter = Starter(objective, execution, self._inbox)
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []  # to which nothing more is given
        self._waiting: deque[Task] = deque()
        self._homes: OrderedDict[tuple[int, int], Worker] = OrderedDict()  # of paused trials, by study and number
        self._finishing = False

    @property
    def busy(self) -> bool:
        """See `Executor.busy`."""
        return bool(self._waiting) or any(worker.task or worker.queue for worker in self._workers)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Executor.submit`."""
        for job in jobs:
            task = Task(job, self._objective.restarts)
            home = self._homes.pop((job.study, job.number), None)
            (self._waiting if home is None else home.queue).append(task)
        self._hand_out()

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor.wait`; returns as soon as an evaluation has ended."""
        deadline = time.monotonic() + timeout
        events: list[Event] = []
        self._tend()
        while self.busy and not any(isinstance(event, Outcome) for _, event in events):
            untils = [worker.until for worker in self._workers + self._leaving if worker.until is not None]
            left = min(deadline, *untils) - time.monotonic() if untils else deadline - time.monotonic()
            with contextlib.suppress(queue.Empty):
                events += self._note(*self._inbox.get(timeout=max(0.0, left)))
                while True:
                    events += self._note(*self._inbox.get_nowait())
            self._tend()
            if time.monotonic() >= deadline:
                break
        return events

    def cancel(self, jobs: Iterable[Job]) -> None:
        """See `Executor.cancel`; a function that does not ask whether it should end is killed after a moment."""
        dropped = {(job.study, job.evaluation) for job in jobs}

        def gone(task: Task) -> bool:
            return (task.job.study, task.job.evaluation) in dropped

        self._waiting = deque(task for task in self._waiting if not gone(task))
        for worker in self._workers:
            for task in filter(gone, worker.queue):
                self._homes[task.job.study, task.job.number] = worker  # it is still paused there
            worker.queue = deque(task for task in worker.queue if not gone(task))
            if worker.task is not None and gone(worker.task):
                worker.cancel(CANCEL_SECONDS)

    def finish(self) -> float:
        """See `Executor.finish`."""
        self._finishing = True
        self._waiting.clear()
        for worker in self._workers:
            worker.queue.clear()
        return FINISH_SECONDS if self.busy else 0.0

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """See `Executor.release`."""
        for key in [key for key in self._homes if key[0] == study and not keep(key[1])]:
            self._homes.pop(key).forgotten.append(key)

    def close(self) -> None:
        """End all workers: those that train nothing may run the `finally` blocks of their paused trials first."""
        workers, self._workers, self._leaving = self._workers + self._leaving, [], []
        self._waiting.clear()
        self._homes.clear()
        try:
            for worker in workers:
                worker.stop()
            deadline = time.monotonic() + CLOSE_SECONDS
            for worker in workers:
                worker.close(max(0.0, deadline - time.monotonic()))
        finally:
            self._starter.close()  # and with it those that are left

    # -- handing out

    def _tend(self) -> None:
        """Lose patience where it is time, and give everyone work."""
        now = time.monotonic()
        for worker in self._workers + self._leaving:
            if worker.until is None or now < worker.until:
                continue
            if worker.task is not None and not worker.overdue:
                worker.overdue, worker.until = True, now + TERMINATE_SECONDS
                worker.terminate()
            else:
                worker.until = None
                worker.kill()
        self._hand_out()

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.idle and (tasks := worker.queue or self._waiting):
                worker.run(tasks.popleft(), self._execution.trial_timeout)
        starting = sum(not worker.ready for worker in self._workers)
        while len(self._workers) < self._starter.count and starting < len(self._waiting):
            if (started := self._starter.start(self._workers)) is not None:
                self._workers.append(started)
            starting += 1

    # -- what comes back

    def _note(self, worker: Worker, message: Any) -> list[Event]:
        if message is None:
            return self._bury(worker)
        content, log = message
        if content == "ready":
            self._starter.succeeded(worker)
            return []
        kind, ticket, found = content
        task = worker.task
        if task is None or ticket != worker.ticket:
            if kind == "end":  # of what was cancelled
                self._free(worker)
            return []
        if kind != "end":
            events = task.progress(found) if kind == "progress" else task.reports(found)
            return [(task.job, event) for event in events]
        return self._end(worker, task, found, log)

    def _end(self, worker: Worker, task: Task, outcome: Outcome, log: str) -> list[Event]:
        if worker.overdue and outcome.seconds >= self._limit:  # else this process was asleep, not the trial
            outcome = self._timed_out(task)
        if (
            self._free(worker, spoilt=outcome.reason == Reason.OOM)
            and outcome.state == State.DONE
            and self._pauses(task.job)
        ):
            self._homes[task.job.study, task.job.number] = worker
            if len(self._homes) > MAX_PAUSED:
                key, home = self._homes.popitem(last=False)
                home.forgotten.append(key)
        if outcome.reason == Reason.OOM and self._again(task):
            return []
        return [(task.job, replace(outcome, params=task.job.params, attempts=task.attempts, log=log))]

    def _pauses(self, job: Job) -> bool:
        return job.target < job.epochs and not self._objective.restarts

    def _free(self, worker: Worker, spoilt: bool = False) -> bool:
        """Its job has ended: whether `worker` stays."""
        worker.free()
        if not (spoilt or worker.overdue or self._execution.fresh):
            return True
        self._dismiss(worker)
        if spoilt or worker.overdue:
            worker.kill()
        else:
            worker.stop()
            worker.until = time.monotonic() + CLOSE_SECONDS
        return False

    def _again(self, task: Task) -> bool:
        """Whether the task is tried once more: what earlier trials have left in a process may have been the reason."""
        if task.attempts > self._execution.retries:
            return False
        if not self._finishing:
            self._waiting.appendleft(task)
        return True

    def _timed_out(self, task: Task) -> Outcome:
        return task.stop(Reason.TIMEOUT, f"it took longer than {duration(self._limit)}")

    @property
    def _limit(self) -> float:
        """Seconds that an evaluation may take."""
        return math.inf if self._execution.trial_timeout is None else self._execution.trial_timeout

    def _dismiss(self, worker: Worker) -> None:
        """Give `worker` nothing more; what waits for it begins anew elsewhere."""
        self._workers.remove(worker)
        self._leaving.append(worker)
        self._waiting.extendleft(reversed(worker.queue))
        worker.queue.clear()
        self._homes = OrderedDict((key, home) for key, home in self._homes.items() if home is not worker)

    def _bury(self, worker: Worker) -> list[Event]:
        """A worker has ended."""
        if worker in self._workers:
            self._dismiss(worker)
        self._leaving.remove(worker)
        worker.close(patience=0.0)
        task, log = worker.task, worker.log.text()
        if not worker.ready:
            self._starter.failed(worker, log)
        if task is None or (not worker.overdue and self._again(task)):
            return []
        outcome = self._timed_out(task) if worker.overdue else task.stop(Reason.died(worker.code), worker.death)
        return [(task.job, replace(outcome, attempts=task.attempts, log=log))]
