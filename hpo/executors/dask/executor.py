"""Jobs on the workers of a Dask cluster.

A task is one or more bundles of jobs. It is pinned to a worker that has a free thread, so that Dask itself never runs
one a second time: what was on a worker that has gone is handed out again here, and counted. No more is sent to a
worker than it has threads: whatever was there had begun.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import queue
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from hpo.errors import ClusterError
from hpo.execution import Execution
from hpo.executors.base import FINISH_SECONDS, Event, Executor
from hpo.executors.dask.link import Answer, Gone, Joined, Link, Lost, Refused, Sending, Workers
from hpo.executors.ending import Evaluation
from hpo.objective import Objective
from hpo.trial import Job, Outcome, Reason, State

TASK_SECONDS: Final = (0.02, 0.2)  # that a task of short bundles lasts: Dask's own cost is some milliseconds
MOST_JOBS: Final = 256  # of a task
_PATIENCE: Final = 3.0  # seconds without a worker before the user is told
_AGAIN_SECONDS: Final = 0.5  # before a worker that was not ready is asked again


@dataclass(eq=False)
class Bundle:
    """Jobs that stay together.

    Attributes:
        jobs: what to run.
        begun: how often they were on a worker that went, where they may have begun: each may have run in part.
        lost: how often they were alone there, and so had begun and may be why it went: no more than `retries`.
        alone: whether they are sent by themselves: they were on such a worker.
    """

    jobs: list[Job]
    begun: int = 0
    lost: int = 0
    alone: bool = False


@dataclass(eq=False)
class ReadyWorker:
    """A worker that is ready.

    Attributes:
        joined: its station.
        threads: tasks that it runs at once.
        waiting: bundles whose paused trials it has.
        tasks: under way there, by ticket.
        forgotten: (study, number) of paused trials that it may let go of.
    """

    joined: Joined
    threads: int
    waiting: deque[Bundle] = field(default_factory=deque)
    tasks: dict[int, list[Bundle]] = field(default_factory=dict)
    forgotten: list[tuple[int, int]] = field(default_factory=list)

    @property
    def free(self) -> int:
        """Threads without a task."""
        return self.threads - len(self.tasks)


class DaskExecutor(Executor):
    """Runs jobs of one objective on all workers of a cluster, which may come and go.

    Args:
        objective: what the jobs train; sent to each worker once.
        execution: `cluster` is a running client; the rest is how each worker runs them.

    Raises:
        UsageError: the objective cannot be sent.
    """

    def __init__(self, objective: Objective, execution: Execution) -> None:
        self._objective, self._retries = objective, execution.retries
        self._link = Link(objective, execution)
        self._present: dict[str, int] = {}  # threads of each worker
        self._ready: dict[str, ReadyWorker] = {}  # by address
        self._refused: dict[str, str] = {}
        self._again: dict[str, float] = {}  # when a worker is asked again
        self._waiting: deque[Bundle] = deque()
        self._homes: dict[tuple[int, int], ReadyWorker] = {}  # who has a paused trial, by study and number
        self._broken: ClusterError | None = None  # raised once everything that came is given back
        self._tickets = itertools.count()
        self._seconds = math.inf  # that a bundle takes, lately
        self._idle_since: float | None = None  # when the last worker went
        self._finishing = False
        self._told: set[str] = set()

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Executor.submit`."""
        for jobs_together in self._objective.bundles(jobs):
            for home, part in self._by_home(jobs_together):
                (self._waiting if home is None else home.waiting).append(Bundle(part))

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor.wait`; outcomes of `timeout` seconds come together while all workers are busy.

        Raises:
            ClusterError: the scheduler has gone, or no worker can run the objective.
        """
        deadline = time.monotonic() + timeout
        events: list[Event] = []
        while True:
            if self._broken is not None and not events:
                raise self._broken
            self._hand_out()
            if self._broken is not None or not self.busy or (events and not self._has_waiting()):
                return events
            left = deadline - time.monotonic()
            if left <= 0:
                return events
            try:
                events += self._hear(self._link.inbox.get(timeout=left))
                while True:
                    events += self._hear(self._link.inbox.get_nowait())
            except queue.Empty:
                continue

    @property
    def busy(self) -> bool:
        """See `Executor.busy`."""
        return self._has_waiting() or any(worker.tasks for worker in self._ready.values())

    def finish(self) -> float:
        """See `Executor.finish`."""
        self._finishing = True
        for waiting in (self._waiting, *(worker.waiting for worker in self._ready.values())):
            waiting.clear()
        return 0.0 if self._objective.joins or not self.busy else FINISH_SECONDS

    def cancel(self, jobs: Iterable[Job]) -> None:
        """See `Executor.cancel`; what shares a task with `jobs` is handed out again."""
        dropped = {(job.study, job.evaluation) for job in jobs}
        for worker in self._ready.values():
            for job in itertools.chain.from_iterable(bundle.jobs for bundle in worker.waiting):
                if (job.study, job.evaluation) in dropped and job.start:
                    self._homes[job.study, job.number] = worker  # it is still paused there
        for waiting in (self._waiting, *(worker.waiting for worker in self._ready.values())):
            kept = [left for bundle in waiting if (left := _without(bundle, dropped)) is not None]
            waiting.clear()
            waiting.extend(kept)
        for worker in self._ready.values():
            for ticket, bundles in list(worker.tasks.items()):
                kept = [left for bundle in bundles if (left := _without(bundle, dropped)) is not None]
                if sum(len(bundle.jobs) for bundle in kept) < sum(len(bundle.jobs) for bundle in bundles):
                    del worker.tasks[ticket]
                    self._link.drop([ticket])
                    self._waiting.extendleft(reversed(kept))

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """See `Executor.release`."""
        for key in [key for key in self._homes if key[0] == study and not keep(key[1])]:
            self._homes.pop(key).forgotten.append(key)

    def close(self) -> None:
        """Leave the cluster as it was."""
        self._link.close()

    def _by_home(self, jobs: Sequence[Job]) -> list[tuple[ReadyWorker | None, list[Job]]]:
        """Jobs by the worker that has their paused trials; together at one of them if their company matters."""
        homes: dict[ReadyWorker | None, list[Job]] = {}
        for job in jobs:
            homes.setdefault(self._homes.pop((job.study, job.number), None), []).append(job)
        if self._objective.joins or len(homes) == 1:
            return list(homes.items())
        most = max(homes, key=lambda home: 0 if home is None else len(homes[home]))
        for home, elsewhere in homes.items():
            if home is not None and home is not most:  # trained again at `most`
                home.forgotten += [(job.study, job.number) for job in elsewhere]
        return [(most, list(jobs))]

    def _has_waiting(self) -> bool:
        return bool(self._waiting) or any(worker.waiting for worker in self._ready.values())

    # -- handing out

    def _hand_out(self) -> None:
        """Give a task to each free thread, the idlest worker first."""
        now = time.monotonic()
        for address in [address for address, when in self._again.items() if when <= now]:
            del self._again[address]
            self._link.greet(address)
        if self._has_waiting() and self._idle_since is not None and now - self._idle_since > _PATIENCE:
            address = self._link.address
            self._warn(
                f"no worker at the Dask scheduler {address}: waiting for one; `dask worker {address}` starts one"
            )
        if sendings := list(self._sendings()):
            self._link.send(sendings)

    def _sendings(self) -> Iterator[Sending]:
        """As long as there are free threads and jobs for them."""
        for worker in self._ready.values():
            while worker.waiting and worker.free > 0:
                yield self._sending(worker, worker.waiting, worker.threads)
        if not self._waiting:
            return
        threads = sum(count for address, count in self._present.items() if address not in self._refused)
        while free := [worker for worker in self._ready.values() if worker.free > 0]:
            for worker in sorted(free, key=lambda worker: len(worker.tasks) / worker.threads):
                if not self._waiting:
                    return
                yield self._sending(worker, self._waiting, threads)

    def _sending(self, worker: ReadyWorker, waiting: deque[Bundle], threads: int) -> Sending:
        """A worker's next task, from the beginning of `waiting`, which so many threads share."""
        most = -(-len(waiting) // threads)
        if not self._objective.joins:  # company only saves messages, and costs a lost task more
            least, longest = (int(seconds / max(self._seconds, 1e-6)) for seconds in TASK_SECONDS)
            most = min(max(most, least), longest) if self._retries else 1
        bundles = [waiting.popleft()]
        count = len(bundles[0].jobs)
        while waiting and len(bundles) < most and not (bundles[0].alone or waiting[0].alone):
            count += len(waiting[0].jobs)
            if count > MOST_JOBS:
                break
            bundles.append(waiting.popleft())
        sending = Sending(next(self._tickets), worker.joined, [bundle.jobs for bundle in bundles], worker.forgotten)
        worker.forgotten = []
        worker.tasks[sending.ticket] = bundles
        return sending

    # -- what comes back

    def _hear(self, message: object) -> list[Event]:
        match message:
            case Answer(address, ticket):
                worker = self._ready.get(address)
                if worker is not None and ticket in worker.tasks:
                    return self._answered(worker, message)
            case Lost(address, ticket, begun):
                worker = self._ready.get(address)
                if worker is not None and ticket in worker.tasks:
                    self._again[address] = time.monotonic() + _AGAIN_SECONDS
                    return self._lose(address, begun)
            case Workers(threads):
                return self._meet(threads)
            case Joined(address, handle):
                if address in self._present:
                    self._ready[address] = ReadyWorker(message, self._present[address])
                    for note in handle.notes:
                        self._warn(f"Dask worker {address} has {note}: trials may differ from those run here")
            case Refused(address, why):
                if address in self._present:
                    self._refuse(address, why)
            case Gone(why):
                self._broken = ClusterError(
                    f"the Dask scheduler at {self._link.address} has gone ({why}): every result that came is saved; "
                    "resume the study once it is back"
                )
        return []

    def _meet(self, threads: dict[str, int]) -> list[Event]:
        """Those that came are made ready; what those that went had is handed out again."""
        before, self._present = self._present, threads
        self._idle_since = None if threads else time.monotonic()
        events: list[Event] = []
        for address in before.keys() - threads.keys():
            self._refused.pop(address, None)
            self._again.pop(address, None)
            events += self._lose(address)
        for address in sorted(threads.keys() - before.keys()):
            self._link.greet(address)
        return events

    def _refuse(self, address: str, why: str | None) -> None:
        """A worker that is not ready: asked again if it may become so."""
        if why is None:
            self._again[address] = time.monotonic() + _AGAIN_SECONDS
            return
        self._refused[address] = why
        text = f"Dask worker {address} cannot run objective {self._objective.name!r}: {why}"
        if self._present.keys() == self._refused.keys():
            self._broken = ClusterError(text)
        else:
            self._warn(text)

    def _answered(self, worker: ReadyWorker, answer: Answer) -> list[Event]:
        bundles = worker.tasks.pop(answer.ticket)
        jobs = [(job, bundle) for bundle in bundles for job in bundle.jobs]
        if answer.error is not None:
            return [(job, Evaluation(job).fail(answer.error)) for job, _ in jobs]
        assert answer.outcomes is not None
        self._seconds = sum(outcome.seconds for outcome in answer.outcomes) / len(bundles)
        events: list[Event] = []
        for (job, bundle), outcome in zip(jobs, answer.outcomes, strict=True):
            if outcome.state == State.DONE and job.target < job.epochs:
                self._homes[job.study, job.number] = worker
            if bundle.begun:
                outcome = dataclasses.replace(outcome, attempts=outcome.attempts + bundle.begun)
            events.append((job, outcome))
        return events

    def _lose(self, address: str, begun: bool = True) -> list[Event]:
        """A worker has gone: what it had begins again elsewhere, unless that has happened too often.

        Args:
            address: of the worker.
            begun: whether what it had counts as begun: it may be why the worker went.
        """
        self._link.leave(address)
        worker = self._ready.pop(address, None)
        if worker is None:
            return []
        self._link.drop(list(worker.tasks))
        self._homes = {key: home for key, home in self._homes.items() if home is not worker}
        events: list[Event] = []
        for bundles in worker.tasks.values():
            for bundle in bundles:
                bundle.alone = bundle.alone or begun
                bundle.begun += begun
                bundle.lost += begun and len(bundles) == 1  # in company nobody knows whose fault it was
                if bundle.lost > self._retries:
                    events += [(job, self._lost(job, bundle, address)) for job in bundle.jobs]
                elif not self._finishing:
                    self._waiting.append(bundle)
        self._waiting.extend(worker.waiting)
        return events

    def _lost(self, job: Job, bundle: Bundle, address: str) -> Outcome:
        error = ClusterError(f"its worker was lost {bundle.lost} times while it ran, now {address}")
        outcome = Evaluation(job, restarts=self._objective.restarts).fail(error)
        return dataclasses.replace(outcome, reason=Reason.LOST, attempts=bundle.begun)

    def _warn(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            warnings.warn(text, stacklevel=2)


def _without(bundle: Bundle, dropped: set[tuple[int, int]]) -> Bundle | None:
    """What is left of a bundle; None if nothing is."""
    left = [job for job in bundle.jobs if (job.study, job.evaluation) not in dropped]
    return dataclasses.replace(bundle, jobs=left) if left else None
