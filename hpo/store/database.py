"""One SQLite file: opening, checking, transactions, errors. The only module that imports sqlite3."""

import contextlib
import errno
import os
import sqlite3
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
from hpo.store.schema import APPLICATION_ID, SCHEMA, VERSION

Row = dict[str, Any]
BUSY_SECONDS = 60.0
_MAGIC = b"SQLite format 3\x00"


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
        self.path = path
        self.writable = mode != "read"
        self._local = threading.local()
        if mode == "create" and not path.exists():
            _create(path)
        if not path.exists():
            raise NotFoundError(f"no store at {path}: `hpo run` makes one, --store or HPO_STORE names another")
        self._wal = _check_header(path)
        self._inode = path.stat().st_ino
        self._check_schema()
        if self.writable:
            with self.transaction():
                pass  # a read-only file or folder is found here, before any work

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
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed and on the disk when the block ends, undone if it raises."""
        with self._translated():
            self._check_place()
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
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
        connection = self._connection()
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}

    def check(self) -> None:
        """Raise DataError if pages or indexes are damaged; reads the whole file."""
        problems = [row["quick_check"] for row in self.query("PRAGMA quick_check(1)")]
        if problems != ["ok"]:
            raise DataError(f"store {self.path} is damaged ({problems[0]}): it is left as it is; go on with a backup")

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None and self._local.pid == os.getpid():
            connection.close()
        self._local.connection = None

    # -- inner part

    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None or self._local.pid != os.getpid():  # never across a fork
            connection = self._connect()
            self._local.connection, self._local.pid = connection, os.getpid()
        return connection

    def _connect(self) -> sqlite3.Connection:
        # A reader opens read-write where it may, since only then can SQLite roll a dead writer's journal back.
        mode = "rw" if self.writable or os.access(self.path, os.W_OK) else "ro"
        connection = _open(self.path, mode)
        connection.row_factory = sqlite3.Row
        for pragma in (
            "trusted_schema = OFF",
            "foreign_keys = ON",
            "synchronous = FULL",
            "cache_size = -65536",
        ):
            connection.execute(f"PRAGMA {pragma}")
        if not self.writable:
            connection.execute("PRAGMA query_only = ON")
            return connection
        if not self._wal:
            connection.execute("PRAGMA journal_mode = TRUNCATE")
        found = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous"))
        if found != ("wal" if self._wal else "truncate", 2):
            raise StorageError(
                f"store {self.path}: SQLite runs with journal_mode, synchronous = {found}, expected ('truncate', 2): "
                "results could be lost in a power cut; use a local file system"
            )
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
                age = "newer" if version > VERSION else "older"
                raise DataError(
                    f"store {self.path} has schema {version}, written by {'a ' + age} hpo; this hpo "
                    f"reads schema {VERSION}: install the matching version or use another store"
                )
            found = {(row["type"], row["name"]) for row in connection.execute("SELECT type, name FROM sqlite_master")}
        if (strange := found ^ _objects()) - {("index", "sqlite_autoindex_studies_1")}:
            kind, name = sorted(strange)[0]
            raise DataError(
                f"store {self.path}: unexpected or missing {kind} {name!r}: the file was altered by "
                "another program; go on with a backup"
            )

    def _check_place(self) -> None:
        try:
            inode = os.stat(self.path).st_ino
        except FileNotFoundError:
            raise StorageError(f"store {self.path} was deleted while it was in use") from None
        if inode != self._inode:
            raise StorageError(f"store {self.path} was replaced by another file while it was in use")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translate(error, self.path) from error


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _objects() -> set[tuple[str, str]]:
    words = [line.split() for line in SCHEMA.splitlines() if line.startswith("CREATE")]
    return {(kind.lower(), name) for _, kind, name, *_ in words}


def _create(path: Path) -> None:
    """Make an empty store under a temporary name and link it into place: it appears whole, or not at all."""
    if not path.parent.is_dir():
        raise CannotCreateError(f"cannot create store {path}: no folder {path.parent}; make it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        with contextlib.closing(_open(temporary, "rwc")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(
                f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {SCHEMA} COMMIT;"
            )
        with contextlib.suppress(FileExistsError):  # another process was first: its store is as good
            _place(temporary, path)
    except sqlite3.Error as error:
        raise CannotCreateError(f"cannot create store {path}: {error}: check the folder's permissions") from error
    except OSError as error:
        raise CannotCreateError(f"cannot create store {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _place(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if path.exists():  # no hard links on this file system
            return
        os.rename(temporary, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


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
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockedError(f"store {path} was locked by another process for {BUSY_SECONDS:.0f} s: try again")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return NoPermissionError(f"store {path} is read-only for this user: check the permissions of file and folder")
    if code == sqlite3.SQLITE_CANTOPEN:
        return NoPermissionError(f"store {path} cannot be opened: check the permissions of file and folder")
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"store {path}: the disk is full: make room, then go on with `hpo resume`")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataError(f"store {path} is damaged ({error}): it is left as it is; go on with a backup")
    return StorageError(f"store {path}: {error}")
