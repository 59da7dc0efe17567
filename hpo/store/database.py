"""One SQLite file: opening, checking, transactions, errors. Only this module and `scratch` import sqlite3."""

import contextlib
import functools
import os
import re
import sqlite3
import stat
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from hpo.errors import (
    CannotCreateError,
    DataError,
    HpoError,
    LockedError,
    NoPermissionError,
    NotFoundError,
    StorageError,
)
from hpo.files import give_name
from hpo.store.schema import APPLICATION_ID, SCHEMA, VERSION

Row = dict[str, Any]
BUSY_SECONDS = 60.0
_MAGIC = b"SQLite format 3\x00"
_inherited: list[sqlite3.Connection] = []  # a parent process's: closing one here could undo the parent's transaction


class _Connection(sqlite3.Connection):
    """Closed with the last reference, which Python from 3.13 on warns about otherwise."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # one that could not be opened
            self.close()


class Database:
    """A checked store file with a connection for each (process, thread).

    Rollback journal and synchronous=FULL: a transaction that returned is on the disk. The journal is truncated,
    not deleted, because with FULL only the truncation is synced; after a power cut a deleted journal could
    come back and undo the last commit.

    Args:
        path: the file.
        mode: "read" never writes; "write" needs an existing store; "create" makes it where there is none.
    """

    def __init__(self, path: Path, mode: Literal["read", "write", "create"]) -> None:
        found = _place(path)
        self.path = path
        self.file = Path(os.path.realpath(path))  # the same one under every name, also after a change of directory
        self.writable = mode != "read"
        self._local = threading.local()
        if found is None and mode == "create":
            _create(self.file)
            found = _place(path)
        if found is None:
            raise NotFoundError(f"no store at {path}: `hpo run` makes one, --store or HPO_STORE names another")
        self._place = found
        self._wal = _check_header(path)
        self._check_schema()
        if self.writable:
            self._check_writable()

    # -- use

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT."""
        with self._translated():
            return [dict(row) for row in self._connection().execute(sql, parameters)]

    def stream(self, sql: str, parameters: Sequence[Any] = (), page: int = 10_000) -> Iterator[Row]:
        """The rows of a SELECT, a page at a time."""
        with self._translated():
            cursor = self._connection().execute(sql, parameters)
            while rows := cursor.fetchmany(page):
                yield from (dict(row) for row in rows)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Inside the block all is read as it is now; writers wait with their commits until the block ends."""
        with self._translated():
            connection = self._connection()
            if connection.in_transaction:
                yield connection
                return
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed and on the disk when the block ends, undone if it raises.

        Within another one of this thread it is a part of that.
        """
        with self._translated():
            connection = self._connection()
            if connection.in_transaction:
                yield connection
                return
            self._check_place()
            try:
                connection.execute("BEGIN IMMEDIATE")  # inside: a signal may raise right after it
                yield connection
                self._commit(connection)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _commit(self, connection: sqlite3.Connection) -> None:
        connection.execute("COMMIT")

    def pragmas(self) -> dict[str, Any]:
        """Journal mode and synchronous level of this thread's connection."""
        return _pragmas(self._connection())

    def check(self) -> None:
        """Raise DataError if pages or indexes are damaged; reads the whole file."""
        problems = [row["quick_check"] for row in self.query("PRAGMA quick_check(1)")]
        if problems != ["ok"]:
            what = problems[0].splitlines()[-1] if problems else "no answer"
            raise DataError(f"store {self.path} is damaged ({what}): it is left as it is; go on with a backup")

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            _inherited.append(connection) if self._local.pid != os.getpid() else connection.close()
        self._local.connection = None

    # -- inner part

    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is not None and self._local.pid != os.getpid():  # never across a fork
            _inherited.append(connection)
            connection = None
        if connection is None:
            connection = self._connect()
            self._local.connection, self._local.pid = connection, os.getpid()
        return connection

    def _connect(self) -> sqlite3.Connection:
        # A reader opens read-write where it may, since only then can SQLite roll a dead writer's journal back.
        mode = "rw" if self.writable or os.access(self.file, os.W_OK) else "ro"
        connection = _open(self.file, mode)
        connection.row_factory = sqlite3.Row
        for pragma in (
            "trusted_schema = OFF",
            "foreign_keys = ON",
            "synchronous = FULL",
            "cache_size = -65536",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if not self._wal:
            connection.execute("PRAGMA journal_mode = TRUNCATE")
        found = tuple(_pragmas(connection).values())
        if mode == "rw" and found != ("wal" if self._wal else "truncate", 2):
            raise StorageError(
                f"store {self.path}: SQLite runs with journal_mode, synchronous = {found}, expected ('truncate', 2): "
                "results could be lost in a power cut; use a local file system"
            )
        if not self.writable:
            connection.execute("PRAGMA query_only = ON")
        return connection

    def _check_schema(self) -> None:
        with self._translated():
            connection = self._connection()
            application, version = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            )
            if application != APPLICATION_ID:
                raise DataError(
                    f"{self.path} is another program's SQLite file (application_id {application}): "
                    "it is left as it is; name another store with --store"
                )
            if version != VERSION:
                age = "a newer" if version > VERSION else "an older"
                raise DataError(
                    f"store {self.path} has schema {version}, written by {age} hpo; this hpo "
                    f"reads schema {VERSION}: install the matching version or use another store"
                )
            found = _objects(connection)
        if strange := sorted(name for name, _ in found.items() ^ _expected().items()):
            (kind, name) = strange[0]
            raise DataError(
                f"store {self.path}: unexpected, missing or altered {kind} {name!r}: another program changed "
                "the file; go on with a backup"
            )

    def _check_writable(self) -> None:
        """A read-only file or folder is found here, before any work."""
        with self._translated():
            connection = self._connection()
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA user_version = {VERSION}")  # a write, so the journal is opened
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _check_place(self) -> None:
        found = _place(self.file)
        if found is None:
            raise StorageError(f"store {self.path} was deleted while it was in use")
        if found != self._place:
            raise StorageError(f"store {self.path} was replaced by another file while it was in use")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:  # SQLite's own message quotes what is damaged
            raise DataError(
                f"store {self.path} is damaged ({error}): it is left as it is; go on with a backup"
            ) from error
        except sqlite3.Error as error:
            raise _translate(error, self.path) from error


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Connection
    )


