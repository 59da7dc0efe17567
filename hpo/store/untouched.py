"""Stores that are read without a change to them, copies in which SQLite may do what it has to, and new ones."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from hpo.errors import HpoError, LockedError, StorageError
from hpo.files import check_new, new_file
from hpo.signals import clearing_up
from hpo.store import place
from hpo.store.damage import damaged
from hpo.store.database import Row
from hpo.store.refusal import holders

_UNREADABLE: Final = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite's message quotes damaged text


def recover(path: Path) -> None:
    """Let SQLite undo what a dead writer began in a file of ours, or apply its log; a file it cannot read stays."""
    with contextlib.suppress(*_UNREADABLE), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


@contextlib.contextmanager
def new_store(path: str, *, overwrite: bool) -> Iterator[BinaryIO]:
    """A file to write a store into, as `new_file` gives it, beside which nothing lies that SQLite would mix with it.

    A store that it replaces is first brought in order, for its journal would be applied to the new one.

    Raises:
        CannotCreateError: there is a journal or log that is no part of a file of this name, or of one in use.
    """
    if check_new(path, overwrite, database=True).exists():
        recover(Path(path))
    place.check_alone(Path(path), replaced=True)
    with clearing_up(), new_file(path, overwrite, database=True) as file:
        yield file


class Untouched:
    """A store's file, read without a change to it or beside it.

    Where SQLite could not read it without writing (a dead writer's journal, a write-ahead log) a copy is read, on which
    SQLite may do what it has to.

    Args:
        path: the file.

    Attributes:
        copied: whether a copy is read.

    Raises:
        DataError: SQLite cannot read it, or it is no SQLite file.
        LockedError: it is being written.
        OSError: it cannot be copied.
        StorageError, NoPermissionError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with contextlib.ExitStack() as cleanup, _reading(path):
            in_wal_mode = place.in_wal_mode(path) or place.beside(path, "-wal").exists()
            self.copied = in_wal_mode or not self._opened_in_place(cleanup)
            if self.copied:
                folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="hpo-doctor-"))
                copy = place.copy(path, Path(folder))
                recover(copy)
                self._open(copy, cleanup)
            self._cleanup = cleanup.pop_all()

    def _opened_in_place(self, cleanup: contextlib.ExitStack) -> bool:
        try:
            self._open(self.path, cleanup)
        except sqlite3.OperationalError:
            if not place.beside(self.path, "-journal").exists():
                raise
            return False  # the journal would have to be rolled back
        return True

    def _open(self, path: Path, cleanup: contextlib.ExitStack) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None)
        cleanup.callback(self._connection.close)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA trusted_schema = OFF")
        self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()

    def query(self, sql: str, parameters: Any = ()) -> list[Row]:
        """All rows of a SELECT."""
        return list(self.stream(sql, parameters))

    def stream(self, sql: str, parameters: Any = ()) -> Iterator[Row]:
        """The rows of a SELECT, as they come."""
        with _reading(self.path):
            for row in self._connection.execute(sql, parameters):
                yield dict(row)

    def close(self) -> None:
        """Close it; a copy vanishes."""
        self._cleanup.close()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> HpoError:
    """What SQLite raised, as an error of ours; unlike `database`'s it tries nothing beside the file to learn more."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockedError(
            f"store {path} is locked by {holders(path)}: wait for that to end, or end it, then try again"
        )
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        return StorageError(f"store {path} cannot be read: {error}: check its permissions and the disk, then try again")
    return damaged(path, error)
