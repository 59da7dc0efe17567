"""What a trial finds in a worker: streams, working directory, environment and signals, put right before each trial."""

import contextlib
import ctypes
import faulthandler
import io
import os
import signal
import sys
from typing import Any


class Surroundings:
    """Those at the time it is made, when standard error is the pipe that takes all output."""

    def __init__(self) -> None:
        self._output = os.dup(2)
        self._nothing = os.open(os.devnull, os.O_RDWR)
        self._directory = os.getcwd()
        self._environment = dict(os.environ)
        faulthandler.enable(self._output, all_threads=False)  # a crash says where
        self.restore()

    def restore(self) -> None:
        """Bring everything back, whatever a trial did to it."""
        os.dup2(self._nothing, 0)
        os.dup2(self._output, 1)
        os.dup2(self._output, 2)
        sys.stdin = sys.__stdin__ = _text(0, "r")  # type: ignore[misc]
        sys.stdout = sys.__stdout__ = self._out = _text(1, "w")  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._err = _text(2, "w")  # type: ignore[misc]
        with contextlib.suppress(OSError):  # the directory is gone
            os.chdir(self._directory)
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def flush(self) -> None:
        """Have all output on its way."""
        for stream in (sys.stdout, sys.stderr, self._out, self._err):
            with contextlib.suppress(BaseException):  # a trial may have put anything in its place
                stream.flush()
        flush_c()


def flush_c() -> None:
    """Have what C has buffered on its way, too."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # where there is no such library
        ctypes.CDLL(None).fflush(None)


def _text(number: int, mode: str) -> io.TextIOWrapper:
    """A stream that may be closed without harm to the descriptor."""
    raw = io.FileIO(number, mode, closefd=False)
    binary: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(binary, encoding="utf-8", errors="backslashreplace", line_buffering=mode == "w")
