"""What Ctrl-C, SIGTERM and SIGHUP do to a run.

Ctrl-C once: nothing new begins, what is under way ends or is stopped at its next step, all is saved. Ctrl-C
twice, SIGTERM or SIGHUP: an `Interrupt` is raised where the program is. Once more: the process ends at once;
what was reported as saved is saved even then.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from hpo.errors import Interrupt

SIGINT_EXIT = 130
SIGTERM_EXIT = 143


class Stop:
    """Whether the user asked the run to stop."""

    def __init__(self) -> None:
        self.requested = False


@contextlib.contextmanager
def listening(notify: Callable[[str], None]) -> Iterator[Stop]:
    """Inside the block signals behave as the module's text says; outside the main thread nothing changes.

    Args:
        notify: takes a line for the user; called from the signal handler.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    raised = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal raised
        code = SIGINT_EXIT if number == signal.SIGINT else SIGTERM_EXIT
        if raised:
            os._exit(code)
        if number == signal.SIGINT and not stop.requested:
            stop.requested = True
            notify("stopping: what is under way ends first; press Ctrl-C again to stop at once")
            return
        raised = True
        raise Interrupt(code)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), handle) for name in names}
    try:
        yield stop
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler if handler is not None else signal.SIG_DFL)
