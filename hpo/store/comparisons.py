"""How comparisons are written into a store and read back."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hpo.errors import LockedError, NotFoundError, did_you_mean
from hpo.store import codec, place
from hpo.store.damage import blaming_the_store
from hpo.store.lock import DriverLock
from hpo.store.reader import Reader
from hpo.store.store import now_ms

REFERENCE = ""  # in place of a searcher's label: the reference trials of a task


@dataclass(frozen=True)
class ComparisonRow:
    """A comparison as stored, without its runs.

    Attributes:
        id: its key.
        name: its name.
        spec: what never changes.
        plan: what only grows.
        created_ms: when it was made, in UTC milliseconds since 1970.
        owner_host: who ran it last.
        owner_pid: the process there.
    """

    id: int
    name: str
    spec: dict[str, Any]
    plan: dict[str, Any]
    created_ms: int
    owner_host: str | None
    owner_pid: int | None


@dataclass(frozen=True)
class RunRow:
    """One run of a comparison.

    Attributes:
        task: name of the task.
        searcher: label of the searcher; `REFERENCE`: the reference trials.
        nth: which seed, from 0 on.
        study: key of its study.
        name: of its study.
        ended: "complete" or "exhausted"; None: it goes on.
    """

    task: str
    searcher: str
    nth: int
    study: int
    name: str
    ended: str | None


@blaming_the_store
class Comparisons:
    """The comparisons of a store.

    Args:
        store: an open one; what writes needs a `Store` that may.
    """

    def __init__(self, store: Reader) -> None:
        self.store = store
        self.path = store.path
        self._db = store.db

    def all(self) -> list[ComparisonRow]:
        """Oldest first."""
        return [_row(row) for row in self._db.query("SELECT * FROM comparisons ORDER BY id")]

    def find(self, name: str) -> ComparisonRow | None:
        """The comparison called `name`, if there is one."""
        try:
            rows = self._db.query("SELECT * FROM comparisons WHERE name = ?", (name,))
        except UnicodeEncodeError:  # half a surrogate pair: no name that could be stored
            return None
        return _row(rows[0]) if rows else None

    def get(self, name: str | None = None) -> ComparisonRow:
        """The comparison called `name`; None: the latest.

        Raises:
            NotFoundError: with the nearest known name.
        """
        known = {row.name: row for row in self.all()}
        if name is None and known:
            return list(known.values())[-1]
        if name is None:
            raise NotFoundError(f"store {self.store.path} has no comparison yet: `hpo compare` makes one")
        if name not in known:
            raise NotFoundError(f"no comparison {name!r} in store {self.store.path}: {did_you_mean(name, known)}")
        return known[name]

    def runs(self, comparison: int) -> list[RunRow]:
        """All runs, the reference trials of each task first."""
        rows = self._db.query(
            "SELECT r.task, r.searcher, r.nth, r.study, s.name, r.ended FROM comparison_runs r"
            " JOIN studies s ON s.id = r.study WHERE r.comparison = ? ORDER BY r.task, r.searcher, r.nth",
            (comparison,),
        )
        return [RunRow(**row) for row in rows]

    def studies(self) -> set[int]:
        """Keys of the studies that are runs of a comparison."""
        return {row["study"] for row in self._db.query("SELECT study FROM comparison_runs")}

    def of_study(self, study: int) -> str | None:
        """Name of the comparison that a study is a run of; None: it stands by itself."""
        rows = self._db.query(
            "SELECT c.name FROM comparison_runs r JOIN comparisons c ON c.id = r.comparison WHERE r.study = ?", (study,)
        )
        return rows[0]["name"] if rows else None

    def searcher_seconds(self, study: int, evaluations: int) -> float:
        """Processor time of a study's searcher until it was told of the first so many evaluations."""
        rows = self._db.query(
            "SELECT coalesce(sum(seconds), 0.0) AS s FROM events WHERE study = ? AND seq <="
            " (SELECT max(told) FROM evaluations WHERE study = ? AND id < ?)",
            (study, study, evaluations),
        )
        return float(rows[0]["s"])

    def looks(self, comparison: int) -> list[str]:
        """What each look saw, the first one first."""
        rows = self._db.query("SELECT seen FROM looks WHERE comparison = ? ORDER BY look", (comparison,))
        return [row["seen"] for row in rows]

    # -- writing: one transaction each

    def create(self, name: str, spec: Mapping[str, Any], plan: Mapping[str, Any], *, number: bool) -> ComparisonRow:
        """A new comparison without runs, which this process runs.

        Args:
            name: its name.
            spec: what never changes.
            plan: what only grows.
            number: whether -2, -3, ... is appended to a name that is taken.

        Raises:
            LockedError: the name is taken.
        """
        with self._db.transaction() as db:
            taken = {row["name"] for row in db.execute("SELECT name FROM comparisons")}
            if name in taken and not number:
                raise LockedError(f"comparison {name!r} has just been made by another process: try again")
            if name in taken:
                name = next(free for i in range(2, len(taken) + 3) if (free := f"{name}-{i}") not in taken)
            db.execute(
                "INSERT INTO comparisons (name, spec, plan, created_ms, owner_host, owner_pid)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (name, codec.dump(spec), codec.dump(plan), now_ms(), socket.gethostname(), os.getpid()),
            )
        return self.get(name)

    def grow(self, comparison: int, plan: Mapping[str, Any]) -> None:
        """Store the plan as it is from now on, and that this process runs the comparison."""
        with self._db.transaction() as db:
            db.execute(
                "UPDATE comparisons SET plan = ?, owner_host = ?, owner_pid = ? WHERE id = ?",
                (codec.dump(plan), socket.gethostname(), os.getpid(), comparison),
            )

    def add_run(self, comparison: int, task: str, searcher: str, nth: int, study: int) -> None:
        """Note which study is a run."""
        with self._db.transaction() as db:
            row = (comparison, task, searcher, nth, study)
            db.execute("INSERT INTO comparison_runs VALUES (?, ?, ?, ?, ?, NULL)", row)

    def end_runs(self, ended: Mapping[int, str]) -> None:
        """Note how runs ended, by study."""
        with self._db.transaction() as db:
            rows = [(how, study) for study, how in ended.items()]
            db.executemany("UPDATE comparison_runs SET ended = ? WHERE study = ?", rows)

    def add_look(self, comparison: int, seen: str) -> None:
        """Note what a verdict is given on; the same data once."""
        with self._db.transaction() as db:
            before = self.looks(comparison)
            if seen not in before:
                db.execute("INSERT INTO looks VALUES (?, ?, ?, ?)", (comparison, len(before) + 1, seen, now_ms()))

    def lock(self, comparison: int) -> DriverLock:
        """The lock that the comparison's one process holds."""
        return DriverLock(place.lock_file(self._db.file, "comparison", comparison))


def _row(row: Mapping[str, Any]) -> ComparisonRow:
    known = {field.name: row[field.name] for field in fields(ComparisonRow)}  # a newer store may have more columns
    return ComparisonRow(**(known | {"spec": codec.load(row["spec"]), "plan": codec.load(row["plan"])}))
