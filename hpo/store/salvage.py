"""A new store out of what a damaged one still holds."""

import contextlib
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from hpo.errors import DataError, HpoError, StorageError
from hpo.store import codec, place
from hpo.store.database import Row
from hpo.store.mend import Mended, mend
from hpo.store.pages import Pages
from hpo.store.remove import keeper
from hpo.store.rescue import Rescued
from hpo.store.scratch import insertion
from hpo.store.store import Store
from hpo.store.untouched import recover


@dataclass(frozen=True)
class Saved:
    """What became of one study.

    Attributes:
        study: its name; where that is lost, its number in the damaged store.
        trials: in the new store under this name.
        evaluations: of these.
        rest: name of the study that holds results after the first hole; None: there was none.
        rest_trials: how many it holds.
        unusable: trials that were read and had no readable result after the hole: running ones, or parts of one.
        lost_trials: at least so many are not readable.
        lost_evaluations: likewise.
        whole: whether nothing is known to be missing.
        reason: why nothing of it could be saved; None: something was.
    """

    study: str
    trials: int
    evaluations: int
    rest: str | None
    rest_trials: int
    unusable: int
    lost_trials: int
    lost_evaluations: int
    whole: bool
    reason: str | None = None


@dataclass
class Salvaged:
    """What was saved of a store.

    Attributes:
        studies: one by one.
        comparisons: names of those that are in the new store.
        homeless: trials of studies whose specification is lost, which no store can hold: what of
            `StoredCopy.objects` they have without evaluations, and the study they were of.
        lost_comparisons: names of those of which nothing more is known.
    """

    studies: list[Saved] = field(default_factory=list)
    comparisons: list[str] = field(default_factory=list)
    homeless: list[dict[str, Any]] = field(default_factory=list)
    lost_comparisons: list[str] = field(default_factory=list)


def salvage(path: Path, out: BinaryIO) -> Salvaged:
    """Write a new store into `out` from what can be read of the file at `path`, which is left as it is.

    Args:
        path: a store, or what is left of one; only read.
        out: an empty file, open for writing.

    Raises:
        DataError: nothing of a study can be read.
        LockedError: it is being written.
        StorageError: no room for a copy.
    """
    with _copied(path) as data:
        pages = Pages(data)
        try:
            found = Rescued(pages)
        finally:
            pages.close()
    with tempfile.TemporaryDirectory(prefix="hpo-salvage-") as folder:
        store = Store(Path(folder) / "new.db", "create")
        try:
            done = _Writer(found, store).write()
            store.db.check()
        finally:
            store.close()
        if not done.studies:
            raise DataError(f"{path} holds no row of a study that can be read: nothing is saved; go on with a backup")
        with store.db.file.open("rb") as new:
            shutil.copyfileobj(new, out)
    return done


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[Any]:
    """The bytes of a private copy, in which an interrupted transaction is undone and a write-ahead log is applied."""
    with tempfile.TemporaryDirectory(prefix="hpo-salvage-") as folder:
        try:
            copy = place.copy(path, Path(folder))
            recover(copy)
            if not copy.stat().st_size:
                raise DataError(f"{path} is an empty file: there is nothing to salvage; go on with a backup")
            with copy.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            try:
                yield data
            finally:
                with contextlib.suppress(BufferError):  # an exception that passes holds views of it, and closes it then
                    data.close()
        except OSError as error:
            name, size = tempfile.gettempdir(), os.path.getsize(path) if path.exists() else 0
            raise StorageError(
                f"{path} cannot be copied to {name}: {error.strerror}; TMPDIR names another folder with "
                f"{max(1, 2 * size // 2**20)} MiB of room"  # for the copy and the new store
            ) from error


