"""A process that trains for another one: a `PopulationExecutor` in an interpreter of its own.

Threads wait for the lock of the interpreter they share; a helper has its own. Messages:

    to the helper: the objective and settings; then ("submit", [(ticket, job)]), ("cancel", [ticket]),
        ("forget", [(study, number) of paused trials])
    from it: "ready"; then lists of (ticket, progress or outcome)
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import FileIO
from typing import Any, Final

import torch

from hpo.executors import frames
from hpo.executors.base import Event
from hpo.executors.process import Process
from hpo.training.population.executor import PopulationExecutor
from hpo.training.population.trials import TrainsMembers
from hpo.trial import Job, Outcome, Progress

_TURN: Final = 0.05  # seconds that a helper trains between two looks at its messages
_PROGRAM: Final = "import sys; sys.path[:] = {path!r}; from hpo.training.population.helper import main; main()"


@dataclass(frozen=True)
class Setup:
    """What a helper's executor is made of, see `PopulationExecutor`."""

    objective: TrainsMembers
    chunk_bytes: int
    paused_bytes: int | None


class Helper(Process):
    """The parent's side.

    Args:
        setup: what the helper trains with, a pickled `Setup`.
        inbox: takes (this helper, message) for each message, (this helper, None) at its end.

    Attributes:
        jobs: under way there, by ticket.
    """

    def __init__(self, setup: bytes, inbox: queue.SimpleQueue[tuple[Helper, Any]]) -> None:
        self.jobs: dict[int, Job] = {}
        self._tickets = 0
        super().__init__(_PROGRAM.format(path=sys.path), setup, inbox)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have it train `jobs`."""
        tickets = range(self._tickets, self._tickets + len(jobs))
        self._tickets += len(jobs)
        self.jobs.update(zip(tickets, jobs, strict=True))
        self.send(("submit", list(zip(tickets, jobs, strict=True))))

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Give up those of `jobs` that are under way there, also what they have come to meanwhile."""
        dropped = {(job.study, job.evaluation) for job in jobs}
        tickets = [ticket for ticket, job in self.jobs.items() if (job.study, job.evaluation) in dropped]
        if tickets:
            self.send(("cancel", tickets))
        for ticket in tickets:
            job = self.jobs.pop(ticket)
            self.forget([(job.study, job.number)])

    def forget(self, trials: Sequence[tuple[int, int]]) -> None:
        """Let go of paused trials, by study and number."""
        self.send(("forget", trials))

    def events(self, message: Any) -> list[Event]:
        """What a message tells: that it is ready, or of jobs that are still wanted."""
        if message == "ready":
            self.ready = True
            return []
        found: list[Event] = []
        for ticket, event in message:
            if (job := self.jobs.get(ticket)) is None:
                continue  # cancelled meanwhile
            if isinstance(event, Outcome):
                del self.jobs[ticket]
                found.append((job, event))
            else:
                found.append((job, Progress(job, *event)))
        return found


def main() -> None:
    """The helper's side, until the parent closes the pipe or ends."""
    commands, results = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it has no session of its own
    os.dup2(2, 1)  # what anything here prints must not get among the messages
    try:
        setup: Setup = frames.receive(commands)
    except EOFError:  # it has ended already
        return
    executor = PopulationExecutor(
        setup.objective,
        torch.device("cpu"),
        threads=1,
        chunk_bytes=setup.chunk_bytes,
        paused_bytes=setup.paused_bytes,
    )
    try:
        with contextlib.suppress(BrokenPipeError):  # the parent has ended
            _serve(executor, commands, results)
    finally:
        executor.close()


def _serve(executor: PopulationExecutor, commands: FileIO, results: FileIO) -> None:
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands, inbox), daemon=True).start()
    tickets: dict[tuple[int, int], tuple[int, Job]] = {}

    frames.send(results, "ready")
    while True:
        while not (executor.busy and inbox.empty()):
            match inbox.get():
                case None:
                    return
                case ("submit", jobs):
                    tickets |= {(job.study, job.evaluation): (ticket, job) for ticket, job in jobs}
                    executor.submit([job for _, job in jobs])
                case ("cancel", dropped):
                    given_up = set(dropped)
                    jobs = [job for ticket, job in tickets.values() if ticket in given_up]
                    executor.cancel(jobs)
                    for job in jobs:
                        del tickets[job.study, job.evaluation]
                case ("forget", trials):
                    executor.forget(trials)
        told: list[tuple[int, Outcome | tuple[int, Any]]] = []
        for job, event in executor.wait(_TURN):
            key = job.study, job.evaluation
            if isinstance(event, Outcome):
                told.append((tickets.pop(key)[0], event))
            else:
                told.append((tickets[key][0], (event.epoch, event.metrics)))
        if told:
            frames.send(results, told)


def _listen(commands: FileIO, inbox: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            inbox.put(frames.receive(commands))
    except EOFError:  # a parent that was killed may stop amid a message
        pass
    finally:
        inbox.put(None)
