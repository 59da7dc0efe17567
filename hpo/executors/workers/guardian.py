"""A small process that outlives this one for a moment: it ends the workers, and what they have started, if this dies.

A worker whose trial holds the interpreter's lock does not notice that its pipe has ended, and what it has
started itself does not care. The guardian does nothing but wait for the end of a pipe.
"""

import contextlib
import subprocess
import sys
from io import FileIO
from typing import cast

from hpo.executors import frames
from hpo.executors.workers import family


class Guardian:
    """Watches workers until it is closed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 # ourselves
            [sys.executable, "-I", "-S", family.__file__],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._pipe = cast(FileIO, self._process.stdin)

    def add(self, pid: int) -> None:
        """End a worker, and what it has started, when this process ends."""
        self._tell("+", pid)

    def remove(self, pid: int) -> None:
        """The worker has ended: its number may come to be another's."""
        self._tell("-", pid)

    def close(self) -> None:
        """End it, and with it the workers that are left."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.wait()

    def _tell(self, what: str, pid: int) -> None:
        with contextlib.suppress(OSError):  # somebody has ended it: workers still notice the end of their pipes
            frames.write(self._pipe, f"{what} {pid}\n".encode())
