"""A copy of one study, apart from its store: what export reads and import writes."""

from collections.abc import Iterator
from typing import Any

from hpo.errors import ConflictError
from hpo.store import codec
from hpo.store.database import Row
from hpo.store.reader import StudyRow
from hpo.store.scratch import Scratch, columns, full_insertion, insertion
from hpo.store.store import Store

FORMAT = 1  # of the lines
EVENTS = 100_000  # in one line; of more there are further lines
KEY = 1  # the study's id in its copy
TABLES = ("runs", "events", "trials", "evaluations", "logs", "user_attrs", "winners", "tests")  # parents first

# Columns of an evaluation that its object in a line has under the same name.
PLAIN = (
    "id", "asked", "told", "start", "target", "state", "epochs", "charged", "seconds", "reason", "error", "attempts",
    "ended_ms",
)  # fmt: skip
JSON = ("info", "curve", "health")


class StoredCopy:
    """All rows of one study, in a temporary database.

    Attributes:
        db: holds them, with the study's id `KEY`.
    """

    def __init__(self) -> None:
        self.db = Scratch()

    @classmethod
    def of(cls, store: Store, study: StudyRow) -> "StoredCopy":
        """A study as it is now, read in one short transaction, so that nobody waits for who reads the copy."""
        copy = cls()
        with store.db.snapshot() as source:
            for table in ("studies", *TABLES):
                copy.db.fill(table, source.execute(*_selection(table, study.id, KEY)))
        return copy

    @property
    def study(self) -> Row:
        """The study's own row."""
        return self.db.query("SELECT * FROM studies")[0]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(self.db.query(f"SELECT count(*) AS n FROM {table}")[0]["n"])  # noqa: S608  (one of the schema)

    def objects(self) -> Iterator[dict[str, Any]]:
        """The study as strict JSON objects, one a line: itself, then its trials; `transfer.read_study` reads them."""
        study = self.study
        events = [
            [[row["kind"], row["n"], row["seconds"]] for row in self.db.query(
                "SELECT kind, n, seconds FROM events WHERE seq >= ? AND seq < ? ORDER BY seq", (first, first + EVENTS)
            )]
            for first in range(0, max(self.count("events"), 1), EVENTS)
        ]  # fmt: skip
        uses = self.db.query("SELECT number, seed, epochs, data, metrics, at_ms FROM tests ORDER BY rowid")
        winners = self.db.query("SELECT trials, winner, at_ms FROM winners ORDER BY rowid")
        runs = self.db.query("SELECT started_ms, environment FROM runs ORDER BY run")
        described = {
            "name": study["name"],
            "spec": codec.load(study["spec"]),
            "budget": study["trials"],
            "enqueued": study["enqueued"],
            "source": study["source"],
            "test_data": study["test_data"],
            "created_ms": study["created_ms"],
            "trials": self.count("trials"),
            "runs": [row | {"environment": codec.load(row["environment"])} for row in runs],
            "winners": [row | {"winner": codec.load(row["winner"])} for row in winners],
            "uses": [row | {"metrics": codec.load(row["metrics"])} for row in uses],
            "events": events[0],
        }
        yield {"study": described, "format": FORMAT}
        yield from ({"events": more} for more in events[1:])
        for trial in self.db.stream("SELECT * FROM trials ORDER BY number"):
            yield self._trial(trial)

    def _trial(self, row: Row) -> dict[str, Any]:
        evaluations = self.db.query(
            "SELECT e.*, l.log, u.noted FROM evaluations e INDEXED BY evaluations_by_trial"
            " LEFT JOIN logs l ON l.study = e.study AND l.evaluation = e.id"
            " LEFT JOIN user_attrs u ON u.study = e.study AND u.evaluation = e.id"
            " WHERE e.study = ? AND e.number = ? ORDER BY e.id",
            (KEY, row["number"]),
        )
        return {
            "number": row["number"],
            "state": row["state"],
            "params": codec.load_params(row["params"]),
            "value": _value(row),
            "epochs": row["epochs"],
            "seed": row["seed"],
            "error": evaluations[-1]["error"] if evaluations else None,
            "seconds": row["seconds"],
            "reason": row["reason"],
            "evaluations": [_evaluation(evaluation) for evaluation in evaluations],
        }

    def insert(self, store: Store, name: str | None = None, key: int | None = None) -> StudyRow:
        """The study as a new one of a store, in one transaction.

        Args:
            store: opened for writing.
            name: the new study's; None: its own.
            key: the new study's id; None: the next one.

        Raises:
            ConflictError: the store has a study of this name.
        """
        row = self.study
        name = row["name"] if name is None else name
        with store.db.transaction() as db:
            if db.execute("SELECT 1 FROM studies WHERE name = ?", (name,)).fetchone():
                raise ConflictError(f"store {store.path} has a study {name!r} already: give another name with --name")
            own = row | {"id": key, "name": name, "owner_host": None, "owner_pid": None}
            study = int(db.execute(*insertion("studies", own)).lastrowid or 0)
            for table in TABLES:
                rows = self.db.tuples(*_selection(table, KEY, study))
                db.executemany(full_insertion(table), rows)
        return store.study(name)


def _selection(table: str, study: int, as_study: int) -> tuple[str, tuple[int, int]]:
    """The query for a study's rows of a table, in their order, with another id in place of its own."""
    key = "id" if table == "studies" else "study"
    order = "rowid" if table in ("winners", "tests", "studies") else "1, 2"
    chosen = ", ".join("?" if name == key else name for name in columns(table))
    return f"SELECT {chosen} FROM {table} WHERE {key} = ? ORDER BY {order}", (as_study, study)  # noqa: S608  (the schema's)


def _value(row: Row) -> float | str | None:
    return codec.json_float(codec.join(row["value"], row["value_kind"]))


def _evaluation(row: Row) -> dict[str, Any]:
    found = {name: row[name] for name in PLAIN} | {name: codec.load(row[name]) for name in JSON}
    found["value"] = _value(row)
    if row["log"] is not None:
        found["log"] = row["log"]
    if row["noted"] is not None:
        found["user_attrs"] = codec.load(row["noted"])
    return found
