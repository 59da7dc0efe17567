"""One driver for a study: a lock of the operating system, which dies with its process."""

import contextlib
import os
from pathlib import Path


class DriverLock:
    """An exclusive lock on a small file beside the store, removed again on release.

    Args:
        path: the lock file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Whether this process holds the lock now; never waits."""
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            if not _try_lock(file):
                os.close(file)
                return False
            # the holder before us removes the file on release: a lock on a removed file locks nobody out
            if self._is_current(file):
                self._file = file
                return True
            os.close(file)

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._file is None:
            return
        file, self._file = self._file, None
        if os.name == "posix":
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
        os.close(file)

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self.path))
        except FileNotFoundError:
            return False


def _try_lock(file: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return _try_lock_windows(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_lock_windows(file: int) -> bool:
    import msvcrt

    try:
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
