"""Files that users ask for: whole or not at all, and over nothing without their word."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from hpo.errors import CannotCreateError, HpoError, NoPermissionError, StorageError
from hpo.text import printable

DATABASE: Final = b"SQLite format 3\x00"  # how a database of SQLite begins


def check_new(path: str | os.PathLike[str], overwrite: bool = False, *, database: bool = False) -> Path:
    """The path of a file that is to be written, checked before the work that leads to it.

    Args:
        path: its name, in a folder that exists.
        overwrite: whether it may take the place of a file of that name.
        database: whether it will be a database: nothing else takes the place of one, which may be a store of studies.

    Raises:
        CannotCreateError: no such folder, or a file of that name that may not be overwritten.
        NoPermissionError: the folder may not be written.
    """
    path = Path(path)
    try:
        if not path.parent.is_dir():
            raise no_folder(path)
        if path.exists() and not path.is_file():
            raise CannotCreateError(f"cannot create {_name(path)}: it is no ordinary file; give another name")
        if os.path.lexists(path) and not overwrite:
            raise _taken(path)
        if path.exists() and not database and _is_database(path):
            raise CannotCreateError(f"{_name(path)} is a database, such as a store of studies: give another name")
    except OSError as error:
        raise _told(path, error) from error
    if not os.access(path.parent, os.W_OK):
        raise NoPermissionError(
            f"cannot create {_name(path)}: this user may not write in folder {_name(path.parent)}; name another folder"
        )
    return path


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str], overwrite: bool = False, *, database: bool = False) -> Iterator[BinaryIO]:
    """A file to write into, which appears under its name when the block ends, and not if it fails.

    Args:
        path: its name, in a folder that exists.
        overwrite: whether it may take the place of a file of that name.
        database: whether it will be a database, see `check_new`.

    Raises:
        CannotCreateError, NoPermissionError: see `check_new`.
        StorageError: full disk, input/output error.
    """
    path = check_new(path, overwrite, database=database)
    temporary = path.with_name(f".{os.getpid()}.{threading.get_ident()}.new")
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed here and had the same numbers
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
            sync_folder(path)
        else:
            give_name(temporary, path)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise _told(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def give_name(temporary: Path, path: Path) -> None:
    """Give a finished file its name, durably; raises FileExistsError if that is taken."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if os.path.lexists(path):  # no hard links on this file system
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Let the name of a file survive a power cut, not only its content."""
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def no_folder(path: Path, what: str = "") -> CannotCreateError:
    """The error about a file, called `what` in front of its name, whose folder is none."""
    folder = path.parent
    why = f"{_name(folder)} is no folder; give another name" if os.path.lexists(folder) else None
    return CannotCreateError(f"cannot create {what}{_name(path)}: {why or f'no folder {_name(folder)}; make it first'}")


def _is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(DATABASE)) == DATABASE


def _taken(path: Path) -> HpoError:
    return CannotCreateError(
        f"{_name(path)} exists: give another name, or --force (in Python overwrite=True) to replace it"
    )


def _told(path: Path, error: OSError) -> HpoError:
    message = f"cannot create {_name(path)}: {error.strerror}; "
    if isinstance(error, PermissionError):
        return NoPermissionError(f"{message}check the permissions of its folders")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return StorageError(f"{message}make room, or name a file on another disk")
    return CannotCreateError(f"{message}give another name")


def _name(path: Path) -> str:
    return printable(repr(str(path)))
