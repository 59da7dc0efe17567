"""Who drives what in a store now."""

import os
import sys
from pathlib import Path

from hpo.store.lock import DriverLock


def held(lock: Path) -> bool:
    """Whether a process holds a lock file; the file stays as it is.

    Linux lists the locks of all processes that this one may see. Where none is listed (another container's), or there
    is no list, a shared lock is tried for an instant: it fails where a driver holds its own.
    """
    try:
        file = os.open(lock, os.O_RDONLY)
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
        other = DriverLock(lock)
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
