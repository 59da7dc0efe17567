"""Copies of stores while they are in use."""

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from hpo.errors import StorageError
from hpo.store.damage import damaged
from hpo.store.database import Database, is_full
from hpo.store.refusal import refusal


def back_up(db: Database, path: Path) -> None:
    """Copy a store as it is in this moment into an empty file, by SQLite's backup, and check the copy.

    All pages are copied in one go: writers wait so long, and never make it begin again.

    Raises:
        DataError: what was copied is damaged: the store is.
        StorageError: the copy could not be written.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")  # whoever gave the file syncs it
            with db.snapshot() as connection, _blaming(path):
                connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # also where another program had put it into WAL mode
            found = [row[0] for row in copy.execute("PRAGMA integrity_check(1)")]
    except sqlite3.Error as error:
        raise StorageError(
            f"the copy of store {db.path} cannot be written: {error}: make room, or name a file elsewhere"
        ) from error
    if found != ["ok"]:
        raise damaged(db.path, found[0])


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Inside the block, a disk that is full or refuses a file is that of the copy: the store is only read."""
    try:
        yield
    except sqlite3.OperationalError as error:
        refused = refusal(path)
        if refused is None and not is_full(error):
            raise
        why = os.strerror(errno.ENOSPC) if refused is None else refused.strerror
        raise StorageError(
            f"the copy cannot be written in {path.absolute().parent}: {why}: make room there, or name another place"
        ) from error
