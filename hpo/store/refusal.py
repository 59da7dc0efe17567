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


def refusal(path: Path) -> OSError | None:
    """What goes wrong if one does by hand what SQLite does to write `path`; None: nothing does.

    The file and its journal are opened for writing, and a page is written beside them, which takes as much room as
    one in the file would; nothing is changed. The error's `filename` says what could not be opened or written.
    """
    journal = path.with_name(f"{path.name}-journal")
    file, trying = -1, path
    probe: str | None = None
    try:
        if not os.access(path, os.W_OK):
            # never closed if it succeeds after all: closing the file would drop the locks that SQLite holds on it
            os.open(path, os.O_RDWR)
        trying = journal
        if os.path.lexists(journal):
            os.close(os.open(journal, os.O_RDWR))
        trying = path.parent
        file, probe = tempfile.mkstemp(dir=trying, prefix=".hpo-", suffix=".probe")
        trying = path
        os.lseek(file, os.stat(path).st_size, os.SEEK_SET)  # a limit on the size of files counts the hole, too
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
