"""A worker as the pool sees it: its process, what it runs, when to lose patience with it."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hpo.executors import frames
from hpo.executors.process import Process
from hpo.executors.workers import family
from hpo.executors.workers.guardian import Guardian
from hpo.executors.workers.log import Log
from hpo.executors.workers.task import Task

_CHUNK: Final = 1 << 16  # bytes read at once
_PIPE: Final = 1 << 20  # bytes that a pipe may hold at most
_DYING: Final = 1000  # milliseconds from the end of its pipes to its own
_PROGRAM: Final = "import sys; sys.path[:] = {path!r}; from hpo.executors.workers.child import main; main()"


class Worker(Process):
    """One process of the pool.

    Args:
        setup: a pickled `child.Setup`.
        inbox: see `Process`; each message comes with what was printed until then.
        slot: its place in the pool.
        cwd: its working directory.
        env: its environment.
        guardian: is told of it.

    Attributes:
        slot: its place in the pool, which says what GPU it has.
        task: what it runs; None: nothing that is still wanted.
        ticket: of the latest job it was given.
        occupied: whether a job is under way there, wanted or not.
        queue: trials paused in it that are to go on.
        forgotten: paused trials that it may let go of.
        until: when it is to be ended, more and more firmly, by the monotonic clock; None: not.
        overdue: whether its trial took too long.
        log: what was printed since the last job ended.
        severed: whether it lived on without its pipes: a trial has closed them.
    """

    def __init__(
        self,
        setup: bytes,
        inbox: queue.SimpleQueue[Any],
        *,
        slot: int,
        cwd: Path | None,
        env: Mapping[str, str],
        guardian: Guardian,
    ) -> None:
        self.slot = slot
        self.task: Task | None = None
        self.ticket = 0
        self.occupied = False
        self.queue: deque[Task] = deque()
        self.forgotten: list[tuple[int, int]] = []
        self.until: float | None = None
        self.overdue = False
        self.log = Log()
        self.severed = False
        self._guardian = guardian
        self._dead = False
        self._started: dict[int, str] = {}  # what it had started when it was told to end
        self._poll = select.poll()
        self._watched: int | None = None  # descriptor that tells of the end of the process
        super().__init__(_PROGRAM.format(path=sys.path), setup, inbox, cwd=cwd, env=env, stderr=subprocess.PIPE)
        guardian.add(self.pid)

    @property
    def idle(self) -> bool:
        """Whether it may be given a job."""
        return self.ready and not self.occupied and not self._has_ended()

    @property
    def pid(self) -> int:
        """Number of its process and of its group."""
        return self._process.pid

    @property
    def death(self) -> str:
        """How its process ended, in a sentence for users."""
        if self.severed:
            return "its process closed the pipes to hpo, and was killed"
        if self.code >= 0:
            return f"its process ended itself with exit code {self.code}"
        number = -self.code
        name = signal.Signals(number).name if number in set(signal.Signals) else "unknown"
        cause = ", likely out of memory" if number == signal.SIGKILL else ""
        return f"its process was killed by signal {number} ({name}){cause}"

    def run(self, task: Task, timeout: float | None) -> None:
        """Begin with `task`, which must end within `timeout` seconds."""
        task.begin()
        self.task, self.occupied, self.ticket = task, True, self.ticket + 1
        forgotten, self.forgotten = self.forgotten, []
        self.send(("run", self.ticket, task.job, forgotten))
        self.until = None if timeout is None else time.monotonic() + timeout

    def cancel(self, grace: float) -> None:
        """Nothing more is wanted of its task: it has `grace` seconds to end."""
        self.task = None
        if not self.overdue:
            self.until = time.monotonic() + grace
            self.send(("cancel", self.ticket))

    def free(self) -> None:
        """Its job has ended."""
        self.task, self.occupied, self.until = None, False, None

    def terminate(self) -> None:
        """Ask it to end, and what it has started."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, and what it has started, at once."""
        self._signal(signal.SIGKILL)
        family.end(self._started)

    def close(self, patience: float) -> None:
        """See `Process.close`; what it has started ends too."""
        self.stop()
        if patience > 0:
            self._reader.join(patience)
        self.kill()  # its number is its own until it is waited for
        self._guardian.remove(self.pid)
        super().close(patience=0.0)
        assert self._process.stderr is not None
        self._process.stderr.close()
        if self._watched is not None:
            os.close(self._watched)
            self._watched = None

    def _has_ended(self) -> bool:
        """Whether its process has ended, which the reader may be about to tell."""
        if not hasattr(os, "waitid"):
            return False
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # a program that ignores its children's end
            return True

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            self._started |= family.descendants(self.pid)  # before it ends: then nobody knows whose they were
            with contextlib.suppress(OSError):
                os.killpg(self.pid, number)

    # -- in the thread that reads

    def _read(self, setup: bytes) -> None:
        assert self._process.stderr is not None
        self._output = self._process.stderr.fileno()
        os.set_blocking(self._output, False)
        self._poll.register(self._output, select.POLLIN)
        self._poll.register(self._answers.fileno(), select.POLLIN)
        if hasattr(os, "pidfd_open"):  # a process that it has forked may hold its pipes
            with contextlib.suppress(OSError):
                self._watched = os.pidfd_open(self.pid)
                self._poll.register(self._watched, select.POLLIN)
        super()._read(setup)

    def _receive(self) -> Any:
        try:
            while not self._dead:
                ready = {number for number, _ in self._poll.poll()}
                if self._output in ready and not self._take_output():
                    self._poll.unregister(self._output)
                if self._answers.fileno() in ready:
                    return self._with_log(frames.receive(self._answers))
                if self._watched in ready:
                    self._dead = True
                    os.set_blocking(self._answers.fileno(), False)
            return self._with_log(frames.receive(self._answers))
        except EOFError:
            self._await_end()
            raise

    def _take_output(self) -> bool:
        """Read what there is; False at its end."""
        try:
            content = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return True
        self.log.add(content)
        return bool(content)

    def _take_all_output(self) -> None:
        taken = 0  # somebody may go on writing: what was there when we were told fits into the pipe
        with contextlib.suppress(BlockingIOError):
            while taken < _PIPE and (content := os.read(self._output, _CHUNK)):
                self.log.add(content)
                taken += len(content)

    def _with_log(self, message: Any) -> tuple[Any, str]:
        if message != "ready" and message[0] != "end":
            return message, ""
        self._take_all_output()
        text = self.log.text()
        self.log.clear()
        return message, text

    def _await_end(self) -> None:
        """Its pipe has ended: so does it, now or by force."""
        if not self._dead and self._watched is not None:
            end = select.poll()
            end.register(self._watched, select.POLLIN)
            self.severed = not end.poll(_DYING)
        self._take_all_output()
