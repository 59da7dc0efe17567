"""One driver for a study: a lock of the operating system, which dies with its process; and whether it is held."""

import contextlib
import os
import sys
import weakref
from pathlib import Path

from hpo.errors import NoPermissionError, StorageError
from hpo.store.refusal import in_words


class DriverLock:
    """An exclusive lock on a small file beside the store, removed again on release.

    Args:
        path: the lock file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        _locks.add(self)

    def acquire(self) -> bool:
        """Whether this process holds the lock now; never waits.

        Raises:
            NoPermissionError: this user may not write the lock file.
            StorageError: the file system cannot lock.
        """
        try:
            return self._acquire()
        except PermissionError as error:
            raise NoPermissionError(
                f"lock file {self.path} cannot be written by this user: {in_words(error)}: check the permissions of "
                "file and folder"
            ) from None
        except OSError as error:
            raise StorageError(
                f"lock file {self.path} cannot be made or locked: {in_words(error)}: make room there, or put the "
                "store on a disk of this machine"
            ) from error

    def _acquire(self) -> bool:
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            try:
                locked = _try_lock(file)
                # the holder before us removes the file on release: a lock on a removed file locks nobody out
                if locked and self._is_current(file):
                    self._file, file = file, -1
                    return True
            finally:
                if file >= 0:
                    os.close(file)
            if not locked:
                return False

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


def is_held(path: Path) -> bool:
    """Whether a process holds a lock file; the file stays as it is.

    Linux lists the locks of all processes that this one may see. Where none is listed (another container's), or there
    is no list, a shared lock is tried for an instant: it fails where a driver holds its own.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:  # there is none, or it is not for this user to know
        return False
    try:
        if sys.platform == "linux" and _listed(os.fstat(file).st_ino):
            return True
        import fcntl

        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except ImportError:  # Windows: the file is not removed with its lock
        other = DriverLock(path)
        free = other.acquire()
        other.release()
        return not free
    except OSError:  # a file system that cannot lock
        return False
    finally:
        os.close(file)
    return False


def _listed(inode: int) -> bool:
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any(f":{inode} " in line and " FLOCK " in line for line in lines)


_locks: weakref.WeakSet[DriverLock] = weakref.WeakSet()


def _forget_locks() -> None:
    """In a forked child: the lock is the parent's, and must die with it even if the child lives on."""
    for lock in list(_locks):
        if lock._file is not None:
            os.close(lock._file)
            lock._file = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


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
