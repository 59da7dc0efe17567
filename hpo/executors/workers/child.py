"""The worker's side: an `InProcessExecutor` that gets one job at a time through a pipe.

    to it: the setup; then ("run", ticket, job, [(study, number) of paused trials to let go of]), ("cancel", ticket)
    from it: "ready"; then ("progress", ticket, [(epoch, metrics)]), ("reports", ticket, [(step, value)]),
        ("end", ticket, outcome), None for one that was cancelled

It ends when its pipe does.
"""

import contextlib
import os
import queue
import threading
import time
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final, Never

from hpo.executors import frames
from hpo.executors.in_process import InProcessExecutor
from hpo.executors.workers import family
from hpo.executors.workers.payload import unpack
from hpo.executors.workers.surroundings import Surroundings
from hpo.live_trial import LiveTrial
from hpo.objective import Objective
from hpo.trial import Job, Outcome, State

_EVERY: Final = 0.1  # seconds between two messages about one trial
_MOST: Final = 1000  # reports in one message, and the latest


@dataclass(frozen=True)
class Setup:
    """What a worker is told first.

    Attributes:
        objective: packed, see `payload`.
        memory: bytes that it may take; None: any.
        files: folder for files of trials; None: there is none.
    """

    objective: bytes
    memory: int | None
    files: Path | None


def main() -> None:
    """Serve until the parent closes the pipe or ends."""
    commands, answers = FileIO(os.dup(0), "rb"), FileIO(os.dup(1), "wb")
    surroundings = Surroundings()
    family.adopt()
    # what a trial forks must neither keep the pipes open nor write among the messages
    os.register_at_fork(after_in_child=commands.close)
    os.register_at_fork(after_in_child=answers.close)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent has ended
        setup: Setup = frames.receive(commands)
        if setup.memory is not None:
            limit_memory(setup.memory)
        server = _Server(unpack(setup.objective), setup.files, commands, answers, surroundings)
        surroundings.flush()
        server.serve()
        family.end(family.descendants(os.getpid()))


def limit_memory(size: int) -> None:
    """Let this process allocate no more than `size` bytes."""
    import resource
    import sys

    # the address space is no measure: torch and CUDA reserve far more of it than they use
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (size if hard == resource.RLIM_INFINITY else min(size, hard), hard))


class _Server:
    def __init__(
        self, objective: Objective, files: Path | None, commands: FileIO, answers: FileIO, surroundings: Surroundings
    ) -> None:
        self._files, self._commands, self._answers, self._surroundings = files, commands, answers, surroundings
        self._executor = InProcessExecutor(objective, live=self._live)
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._pid = os.getpid()
        self._ticket = -1  # of the job under way
        self._cancelled = -1
        self._gone = False  # the parent
        self._lock = threading.RLock()  # a signal handler of the trial's may report, too
        self._reports: dict[int, float] = {}  # that are to be sent
        self._latest: tuple[int, float] | None = None
        self._sent_at = 0.0
        self._late = threading.Event()

    def serve(self) -> None:
        """Run jobs as they come."""
        threading.Thread(target=self._listen, name="hpo-commands", daemon=True).start()
        threading.Thread(target=self._send_late_reports, name="hpo-reports", daemon=True).start()
        self._send("ready")
        try:
            while (message := self._inbox.get()) is not None:
                _, ticket, job, forgotten = message
                if not self._run(ticket, job, forgotten):
                    break
        finally:
            self._executor.close()
            self._surroundings.flush()

    def _listen(self) -> None:
        try:
            while True:
                message = frames.receive(self._commands)
                if message[0] == "cancel":
                    self._cancelled = message[1]
                else:
                    self._inbox.put(message)
        except EOFError:  # a parent that was killed may stop amid a message
            pass
        finally:
            self._gone = True
            self._inbox.put(None)

    def _run(self, ticket: int, job: Job, forgotten: list[tuple[int, int]]) -> bool:
        """Run one job; whether to go on after it."""
        self._executor.forget(forgotten)
        with self._lock:
            self._ticket = ticket
            self._reports, self._latest, self._sent_at = {}, None, 0.0
        self._surroundings.restore()
        self._executor.submit([job])
        told: list[tuple[int, Any]] = []
        outcome: Outcome | None = None
        while outcome is None:
            if self._gone:
                return False
            if self._cancelled == ticket:
                self._executor.cancel([job])
                break
            for _, event in self._executor.wait(0.0):
                if os.getpid() != self._pid:
                    self._leave(event)
                if isinstance(event, Outcome):
                    outcome = event
                else:
                    told.append((event.epoch, event.metrics))
            if os.getpid() != self._pid:
                self._leave(None)
            if told and outcome is None and time.monotonic() - self._sent_at >= _EVERY:
                self._send(("progress", ticket, told))
                told = []
        self._surroundings.flush()
        with self._lock:
            self._ticket = -1
            self._reports, self._latest = {}, None
            self._send(("end", ticket, outcome))
        return True

    def _leave(self, event: object) -> Never:
        """A process that the trial has forked came back from the function: it must not go on as if it were us."""
        failed = isinstance(event, Outcome) and event.state != State.DONE
        if failed and isinstance(event, Outcome):
            print(event.error)
        self._surroundings.flush()
        os._exit(failed)

    # -- what a running function reports

    def _live(self, job: Job) -> LiveTrial:
        ticket = self._ticket
        return LiveTrial(
            job, self._files, cancelled=lambda: self._gone or self._cancelled == ticket, told=self._note_report
        )

    def _note_report(self, step: int, value: float) -> None:
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._latest = step, value
            if len(self._reports) < _MOST:
                self._reports[step] = value
            if time.monotonic() - self._sent_at >= _EVERY:
                self._send_reports()
            else:
                self._late.set()

    def _send_late_reports(self) -> None:
        """Those that came too soon after others and may be the last for long."""
        while True:
            self._late.wait()
            time.sleep(_EVERY)
            self._late.clear()
            with self._lock, contextlib.suppress(OSError):
                self._send_reports()

    def _send_reports(self) -> None:
        if self._latest is not None:
            self._send(("reports", self._ticket, [*self._reports.items(), self._latest]))
            self._reports, self._latest = {}, None

    def _send(self, message: object) -> None:
        with self._lock:
            try:
                frames.send(self._answers, message)
            except BrokenPipeError:  # the parent has ended
                raise
            except OSError:  # a trial has closed the pipe, which the parent notices: it ends this process
                threading.Event().wait()
            self._sent_at = time.monotonic()
