"""Temporary databases, and the statements that fill a table of the schema."""

import contextlib
import functools
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hpo.errors import DataError, StorageError
from hpo.store.database import Row
from hpo.store.schema import SCHEMA


class Scratch:
    """A temporary database with the tables of a store: in memory while it is small, else in a nameless file of $TMPDIR.

    Reads as a `Database` does; it is written without a word to the disk, since nobody will look for it.
    """

    def __init__(self) -> None:
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
        """Add rows with a value for each column, quickly; raises what SQLite does, also where the rows come from."""
        self._connection.executemany(full_insertion(table), rows)

    def tuples(self, sql: str, parameters: Any = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a SELECT as tuples, as they come."""
        with _translated():
            yield from map(tuple, self._connection.execute(sql, parameters))

    def execute(self, sql: str, parameters: Any = ()) -> None:
        """Run a statement."""
        with _translated():
            self._connection.execute(sql, parameters)

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


def full_insertion(table: str) -> str:
    """The statement that adds a row with a value for each column."""
    return _insertion(table, columns(table), "")


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
        raise StorageError(
            f"a temporary database, in {tempfile.gettempdir()}: {error}: make room there, or set TMPDIR"
        ) from error
