"""Processes of the command line: whole ones, or forks of one that has everything imported."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PLAIN = [sys.executable, "-m", "hpo"]
HANG_SECONDS = 120.0  # after which an attempt that should have ended is killed, and the storm fails


def environment(pause: float = 0.0) -> dict[str, str]:
    """Of processes: one thread each, and modules of scripts can be imported."""
    path = os.pathsep.join(part for part in (str(ROOT / "scripts"), str(ROOT), os.environ.get("PYTHONPATH")) if part)
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return os.environ | threads | {"PYTHONPATH": path, "STORM_PAUSE_SECONDS": str(pause)}


class Attempt:
    """A process under way.

    Args:
        pid: its number.
        wait: waits for its end and returns its exit code.
    """

    def __init__(self, pid: int, wait: Any) -> None:
        self.pid, self._wait, self._code = pid, wait, None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        self._code = self._wait()
        self._ended.set()

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended, waiting for it."""
        return self._ended.wait(seconds)

    def kill(self, number: int) -> None:
        """Send a signal; harmless when it has ended."""
        if not self._ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def code(self) -> int:
        """Its exit code, waiting for it; negative: killed by that signal."""
        if not self._ended.wait(HANG_SECONDS):
            self.kill(signal.SIGKILL)
            self._ended.wait()
            raise RuntimeError(f"an attempt hung for {HANG_SECONDS:.0f} s")
        self._thread.join()
        assert self._code is not None
        return self._code


def plain(argv: list[str], stderr: Path, pause: float = 0.0, program: list[str] = PLAIN) -> Attempt:
    """The command in a process of its own, from its first instruction to its last."""
    with stderr.open("ab") as file:
        process = subprocess.Popen(
            [*program, *argv],
            env=environment(pause),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    return Attempt(process.pid, process.wait)


class Server:
    """A client of `storms.server`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, argv: list[str], stderr: Path, shim: dict[str, Any] | None = None) -> Attempt:
        """The command in a fork; one at a time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"argv": argv, "stderr": str(stderr), "shim": shim}) + "\n")
        self._process.stdin.flush()
        return Attempt(self._line(), self._line)

    def run(self, argv: list[str], stderr: Path, shim: dict[str, Any] | None = None) -> int:
        """The exit code of the command in a fork."""
        return self.start(argv, stderr, shim).code()

    def _line(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with exit code {self._process.wait()}")
        return int(line)


@contextlib.contextmanager
def server(pause: float = 0.0) -> Iterator[Server]:
    """A running server, for the length of a block."""
    with subprocess.Popen(
        [sys.executable, "-m", "storms.server"],
        env=environment(pause),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"the server ended with exit code {process.wait()}")
            yield Server(process)
        finally:
            process.kill()
