"""A store of studies: what is written, each call one transaction."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hpo import seeding
from hpo.store import codec, place
from hpo.store.database import Database
from hpo.store.lock import DriverLock
from hpo.store.reader import Reader, StudyRow, Use
from hpo.store.told import Told, insert_told
from hpo.trial import Job, Outcome, Proposal, State


def default_path() -> Path:
    """`HPO_STORE`, else `hpo.db` in the working directory."""
    return Path(os.environ.get("HPO_STORE") or "hpo.db")


def now_ms() -> int:
    """UTC in milliseconds since 1970, for display."""
    return time.time_ns() // 1_000_000


class Store(Reader):
    """An open store.

    Args:
        path: its file; None: `default_path()`.
        mode: "read" never writes; "write" needs an existing store; "create" makes it where there is none.

    Raises:
        HpoError: of the kind that says what is wrong with the file; see `hpo.errors`.
    """

    def __init__(self, path: str | Path | None = None, mode: Literal["read", "write", "create"] = "read") -> None:
        super().__init__(Database(default_path() if path is None else Path(path), mode))

    def reopened(self, mode: Literal["read", "write"]) -> "Store":
        """The same file, opened again, even if the working directory has changed; it keeps its name for messages."""
        again = Store(self.db.file, mode)
        again.path = again.db.path = self.path
        return again

    def close(self) -> None:
        """Close this thread's connection."""
        self.db.close()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Inside the block all that is written is one transaction, on the disk when the block ends."""
        with self.db.transaction():
            yield

    # -- studies

    def create_study(
        self,
        name: str,
        spec: Mapping[str, Any],
        *,
        trials: int | None,
        source: str | None,
        test_data: str | None = None,
        initial: Sequence[Mapping[str, Any]] = (),
        told: tuple[str, Sequence[Told]] | None = None,
        if_taken: Literal["return", "number"],
    ) -> StudyRow:
        """A new study with its enqueued trials and those that it is told, in one transaction.

        Args:
            name: its name.
            spec: see `hpo.study_spec.StudySpec.to_json`.
            trials: budget in full trainings.
            source: hash of the objective's source text.
            test_data: identifies the objective's test data; None: it has none.
            initial: configurations that are tried first.
            told: name of another study and trials of it that this one is told.
            if_taken: what if there is a study of this name: return that one, or append -2, -3, ... to the name.
        """
        with self.db.transaction() as db:
            taken = {row["name"] for row in db.execute("SELECT name FROM studies")}
            if name in taken and if_taken == "return":
                return self.study(name)
            if name in taken:
                name = next(free for i in range(2, len(taken) + 3) if (free := f"{name}-{i}") not in taken)
            cursor = db.execute(
                "INSERT INTO studies (name, spec, trials, enqueued, source, test_data, created_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, codec.dump(spec), trials, len(initial), source, test_data, now_ms()),
            )
            study = int(cursor.lastrowid or 0)
            self._insert_trials(db, study, 0, initial, int(spec["seed"]), State.PENDING)
            if told is not None:
                insert_told(db, study, len(initial), *told, epochs=spec["epochs"] or 1)
        return self.study(name)

    def has_study(self, name: str) -> bool:
        """Whether there is a study of this name."""
        return bool(self.db.query("SELECT 1 FROM studies WHERE name = ?", (name,)))

    def begin_run(self, study: int, trials: int | None, environment: Mapping[str, Any]) -> None:
        """Note that this process drives the study now, and that what was cancelled runs again.

        Args:
            study: the study.
            trials: budget in full trainings; None leaves it as it is.
            environment: what results may depend on.
        """
        with self.db.transaction() as db:
            db.execute(
                "UPDATE studies SET trials = coalesce(?, trials), owner_host = ?, owner_pid = ? WHERE id = ?",
                (trials, socket.gethostname(), os.getpid(), study),
            )
            db.execute(
                "INSERT INTO runs SELECT ?, count(*), ?, ? FROM runs WHERE study = ?",
                (study, now_ms(), codec.dump(environment), study),
            )
            db.execute(
                "UPDATE trials INDEXED BY trials_by_state SET state = 'running'"
                " WHERE study = ? AND state = 'cancelled'",
                (study,),
            )
            db.execute(
                "UPDATE evaluations INDEXED BY evaluations_by_told SET state = 'running'"
                " WHERE study = ? AND told IS NULL AND state = 'cancelled'",
                (study,),
            )

    def driver_lock(self, study: int) -> DriverLock:
        """The lock that the study's one driver holds."""
        return DriverLock(place.lock_file(self.db.file, "study", study))

    @property
    def files(self) -> Path:
        """Folder for what trials keep on disk, beside the store; made when the first of them needs it."""
        return place.files_folder(self.db.file).absolute()

    # -- writing: one transaction each

    def start(
        self, study: int, n: int, proposals: Sequence[Proposal], seed: int, epochs: int, thought: float = 0.0
    ) -> list[Job]:
        """Record that a searcher was asked for `n` and that `proposals` begin now; the jobs to run.

        Args:
            study: the study.
            n: how many were asked for; 0: the proposals continue enqueued trials.
            proposals: with `epochs` set; new trials get the next numbers.
            seed: the study's seed.
            epochs: the most that a trial may train.
            thought: processor seconds that the searcher took since the event before.
        """
        jobs = []
        with self.db.transaction() as db:
            seq = self._event(db, study, "asked", n, thought)
            number = _scalar(db, "SELECT coalesce(max(number), -1) + 1 FROM trials WHERE study = ?", study)
            evaluation = _scalar(db, "SELECT coalesce(max(id), -1) + 1 FROM evaluations WHERE study = ?", study)
            fresh = [proposal.params for proposal in proposals if proposal.continues is None]
            self._insert_trials(db, study, number, fresh, seed, State.RUNNING)
            for proposal in proposals:
                target = proposal.epochs or epochs
                if proposal.continues is None:
                    trial, start, number = number, 0, number + 1
                else:
                    trial = proposal.continues
                    start = _scalar(db, "SELECT epochs FROM trials WHERE study = ? AND number = ?", study, trial)
                    _set_state(db, study, trial, State.RUNNING)
                db.execute(
                    "INSERT INTO evaluations (study, id, number, asked, start, target, info, state, epochs, charged,"
                    " seconds, curve, health, attempts)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, 'running', ?, 0, 0.0, '{}', '{}', 1)",
                    (study, evaluation, trial, seq, start, target, codec.dump(proposal.info), start),
                )
                key = trial_seed(seed, trial)
                jobs.append(Job(study, evaluation, trial, proposal.params, key, start, target, epochs))
                evaluation += 1
        return jobs

    def record(
        self, study: int, outcomes: Sequence[Outcome], epochs: int, told: Sequence[int] = (), thought: float = 0.0
    ) -> None:
        """Record how evaluations ended and, once a round is complete, that its evaluations were told.

        Args:
            study: the study.
            outcomes: of evaluations that were started.
            epochs: the most that a trial may train: below it a successful trial is paused.
            told: numbers of the evaluations that the searcher is told now.
            thought: see `start`.
        """
        with self.db.transaction() as db:
            for outcome in outcomes:
                value, kind = codec.split(outcome.value)
                db.execute(
                    "UPDATE evaluations SET state = ?, epochs = ?, charged = ?, value = ?, value_kind = ?, seconds = ?,"
                    " reason = ?, error = ?, curve = ?, health = ?, attempts = ?, ended_ms = ?"
                    " WHERE study = ? AND id = ?",
                    (
                        outcome.state,
                        outcome.epochs,
                        outcome.charged,
                        value,
                        kind,
                        outcome.seconds,
                        outcome.reason,
                        codec.cut(outcome.error),
                        codec.dump_curve(outcome.curve),
                        codec.dump_floats(outcome.health),
                        outcome.attempts,
                        now_ms(),
                        study,
                        outcome.evaluation,
                    ),
                )
                if outcome.log:
                    log = (study, outcome.evaluation, codec.cut(outcome.log))
                    db.execute("INSERT INTO logs VALUES (?, ?, ?)", log)
                if outcome.user_attrs:
                    noted = (study, outcome.evaluation, codec.dump(outcome.user_attrs))
                    db.execute("INSERT INTO user_attrs VALUES (?, ?, ?)", noted)
                paused = outcome.state == State.DONE and outcome.epochs < epochs
                db.execute(
                    "UPDATE trials SET state = ?, epochs = ?, value = ?, value_kind = ?, seconds = seconds + ?,"
                    " reason = ? WHERE study = ? AND number = ?",
                    (
                        State.PAUSED if paused else outcome.state,
                        outcome.epochs,
                        value,
                        kind,
                        outcome.seconds,
                        outcome.reason,
                        study,
                        outcome.number,
                    ),
                )
            if told:
                seq = self._event(db, study, "told", len(told), thought)
                db.executemany(
                    "UPDATE evaluations SET told = ? WHERE study = ? AND id = ?",
                    [(seq, study, evaluation) for evaluation in told],
                )

    def cancel(self, study: int, jobs: Sequence[Job]) -> None:
        """Record that jobs were stopped before their end; they run again on resume.

        One that has ended stays as it is: whoever was interrupted right after the commit does not know of it.
        """
        with self.db.transaction() as db:
            for job in jobs:
                stopped = db.execute(
                    "UPDATE evaluations SET state = 'cancelled' WHERE study = ? AND id = ? AND state = 'running'",
                    (study, job.evaluation),
                )
                if stopped.rowcount:
                    _set_state(db, study, job.number, State.CANCELLED)

    def record_winner(self, study: int, winner: Mapping[str, Any], use: Use | None) -> None:
        """Record which trial won, and the use of test data that it took.

        Args:
            study: the study.
            winner: see `hpo.comparison.winner.Winner.to_json`.
            use: None: test data was not used.
        """
        with self.db.transaction() as db:
            trials = _scalar(db, "SELECT count(*) FROM trials WHERE study = ?", study)
            db.execute("INSERT INTO winners VALUES (?, ?, ?, ?)", (study, trials, codec.dump(winner), now_ms()))
            if use is not None:
                self.record_use(study, use)

    def record_use(self, study: int, use: Use) -> None:
        """Record a use of test data."""
        row = (study, use.number, use.seed, use.epochs, use.data, codec.dump_floats(use.metrics), now_ms())
        with self.db.transaction() as db:
            db.execute("INSERT INTO tests VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    # -- inner part

    def _event(self, db: Any, study: int, kind: str, n: int, thought: float) -> int:
        seq = _scalar(db, "SELECT coalesce(max(seq), -1) + 1 FROM events WHERE study = ?", study)
        db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", (study, seq, kind, n, thought))
        return seq

    def _insert_trials(
        self, db: Any, study: int, first: int, params: Sequence[Mapping[str, Any]], seed: int, state: State
    ) -> None:
        db.executemany(
            "INSERT INTO trials (study, number, params, seed, state, epochs, seconds) VALUES (?, ?, ?, ?, ?, 0, 0.0)",
            [
                (study, number, codec.dump_params(p), trial_seed(seed, number), state)
                for number, p in enumerate(params, first)
            ],
        )


def trial_seed(seed: int, number: int) -> int:
    """The seed of trial `number` in a study of seed `seed`."""
    return seeding.derive(seed, number, "trial")


def _scalar(db: Any, sql: str, *parameters: Any) -> int:
    return int(db.execute(sql, parameters).fetchone()[0])


def _set_state(db: Any, study: int, number: int, state: State) -> None:
    db.execute("UPDATE trials SET state = ? WHERE study = ? AND number = ?", (state, study, number))
