"""How studies are read back from a store."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hpo.errors import NotFoundError, did_you_mean
from hpo.store import codec
from hpo.store.database import Database, Row
from hpo.text import composed
from hpo.trial import Evaluation, Job, Outcome, Proposal, State, Trial

# Trials with a value to compare, those that are trained further included; the condition of index trials_by_value.
_RANKED = "trials INDEXED BY trials_by_value WHERE study = ? AND value_kind = 'finite' AND state <> 'failed'"
_MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class StudyRow:
    """A study as stored, without its trials."""

    id: int
    name: str
    spec: dict[str, Any]
    trials: int | None
    enqueued: int
    source: str | None
    test_data: str | None
    created_ms: int
    owner_host: str | None
    owner_pid: int | None


@dataclass(frozen=True)
class Use:
    """One use of test data.

    Attributes:
        number: the trial whose configuration was tested.
        seed: of the model that was tested.
        epochs: how many it had been trained.
        data: identifies the test data.
        metrics: name to value.
    """

    number: int
    seed: int
    epochs: int
    data: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Event:
    """One step of a study's history: what was asked with its proposals, or what was told with its outcomes."""

    kind: Literal["asked", "told"]
    n: int
    proposals: tuple[Proposal, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


class Reader:
    """The half of a store that only reads.

    Where an index shortens a query it is named, INDEXED BY: without statistics SQLite takes a study for ten rows,
    and would read all of a large one.

    Args:
        db: an open database.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        self.path = db.path

    def studies(self) -> list[StudyRow]:
        """All studies, oldest first."""
        return [_study(row) for row in self.db.query("SELECT * FROM studies ORDER BY id")]

    def study(self, name: str | None = None) -> StudyRow:
        """The study called `name`; None: the latest that is no run of a comparison.

        Raises:
            NotFoundError: with the nearest known name.
        """
        latest = "WHERE id NOT IN (SELECT study FROM comparison_runs) ORDER BY id DESC LIMIT 1"
        spellings = "WHERE name IN (?, ?) ORDER BY name <> ?", (name, composed(name or ""), name)
        where, parameters = spellings if name is not None else (latest, ())
        try:
            rows = self.db.query(f"SELECT * FROM studies {where}", parameters)  # noqa: S608  (two fixed texts)
            compared = not rows and bool(self.db.query("SELECT 1 FROM comparisons WHERE name = ?", (name,)))
        except UnicodeEncodeError:  # half a surrogate pair: no name that could be stored
            rows, compared = [], False
        if rows:
            return _study(rows[0])
        if name is None:
            raise NotFoundError(f"store {self.path} has no study yet: `hpo run` makes one")
        if compared:
            raise NotFoundError(
                f"no study {name!r} in store {self.path}, it is a comparison: `hpo report` shows it, "
                "`hpo compare --name` goes on, `hpo ls --all` lists its studies"
            )
        others = "SELECT name FROM studies WHERE id NOT IN (SELECT study FROM comparison_runs)"
        names = [row["name"] for row in self.db.query(others)]
        raise NotFoundError(f"no study {name!r} in store {self.path}: {did_you_mean(name, names)}")

    def environments(self, study: int) -> list[dict[str, Any]]:
        """What each run of the study noted about its machine, in order."""
        rows = self.db.query("SELECT environment FROM runs WHERE study = ? ORDER BY run", (study,))
        return [codec.load_object(row["environment"]) for row in rows]

    def last_run_ms(self, study: int) -> int | None:
        """When the study was last driven; None: never."""
        rows = self.db.query("SELECT max(started_ms) AS ms FROM runs WHERE study = ?", (study,))
        return None if rows[0]["ms"] is None else int(rows[0]["ms"])

    def spans(self, study: int) -> dict[int, tuple[float, float]]:
        """Trial to when its first evaluation began and its last one ended, in UTC milliseconds; without those
        of which none has ended.
        """
        rows = self.db.stream(
            "SELECT number, min(ended_ms - 1000 * seconds) AS began, max(ended_ms) AS ended FROM evaluations"
            " WHERE study = ? AND ended_ms IS NOT NULL GROUP BY number",
            (study,),
        )
        return {row["number"]: (row["began"], row["ended"]) for row in rows}

    def history(self, study: int) -> Iterator[Event]:
        """The study's events in order, each with its proposals or outcomes."""
        events = self.db.query("SELECT seq, kind, n FROM events WHERE study = ? ORDER BY seq", (study,))
        # after the events, so that a running study has the trials of every event that was read
        params = {
            row["number"]: codec.load_params(row["params"])
            for row in self.db.stream("SELECT number, params FROM trials WHERE study = ?", (study,))
        }
        begun: set[int] = set()
        for event in events:
            column = event["kind"]
            rows = self.db.query(
                f"SELECT * FROM evaluations INDEXED BY evaluations_by_{column}"  # noqa: S608  (CHECKed)
                f" WHERE study = ? AND {column} = ? ORDER BY id",
                (study, event["seq"]),
            )
            if column == "told":
                outcomes = tuple(_outcome(row, params[row["number"]]) for row in rows)
                yield Event("told", event["n"], outcomes=outcomes)
                continue
            proposals = []
            for row in rows:
                number = row["number"]
                known = number in begun or event["n"] == 0  # enqueued trials have their numbers already
                begun.add(number)
                info = codec.load_object(row["info"])
                proposals.append(Proposal(params[number], row["target"], number if known else None, info))
            yield Event("asked", event["n"], proposals=tuple(proposals))

    def open_round(self, study: int, epochs: int) -> tuple[list[Job], list[Outcome]]:
        """What was asked and not told yet: the jobs still to run, and the outcomes that are there."""
        rows = self.db.query(
            "SELECT e.*, t.params, t.seed FROM evaluations e INDEXED BY evaluations_by_told"
            " JOIN trials t USING (study, number) WHERE e.study = ? AND e.told IS NULL ORDER BY e.id",
            (study,),
        )
        jobs, outcomes = [], []
        for row in rows:
            params = codec.load_params(row["params"])
            if row["state"] in (State.DONE, State.FAILED):
                outcomes.append(_outcome(row, params))
            else:
                jobs.append(
                    Job(study, row["id"], row["number"], params, row["seed"], row["start"], row["target"], epochs)
                )
        return jobs, outcomes

    def pending(self, study: int, limit: int) -> list[Trial]:
        """Enqueued trials that have not begun, in order."""
        return self._trials(
            "INDEXED BY trials_by_state WHERE study = ? AND state = 'pending' ORDER BY number LIMIT ?", (study, limit)
        )

    def charged(self, study: int) -> int:
        """Epochs spent so far."""
        rows = self.db.query("SELECT coalesce(sum(charged), 0) AS n FROM evaluations WHERE study = ?", (study,))
        return int(rows[0]["n"])

    def counts(self, study: int) -> dict[str, int]:
        """State to number of trials."""
        rows = self.db.query("SELECT state, count(*) AS n FROM trials WHERE study = ? GROUP BY state", (study,))
        return {row["state"]: row["n"] for row in rows}

    def failures(self, study: int) -> dict[str, list[int]]:
        """Reason to the numbers of the trials that failed for it, the most frequent reason first."""
        found: dict[str, list[int]] = {}
        for row in self.db.query(
            "SELECT number, reason FROM trials INDEXED BY trials_by_state WHERE study = ? AND state = 'failed'"
            " ORDER BY number",
            (study,),
        ):
            found.setdefault(row["reason"], []).append(row["number"])
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    def ranking(self, study: int, direction: str, limit: int) -> list[Trial]:
        """The best trials among those at the greatest epoch that any reached; of equals the earliest first."""
        order = "DESC" if direction == "maximize" else "ASC"
        found = self.db.query(
            f"SELECT number FROM {_RANKED} AND epochs = (SELECT max(epochs) FROM {_RANKED})"  # noqa: S608  (fixed texts)
            f" ORDER BY value {order}, number LIMIT ?",
            (study, study, limit),
        )
        return [self.trial(study, row["number"]) for row in found]

    def top(self, study: int, direction: str, limit: int) -> list[Trial]:
        """The `ranking` in which a configuration that was tried more than once has one place, its best."""
        order = "DESC" if direction == "maximize" else "ASC"
        found = self.db.query(
            "SELECT number FROM (SELECT number, value,"  # noqa: S608  (fixed texts)
            f" row_number() OVER (PARTITION BY params ORDER BY value {order}, number) AS place"
            f" FROM {_RANKED} AND epochs = (SELECT max(epochs) FROM {_RANKED}))"
            f" WHERE place = 1 ORDER BY value {order}, number LIMIT ?",
            (study, study, limit),
        )
        return [self.trial(study, row["number"]) for row in found]

    def best(self, study: int, direction: str) -> Trial | None:
        """The first of `ranking`."""
        return next(iter(self.ranking(study, direction, 1)), None)

    def trial(self, study: int, number: int) -> Trial:
        """One trial with its curve, error and info.

        Raises:
            NotFoundError: there is no such trial.
        """
        trials = self.trials(study, first=min(number, _MAX_INTEGER), limit=1)
        if not trials or trials[0].number != number:
            count = sum(self.counts(study).values())
            raise NotFoundError(
                f"no trial {number}: the study has trials 0 to {count - 1}"
                if count
                else f"no trial {number}: the study has no trials yet"
            )
        return trials[0]

    def trials(self, study: int, first: int = 0, limit: int = -1) -> list[Trial]:
        """Trials by number from `first` on, with curve, error and info."""
        trials = self._trials("WHERE study = ? AND number >= ? ORDER BY number LIMIT ?", (study, first, limit))
        if not trials:
            return []
        rows = self.db.stream(
            "SELECT number, state, target, curve, health, attempts, error, info"
            " FROM evaluations INDEXED BY evaluations_by_trial"
            " WHERE study = ? AND number BETWEEN ? AND ? ORDER BY number, id",
            (study, trials[0].number, trials[-1].number),
        )
        details: dict[int, list[Row]] = {}
        for row in rows:
            details.setdefault(row["number"], []).append(row)
        noted = self._user_attrs(study, trials[0].number, trials[-1].number)
        found = [_with_details(trial, details.get(trial.number, [])) for trial in trials]
        return [replace(trial, user_attrs=noted[trial.number]) if trial.number in noted else trial for trial in found]

    def summaries(self, study: int) -> list[Trial]:
        """All trials by number, without curve, error and info: quick to read."""
        trials = self._trials("WHERE study = ? ORDER BY number", (study,))
        rows = self.db.stream(
            "SELECT number, health FROM evaluations INDEXED BY evaluations_by_trial"
            " WHERE study = ? AND state IN ('done', 'failed') ORDER BY number, id",
            (study,),
        )
        health = {row["number"]: row["health"] for row in rows}  # the latest counts
        return [replace(trial, health=codec.load_floats(health.get(trial.number, "{}"))) for trial in trials]

    def evaluations(self, study: int) -> list[Evaluation]:
        """All evaluations in the order asked, without curves."""
        rows = self.db.stream(
            "SELECT id, number, start, target, epochs, charged, state, value, value_kind, seconds, info"
            " FROM evaluations WHERE study = ? ORDER BY id",
            (study,),
        )
        return [
            Evaluation(
                id=row["id"],
                number=row["number"],
                start=row["start"],
                target=row["target"],
                epochs=row["epochs"],
                charged=row["charged"],
                state=State(row["state"]),
                value=codec.join(row["value"], row["value_kind"]),
                seconds=row["seconds"],
                info=codec.load_object(row["info"]),
            )
            for row in rows
        ]

    def log(self, study: int, number: int) -> str:
        """What a trial printed, its evaluations one after another; empty where nothing was caught."""
        rows = self.db.query(
            "SELECT log FROM evaluations e INDEXED BY evaluations_by_trial"
            " JOIN logs l ON l.study = e.study AND l.evaluation = e.id"
            " WHERE e.study = ? AND e.number = ? ORDER BY e.id",
            (study, number),
        )
        return "".join(row["log"] for row in rows)

    def last_target(self, study: int, number: int) -> int | None:
        """The epoch that a trial's latest ended evaluation trained to; None if none has ended."""
        rows = self.db.query(
            "SELECT target FROM evaluations INDEXED BY evaluations_by_trial"
            " WHERE study = ? AND number = ? AND state IN ('done', 'failed') ORDER BY id DESC LIMIT 1",
            (study, number),
        )
        return int(rows[0]["target"]) if rows else None

    def winners(self, study: int) -> list[dict[str, Any]]:
        """What `Store.record_winner` was given, in order."""
        rows = self.db.query("SELECT winner FROM winners WHERE study = ? ORDER BY rowid", (study,))
        return [codec.load_object(row["winner"]) for row in rows]

    def uses(self, study: int) -> list[Use]:
        """Every use of test data by the study, in order."""
        rows = self.db.query(
            "SELECT number, seed, epochs, data, metrics FROM tests WHERE study = ? ORDER BY rowid", (study,)
        )
        return [Use(**(row | {"metrics": codec.load_floats(row["metrics"])})) for row in rows]

    def count_uses(self, data: str) -> int:
        """How often the test data `data` was used, by all studies of the store together."""
        return int(self.db.query("SELECT count(*) AS n FROM tests WHERE data = ?", (data,))[0]["n"])

    def _user_attrs(self, study: int, first: int, last: int) -> dict[int, dict[str, Any]]:
        """What objectives noted about trials `first` to `last`; of a name noted again the latest value."""
        found: dict[int, dict[str, Any]] = {}
        rows = self.db.query(
            "SELECT e.number, u.noted FROM user_attrs u JOIN evaluations e ON e.study = u.study AND e.id = u.evaluation"
            " WHERE u.study = ? AND e.number BETWEEN ? AND ? ORDER BY e.id",
            (study, first, last),
        )
        for row in rows:
            found.setdefault(row["number"], {}).update(codec.load_object(row["noted"]))
        return found

    def _trials(self, where: str, parameters: Sequence[Any]) -> list[Trial]:
        rows = self.db.stream(f"SELECT * FROM trials {where}", parameters)  # noqa: S608  (fixed texts)
        return [
            Trial(
                row["number"],
                codec.load_params(row["params"]),
                row["seed"],
                State(row["state"]),
                codec.join(row["value"], row["value_kind"]),
                row["epochs"],
                seconds=row["seconds"],
                reason=row["reason"],
            )
            for row in rows
        ]


def _study(row: Row) -> StudyRow:
    return StudyRow(**(row | {"spec": codec.load_object(row["spec"])}))


def _outcome(row: Row, params: Mapping[str, Any]) -> Outcome:
    return Outcome(
        row["number"],
        params,
        State(row["state"]),
        codec.join(row["value"], row["value_kind"]),
        row["epochs"],
        row["charged"],
        codec.load_curve(row["curve"]),
        row["seconds"],
        row["reason"],
        row["error"],
        row["id"],
        codec.load_floats(row["health"]),
        row["attempts"],
    )


def _with_details(trial: Trial, rows: Sequence[Row]) -> Trial:
    if not rows:
        return trial
    curve: dict[str, list[float]] = {}
    for row in rows:
        for name, values in codec.load_curve(row["curve"]).items():
            curve.setdefault(name, []).extend(values)
    target = rows[-1]["target"] if rows[-1]["state"] in (State.RUNNING, State.CANCELLED) else None
    health = next((row["health"] for row in reversed(rows) if row["state"] in (State.DONE, State.FAILED)), "{}")
    return replace(
        trial,
        curve=curve,
        target=target,
        error=rows[-1]["error"],
        info=codec.load_object(rows[0]["info"]),
        health=codec.load_floats(health),
        attempts=max(row["attempts"] for row in rows),
    )
