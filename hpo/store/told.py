"""Trials of one study told to another: a new study that knows from its first proposal on what an old one found.

They are trials of the new study like any others, with one evaluation each that cost nothing, asked for by the study's
first event and told by its second: so whatever folds over events takes them in, now and on resume.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpo.store import codec
from hpo.store.reader import Reader
from hpo.trial import State, Trial

_STUDY, _TRIAL = "from_study", "from_trial"  # keys of an evaluation's info


@dataclass(frozen=True)
class Told:
    """A trial of another study.

    Attributes:
        trial: as it ended there, its configuration one of the new study's space.
        target: the epoch that it was trained to, or would have been had it not failed.
        ended_ms: when its last evaluation ended, in UTC milliseconds since 1970.
    """

    trial: Trial
    target: int
    ended_ms: int | None


def insert_told(db: Any, study: int, first: int, source: str, told: Sequence[Told], epochs: int) -> None:
    """Write the first two events of a new study, within a transaction.

    Args:
        db: the connection.
        study: the new study, without events.
        first: the number that the first of the trials gets.
        source: name of the study that they are from.
        told: some.
        epochs: the most that a trial of the new study may train: below it a successful one is paused.
    """
    db.executemany(
        "INSERT INTO events VALUES (?, ?, ?, ?, 0.0)",
        [(study, 0, "asked", 0), (study, 1, "told", len(told))],
    )
    trials, evaluations, noted = [], [], []
    for evaluation, one in enumerate(told):
        trial, number = one.trial, first + evaluation
        value, kind = codec.split(trial.value)
        ended = State.FAILED if trial.state == State.FAILED else State.DONE
        state = State.PAUSED if ended == State.DONE and trial.epochs < epochs else ended
        info = codec.dump({_STUDY: source, _TRIAL: trial.number})
        result = (trial.epochs, value, kind, trial.seconds, trial.reason)
        details = (codec.cut(trial.error), codec.dump_curve(trial.curve), codec.dump_floats(trial.health))
        trials.append((study, number, codec.dump_params(trial.params), trial.seed, state, *result))
        evaluations.append(
            (study, evaluation, number, one.target, info, ended, *result, *details, trial.attempts, one.ended_ms)
        )
        if trial.user_attrs:
            noted.append((study, evaluation, codec.dump(trial.user_attrs)))
    db.executemany(
        "INSERT INTO trials (study, number, params, seed, state, epochs, value, value_kind, seconds, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        trials,
    )
    db.executemany(
        "INSERT INTO evaluations (study, id, number, asked, told, start, target, info, state, epochs, charged, value,"
        " value_kind, seconds, reason, error, curve, health, attempts, ended_ms)"
        " VALUES (?, ?, ?, 0, 1, 0, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        evaluations,
    )
    db.executemany("INSERT INTO user_attrs VALUES (?, ?, ?)", noted)


def told_failures(store: Reader, study: int) -> set[int]:
    """Numbers of the trials that had failed before a study was told of them."""
    if told_from(store, study) is None:
        return set()
    rows = store.db.query(
        "SELECT number FROM evaluations INDEXED BY evaluations_by_asked"
        " WHERE study = ? AND asked = 0 AND told = 1 AND state = 'failed'",
        (study,),
    )
    return {row["number"] for row in rows}


def told_from(store: Reader, study: int) -> tuple[str, int] | None:
    """The name of the study whose trials a study was told at its beginning, and how many; None: it was told none."""
    rows = store.db.query(
        "SELECT n, info FROM evaluations v INDEXED BY evaluations_by_asked"
        " JOIN events e ON e.study = v.study AND e.seq = v.told"
        " WHERE v.study = ? AND v.asked = 0 AND v.told = 1 ORDER BY v.id LIMIT 1",
        (study,),
    )
    source = codec.load(rows[0]["info"]).get(_STUDY) if rows else None
    return None if source is None else (str(source), int(rows[0]["n"]))
