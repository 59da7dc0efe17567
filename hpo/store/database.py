"""One SQLite file: opening, checking, transactions, errors.

Only this module, `scratch`, `untouched` and `backup` import sqlite3.
"""

import contextlib
import errno
import functools
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from hpo.errors import (
    CannotCreateError,
    DiskError,
    HpoError,
    LockedError,
    NoPermissionError,
    NotFoundError,
    StorageError,
)
from hpo.files import give_name, no_folder
from hpo.store import place, version
from hpo.store.damage import damaged
from hpo.store.refusal import holders, in_words, refusal
from hpo.store.schema import APPLICATION_ID, SCHEMA, VERSION

Row = dict[str, Any]
SQLITE_VERSION = sqlite3.sqlite_version_info
BUSY_SECONDS = 60.0
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE)
_ELSEWHERE = "check the folder's permissions and room, or name another store with --store"
_REPLACED = "was replaced by another file while it was in use: put the old one back"
_DAMAGE = ("Could not decode", "unsupported file format")  # damage that SQLite has no code for
_opening = threading.Lock()
_living: "weakref.WeakSet[Database]" = weakref.WeakSet()  # of this process
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
        found = place.identity(path)
        self.path = path
        self.file = Path(os.path.realpath(path))  # the same one under every name, also after a change of directory
        self.writable = mode != "read"
        self._local = threading.local()
        if found is None and mode == "create":
            _create(self.file)
            found = place.identity(path)
        if found is None:
            raise NotFoundError(f"no store at {path}: `hpo run` makes one, --store or HPO_STORE names another")
        self._place = found
        self._source, self._immutable = self.file, False  # what is opened: a copy where the file itself cannot be
        self._wal = False
        self._open = weakref.WeakSet[_Connection]()
        self._beginning = True
        try:
            place.check_log(path, self._in_wal_mode())
            if self.writable:
                place.check_file_system(self.file, self._wal)
            else:
                self._make_readable()
            with self._translated():
                version.check(self._connection(), _expected(), path, writable=self.writable)
            if self.writable:
                self._check_writable()
        finally:
            self._beginning = False

    # -- use

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT."""
        with self._translated():
            return [dict(row) for row in self._connection().execute(sql, parameters)]

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
            notes = self._local.notes = list[Callable[[], None]]()
            try:
                connection.execute("BEGIN IMMEDIATE")  # inside: a signal may raise right after it
                yield connection
                self._commit(connection)
            except BaseException:
                self._undo(connection)
                raise
        for note in notes:
            note()

    def after_commit(self, note: Callable[[], None]) -> None:
        """Call `note` once what this thread is writing is on the disk, at once if it is; never if that is undone."""
        if self._connection().in_transaction:
            self._local.notes.append(note)
        else:
            note()

    def _undo(self, connection: sqlite3.Connection) -> None:
        """Roll back; where the disk fails even that, the next connection does, by the journal."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()

    def _commit(self, connection: sqlite3.Connection) -> None:
        connection.execute("COMMIT")

    def pragmas(self) -> dict[str, Any]:
        """Journal mode and synchronous level of this thread's connection."""
        return _pragmas(self._connection())

    def check(self) -> None:
        """Raise DataError if pages or indexes are damaged; reads the whole file."""
        problems = [row["quick_check"] for row in self.query("PRAGMA quick_check(1)")]
        _check_pages_were_read(problems, self.path)
        if problems != ["ok"]:
            raise damaged(self.path, "".join(problems[:1]))

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            self._open.discard(connection)
            _inherited.append(connection) if self._local.pid != os.getpid() else connection.close()
        self._local.connection = None

    # -- inner part

    def _connection(self) -> _Connection:
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is not None and self._local.pid != os.getpid():  # never across a fork
            _inherited.append(connection)
            connection = None
        if connection is None:
            connection = self._connect()
            self._open.add(connection)
            self._local.connection, self._local.pid = connection, os.getpid()
        return connection

    def _connect(self) -> _Connection:
        # A reader opens read-write where it may, since only then can SQLite roll a dead writer's journal back.
        mode = "rw" if self.writable or os.access(self._source, os.W_OK) else "ro"
        connection = _open(self._source, mode, immutable=self._immutable)
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

    def _in_wal_mode(self) -> bool:
        """See `place.in_wal_mode`; where this process has the file open it is known already."""
        with _opening:
            others = (other for other in _living if other._place == self._place and (other._beginning or other._open))
            known = next(others, None)
            self._wal = place.in_wal_mode(self.path) if known is None else known._wal
            _living.add(self)
        return self._wal

    def _make_readable(self) -> None:
        """Find a way to read a store that this user cannot write and that was not closed properly.

        SQLite would first undo what a dead process has half written, or needs a file of its own beside the log.
        """
        with self._translated():
            try:
                self._connection().execute("SELECT 1 FROM sqlite_master").fetchone()
                return
            except sqlite3.Error as error:
                code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
                if code not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) or not os.access(self.file, os.R_OK):
                    raise
        self.close()
        if self._wal and not place.size(place.beside(self.file, "-wal")):
            self._immutable = True
        else:
            self._source = place.copied(self.file, self)
        place.warn_of_copy(self.path, copied=not self._immutable)

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
        found = place.identity(self.file)
        if found is None:
            raise StorageError(f"store {self.path} was deleted or moved while it was in use: put it back")
        if found != self._place:
            raise StorageError(f"store {self.path} {_REPLACED}")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _translate(error, self.path, self.file) from error
        except UnicodeDecodeError as error:  # a name or text in the file, or SQLite's own message, which quotes it
            raise damaged(self.path, error) from error


