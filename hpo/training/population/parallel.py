"""The executor of the shared objective on the cores of a CPU: the population engine here and in helper processes.

Threads of this process begin at once. If there is work for longer than it takes to start interpreters, a helper
process takes over from each thread but one. Trials are handed out a shape at a time, the last ones in small parts, so
that all end together. Which process trains a trial changes no result.
"""

from __future__ import annotations

import pickle
import queue
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import torch

from hpo.executors.base import Event, Executor
from hpo.executors.ending import Evaluation
from hpo.training.optimizers import unfused
from hpo.training.population import machine
from hpo.training.population.allotment import Allotment, Trainer, Work
from hpo.training.population.executor import PopulationExecutor
from hpo.training.population.helper import Helper, Setup
from hpo.training.population.member import nbytes_of, shape_of
from hpo.training.population.paused import memory_share
from hpo.training.population.trials import TrainsMembers
from hpo.trial import Job, Outcome, Progress, Reason, State

START_SECONDS: Final = 15.0  # of work from which on helpers pay: each takes seconds of its core to start
_SAMPLE_SECONDS: Final = 0.5  # of training tell how long the rest will take
_LOOK_SECONDS: Final = 0.005  # between two looks at the helpers while this process trains, too
_BASE_COST: Final = 12_000  # parameters of the trial whose epoch takes twice as long as that of a tiny one
_COPIES: Final = 3  # of its data that a helper has: the message, the table, the prepared one
_PATIENCE: Final = 5.0  # seconds for a helper to end by itself
_TRIES: Final = 2  # helpers that may end while they train a trial


