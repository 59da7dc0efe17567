"""SQLite files beside the ordinary use of a store: temporary ones, copies, and those that may not be touched."""

import contextlib
import errno
import functools
import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from hpo.errors import DataError, HpoError, LockedError, StorageError
from hpo.files import check_new, new_file
from hpo.store import place
from hpo.store.database import Database, Row
from hpo.store.refusal import refusal
from hpo.store.schema import SCHEMA

SQLITE_VERSION: Final = sqlite3.sqlite_version_info
_UNREADABLE: Final = (sqlite3.Error, UnicodeDecodeError)  # the latter where SQLite's message quotes damaged text


class Scratch:
    """A temporary database with the tables of a store: in memory while it is small, else in a nameless file of $TMPDIR.

    Reads as a `Database` does; it is written without a word to the disk, since nobody will look for it.
    """

    def __init__(self) -> None:
        self.path = Path("a temporary database")
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.executescript(SCHEMA)
        self._connection.execute("BEGIN")

    def query(self, sql: str, parameters: Any = ()) -> list[Row]:
        """All rows of a SELECT."""
        return list(self.stream(sql, parameters))

    def stream(self, sql: str, parameters: Any = ()) -> Iterator[Row]:
        """The rows of a SELECT, as they come."""
        with _translated():
            for row in self._connection.execute(sql, parameters):
                yield dict(row)

    def insert(self, table: str, rows: Iterable[Row], otherwise: str = "") -> None:
        """Add rows to a table of the schema; `otherwise` is SQL's word for what happens to a key that is taken.

        Raises:
            DataError: a row that the schema refuses.
        """
        with _translated():
            for row in rows:
                self._connection.execute(*insertion(table, row, otherwise))

    def fill(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows with a value for each column, quickly; an error may be the rows' own, and so is as it comes."""
        self._connection.executemany(insertion(table, dict.fromkeys(columns(table)))[0], rows)

    def tuples(self, sql: str, parameters: Any = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a SELECT as tuples, as they come."""
        with _translated():
            yield from map(tuple, self._connection.execute(sql, parameters))

    def execute(self, sql: str, parameters: Any = ()) -> int:
        """Run a statement; how many rows it changed."""
        with _translated():
            return self._connection.execute(sql, parameters).rowcount

    def close(self) -> None:
        """Let it vanish."""
        self._connection.close()

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.Error, AttributeError):
            self._connection.close()


@functools.cache
def columns(table: str) -> tuple[str, ...]:
    """The columns of a table of the schema, in their order."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))


def insertion(table: str, row: Row, otherwise: str = "") -> tuple[str, list[Any]]:
    """The statement that adds a row, whose names are columns of the schema, and its parameters."""
    return _insertion(table, tuple(row), otherwise), list(row.values())


@functools.cache
def _insertion(table: str, columns: tuple[str, ...], otherwise: str) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT {otherwise} INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  (the schema's)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeEncodeError) as error:
        raise DataError(f"a row that no store can hold: {error}") from error
    except sqlite3.Error as error:
        raise StorageError(f"a temporary database, in $TMPDIR: {error}: make room there") from error


def recovered(path: Path) -> None:
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
    if check_new(path, overwrite).exists():
        recovered(Path(path))
    place.check_alone(Path(path), replaced=True)
    with new_file(path, overwrite=overwrite) as file:
        yield file


def back_up(db: Database, path: Path) -> None:
    """Copy a store as it is in this moment into an empty file, by SQLite's backup, and check the copy.

    All pages are copied in one go: writers wait so long, and never make it begin again.

    Raises:
        DataError: what was copied is damaged: the store is.
        StorageError: it could not be written.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA journal_mode = OFF")
            copy.execute("PRAGMA synchronous = OFF")  # whoever gave the file syncs it
            with db.snapshot() as connection, _blamed(path):
                connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # also where another program had put it into WAL mode
            found = [row[0] for row in copy.execute("PRAGMA integrity_check(1)")]
    except sqlite3.Error as error:
        raise StorageError(f"the copy of store {db.path} cannot be written: {error}") from error
    if found != ["ok"]:
        raise damaged(db.path, found[0])


@contextlib.contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Say of a disk that is full, or refuses `path` otherwise, which one it is: not the one that is read."""
    try:
        yield
    except sqlite3.OperationalError as error:
        refused = refusal(path)
        if refused is None and (error.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_FULL:
            raise
        why = os.strerror(errno.ENOSPC) if refused is None else refused.strerror
        raise StorageError(
            f"the copy cannot be written in {path.absolute().parent}: {why}: make room there, or name another place"
        ) from error


def damaged(path: Path, what: str) -> DataError:
    """The error about a store that is damaged."""
    what = what.splitlines()[-1] if what else "no answer"
    return DataError(f"store {path} is damaged ({what}): it is left as it is; {way_out(path)}")


def way_out(path: Path) -> str:
    """What to do about a damaged store."""
    salvage = f"hpo doctor --store {shlex.quote(str(path))} --salvage OUT"
    return f"go on with a backup, or save what can be read: `{salvage}`"


class Untouched:
    """A store's file, read without a change to it or beside it.

    Where SQLite could not read it without writing (a dead writer's journal, a write-ahead log) a copy is read, on which
    SQLite may do what it has to.

    Args:
        path: the file.

    Attributes:
        copied: whether a copy is read.

    Raises:
        DataError: SQLite cannot read it.
        OSError: it cannot be copied.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")]
        self.copied = beside[0].exists() or _is_wal(path)
        if not self.copied:
            try:
                self._open(path)
            except sqlite3.OperationalError as error:  # a journal that would have to be rolled back
                self.copied = beside[1].exists()
                if not self.copied:
                    raise _unreadable(path, error) from error
            except _UNREADABLE as error:
                raise _unreadable(path, error) from error
        if self.copied:
            self._folder = tempfile.TemporaryDirectory(prefix="hpo-doctor-")
            copy = Path(self._folder.name) / "copy.db"
            shutil.copyfile(path, copy)
            for file in beside:
                if file.exists():
                    shutil.copyfile(file, copy.with_name(copy.name + file.name.removeprefix(path.name)))
            recovered(copy)
            try:
                self._open(copy)
            except _UNREADABLE as error:
                self.close()
                raise _unreadable(path, error) from error

    def _open(self, path: Path) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA trusted_schema = OFF")
        self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()

    def query(self, sql: str, parameters: Any = ()) -> list[Row]:
        """All rows of a SELECT."""
        return list(self.stream(sql, parameters))

    def stream(self, sql: str, parameters: Any = ()) -> Iterator[Row]:
        """The rows of a SELECT, as they come."""
        try:
            for row in self._connection.execute(sql, parameters):
                yield dict(row)
        except _UNREADABLE as error:
            raise _unreadable(self.path, error) from error

    def close(self) -> None:
        """Close it; a copy vanishes."""
        if hasattr(self, "_connection"):
            self._connection.close()
        if self._folder is not None:
            self._folder.cleanup()


def _unreadable(path: Path, error: Exception) -> HpoError:
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockedError(f"store {path} is locked by another process: try again")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        return StorageError(f"store {path} cannot be read: {error}")
    return damaged(path, str(error))


def _is_wal(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(20)[18:20] == b"\x02\x02"
