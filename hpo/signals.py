"""What Ctrl-C, SIGTERM and SIGHUP do to a run.

Ctrl-C once: nothing new begins, what is under way ends or is stopped at its next step, every result is saved. Ctrl-C
twice, SIGTERM or SIGHUP: an `Interrupt` is raised where the program is. Once more: the process ends at once;
what was reported as saved is saved even then. A signal that is ignored already, as under `nohup`, stays ignored.
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
    """Whether the user asked the run to stop, and what hears of it."""

    def __init__(self) -> None:
        self.requested = False
        self.handlers: dict[int, Callable[[int, FrameType | None], None]] = {}  # by signal


_listening: list[Stop] = []  # runs of the main thread, the innermost last: an objective may search, too


def nested() -> bool:
    """Whether a run is under way in this thread, so that whoever asks was called by its objective."""
    return bool(_listening) and threading.current_thread() is threading.main_thread()


def stopping() -> bool:
    """Whether the run that is under way in this thread was asked to stop."""
    return nested() and _listening[-1].requested


def listen_again() -> None:
    """Bring back the handlers of the run that is under way in this thread, if its objective has put in others."""
    if nested():
        for number, handler in _listening[-1].handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


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
            for listener in _listening:
                listener.requested = True
            with contextlib.suppress(Exception):  # it may have come in the middle of a print, which cannot be nested
                notify("stopping: what does not end now runs again on resume; press Ctrl-C again to stop at once")
            return
        raised = True
        raise Interrupt(code)

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # `nohup` stays as it is
    before = {number: signal.signal(number, handle) for number in heard}
    _listening.append(stop)
    stop.handlers = dict.fromkeys(heard, handle)
    try:
        yield stop
    finally:
        _listening.remove(stop)
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextlib.contextmanager
def clearing_up() -> Iterator[None]:
    """Inside the block SIGTERM and SIGHUP raise an `Interrupt`, so that temporary files are removed on the way out."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise Interrupt(SIGTERM_EXIT)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    main = threading.current_thread() is threading.main_thread()
    deadly = [number for number in numbers if main and signal.getsignal(number) == signal.SIG_DFL]
    for number in deadly:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def ending_by_signal(notify: Callable[[str], None]) -> Iterator[Stop]:
    """`listening`, where an `Interrupt` that leaves the block becomes what Python itself raises for the signal."""
    try:
        with listening(notify) as stop:
            yield stop
    except Interrupt as interrupt:
        if nested():  # the search of an objective: the one that called it ends too
            raise
        if interrupt.exit_code == SIGINT_EXIT:
            raise KeyboardInterrupt from None
        raise SystemExit(interrupt.exit_code) from None
