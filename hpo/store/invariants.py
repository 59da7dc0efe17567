"""What is true of every study that hpo wrote, beyond what the schema can say."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from hpo.errors import HpoError
from hpo.store import codec
from hpo.store.database import Row
from hpo.study_spec import StudySpec

SHOWN = 3  # examples of each kind


class Queries(Protocol):
    """What is read: an open database."""

    def query(self, sql: str, parameters: Any = ()) -> list[Row]:
        """All rows of a SELECT."""


class Streams(Queries, Protocol):
    """What is read row by row: an open `Untouched` or `Scratch`."""

    def stream(self, sql: str, parameters: Any = ()) -> Iterator[Row]:
        """The rows of a SELECT, as they come."""


@dataclass(frozen=True)
class Violation:
    """Something that hpo did not write.

    Attributes:
        text: what was found and what was expected.
        trial: number of the trial that it is about; None: the study as a whole.
    """

    text: str
    trial: int | None = None


# Each finds rows (what, trial) of study :study that should not be there; :epochs is a full training.
_CHECKS = (
    # numbers are dense
    "SELECT 'there are ' || count(*) || ' trials, the last is number ' || max(number) AS what, max(number) AS trial"
    " FROM trials WHERE study = :study HAVING count(*) <> max(number) + 1 OR min(number) <> 0",
    "SELECT 'there are ' || count(*) || ' evaluations, the last is number ' || max(id) AS what, NULL AS trial"
    " FROM evaluations WHERE study = :study HAVING count(*) <> max(id) + 1 OR min(id) <> 0",
    "SELECT 'there are ' || count(*) || ' events, the last is number ' || max(seq) AS what, NULL AS trial"
    " FROM events WHERE study = :study HAVING count(*) <> max(seq) + 1 OR min(seq) <> 0",
    "SELECT 'there are ' || count(*) || ' runs, the last is number ' || max(run) AS what, NULL AS trial"
    " FROM runs WHERE study = :study HAVING count(*) <> max(run) + 1 OR min(run) <> 0",
    "SELECT enqueued || ' trials were enqueued, and there are fewer' AS what, NULL AS trial FROM studies"
    " WHERE id = :study AND (enqueued < 0 OR enqueued > (SELECT count(*) FROM trials WHERE study = :study))",
    # what belongs to something belongs to something that is there
    "SELECT 'evaluation ' || e.id || ' is of a trial that is not there' AS what, e.number AS trial"
    " FROM evaluations e LEFT JOIN trials t USING (study, number) WHERE e.study = :study AND t.number IS NULL",
    "SELECT 'a log is of an evaluation that is not there' AS what, NULL AS trial FROM logs l"
    " LEFT JOIN evaluations e ON e.study = l.study AND e.id = l.evaluation WHERE l.study = :study AND e.id IS NULL",
    "SELECT 'a note is of an evaluation that is not there' AS what, NULL AS trial FROM user_attrs u"
    " LEFT JOIN evaluations e ON e.study = u.study AND e.id = u.evaluation WHERE u.study = :study AND e.id IS NULL",
    "SELECT 'a use of test data is of a trial that is not there' AS what, w.number AS trial FROM tests w"
    " LEFT JOIN trials t USING (study, number) WHERE w.study = :study AND t.number IS NULL",
    # events and their evaluations
    "SELECT 'evaluation ' || e.id || ' was asked by event ' || e.asked || ', which is no such event' AS what,"
    " e.number AS trial FROM evaluations e LEFT JOIN events v ON v.study = e.study AND v.seq = e.asked"
    " AND v.kind = 'asked' WHERE e.study = :study AND v.seq IS NULL",
    "SELECT 'evaluation ' || e.id || ' was told by event ' || e.told || ', which is no such event' AS what,"
    " e.number AS trial FROM evaluations e LEFT JOIN events v ON v.study = e.study AND v.seq = e.told"
    " AND v.kind = 'told' WHERE e.study = :study AND e.told IS NOT NULL AND (v.seq IS NULL OR e.told <= e.asked)",
    "SELECT 'event ' || v.seq || ' told ' || v.n || ' results, and ' || count(e.id) || ' say so' AS what,"
    " NULL AS trial FROM events v LEFT JOIN evaluations e INDEXED BY evaluations_by_told"
    " ON e.study = v.study AND e.told = v.seq WHERE v.study = :study AND v.kind = 'told'"
    " GROUP BY v.seq, v.n HAVING count(e.id) <> v.n",
    "SELECT 'event ' || v.seq || ' asked for ' || v.n || ' trials, and ' || count(e.id) || ' began' AS what,"
    " NULL AS trial FROM events v LEFT JOIN evaluations e INDEXED BY evaluations_by_asked"
    " ON e.study = v.study AND e.asked = v.seq WHERE v.study = :study AND v.kind = 'asked'"
    " GROUP BY v.seq, v.n HAVING v.n < 0 OR (v.n > 0 AND count(e.id) > v.n) OR count(e.id) = 0",
    "SELECT 'evaluation ' || id || ' was asked before an earlier one' AS what, number AS trial FROM"
    " (SELECT id, number, asked, lag(asked, 1, 0) OVER (ORDER BY id) AS earlier FROM evaluations"
    " WHERE study = :study) WHERE asked < earlier",
    "SELECT 'evaluation ' || id || ' is ' || state || ' and was told' AS what, number AS trial FROM evaluations"
    " WHERE study = :study AND told IS NOT NULL AND state NOT IN ('done', 'failed')",
    "SELECT 'trial ' || e.number || ' was enqueued, and event ' || e.asked || ' asked a searcher for it' AS what,"
    " e.number AS trial FROM evaluations e JOIN events v ON v.study = e.study AND v.seq = e.asked"
    " JOIN studies s ON s.id = e.study WHERE e.study = :study AND e.start = 0 AND v.kind = 'asked'"
    " AND (v.n = 0) <> (e.number < s.enqueued) AND NOT (v.n = 0 AND v.seq = 0)",  # 0: trials of another study
    # evaluations of a trial follow each other, and end it
    "SELECT 'evaluation ' || id || ' goes on from epoch ' || start || ', the one before reached ' || reached AS what,"
    " number AS trial FROM (SELECT id, number, start, lag(epochs, 1, 0) OVER one AS reached,"
    " lag(state, 1, 'done') OVER one AS before FROM evaluations WHERE study = :study"
    " WINDOW one AS (PARTITION BY number ORDER BY id)) WHERE start <> reached OR before <> 'done'",
    "SELECT 'evaluation ' || id || ' goes from epoch ' || start || ' to ' || target || ' and reached ' || epochs"
    " AS what, number AS trial FROM evaluations WHERE study = :study AND (start < 0 OR target <= start"
    " OR target > :epochs OR epochs < 0 OR charged < 0 OR attempts < 1 OR seconds < 0)",
    "SELECT 'trial ' || t.number || ' is ' || t.state || ', its last evaluation ' || coalesce(e.state, 'missing')"
    " AS what, t.number AS trial FROM trials t LEFT JOIN (SELECT number, max(id) AS id, state, epochs FROM evaluations"
    " WHERE study = :study GROUP BY number) e USING (number) WHERE t.study = :study AND t.state <> CASE"
    " WHEN e.state IS NULL THEN 'pending' WHEN e.state = 'done' AND e.epochs < :epochs THEN 'paused'"
    " ELSE e.state END",
    "SELECT 'trial ' || t.number || ' waits, and was not enqueued' AS what, t.number AS trial FROM trials t"
    " JOIN studies s ON s.id = t.study WHERE t.study = :study AND t.state = 'pending' AND t.number >= s.enqueued",
    "SELECT 'trial ' || t.number || ' has another value, epochs or reason than its last result' AS what,"
    " t.number AS trial FROM trials t LEFT JOIN (SELECT number, max(id) AS id, epochs, value, value_kind, reason"
    " FROM evaluations WHERE study = :study AND state IN ('done', 'failed') GROUP BY number) e USING (number)"
    " WHERE t.study = :study AND (t.epochs <> coalesce(e.epochs, 0) OR t.value IS NOT e.value"
    " OR t.value_kind IS NOT e.value_kind OR t.reason IS NOT e.reason)",
    # values
    "SELECT 'evaluation ' || id || ' is ' || state || ' with a value that is ' || coalesce(value_kind, 'missing')"
    " AS what, number AS trial FROM evaluations WHERE study = :study AND (state = 'done') > (value_kind IS 'finite')"
    " OR study = :study AND (value IS NULL) <> (value_kind IS NULL OR value_kind = 'nan')"
    " OR study = :study AND value_kind = 'finite' AND abs(value) > 1.7976931348623157e308"
    " OR study = :study AND value_kind = 'inf' AND value < 1.7976931348623157e308"
    " OR study = :study AND value_kind = '-inf' AND value > -1.7976931348623157e308",
    "SELECT 'evaluation ' || id || ' is failed, without a reason' AS what, number AS trial FROM evaluations"
    " WHERE study = :study AND (state = 'failed') <> (reason IS NOT NULL)",
)

_JSON: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("trials", "params", codec.load_params),
    ("evaluations", "info", codec.load),
    ("evaluations", "curve", codec.load_curve),
    ("evaluations", "health", codec.load_floats),
    ("runs", "environment", codec.load),
    ("user_attrs", "noted", codec.load),
    ("winners", "winner", codec.load),
    ("tests", "metrics", codec.load_floats),
)


def violations(db: Queries, study: int) -> Iterator[Violation]:
    """What is wrong with a study's rows; of each kind the first few.

    Args:
        db: where they are, with the tables of the schema.
        study: its id.
    """
    try:
        spec = StudySpec.from_json(codec.load(db.query("SELECT spec FROM studies WHERE id = ?", (study,))[0]["spec"]))
        epochs = int(spec.trial_epochs)
    except (HpoError, TypeError, KeyError, ValueError, AttributeError) as error:
        yield Violation(f"the specification cannot be read: {error}")
        return
    for sql in _CHECKS:
        for row in db.query(f"{sql} LIMIT {SHOWN}", {"study": study, "epochs": epochs}):
            yield Violation(row["what"], row["trial"])


def unreadable(db: Streams, study: int) -> Iterator[Violation]:
    """Columns of a study that hold no JSON as hpo writes it; reads every row."""
    for table, column, load in _JSON:
        number = "number" if table in ("trials", "evaluations", "tests") else "NULL"
        shown = 0
        for row in db.stream(f"SELECT {column} AS text, {number} AS trial FROM {table} WHERE study = ?", (study,)):  # noqa: S608  (fixed)
            try:
                load(row["text"])
            except (HpoError, TypeError, ValueError, AttributeError) as error:
                yield Violation(f"column {column} of table {table} cannot be read: {error}", row["trial"])
                shown += 1
                if shown == SHOWN:
                    break
