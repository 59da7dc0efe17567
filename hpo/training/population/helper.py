"""A process that trains for another one: a `PopulationExecutor` at the other end of two pipes.

Threads wait for the lock of the interpreter they share; a helper has its own. It is
started as a fresh interpreter, so the user's program needs no `if __name__ == "__main__"` and nothing is forked amid
torch's threads; it ends when its pipe does, however the parent ended. Messages are pickled tuples:

    to the helper: the objective and settings; then ("submit", [(ticket, job)]), ("cancel", [ticket]),
        ("forget", study, numbers of paused trials)
    from it: "ready"; then lists of (ticket, progress or outcome)
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

import torch

from hpo.executors.base import Event
from hpo.training.population.executor import PopulationExecutor
from hpo.training.population.trials import TrainsMembers
from hpo.trial import Job, Outcome, Progress

_TURN: Final = 0.05  # seconds that a helper trains between two looks at its messages
_PATIENCE: Final = 5.0  # seconds for a helper to end by itself
_PROGRAM: Final = "import sys; sys.path[:] = {path!r}; from hpo.training.population.helper import main; main()"


@dataclass(frozen=True)
class Setup:
    """What a helper's executor is made of, see `PopulationExecutor`."""

    objective: TrainsMembers
    chunk_bytes: int
    paused_bytes: int | None


class Helper:
    """The parent's side.

    Args:
        setup: what the helper trains with, a pickled `Setup`.
        inbox: takes (this helper, message) for each message, (this helper, None) at its end.

    Attributes:
        ready: whether it has begun to listen.
        jobs: under way there, by ticket.
    """

    def __init__(self, setup: bytes, inbox: queue.SimpleQueue[tuple[Helper, Any]]) -> None:
        self.ready = False
        self.jobs: dict[int, Job] = {}
        self._tickets = 0
        self._process = subprocess.Popen(  # noqa: S603 # ourselves
            [sys.executable, "-c", _PROGRAM.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the parent
        )
        self._inbox = inbox
        self._reader = threading.Thread(target=self._read, args=(setup,), name="hpo-population-helper", daemon=True)
        self._reader.start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have it train `jobs`."""
        tickets = range(self._tickets, self._tickets + len(jobs))
        self._tickets += len(jobs)
        self.jobs.update(zip(tickets, jobs, strict=True))
        self._send(("submit", list(zip(tickets, jobs, strict=True))))

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Give up those of `jobs` that are under way there, also what they have come to meanwhile."""
        dropped = {(job.study, job.evaluation) for job in jobs}
        tickets = [ticket for ticket, job in self.jobs.items() if (job.study, job.evaluation) in dropped]
        if tickets:
            self._send(("cancel", tickets))
        for ticket in tickets:
            job = self.jobs.pop(ticket)
            self.forget(job.study, [job.number])

    def forget(self, study: int, numbers: Sequence[int]) -> None:
        """Let go of paused trials."""
        self._send(("forget", study, numbers))

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

    @property
    def ending(self) -> str:
        """How its process ended: "exit code 1", "signal 9"."""
        code = self._process.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        """Tell it to end; at once if it has no state to clean up."""
        if not self.ready:
            self._process.kill()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is gone already
            self._process.stdin.close()

    def close(self) -> None:
        """Wait for its end."""
        self.stop()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _send(self, message: object) -> None:
        self._write(pickle.dumps(message))

    def _write(self, content: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(content)
            self._process.stdin.flush()
        except (OSError, ValueError):  # it is gone or closed, which the reader tells
            return
        except BaseException:  # an interrupt: half a message would be taken for the beginning of the next
            self._process.kill()
            raise

    def _read(self, setup: bytes) -> None:
        assert self._process.stdout is not None
        self._write(setup)  # takes until the interpreter has started; nothing else is sent before it is ready
        try:
            while True:
                message = pickle.load(self._process.stdout)  # noqa: S301 # from our own process
                self._inbox.put((self, message))
        except EOFError:  # it ends
            pass
        except Exception:  # whatever cannot be read, nothing after it can
            self._process.kill()
        finally:
            self._inbox.put((self, None))


def main() -> None:
    """The helper's side, until the parent closes the pipe or ends."""
    commands, results = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it has no session of its own
    os.dup2(2, 1)  # what anything here prints must not get among the messages
    try:
        setup: Setup = pickle.load(commands)  # noqa: S301 # from our own parent
    except (EOFError, pickle.UnpicklingError):  # it has ended already
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


def _serve(executor: PopulationExecutor, commands: IO[bytes], results: IO[bytes]) -> None:
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(commands, inbox), daemon=True).start()
    tickets: dict[tuple[int, int], tuple[int, Job]] = {}

    def answer(message: object) -> None:
        pickle.dump(message, results)
        results.flush()

    answer("ready")
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
                case ("forget", study, numbers):
                    executor.release(study, functools.partial(_is_kept, frozenset(numbers)))
        told: list[tuple[int, Outcome | tuple[int, Any]]] = []
        for job, event in executor.wait(_TURN):
            key = job.study, job.evaluation
            if isinstance(event, Outcome):
                told.append((tickets.pop(key)[0], event))
            else:
                told.append((tickets[key][0], (event.epoch, event.metrics)))
        if told:
            answer(told)


def _is_kept(forgotten: frozenset[int], number: int) -> bool:
    return number not in forgotten


def _listen(commands: IO[bytes], inbox: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            inbox.put(pickle.load(commands))  # noqa: S301 # from our own parent
    except (EOFError, pickle.UnpicklingError):  # a parent that was killed may stop amid a message
        pass
    finally:
        inbox.put(None)
