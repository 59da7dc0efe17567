"""A store is looked at, and nothing of it is changed: whatever the file is, it stays as it is."""

import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hpo.errors import HpoError, LockedError, StorageError
from hpo.examination import NOTE, OK, PROBLEM, Item
from hpo.files import DATABASE
from hpo.live_trial import study_folder
from hpo.store import place
from hpo.store.damage import DamagedError, said_lines, way_out
from hpo.store.database import Row
from hpo.store.filesystem import kind
from hpo.store.invariants import unreadable, violations
from hpo.store.lock import is_held
from hpo.store.pages import HEADER
from hpo.store.schema import APPLICATION_ID, VERSION
from hpo.store.untouched import Untouched
from hpo.text import states_text

LITTLE: Final = 100 * 2**20  # bytes free, below which a long run may not end
LARGE: Final = 2**30  # bytes of a store that takes so long to check that its drivers would wait
LISTED: Final = 50  # studies
EXAMPLES: Final = 5


def examine(path: Path) -> Iterator[Item]:
    """Look at the store at `path`; what cannot be read is told, never raised."""
    try:
        yield from _place(path)
        found = os.stat(path)
        with path.open("rb") as file:
            header = file.read(HEADER)
        wal_mode = header[18:19] == b"\2"
        yield from _sidecars(path, wal_mode)
        problem = _no_store(path, header)
        if problem is not None:
            yield problem
            return
        yield Item(
            "store", OK,
            f"{path}: {found.st_size / 2**20:.1f} MiB, schema {VERSION}, "
            + ("WAL mode" if wal_mode else "rollback journal"),
        )  # fmt: skip
    except OSError as error:
        yield Item("store", PROBLEM, f"{path} cannot be read: {error.strerror}", "check the permissions and the disk")
        return
    try:
        db = Untouched(path)
    except (LockedError, StorageError) as error:
        yield Item("integrity", NOTE, f"not looked at: {error}", "look again when nobody writes")
        return
    except HpoError as error:
        yield Item("integrity", PROBLEM, f"SQLite cannot read it: {_what(error)}", way_out(path))
        return
    except OSError as error:
        yield Item("integrity", NOTE, f"not looked at: no copy can be made: {error.strerror}", "make room in $TMPDIR")
        return
    try:
        yield from _content(path, db, found.st_size)
    except (LockedError, StorageError) as error:
        yield Item("integrity", NOTE, f"not looked at to the end: {error}", "look again when nobody writes")
    except HpoError as error:
        yield Item("integrity", PROBLEM, _what(error), way_out(path))
    finally:
        db.close()


def _what(error: Exception) -> str:
    return error.what if isinstance(error, DamagedError) else str(error)


def _place(path: Path) -> Iterator[Item]:
    on = kind(path)
    if on.network:
        yield Item(
            "file system", PROBLEM, f"{on.type}, of a network: its locks and syncs may mean nothing",
            "keep the store on a disk of this machine; other machines get work, not the file",
        )  # fmt: skip
    else:
        yield Item("file system", OK, on.type)
    folder = Path(os.path.realpath(path)).parent
    if folder.is_dir():
        free = shutil.disk_usage(folder).free
        text = f"{free / 2**30:.1f} GiB" if free >= 2**30 else f"{free / 2**20:.0f} MiB"
        yield Item(
            "free space", OK if free >= LITTLE else NOTE, text, "" if free >= LITTLE else "make room before a run"
        )


def _no_store(path: Path, header: bytes) -> Item | None:
    """Why the file is no store of this hpo; None: it is one, as far as its beginning says."""
    other = "it is left as it is; name another store with --store"
    if not header:
        return Item("store", PROBLEM, f"{path} is an empty file, so no store", other)
    if header[:16] != DATABASE or len(header) < HEADER:
        return Item(
            "store", PROBLEM, f"{path} does not begin as an SQLite file does",
            f"if it never was a store, name another one; if it was, {way_out(path)}",
        )  # fmt: skip
    application, version = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    if application != APPLICATION_ID:
        found = f"{path} is another program's SQLite file (application_id {application})"
        return Item("store", PROBLEM, found, other)
    if version != VERSION:
        age = "a newer" if version > VERSION else "an older"
        found = f"{path} has schema {version}, written by {age} hpo; this one reads schema {VERSION}"
        return Item("store", PROBLEM, found, "install the matching version, or use another store")
    return None


def _sidecars(path: Path, wal_mode: bool) -> Iterator[Item]:
    """Files that stand beside a store."""
    journal, wal = place.beside(path, "-journal"), place.beside(path, "-wal")
    wal_there = place.size(wal) > 0
    if wal_mode and wal_there:
        yield Item(
            "write-ahead log", NOTE,
            f"another program put the store into WAL mode; {wal.name} holds commits that {path.name} has not yet, and "
            "SQLite 3.7.0 to 3.51.2 can lose some there",
            f"never copy or move {path.name} without it: `hpo backup OUT` takes both; in that program `PRAGMA "
            "journal_mode=DELETE` puts the store back",
        )  # fmt: skip
    elif wal_mode:
        yield Item(
            "write-ahead log", NOTE,
            f"another program put the store into WAL mode, and there is no {wal.name}: all is well if it was closed "
            "properly; if the file was copied without it, the last commits are missing",
            f"if this is a copy, fetch {wal.name} from beside the original, or make the copy with `hpo backup OUT`; in "
            "that program `PRAGMA journal_mode=DELETE` puts the store back",
        )  # fmt: skip
    elif wal_there:
        yield Item(
            "write-ahead log", NOTE,
            f"{wal.name} was left behind: the store is not in WAL mode, so the log is of another copy of the file, or "
            "of a change that was broken off",
            f"copy both files, then move {wal.name} away: with it SQLite may read rows that are not of this store",
        )  # fmt: skip
    if _begins(journal):
        yield Item(
            "journal", NOTE, f"{journal.name} is of a transaction that is under way, or of a writer that died in one",
            "leave it beside the store: whoever opens the store next undoes the transaction; without it the store is "
            "damaged",
        )  # fmt: skip
    begun = re.compile(rf"\.({re.escape(place.real(path).name)}\.)?\d+\.\d+\.new(-journal)?")
    left = sorted(file.name for file in place.real(path).parent.iterdir() if begun.fullmatch(file.name))
    if left:
        found = f"{_some(left)}: begun by a process that was killed"
        yield Item("unfinished files", NOTE, found, "delete them once no hpo command is running")