def is_full(error: sqlite3.Error) -> bool:
    """Whether a disk has no room."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_FULL


def _open(path: Path, mode: str, *, immutable: bool = False) -> _Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' * immutable}"
    return sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=_Connection
    )


def _pragmas(connection: sqlite3.Connection) -> dict[str, Any]:
    return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}


@functools.cache
def _expected() -> version.Schema:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return version.schema_of(connection)


def _check_pages_were_read(problems: Sequence[str], path: Path) -> None:
    """Raise StorageError if what `quick_check` found is a disk that cannot be read: it says so like of damage."""
    _, unread, code = "".join(problems[:1]).partition("unable to get the page. error code=")
    if unread and int(code := code.split()[0]) & 0xFF == sqlite3.SQLITE_IOERR:
        raise StorageError(
            f"store {path} cannot be read: input/output error (SQLite's code {code}): look at the disk, then try again"
        )


def _create(path: Path) -> None:
    """Make an empty store under a temporary name and link it into place: it appears whole, or not at all."""
    if not path.parent.is_dir():
        raise no_folder(path, "store ")
    place.check_alone(path)
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
        refused = refusal(temporary)
        if refused is not None:
            refused.filename = None  # the temporary name, which tells nobody anything
        why = str(error) if refused is None else in_words(refused)
        if is_full(error):
            why = f"the disk is full ({os.strerror(errno.ENOSPC)})"
        if is_full(error) or (refused is not None and refused.errno in _PASSING):
            raise DiskError(f"cannot create store {path}: {why}: make room, or see to the disk") from error
        raise CannotCreateError(f"cannot create store {path}: {why}: {_ELSEWHERE}") from error
    except OSError as error:
        raise CannotCreateError(f"cannot create store {path}: {in_words(error)}: {_ELSEWHERE}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _translate(error: sqlite3.Error, path: Path, file: Path) -> HpoError:
    """What SQLite raised, as an error of ours; `path` is the store's name, `file` where it is."""
    extended = getattr(error, "sqlite_errorcode", None) or 0
    code = extended & 0xFF
    if str(error).startswith("Could not decode to UTF-8"):  # the module's own: it goes on to quote all of the text
        return damaged(path, "a text is not UTF-8")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LockedError(
            f"store {path} was locked for {BUSY_SECONDS:.0f} s, now by {holders(file)}: wait for that to end, or end "
            "it, then try again"
        )
    if extended == sqlite3.SQLITE_READONLY_DBMOVED:
        return StorageError(f"store {path} {_REPLACED}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path, error)
    if code == sqlite3.SQLITE_FULL:
        return DiskError(f"store {path} cannot be written: the disk is full ({os.strerror(errno.ENOSPC)}): make room")
    if code not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
        broken = any(said in str(error) for said in _DAMAGE)
        unknown = f"store {path} cannot be used: {error}: `hpo doctor` examines it"
        return damaged(path, error) if broken else StorageError(unknown)
    refused = refusal(file)
    why = f"{error} ({getattr(error, 'sqlite_errorname', code)})" if refused is None else in_words(refused)
    if code == sqlite3.SQLITE_IOERR or (refused is not None and refused.errno in _PASSING):
        return DiskError(f"store {path} cannot be written: {why}: make room, or see to the disk")
    if refused is not None and refused.errno == errno.EROFS:
        return NoPermissionError(
            f"store {path} cannot be written: {why}: copy it to a disk that can be, or read it only"
        )
    if refused is None and code == sqlite3.SQLITE_READONLY:  # its header says that only a later SQLite may write it
        return damaged(path, error)
    verb = "opened" if code == sqlite3.SQLITE_CANTOPEN else "written"
    advice = "check the permissions of file and folder"
    return NoPermissionError(f"store {path} cannot be {verb} by this user: {why}: {advice}")
