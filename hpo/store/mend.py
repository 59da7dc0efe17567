"""What is left of a study, cut so that it is a study again.

Two things can be made of the rows that were read. The beginning of the study, up to the first hole in its evaluations,
events or trials, is a study that can go on: to the same trials, where the searcher is told the same. What
comes after the hole has results, too; they become a study of their own, `NAME-rest`, in which they stand as if their
user had enqueued them. No row is made up: what sums others up (a trial's state, how many an event told) is summed up
again over what is left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hpo.errors import HpoError
from hpo.store import codec
from hpo.store.database import Row
from hpo.store.invariants import violations
from hpo.store.scratch import Scratch
from hpo.store.stored_copy import KEY, StoredCopy
from hpo.study_spec import StudySpec

_FINISHED = ("done", "failed")


@dataclass(frozen=True)
class Mended:
    """What became of a study.

    Attributes:
        begun: its beginning, which can go on.
        rest: results after the first hole, as a study of its own; None: there is none.
        trials: how many trials were read in all.
        evaluations: how many evaluations.
        dropped: how many trials with a readable configuration are in neither: they had no readable result.
    """

    begun: StoredCopy
    rest: StoredCopy | None
    trials: int
    evaluations: int
    dropped: int


def mend(db: Scratch, study: int) -> Mended:
    """What can be made of a study.

    Args:
        db: rows as they were read, with no promise between them.
        study: its id; the study's own row is there.

    Raises:
        HpoError: its specification cannot be read.
    """
    row = db.query("SELECT * FROM studies WHERE id = ?", (study,))[0]
    spec = StudySpec.from_json(codec.load(row["spec"]))
    trials = {t["number"]: t for t in _good(db, "trials", study, lambda t: _is_trial(t, spec))}
    evaluations = {e["id"]: e for e in _good(db, "evaluations", study, _is_evaluation)}
    events = {e["seq"]: e for e in db.query("SELECT * FROM events WHERE study = ?", (study,))}
    end = _first_hole(trials, evaluations, events)
    while True:
        begun = _beginning(db, row, spec, trials, evaluations, events, end)
        wrong = next(violations(begun.db, KEY), None)
        if wrong is None:
            break
        of = [e for e in range(end) if wrong.trial is not None and evaluations[e]["number"] == wrong.trial]
        if end == 0:  # what is wrong is not in the trials: neither can the study be used
            begun = _empty(row)
            break
        end = min(of, default=0)
    kept = {t["number"]: t["epochs"] for t in begun.db.query("SELECT number, epochs FROM trials")}
    rest = _rest(db, row, trials, evaluations.values(), kept)
    saved = set(kept) | set(_salvaged(rest))
    return Mended(begun, rest, len(trials), len(evaluations), len(set(trials) - saved))


def _good(db: Scratch, table: str, study: int, good: Any) -> Iterator[Row]:
    for row in db.stream(f"SELECT * FROM {table} WHERE study = ?", (study,)):  # noqa: S608  (one of the schema)
        try:
            if good(row):
                yield row
        except (HpoError, ValueError, TypeError, AttributeError):
            continue


def _is_trial(row: Row, spec: StudySpec) -> bool:
    params = codec.load_params(row["params"])
    return spec.space.validate(params) == params and row["number"] >= 0


def _is_evaluation(row: Row) -> bool:
    codec.load_curve(row["curve"])
    codec.load_floats(row["health"])
    return codec.readable(row["info"])


# -- the beginning


def _first_hole(trials: dict[int, Row], evaluations: dict[int, Row], events: dict[int, Row]) -> int:
    """Number of the first evaluation that cannot be kept."""
    events_end = _dense(events)
    trials_end = _dense(trials)
    for number in range(_dense(evaluations)):
        row = evaluations[number]
        if row["number"] >= trials_end or row["asked"] >= events_end or events[row["asked"]]["kind"] != "asked":
            return number
    return _dense(evaluations)


def _dense(found: dict[int, Row]) -> int:
    """How many keys from 0 on there are without a gap."""
    return next(i for i in range(len(found) + 1) if i not in found)


def _beginning(
    db: Scratch,
    study: Row,
    spec: StudySpec,
    trials: dict[int, Row],
    evaluations: dict[int, Row],
    events: dict[int, Row],
    end: int,
) -> StoredCopy:
    """The study with the first `end` evaluations only."""
    copy = _empty(study)
    last = evaluations[end - 1]["asked"] if end else -1
    told: dict[int | None, int] = {}
    for number in range(end):
        told[evaluations[number]["told"]] = told.get(evaluations[number]["told"], 0) + 1
    seq = 0
    while seq in events and (seq <= last or (events[seq]["kind"] == "told" and seq in told)):
        event = events[seq]
        copy.db.insert("events", [event | {"study": KEY, "n": told.get(seq, 0) if seq > last else event["n"]}])
        seq += 1
    for number in range(end):
        row = evaluations[number]
        untold = row["told"] is not None and row["told"] >= seq
        copy.db.insert("evaluations", [row | {"study": KEY} | ({"told": None} if untold else {})])
    enqueued = min(study["enqueued"], _dense(trials))
    most = max([enqueued - 1, *(evaluations[number]["number"] for number in range(end))])
    own: dict[int, list[Row]] = {}
    for number in range(end):
        own.setdefault(evaluations[number]["number"], []).append(evaluations[number])
    for number in range(most + 1):
        copy.db.insert("trials", [_summed(trials[number], own.get(number, []), spec.trial_epochs) | {"study": KEY}])
    copy.db.execute("UPDATE studies SET enqueued = ?", (enqueued,))
    whole = set(trials) == set(range(most + 1)) and set(evaluations) == set(range(end))
    _add_others(db, study["id"], copy, end, most + 1, whole=whole)
    return copy


def _empty(study: Row) -> StoredCopy:
    copy = StoredCopy()
    copy.db.insert("studies", [study | {"id": KEY, "enqueued": 0}])
    return copy


def _summed(trial: Row, evaluations: list[Row], epochs: int) -> Row:
    """A trial as its evaluations say it is."""
    ended = [row for row in evaluations if row["state"] in _FINISHED]
    state = evaluations[-1]["state"] if evaluations else "pending"
    last: Row = ended[-1] if ended else {"epochs": 0, "value": None, "value_kind": None, "reason": None}
    if state == "done" and last["epochs"] < epochs:
        state = "paused"
    same = trial["epochs"] == last["epochs"] and trial["state"] == state  # its own sum, to the last bit
    seconds = trial["seconds"] if same else sum((row["seconds"] for row in ended), 0.0)
    return trial | {
        "state": state,
        "epochs": last["epochs"],
        "value": last["value"],
        "value_kind": last["value_kind"],
        "reason": last["reason"],
        "seconds": seconds,
    }


def _add_others(db: Scratch, study: int, copy: StoredCopy, evaluations: int, trials: int, *, whole: bool) -> None:
    for table, column in (("logs", "log"), ("user_attrs", "noted")):
        found = db.query(f"SELECT * FROM {table} WHERE study = ? AND evaluation < ?", (study, evaluations))  # noqa: S608
        copy.db.insert(table, (row | {"study": KEY} for row in found if column == "log" or codec.readable(row[column])))
    runs = db.query("SELECT * FROM runs WHERE study = ? ORDER BY run", (study,))
    readable = [row for row in runs if codec.readable(row["environment"])]
    copy.db.insert("runs", (row | {"study": KEY, "run": number} for number, row in enumerate(readable)))
    uses = db.query("SELECT * FROM tests WHERE study = ? AND number < ? ORDER BY rowid", (study, trials))
    copy.db.insert("tests", (row | {"study": KEY} for row in uses if codec.readable(row["metrics"])))
    if whole:  # else it was found among other trials
        winners = db.query("SELECT * FROM winners WHERE study = ? ORDER BY rowid", (study,))
        copy.db.insert("winners", (row | {"study": KEY} for row in winners if codec.readable(row["winner"])))


# -- the rest


def _rest(db: Scratch, study: Row, trials: dict[int, Row], evaluations: Any, kept: dict[int, int]) -> StoredCopy | None:
    """Trials with readable results beyond the epochs that are `kept`, as a study in which they were enqueued.

    None: there are none.
    """
    own: dict[int, list[Row]] = {number: [] for number in trials}
    for row in sorted(evaluations, key=lambda row: int(row["id"])):
        if row["number"] in own and row["state"] in _FINISHED:
            own[row["number"]].append(row)
    found = {n: rows for n, rows in own.items() if _follow(rows) and (rows[-1]["epochs"] > kept.get(n, -1))}
    if not found:
        return None
    copy = StoredCopy()
    spec = StudySpec.from_json(codec.load(study["spec"]))
    copy.db.insert("studies", [study | {"id": KEY, "enqueued": len(found), "trials": len(found)}])
    copy.db.insert("events", ({"study": KEY, "seq": seq, "kind": kind, "n": n, "seconds": 0.0} for seq, kind, n in
                              ((0, "asked", 0), (1, "told", len(found)))))  # fmt: skip
    for new, (number, rows) in enumerate(sorted(found.items())):
        whole = _merged(rows)
        info = codec.load(whole["info"]) | {"salvaged_number": number}
        keys = {"study": KEY, "id": new, "number": new, "asked": 0, "told": 1, "info": codec.dump(info)}
        copy.db.insert("evaluations", [whole | keys])
        copy.db.insert("trials", [_summed(trials[number], [whole], spec.trial_epochs) | {"study": KEY, "number": new}])
        uses = db.query("SELECT * FROM tests WHERE study = ? AND number = ? ORDER BY rowid", (study["id"], number))
        copy.db.insert("tests", (row | {"study": KEY, "number": new} for row in uses if codec.readable(row["metrics"])))
        for table, column in (("logs", "log"), ("user_attrs", "noted")):
            texts = db.query(
                f"SELECT {column} AS text FROM {table} WHERE study = ? AND evaluation = ?",  # noqa: S608  (fixed)
                (study["id"], whole["id"]),
            )
            if texts and (column == "log" or codec.readable(texts[0]["text"])):
                copy.db.insert(table, [{"study": KEY, "evaluation": new, column: texts[0]["text"]}])
    return copy if next(violations(copy.db, KEY), None) is None else None


def _follow(rows: list[Row]) -> bool:
    """Whether the evaluations of a trial that ended follow each other from its beginning."""
    return bool(rows) and [row["start"] for row in rows] == [0, *(row["epochs"] for row in rows[:-1])]


def _merged(rows: list[Row]) -> Row:
    """The evaluations of a trial as one that was never paused."""
    curves = [codec.load_curve(row["curve"]) for row in rows]
    curve = {name: [value for part in curves for value in part.get(name, [])] for name in curves[-1]}
    return rows[-1] | {
        "start": 0,
        "info": rows[0]["info"],
        "charged": sum(row["charged"] for row in rows),
        "seconds": sum((row["seconds"] for row in rows), 0.0) if rows[1:] else rows[0]["seconds"],
        "curve": codec.dump_curve(curve) if rows[1:] else rows[0]["curve"],
    }


def _salvaged(rest: StoredCopy | None) -> Iterator[int]:
    """The numbers that the trials of the rest had."""
    if rest is not None:
        for row in rest.db.query("SELECT info FROM evaluations"):
            yield codec.load(row["info"])["salvaged_number"]