def _begins(journal: Path) -> bool:
    """Whether a journal holds something that could be undone."""
    try:
        with journal.open("rb") as file:
            return bool(file.read(8).strip(b"\0"))
    except OSError:
        return False


def _content(path: Path, db: Untouched, size: int) -> Iterator[Item]:
    rows = db.query("SELECT id, name, owner_host, owner_pid FROM studies WHERE name <> '' ORDER BY id")
    owned = {row["id"]: is_held(place.lock_file(path, "study", row["id"])) for row in rows}
    if size > LARGE and any(owned.values()) and not db.copied:
        found = f"not looked at: studies run, and would wait while {size / 2**30:.1f} GiB are read"
        yield Item("integrity", NOTE, found, "again when they have ended, or `hpo backup OUT`, which is checked")
        return
    problems = [str(row["integrity_check"]) for row in db.query(f"PRAGMA integrity_check({EXAMPLES})")]
    lines = [line for text in problems for line in said_lines(text)]
    if lines != ["ok"]:
        yield Item("integrity", PROBLEM, "; ".join(lines[:EXAMPLES]), way_out(path))
        return
    yield from _agreement(path, db, rows)
    for row in rows[-LISTED:]:
        yield _study(db, row, owned[row["id"]])
    if len(rows) > LISTED:
        yield Item("studies", OK, f"the latest {LISTED} of {len(rows)} are listed")
    yield from _leftovers(path, {row["id"] for row in rows}, owned)


def _agreement(path: Path, db: Untouched, rows: list[Row]) -> Iterator[Item]:
    """Whether the rows of a store whose pages are sound belong together."""
    loose = db.query("PRAGMA foreign_key_check")
    if loose:
        found = f"{len(loose)} rows belong to nothing, the first of table {loose[0]['table']}"
        yield Item("integrity", PROBLEM, found, way_out(path))
    else:
        copied = " (a copy was read: SQLite would have had to write into the store)" if db.copied else ""
        yield Item("integrity", OK, f"every page and index is sound{copied}")
    wrong = 0
    for row in rows:
        for violation in (*violations(db, row["id"]), *unreadable(db, row["id"])):
            wrong += 1
            if wrong <= EXAMPLES:
                yield Item(f"study {row['name']}", PROBLEM, violation.text, way_out(path))
    if not wrong:
        yield Item("content", OK, "trials, evaluations and events of every study agree")


def _study(db: Untouched, row: Row, driven: bool) -> Item:
    counts = db.query("SELECT state, count(*) AS n FROM trials WHERE study = ? GROUP BY state", (row["id"],))
    states = {count["state"]: count["n"] for count in counts}
    text = states_text(states)
    owner = f"process {row['owner_pid']} on host {row['owner_host']}"
    topic = f"study {row['name']}"
    if driven:
        return Item(topic, OK, f"{text}; driven now by {owner}")
    if states.get("running") and row["owner_pid"] is not None:
        here = row["owner_host"] == socket.gethostname()
        gone = "has ended or was killed" if here else "does not hold it any more, as far as this machine can see"
        return Item(topic, NOTE, f"{text}; {owner} {gone}", f"`hpo resume` of it runs the {states['running']} again")
    return Item(topic, OK, f"{text}; driven by nobody")


def _leftovers(path: Path, studies: set[int], owned: dict[int, bool]) -> Iterator[Item]:
    """Lock files without an owner, and folders of files whose study is gone."""
    left = []
    store = place.real(path)
    for file in sorted(store.parent.glob("*.lock")):
        match = re.fullmatch(rf"{re.escape(store.name)}-(study|comparison)-(\d+)\.lock", file.name)
        if match and not (match[1] == "study" and owned.get(int(match[2]))) and not is_held(file):
            left.append(file.name)
    if left:
        found = f"{_some(left)}: nobody holds them, whoever did was killed; they keep nobody out"
        yield Item("lock files", OK, found)
    folder = place.files_folder(path)
    if folder.is_dir():
        known = {study_folder(folder, study) for study in studies}
        if strays := sorted(file.name for file in folder.iterdir() if file not in known):
            found = f"{folder}: {_some(strays)} belong to no study"
            yield Item("files of trials", NOTE, found, "delete them, unless a store that was moved has these studies")
        else:
            yield Item("files of trials", OK, f"{folder}: each folder belongs to a study")


def _some(names: list[str]) -> str:
    """The first of them."""
    return ", ".join([*names[:EXAMPLES], *["..."] * (len(names) > EXAMPLES)])