class _Writer:
    def __init__(self, found: Rescued, store: Store) -> None:
        self._rows = found.db
        self._found = found
        self._store = store
        self._done = Salvaged()
        self._kept: dict[int, bool] = {}  # study to whether it is whole
        self._names: set[str] = set()

    def write(self) -> Salvaged:
        studies = self._rows.query("SELECT * FROM studies WHERE name <> '' ORDER BY id")
        self._names = {row["name"] for row in studies}
        with self._store.together():
            mended: list[tuple[Row, Mended]] = []
            for row in studies:
                try:
                    mended.append((row, mend(self._rows, row["id"])))
                except (HpoError, ValueError, TypeError, KeyError, AttributeError) as error:
                    self._give_up(row["id"], row["name"], f"its specification cannot be read ({error})")
                    continue
                mended[-1][1].begun.insert(self._store, key=row["id"])
            for row, one in mended:
                self._tell(row, one)
            for row in self._rows.query(
                "SELECT DISTINCT study FROM (SELECT study FROM trials UNION SELECT study FROM evaluations)"
                " WHERE study NOT IN (SELECT id FROM studies) ORDER BY study"
            ):
                self._give_up(row["study"], f"number {row['study']}", "its name and specification are lost")
            self._keep_uses()
            self._write_comparisons()
        return self._done

    def _tell(self, row: Row, one: Mended) -> None:
        lost_trials, lost_evaluations = self._found.lost(row["id"])
        trials, evaluations = one.begun.count("trials"), one.begun.count("evaluations")
        cut = one.trials > trials or one.evaluations > evaluations
        whole = not (cut or lost_trials or lost_evaluations)
        name = None
        if one.rest is not None:
            name = next(
                n for i in range(1, 10**6) if (n := f"{row['name']}-rest{f'-{i}' * (i > 1)}") not in self._names
            )
            self._names.add(name)
            one.rest.insert(self._store, name)
        self._kept[row["id"]] = whole
        self._done.studies.append(
            Saved(
                row["name"], trials, evaluations, name, one.rest.count("trials") if one.rest else 0, one.dropped,
                lost_trials, lost_evaluations, whole,
            )
        )  # fmt: skip

    def _give_up(self, study: int, name: str, reason: str) -> None:
        for row in self._rows.query("SELECT * FROM trials WHERE study = ? ORDER BY number", (study,)):
            with contextlib.suppress(HpoError, AttributeError):
                value = codec.json_float(codec.join(row["value"], row["value_kind"]))
                known = {key: row[key] for key in ("number", "state", "epochs", "seed", "reason")}
                params = codec.load_params(row["params"])
                self._done.homeless.append({"study": name, **known, "params": params, "value": value})
        trials = self._rows.query("SELECT count(*) AS n FROM trials WHERE study = ?", (study,))[0]["n"]
        lost = self._found.lost(study)
        self._done.studies.append(Saved(name, 0, 0, None, 0, trials, *lost, whole=False, reason=reason))

    def _keep_uses(self) -> None:
        """Uses of test data count, also where their trial or study is lost."""
        with self._store.db.transaction() as db:
            for row in self._rows.query("SELECT * FROM tests ORDER BY rowid"):
                key = {name: row[name] for name in ("number", "seed", "epochs", "data", "at_ms")}
                marks = " AND ".join(f"{name} = ?" for name in ("seed", "epochs", "data", "at_ms"))
                values = [key[name] for name in ("seed", "epochs", "data", "at_ms")]
                if not db.execute(f"SELECT 1 FROM tests WHERE {marks}", values).fetchone():  # noqa: S608  (fixed)
                    db.execute(*insertion("tests", row | {"study": keeper(db)}))

    def _write_comparisons(self) -> None:
        with self._store.db.transaction() as db:
            for row in self._rows.query("SELECT * FROM comparisons ORDER BY id"):
                if not codec.readable(row["spec"], row["plan"]):
                    self._done.lost_comparisons.append(row["name"])
                    continue
                db.execute(*insertion("comparisons", row | {"owner_host": None, "owner_pid": None}))
                self._done.comparisons.append(row["name"])
                for run in self._rows.query("SELECT * FROM comparison_runs WHERE comparison = ?", (row["id"],)):
                    if run["study"] in self._kept:
                        ended = run["ended"] if self._kept[run["study"]] else None
                        db.execute(*insertion("comparison_runs", run | {"ended": ended}))
                looks = self._rows.query("SELECT * FROM looks WHERE comparison = ? ORDER BY look", (row["id"],))
                for number, look in enumerate(looks, 1):
                    if look["look"] == number:
                        db.execute(*insertion("looks", look))
