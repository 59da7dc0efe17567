"""A store as a file, before SQLite sees it: whether it is there, is one, and can be copied."""

import os
import shutil
import stat
import tempfile
import warnings
import weakref
from pathlib import Path
from typing import Literal

from hpo.errors import CannotCreateError, DataError, LockedError, NoPermissionError, StorageError
from hpo.files import DATABASE
from hpo.store import filesystem
from hpo.store.refusal import holders, in_words

# Warnings name no line of the caller: said from one place they are shown once, however often a store is opened.


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if there is none.

    Raises:
        DataError: it is no ordinary file.
        NoPermissionError: this user may not look.
        StorageError: it cannot be a file's name.
    """
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise NoPermissionError(
            f"store {path} cannot be reached by this user: {in_words(error)}: check its folders' permissions"
        ) from None
    except (OSError, ValueError) as error:
        raise StorageError(f"store {path} cannot be reached: {error}: name another store with --store") from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "not an ordinary file"
        raise DataError(f"{path} is {what}, so no store: it is left as it is; name another store with --store")
    return found.st_dev, found.st_ino


def in_wal_mode(path: Path) -> bool:
    """Whether the header of an SQLite file says so.

    Closing the file drops the locks that connections of this process have on it: only where there are none.

    Raises:
        DataError: it is no SQLite file.
        NoPermissionError: this user may not read it.
        StorageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except PermissionError as error:
        raise NoPermissionError(
            f"store {path} may not be read by this user: {in_words(error)}: check its permissions"
        ) from None
    except OSError as error:
        raise StorageError(
            f"store {path} cannot be read: {in_words(error)}: look at the disk, then try again"
        ) from error
    if header[:16] != DATABASE:
        what = "an empty file" if not header else "not an SQLite file"
        raise DataError(f"{path} is {what}, so no store: it is left as it is; name another store with --store")
    return len(header) == 20 and header[18] == 2


def check_log(path: Path, wal: bool) -> None:
    """Warn of a store in WAL mode; raise DataError for one that is not and has the log of another file beside it."""
    log = beside(path, "-wal")
    if wal:
        warnings.warn(
            f"store {path} was put into WAL mode by another program: SQLite before 3.51.3 can lose commits there, and "
            f"a copy without {log.name} lacks the latest; `PRAGMA journal_mode=DELETE` in that program puts it back",
            stacklevel=1,
        )
    elif size(log):
        raise DataError(
            f"store {path} is not in WAL mode, yet {log} lies beside it, left by another file of this name, and SQLite "
            "would mix the two: both are left as they are; move the -wal file to where it came from, or away"
        )


def check_alone(path: Path, *, replaced: bool = False) -> None:
    """Raise CannotCreateError if a new store at `path` would get what an earlier file of this name has left beside it.

    SQLite would take such a journal for one of the new store, and undo in it what was never done there.

    Args:
        path: of the new store.
        replaced: whether there may be a file of this name now, whose place it takes; else it is as good as the new one.
    """
    for file in (beside(path, "-journal"), beside(path, "-wal")):
        if size(file) and (replaced or not path.exists()):  # in this order: who has just made the store may write it
            raise CannotCreateError(
                f"cannot create store {path}: {file}, left by an earlier file of this name, lies beside it, and SQLite "
                "would mix the two: move it to where its file is, or away"
            )


def check_file_system(path: Path, wal: bool) -> None:
    """Warn of a store that is to be written on a file system of the network; one in WAL mode is refused.

    Raises:
        StorageError: WAL needs memory that all its processes share, which no network has.
    """
    found = filesystem.kind(path)
    if not found.network:
        return
    local = f"use a path on a disk of this machine, such as {Path.home() / path.name}"
    if wal:
        raise StorageError(
            f"store {path} is in WAL mode and on a network file system ({found.type}), where two machines can destroy "
            f"it: it is left as it is; {local}"
        )
    warnings.warn(
        f"store {path} is on a network file system ({found.type}), where locks and syncs may fail silently: "
        f"results can be lost and the store damaged; {local}, and copy it afterwards",
        stacklevel=1,
    )


def warn_of_copy(path: Path, *, copied: bool) -> None:
    """Warn of a store that is not read where it lies, or lies there as it is."""
    how = (
        "was not closed properly and cannot be written here: a copy of it is read, as of its last transaction"
        if copied
        else "cannot be written here: it is read as it lies there, and what another process writes now may be missed"
    )
    warnings.warn(f"store {path} {how}", stacklevel=1)


def copied(path: Path, owner: object) -> Path:
    """A copy of a store and its journal or log in the folder for temporary files, removed when `owner` is.

    Raises:
        LockedError: it is being written.
        StorageError: there is no room, or the store cannot be read.
    """
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix="hpo-store-")
        weakref.finalize(owner, _remove, folder, os.getpid())
        return copy(path, Path(folder))
    except OSError as error:
        raise StorageError(
            f"store {path} was not closed properly and cannot be written, so that a copy has to be read, and that "
            f"cannot be made in {folder or tempfile.tempdir}: {in_words(error)}; set TMPDIR to a folder with room"
        ) from error


def copy(path: Path, folder: Path) -> Path:
    """Copy a store and its journal or log into `folder`, where SQLite may finish what a dead writer began.

    Raises:
        LockedError: it is being written.
        OSError: there is no room, or it cannot be read.
    """
    files = [real(path), *(file for end in ("-journal", "-wal") if size(file := beside(path, end)))]
    before = [_state(file) for file in files]
    for file in files:
        shutil.copyfile(file, folder / file.name)
    if before != [_state(file) for file in files]:
        raise LockedError(
            f"store {path} changed while it was copied to be read, since {holders(path)} writes it: try again in a "
            "moment"
        )
    return folder / files[0].name


def real(path: Path) -> Path:
    """The file that `path` names, itself or by a link."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def beside(path: Path, end: str) -> Path:
    """What SQLite and hpo keep beside a store: its journal or log, its locks, its trials' files."""
    file = real(path)
    return file.with_name(file.name + end)


def lock_file(path: Path, what: Literal["study", "comparison"], key: int) -> Path:
    """The file that whoever drives a study of a store, or runs a comparison, has locked."""
    return beside(path, f"-{what}-{key}.lock")


def files_folder(path: Path) -> Path:
    """Where the trials of a store keep files, each study's in a `live_trial.study_folder`."""
    return beside(path, "-files")


def size(path: Path) -> int:
    """In bytes; 0 if there is no such file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _state(path: Path) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _remove(folder: str, pid: int) -> None:
    if os.getpid() == pid:  # a forked child ends before its parent
        shutil.rmtree(folder, ignore_errors=True)
