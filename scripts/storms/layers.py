"""What the layer under SQLite does in the storms: fail, or lose power."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from storms.vfs import CREATE, MAIN_JOURNAL, OK, Layer, register

CUT = 99  # exit code of a process that lost power
SECTOR = 512  # bytes, written whole or not at all
FAULTS = {  # a kind of operation, what fails, SQLite's code
    "open": (("CANTOPEN", 14),),
    "read": (("IOERR_READ", 266),),
    "write": (("IOERR_WRITE", 778), ("FULL", 13)),
    "sync": (("IOERR_FSYNC", 1034),),
    "truncate": (("IOERR_TRUNCATE", 1546),),
    "size": (("IOERR_FSTAT", 1802),),
    "lock": (("BUSY", 5), ("IOERR_LOCK", 3850)),
}


class Failing(Layer):
    """Lets the n-th operation of one kind fail, or that and all after it.

    Args:
        kind: of operation, a name of `FAULTS`.
        n: from 1.
        code: SQLite's, of the failure. A write that fails for want of room has written its first half.
        forever: whether all after it fail, too.
        met: called at the first failure.
    """

    def __init__(self, kind: str, n: int, code: int, forever: bool, met: Callable[[], None]) -> None:
        self._left, self._code, self._forever, self._met = n, code, forever, met
        setattr(self, kind, self._fail)

    def _fail(self, path: Path, act: Callable[[], int], *what: Any) -> int:
        self._left -= 1
        if self._left > 0 or (self._left < 0 and not self._forever):
            return act()
        if self._left == 0:
            self._met()
        if self._code == 13 and len(what) == 2:
            data, offset = what
            with path.open("r+b") as file:
                file.seek(offset)
                file.write(data[: len(data) // 2])
        return self._code


@dataclass
class _File:
    """What of a file is on the disk for certain, and what was done since: (offset, bytes), or a size to cut it to."""

    durable: bytearray
    since: list[tuple[int, bytes] | int]


class PowerCut(Layer):
    """Loses power before the n-th operation that changes something on the disk.

    What was written, cut, made or deleted is certain once it was synced; until then the disk has it or not. A file is
    certain after its own sync; that it is there, or gone, after that of its folder: SQLite syncs the folder at the
    first sync of a journal that it made, and at a deletion if it says so. hpo itself syncs it when it gives a new
    store its name, so `os.link`, `os.unlink` and `os.fsync` are looked at, too.

    Args:
        n: from 1.
        keep: what of that which was not synced is on the disk: "nothing"; "some", each thing by chance; "torn", each
            512 bytes of a write by chance.
        seed: of the chance.
        folder: of the store; files in it belong to the model once SQLite has opened them.
    """

    def __init__(self, n: int, keep: str, seed: int, folder: Path) -> None:
        self._left, self._keep, self._chance = n, keep, np.random.default_rng(seed)
        self._folder = folder
        self._now: dict[Path, _File] = {}  # by name, as programs see it
        self._certain: dict[Path, _File] = {}  # by name, as after a power cut
        self._names: list[tuple[Path, _File | None]] = []  # given or taken away since
        self._made: set[Path] = set()  # journals whose first sync is to come
        for path in folder.glob("*.db*"):
            if path.suffix in (".db", ".db-journal"):
                self._now[path] = self._certain[path] = _File(bytearray(path.read_bytes()), [])
        self._link, self._unlink, self._fsync = os.link, os.unlink, os.fsync
        os.link, os.unlink, os.fsync = self._on_link, self._on_unlink, self._on_fsync  # type: ignore[assignment]

    # -- what SQLite does

    def open(self, path: Path, act: Callable[[], int], flags: int) -> int:
        new = not path.exists()
        if new and flags & CREATE:
            self._step()
        code = act()
        if code == OK and flags & CREATE:
            if new:
                self._now[path] = _File(bytearray(), [])
                self._names.append((path, self._now[path]))
            if flags & MAIN_JOURNAL:
                self._made.add(path)
        return code

    def write(self, path: Path, act: Callable[[], int], data: bytes, offset: int) -> int:
        self._step()
        self._now[path].since.append((offset, data))
        return act()

    def truncate(self, path: Path, act: Callable[[], int], size: int) -> int:
        self._step()
        self._now[path].since.append(size)
        return act()

    def sync(self, path: Path, act: Callable[[], int]) -> int:
        self._step()
        code = act()
        file = self._now[path]
        for change in file.since:
            _apply(file.durable, change)
        file.since.clear()
        if path in self._made:
            self._made.remove(path)
            self._sync_names()
        return code

    def delete(self, path: Path, act: Callable[[], int], syncs_folder: int) -> int:
        if path in self._now:
            self._step()
            self._names.append((path, None))
            del self._now[path]
        code = act()
        if syncs_folder:
            self._step()
            self._sync_names()
        return code

    # -- what hpo does

    def _on_link(self, old: Any, new: Any) -> None:
        if Path(old) in self._now:
            self._step()
        self._link(old, new)
        if (file := self._now.get(Path(old))) is not None:
            self._now[Path(new)] = file
            self._names.append((Path(new), file))

    def _on_unlink(self, path: Any, **options: Any) -> None:
        if Path(path) in self._now:
            self._step()
        self._unlink(path, **options)
        if self._now.pop(Path(path), None) is not None:
            self._names.append((Path(path), None))

    def _on_fsync(self, file: int) -> None:
        if os.path.samestat(os.fstat(file), os.stat(self._folder)):
            self._step()
            self._sync_names()
        self._fsync(file)

    # -- the disk

    def _sync_names(self) -> None:
        for path, file in self._names:
            _name(self._certain, path, file)
        self._names.clear()

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._cut()

    def _kept(self) -> bool:
        return self._keep != "nothing" and self._chance.random() < 0.5

    def _cut(self) -> None:
        """Leave on the disk what a power cut would, and end."""
        there = dict(self._certain)
        for path, file in self._names:
            if self._kept():
                _name(there, path, file)
        after: dict[int, bytes] = {}  # by file: it may have two names
        for file in there.values():
            if id(file) not in after:
                content = bytearray(file.durable)
                for change in file.since:
                    for part in _sectors(change) if self._keep == "torn" else [change]:
                        if self._kept():
                            _apply(content, part)
                after[id(file)] = bytes(content)
        for path in {*self._now, *self._certain}:
            with contextlib.suppress(FileNotFoundError):
                self._unlink(path)
        for path, file in there.items():
            path.write_bytes(after[id(file)])
        os._exit(CUT)


def _apply(content: bytearray, change: tuple[int, bytes] | int) -> None:
    if isinstance(change, int):
        content[change:] = bytes(max(0, change - len(content)))
        return
    offset, data = change
    content.extend(bytes(max(0, offset + len(data) - len(content))))
    content[offset : offset + len(data)] = data


def _sectors(change: tuple[int, bytes] | int) -> Iterator[tuple[int, bytes] | int]:
    if isinstance(change, int):
        yield change
        return
    offset, data = change
    begin = 0
    while begin < len(data):
        end = begin + SECTOR - (offset + begin) % SECTOR
        yield offset + begin, data[begin:end]
        begin = end


def _name(names: dict[Path, _File], path: Path, file: _File | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def acknowledge(report: int) -> None:
    """Let every transaction that returned be noted: how many events and results the store has now."""
    from hpo.store.database import Database

    transaction = Database.transaction
    counts = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM evaluations WHERE ended_ms IS NOT NULL)"

    @contextlib.contextmanager
    def noted(self: Database) -> Iterator[Any]:
        with transaction(self) as connection:
            yield connection
            found: tuple[int, int] = tuple(connection.execute(counts).fetchone())
        if not connection.in_transaction:  # else it is a part of one that has not returned
            os.write(report, "{} {}\n".format(*found).encode())

    Database.transaction = noted  # type: ignore[method-assign]


def install(what: str, report: str, folder: str, **settings: Any) -> None:
    """In a process that is about to run hpo: the layer, and notes of what happened.

    Args:
        what: "fail" or "cut".
        report: a file for notes: "met" when a fault was met, and after each transaction what `acknowledge` says.
        folder: of the store.
        settings: of `Failing` or `PowerCut`.
    """
    import hpo.store.database

    notes = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    hpo.store.database.BUSY_SECONDS = 0.2  # nobody else is there whose lock could end
    with contextlib.suppress(ImportError):
        import hpo.unsaved as unsaved

        unsaved.WAIT_SECONDS, unsaved.FIRST_PAUSE_SECONDS = 0.2, 0.01
    layer = (
        Failing(**settings, met=lambda: void(os.write(notes, b"met\n")))
        if what == "fail"
        else PowerCut(**settings, folder=Path(folder))
    )
    acknowledge(notes)
    register(layer)


def void(_: object) -> None:
    """Nothing."""
