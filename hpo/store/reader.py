"""How studies are read back from a store."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hpo.errors import NotFoundError, did_you_mean
from hpo.store import codec
from hpo.store.damage import AlteredError, blaming_the_store
from hpo.store.database import Database
from hpo.store.rows import Event, Row, StudyRow, Use, evaluation_of, outcome_of, study_of, trial_of, with_details
from hpo.text import composed
from hpo.trial import Evaluation, Job, Outcome, Proposal, State, Trial

__all__ = ["Event", "Reader", "StudyRow", "Use"]

# Trials with a value to compare, those that are trained further included; the condition of index trials_by_value.
_RANKED = "trials INDEXED BY trials_by_value WHERE study = ? AND value_kind = 'finite' AND state <> 'failed'"
_MAX_INTEGER = 2**63 - 1
PAGE = 5_000  # rows read at a time: while a query runs no writer can commit


@blaming_the_store
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
        return [study_of(row) for row in self.db.query("SELECT * FROM studies WHERE name <> '' ORDER BY id")]

    def study(self, name: str | None = None) -> StudyRow:
        """The study called `name`; None: the latest that is no run of a comparison.

        Raises:
            NotFoundError: with the nearest known name.
        """
        latest = "WHERE name <> '' AND id NOT IN (SELECT study FROM comparison_runs) ORDER BY id DESC LIMIT 1"
        spellings = "WHERE name IN (?, ?) AND name <> '' ORDER BY name <> ?", (name, composed(name or ""), name)
        where, parameters = spellings if name is not None else (latest, ())
        try:
            rows = self.db.query(f"SELECT * FROM studies {where}", parameters)  # noqa: S608  (two fixed texts)
            compared = not rows and bool(self.db.query("SELECT 1 FROM comparisons WHERE name = ?", (name,)))
        except UnicodeEncodeError:  # half a surrogate pair: no name that could be stored
            rows, compared = [], False
        if rows:
            return study_of(rows[0])
        if name is None:
            raise NotFoundError(f"store {self.path} has no study yet: `hpo run` makes one")
        if compared:
            raise NotFoundError(
                f"no study {name!r} in store {self.path}, it is a comparison: `hpo report` shows it, "
                "`hpo compare --name` goes on, `hpo ls --all` lists its studies"
            )
        others = "SELECT name FROM studies WHERE name <> '' AND id NOT IN (SELECT study FROM comparison_runs)"
        names = [row["name"] for row in self.db.query(others)]
        raise NotFoundError(f"no study {name!r} in store {self.path}: {did_you_mean(name, names)}")

    def environments(self, study: int) -> list[dict[str, Any]]:
        """What each run of the study noted about its machine, in order."""
        rows = self.db.query("SELECT environment FROM runs WHERE study = ? ORDER BY run", (study,))
        return [codec.load(row["environment"]) for row in rows]

    def last_run_ms(self, study: int) -> int | None:
        """When the study was last driven; None: never."""
        rows = self.db.query("SELECT started_ms FROM runs WHERE study = ? ORDER BY run DESC LIMIT 1", (study,))
        return int(rows[0]["started_ms"]) if rows else None

    def spans(self, study: int) -> dict[int, tuple[float, float]]:
        """Trial to when its first evaluation began and its last one ended, in UTC milliseconds; without those
        of which none has ended.
        """
        found: dict[int, tuple[float, float]] = {}
        while rows := self.db.query(
            "SELECT number, min(ended_ms - 1000 * seconds) AS began, max(ended_ms) AS ended"
            " FROM evaluations INDEXED BY evaluations_by_trial"
            " WHERE study = ? AND number > ? AND ended_ms IS NOT NULL GROUP BY number ORDER BY number LIMIT ?",
            (study, max(found, default=-1), PAGE),
        ):
            found |= {row["number"]: (row["began"], row["ended"]) for row in rows}
        return found

    def history(self, study: int) -> Iterator[Event]:
        """The study's events in order, each with its proposals or outcomes."""
        events = self.db.query("SELECT seq, kind, n FROM events WHERE study = ? ORDER BY seq", (study,))
        # after the events, so that a running study has the trials of every event that was read
        params = {trial.number: trial.params for page in self._pages(study) for trial in page}
        begun: set[int] = set()
        for event in events:
            column = event["kind"]
            if column not in ("asked", "told"):  # it becomes a part of the query: no file may say what that is
                raise AlteredError(f"an event of kind {column!r}")
            rows = self.db.query(
                f"SELECT * FROM evaluations INDEXED BY evaluations_by_{column}"  # noqa: S608  (one of two)
                f" WHERE study = ? AND {column} = ? ORDER BY id",
                (study, event["seq"]),
            )
            if column == "told":
                outcomes = tuple(outcome_of(row, params[row["number"]]) for row in rows)
                yield Event("told", event["n"], outcomes=outcomes)
                continue
            proposals = []
            for row in rows:
                number = row["number"]
                known = number in begun or event["n"] == 0  # enqueued trials have their numbers already
                begun.add(number)
                info = codec.load(row["info"])
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
                outcomes.append(outcome_of(row, params))
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
        return [trial for page in self._pages(study, first, limit) for trial in self._detailed(study, page)]

    def _detailed(self, study: int, trials: Sequence[Trial]) -> list[Trial]:
        """Trials of successive numbers with curve, error and info."""
        span = (study, trials[0].number, trials[-1].number)
        rows = self.db.query(
            "SELECT number, state, target, curve, health, attempts, error, info"
            " FROM evaluations INDEXED BY evaluations_by_trial"
            " WHERE study = ? AND number BETWEEN ? AND ? ORDER BY number, id",
            span,
        )
        details: dict[int, list[Row]] = {}
        for row in rows:
            details.setdefault(row["number"], []).append(row)
        noted = self._user_attrs(*span)
        found = [with_details(trial, details.get(trial.number, [])) for trial in trials]
        return [replace(trial, user_attrs=noted[trial.number]) if trial.number in noted else trial for trial in found]

    def summaries(self, study: int, first: int = 0) -> list[Trial]:
        """All trials by number from `first` on, without curve, error and info: quick to read."""
        found: list[Trial] = []
        for page in self._pages(study, first):
            rows = self.db.query(
                "SELECT number, health FROM evaluations INDEXED BY evaluations_by_trial"
                " WHERE study = ? AND number BETWEEN ? AND ? AND state IN ('done', 'failed') ORDER BY number, id",
                (study, page[0].number, page[-1].number),
            )
            health = {row["number"]: row["health"] for row in rows}  # the latest counts
            found += [replace(trial, health=codec.load_floats(health.get(trial.number, "{}"))) for trial in page]
        return found

    def evaluations(self, study: int) -> list[Evaluation]:
        """All evaluations in the order asked, without curves."""
        found: list[Evaluation] = []
        while rows := self.db.query(
            "SELECT id, number, start, target, epochs, charged, state, value, value_kind, seconds, info"
            " FROM evaluations WHERE study = ? AND id > ? ORDER BY id LIMIT ?",
            (study, found[-1].id if found else -1, PAGE),
        ):
            found += map(evaluation_of, rows)
        return found

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
        return [codec.load(row["winner"]) for row in rows]

    def uses(self, study: int) -> list[Use]:
        """Every use of test data by the study, in order."""
        rows = self.db.query(
            "SELECT number, seed, epochs, data, metrics FROM tests WHERE study = ? ORDER BY rowid", (study,)
        )
        return [Use(**(row | {"metrics": codec.load_floats(row["metrics"])})) for row in rows]

    def count_uses(self, data: str) -> int:
        """How often the test data `data` was used, by all studies of the store together.

        A study that was imported beside itself, or again after it was removed, brings uses that are counted already.
        """
        sql = (
            "SELECT count(*) AS n FROM (SELECT DISTINCT number, seed, epochs, metrics, at_ms FROM tests WHERE data = ?)"
        )
        return int(self.db.query(sql, (data,))[0]["n"])

    def _user_attrs(self, study: int, first: int, last: int) -> dict[int, dict[str, Any]]:
        """What objectives noted about trials `first` to `last`; of a name noted again the latest value."""
        found: dict[int, dict[str, Any]] = {}
        rows = self.db.query(
            "SELECT e.number, u.noted FROM user_attrs u JOIN evaluations e ON e.study = u.study AND e.id = u.evaluation"
            " WHERE u.study = ? AND e.number BETWEEN ? AND ? ORDER BY e.id",
            (study, first, last),
        )
        for row in rows:
            found.setdefault(row["number"], {}).update(codec.load(row["noted"]))
        return found

    def _pages(self, study: int, first: int = 0, limit: int = -1) -> Iterator[list[Trial]]:
        """Trials by number from `first` on, up to `PAGE` at a time; between two pages nobody waits for this reader."""
        while limit:
            size = PAGE if limit < 0 else min(limit, PAGE)
            page = self._trials("WHERE study = ? AND number >= ? ORDER BY number LIMIT ?", (study, first, size))
            if page:
                yield page
            if len(page) < size:
                return
            first, limit = page[-1].number + 1, limit - size if limit > 0 else limit

    def _trials(self, where: str, parameters: Sequence[Any]) -> list[Trial]:
        rows = self.db.query(f"SELECT * FROM trials {where}", parameters)  # noqa: S608  (fixed texts)
        return [trial_of(row) for row in rows]
