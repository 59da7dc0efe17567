"""Why the operating system refuses a file to SQLite, which tells only that it does."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path

PAGE_BYTES = 4096


def in_words(error: OSError) -> str:
    """An error of the operating system in words: `Permission denied (errno 13, EACCES) for /runs/hpo.db`."""
    number = error.errno or 0
    name = errno.errorcode.get(number, "unknown")
    where = f" for {error.filename}" if error.filename else ""
    return f"{error.strerror or error} (errno {number}, {name}){where}"


def holders(path: Path) -> str:
    """Who has a file locked, as Linux tells it: `process 4711`; `another process` where that is not known.

    The locks of this process do not count.
    """
    pids = set[int]()
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        file = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        for line in Path("/proc/locks").read_text("ascii").splitlines():  # 1: POSIX ADVISORY WRITE 4711 08:01:42 0 EOF
            words = line.split()
            if file in words and words[1] != "->":  # which waits
                pids.add(int(words[words.index(file) - 1]))
    named = sorted(pid for pid in pids if pid > 0 and pid != os.getpid())
    if not named:
        return "another process"
    return f"process {named[0]}" if len(named) == 1 else f"processes {', '.join(map(str, named))}"


def refusal(path: Path) -> OSError | None:
    """What goes wrong if one does by hand what SQLite does to write `path`; None: nothing does.

    The file and its journal are opened for writing, and a page is written beside them, which takes as much room as
    one in the file would; nothing is changed. The error's `filename` says what could not be opened or written.
    """
    journal = path.with_name(f"{path.name}-journal")
    file, trying = -1, path
    probe: str | None = None
    try:
        there = os.path.lexists(path)
        if there and not os.access(path, os.W_OK):
            # never closed if it succeeds after all: closing the file would drop the locks that SQLite holds on it
            os.open(path, os.O_RDWR)
        trying = journal
        if os.path.lexists(journal):
            os.close(os.open(journal, os.O_RDWR))
        trying = path.parent
        file, probe = tempfile.mkstemp(dir=trying, prefix=".hpo-", suffix=".probe")
        trying = path
        size = os.stat(path).st_size if there else 0
        os.lseek(file, size, os.SEEK_SET)  # a limit on the size of files counts the hole, too
        os.write(file, bytes(PAGE_BYTES))
        os.fsync(file)
    except OSError as error:
        error.filename = str(trying)
        return error
    finally:
        if probe is not None:
            os.close(file)
            with contextlib.suppress(OSError):
                os.unlink(probe)
    return None