class ParallelExecutor(Executor):
    """Trains all its jobs together on all cores.

    Args:
        objective: see `PopulationExecutor`; helpers get a pickled copy.
        threads: that train at once, in all processes; None: what the machine has.
        start_seconds: of work from which on helpers are started.
    """

    def __init__(
        self, objective: TrainsMembers, *, threads: int | None = None, start_seconds: float = START_SECONDS
    ) -> None:
        cpu = torch.device("cpu")
        self._threads = machine.threads(cpu) if threads is None else threads
        chunk_bytes, paused_bytes = machine.chunk_bytes(cpu, self._threads), memory_share() // self._threads
        self._setup = Setup(objective, chunk_bytes, paused_bytes)
        self._start_seconds = start_seconds
        self._local = PopulationExecutor(
            objective, cpu, threads=self._threads, chunk_bytes=chunk_bytes, paused_bytes=paused_bytes
        )
        self._here = Trainer(self._local, self._threads)
        self._allotment = Allotment(self._here, chunk_bytes)
        self._helpers: list[Helper] = []  # those that are starting, too
        self._may_start = self._threads > 1 and bool(sys.executable)
        self._inbox: queue.SimpleQueue[tuple[Helper, Any]] = queue.SimpleQueue()
        self._homes: dict[tuple[int, int], Trainer] = {}  # who has a paused trial, by study and number
        self._began: float | None = None
        self._done = 0  # cost of what was trained

    @property
    def busy(self) -> bool:
        """See `Executor.busy`."""
        return bool(len(self._allotment) or self._local.busy or self._training)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Executor.submit`."""
        if self._began is None:
            self._began = time.monotonic()
        waiting = []
        for job in jobs:
            work = self._work(job)
            if work is None:
                self._local.submit([job])
                continue
            home = self._homes.pop((job.study, job.number), None)
            if home is not None:
                home.take([work])
            else:
                waiting.append(work)
        self._allotment.add(waiting)

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor.wait`; returns as soon as an evaluation has ended."""
        deadline = time.monotonic() + timeout
        events: list[Event] = []
        while True:
            self._start_helpers()
            self._hand_out()
            left = max(0.0, deadline - time.monotonic())
            if self._local.busy:
                events += self._note(self._here, self._local.wait(min(left, _LOOK_SECONDS) if self._helpers else left))
                events += self._hear(0.0)
            elif self._training:
                events += self._hear(left)
            else:
                break
            if left == 0 or any(isinstance(event, Outcome) for _, event in events):
                break
        self._hand_out()  # all go on while the caller stores
        return events

    def cancel(self, jobs: Iterable[Job]) -> None:
        """See `Executor.cancel`."""
        jobs = list(jobs)
        self._allotment.withdraw({(job.study, job.evaluation) for job in jobs})
        for trainer in self._allotment.trainers:
            trainer.engine.cancel(jobs)

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """See `Executor.release`."""
        released: dict[Helper, list[tuple[int, int]]] = {}
        for (of, number), trainer in list(self._homes.items()):
            if of == study and not keep(number):
                del self._homes[of, number]
                if isinstance(trainer.engine, Helper):
                    released.setdefault(trainer.engine, []).append((of, number))
        for helper, trials in released.items():
            helper.forget(trials)
        self._local.release(study, keep)

    def close(self) -> None:
        """Stop all training at its next step, end the helpers and give back everything."""
        for helper in self._helpers:
            helper.stop()
        try:
            self._local.close()
        finally:
            for helper in self._helpers:
                helper.close(_PATIENCE)

    def _work(self, job: Job) -> Work | None:
        """None for what does not train with others: an illegal trial, which the engine fails, one it cannot fuse."""
        try:
            members = self._setup.objective.members(job)
        except Exception:
            return None
        settings, data = members[0].settings, members[0].data
        if unfused(settings):
            return None
        nbytes = min(self._setup.chunk_bytes, len(members) * nbytes_of(settings, data))
        cost = len(members) * (_BASE_COST + members[0].layout.size(len(settings.widths)))
        return Work(job, shape_of(settings, data), nbytes, cost, job.start)

    @property
    def _training(self) -> bool:
        """Whether anything was handed out."""
        return any(trainer.works for trainer in self._allotment.trainers)

    def _hand_out(self) -> None:
        self._allotment.hand_out()
        # a thread takes the core of a helper that has nothing to do
        self._local.threads = self._threads - sum(bool(trainer.works) for trainer in self._allotment.trainers[1:])

    # -- what comes back

    def _note(self, trainer: Trainer, events: list[Event]) -> list[Event]:
        """Keep account of the events of `trainer`."""
        for job, event in events:
            work = trainer.works.get((job.study, job.evaluation))
            if work is None:
                continue  # trains alone
            reached = event.epoch if isinstance(event, Progress) else job.target
            self._done += trainer.advance(work, reached)
            if isinstance(event, Outcome):
                self._allotment.ended(trainer, work.key)
                if event.state == State.DONE and job.target < job.epochs:
                    self._homes[job.study, job.number] = trainer
        return events

    def _hear(self, timeout: float) -> Iterator[Event]:
        """Events of helpers, waiting for the first message."""
        try:
            helper, message = self._inbox.get(timeout=timeout) if timeout > 0 else self._inbox.get_nowait()
            while True:
                if message is None:
                    yield from self._bury(helper)
                else:
                    yield from self._listen(helper, message)
                helper, message = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _listen(self, helper: Helper, message: Any) -> list[Event]:
        was_ready, events = helper.ready, helper.events(message)
        if not was_ready:
            self._here.threads -= 1
            self._allotment.join(Trainer(helper, 1))
            return events
        [trainer] = [trainer for trainer in self._allotment.trainers if trainer.engine is helper]
        return self._note(trainer, events)

    # -- helpers

    def _start_helpers(self) -> None:
        """Start them once if the work ahead, or what the run has taken so far, says that it will last."""
        if not self._may_start or self._began is None:
            return
        elapsed = time.monotonic() - self._began
        if elapsed < min(_SAMPLE_SECONDS, self._start_seconds):
            return
        left = self._allotment.left
        if left == 0 or (elapsed < self._start_seconds and elapsed * left < self._start_seconds * self._done):
            return
        self._may_start = False
        try:
            setup = pickle.dumps(self._setup)
            room = memory_share() // (_COPIES * len(setup))  # of a large table not every helper may have its own
            jobs = len(self._here.works) + len(self._allotment)
            for _ in range(min(self._threads - 1, jobs - 1, room)):
                self._helpers.append(Helper(setup, self._inbox))
        except Exception as error:  # of an objective that cannot be pickled, of a system at its limits
            warnings.warn(f"training processes could not be started ({error}): threads train instead", stacklevel=2)

    def _bury(self, helper: Helper) -> list[Event]:
        """A helper has ended: what it trained trains again elsewhere, unless it was there when others ended."""
        helper.close(_PATIENCE)
        self._helpers.remove(helper)
        ending = Reason.died(helper.code)
        if not helper.ready:
            warnings.warn(f"a training process could not start ({ending}): its core is used by a thread", stacklevel=2)
            return []
        [trainer] = [trainer for trainer in self._allotment.trainers if trainer.engine is helper]
        self._allotment.trainers.remove(trainer)
        self._here.threads += 1
        self._homes = {key: home for key, home in self._homes.items() if home is not trainer}
        events: list[Event] = []
        again = []
        for work in trainer.works.values():
            work.tries, work.epoch = work.tries + 1, work.job.start
            if work.tries < _TRIES:
                again.append(work)
            else:
                error = RuntimeError(f"{work.tries} training processes ended while they trained it, now with {ending}")
                events.append((work.job, Evaluation(work.job).fail(error)))
        self._allotment.add(again)
        warnings.warn(
            f"a training process ended ({ending}): {len(trainer.works)} trials that it trained train again",
            stacklevel=2,
        )
        return events
