"""A small process that outlives this one for a moment: it ends the workers, and what they have started, if this dies.

A worker whose trial holds the interpreter's lock does not notice that its pipe has ended, and what it has
started itself does not care. The guardian does nothing but wait for the end of a pipe.
"""

import contextlib
import subprocess
import sys
from io import FileIO
from typing import Final, cast

from hpo.executors import frames

_PROGRAM: Final = """
import os, sys
groups = set()
for line in sys.stdin:
    what, group = line.split()
    (groups.add if what == "+" else groups.discard)(int(group))
for group in groups:
    try:
        os.killpg(group, 9)
    except OSError:
        pass
"""


class Guardian:
    """Watches process groups until it is closed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 # ourselves
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._pipe = cast(FileIO, self._process.stdin)

    def add(self, group: int) -> None:
        """End the group when this process ends."""
        self._tell("+", group)

    def remove(self, group: int) -> None:
        """The group has ended: its number may come to be another's."""
        self._tell("-", group)

    def close(self) -> None:
        """End it, and with it the groups that are left."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.wait()

    def _tell(self, what: str, group: int) -> None:
        with contextlib.suppress(OSError):  # somebody has ended it: workers still notice the end of their pipes
            frames.write(self._pipe, f"{what} {group}\n".encode())
