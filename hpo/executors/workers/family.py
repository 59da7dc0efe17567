"""A worker with all that it has started, and their common end; as a program, what the guardian runs.

What a trial starts is in the worker's process group, unless it begins a session of its own, as daemons do. On Linux
these are found by their parents, since a worker adopts those whose own parent has ended. What is in a session of its
own and was started by a worker that then died by itself is out of reach.
"""

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Let this process be the parent of whatever it has started whose own parent ends; on Linux."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> dict[int, str]:
    """Processes that `pid` has started, and those that they have, with what tells each from a later one of its number.

    Empty where there is no /proc to look into.
    """
    parents = {
        int(name): known
        for name in (os.listdir("/proc") if os.path.isdir("/proc") else ())
        if name.isdigit() and (known := _parent_and_start(int(name))) is not None
    }
    found: dict[int, str] = {}
    heads = {pid}
    while heads:
        heads = {each for each, (parent, _) in parents.items() if parent in heads and each not in found}
        found |= {each: parents[each][1] for each in heads}
    return found


def end(processes: Mapping[int, str]) -> None:
    """Kill what `descendants` has found, as far as it still is what it was."""
    for pid, start in processes.items():
        known = _parent_and_start(pid)
        if known is not None and known[1] == start:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _parent_and_start(pid: int) -> tuple[int, str] | None:
    """Number of the parent, and the time at which the process began; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()  # from the third on: the name may hold anything
    except OSError:
        return None
    return int(fields[1]), fields[19].decode()


def watch() -> None:
    """Read "+ PID" and "- PID" of workers from standard input; at its end kill those that are left, with all theirs."""
    workers: set[int] = set()
    for line in sys.stdin:
        what, pid = line.split()
        (workers.add if what == "+" else workers.discard)(int(pid))
    for worker in workers:
        started = descendants(worker)
        with contextlib.suppress(OSError):
            os.killpg(worker, signal.SIGKILL)
        end(started)


if __name__ == "__main__":
    watch()