def _pragmas(connection: sqlite3.Connection) -> dict[str, Any]:
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """(Kind, name) to definition of everything in the schema, without comments and SQLite's own tables and indexes."""
    columns = "CAST(type AS TEXT), CAST(name AS TEXT), CAST(coalesce(sql, '') AS TEXT)"  # a damaged one may be no text
    rows = connection.execute(f"SELECT {columns} FROM sqlite_master").fetchall()  # noqa: S608  (a fixed text)
    return {
        (kind, name): " ".join(re.sub("--.*", "", sql).split())
        for kind, name, sql in rows
        if not (kind in ("table", "index") and name.startswith("sqlite_"))
    }


@functools.cache
def _expected() -> dict[tuple[str, str], str]:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return _objects(connection)


def _place(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file; None if there is none."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise NoPermissionError(
            f"store {path} cannot be reached by this user: check its folders' permissions"
        ) from None
    except (OSError, ValueError) as error:
        raise StorageError(f"store {path} cannot be reached: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "not an ordinary file"
        raise DataError(f"{path} is {what}, so no store: it is left as it is; name another store with --store")
    return found.st_dev, found.st_ino


def _create(path: Path) -> None:
    """Make an empty store under a temporary name and link it into place: it appears whole, or not at all."""
    if not path.parent.is_dir():
        raise CannotCreateError(f"cannot create store {path}: no folder {path.parent}; make it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        temporary.unlink(missing_ok=True)  # of a process that was killed here and had the same numbers
        with contextlib.closing(_open(temporary, "rwc")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(
                f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {SCHEMA} COMMIT;"
            )
        with contextlib.suppress(FileExistsError):  # another process was first: its store is as good
            give_name(temporary, path)
    except sqlite3.Error as error:
        raise CannotCreateError(f"cannot create store {path}: {error}: check the folder's permissions") from error
    except OSError as error:
        raise CannotCreateError(f"cannot create store {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _check_header(path: Path) -> bool:
    """Raise DataError unless this is an SQLite file; whether it is in WAL mode."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except PermissionError:
        raise NoPermissionError(f"store {path} may not be read by this user: check its permissions") from None
    except OSError as error:
        raise StorageError(f"store {path} cannot be read: {error.strerror}") from error
    if header[:16] != _MAGIC:
        what = "an empty file" if not header else "not an SQLite file"
        raise DataError(f"{path} is {what}, so no store: it is left as it is; name another store with --store")
    wal = len(header) == 20 and header[18] == 2
    if wal:
        warnings.warn(
            f"store {path} was put into WAL mode by another program: SQLite before 3.51.3 can lose commits there; "
            "`PRAGMA journal_mode=DELETE` in that program puts it back",
            stacklevel=4,
        )
    return wal


def _translate(error: sqlite3.Error, path: Path) -> HpoError:
    extended = getattr(error, "sqlite_errorcode", None) or 0
    code = extended & 0xFF
    if str(error).startswith("Could not decode to UTF-8"):  # the module's own: it goes on to quote all of the text
        return DataError(f"store {path} is damaged (a text is not UTF-8): it is left as it is; go on with a backup")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockedError(f"store {path} was locked by another process for {BUSY_SECONDS:.0f} s: try again")
    if extended == sqlite3.SQLITE_READONLY_DBMOVED:
        return StorageError(f"store {path} was replaced by another file while it was in use")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return NoPermissionError(f"store {path} is read-only for this user: check the permissions of file and folder")
    if code == sqlite3.SQLITE_CANTOPEN:
        return NoPermissionError(f"store {path} cannot be opened: check the permissions of file and folder")
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"store {path}: the disk is full: make room, then go on with `hpo resume`")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataError(f"store {path} is damaged ({error}): it is left as it is; go on with a backup")
    return StorageError(f"store {path}: {error}")
