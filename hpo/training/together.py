"""What executors that train many trials at once have in common: their threads, and trials that train alone beside."""

from __future__ import annotations

import queue
import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

import torch

from hpo.executors.base import Event, Executor
from hpo.executors.in_process import InProcessExecutor
from hpo.objective import Objective
from hpo.training.population.paused import Pausable, Paused
from hpo.trial import Job, Outcome


class Stoppable(Protocol):
    """Work for a thread; it leaves at the next step where `stopped` is set."""

    stopped: bool


W = TypeVar("W", bound=Stoppable)
M = TypeVar("M", bound=Pausable)
T = TypeVar("T")  # what threads tell


class Together(Executor, Generic[W, M, T]):
    """Trains jobs in threads, many in each.

    While it exists, torch uses one thread in this process: the executor's own threads share the cores.

    Args:
        objective: starts the runs of trials that train alone, one step in each `wait`.
        threads: as many at most.
        paused_bytes: memory for paused trials; None: a share of the machine's.
        name: of the threads.
    """

    def __init__(self, objective: Objective, threads: int, paused_bytes: int | None, name: str) -> None:
        self._solo = InProcessExecutor(objective)
        self._told: set[str] = set()
        self._paused: Paused[M] = Paused(paused_bytes)
        self._running: list[W] = []
        self._arrived: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._ready: list[Event] = []
        self._callers_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(threads, name, torch.set_num_threads, (1,))

    @abstractmethod
    def _dispatch(self) -> None:
        """Give work to threads that have none."""

    @abstractmethod
    def _receive(self, told: T) -> list[Event]:
        """What a thread has told."""

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor.wait`; returns as soon as an evaluation has ended."""
        deadline = time.monotonic() + timeout
        events, self._ready = self._ready, []
        while not any(isinstance(event, Outcome) for _, event in events):
            self._dispatch()
            if self._solo.busy:
                events += self._solo.wait(0.0)  # one step
            elif not self._running:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                break
            events += self._collect(left if self._running and not self._solo.busy else 0.0)
        events += self._collect(0.0)
        self._dispatch()  # the threads go on while the caller stores
        return events

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """See `Executor.release`."""
        self._paused.release(study, keep)
        self._solo.release(study, keep)

    def close(self) -> None:
        """Stop the threads at their next step and give back everything."""
        for work in self._running:
            work.stopped = True
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._callers_threads)
        self._paused.close()
        self._solo.close()

    def _withdraw(self, jobs: Iterable[Job]) -> set[tuple[int, int]]:
        """Give up those that train alone or have ended; study and evaluation of all."""
        jobs = list(jobs)
        gone = {(job.study, job.evaluation) for job in jobs}
        self._ready = [(job, event) for job, event in self._ready if (job.study, job.evaluation) not in gone]
        self._solo.cancel(jobs)
        return gone

    def _collect(self, timeout: float) -> list[Event]:
        """Events that have arrived, waiting for the first of them."""
        events: list[Event] = []
        try:
            told = self._arrived.get(timeout=timeout) if timeout > 0 else self._arrived.get_nowait()
            while True:
                events += self._receive(told)
                told = self._arrived.get_nowait()
        except queue.Empty:
            return events

    def _say(self, line: str) -> None:
        """A warning, once."""
        if line not in self._told:
            self._told.add(line)
            warnings.warn(line, stacklevel=3)
