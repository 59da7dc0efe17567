"""How a comparison is run: reference trials, then all searchers with all seeds in lockstep, then the test data."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hpo.comparison.estimate import no_claim, rough, size
from hpo.comparison.plan import REFERENCE_TRIALS, ComparisonPlan, TaskPlan, going_on
from hpo.comparison.progress import Board
from hpo.comparison.reading import ended, incumbents, tested
from hpo.driver import Driver
from hpo.environment import environment
from hpo.errors import DataError, Interrupt, LockedError, NoPermissionError, StorageError
from hpo.execution import Execution
from hpo.executors.choose import make_executor
from hpo.failure_limit import FailureLimit, FailureWatch, too_many_failures
from hpo.loop import Ending, run
from hpo.objective import Objective
from hpo.searcher import SearcherError
from hpo.signals import SIGINT_EXIT, Stop, ending_by_signal
from hpo.store import Store
from hpo.store.comparisons import REFERENCE, ComparisonRow, Comparisons, RunRow
from hpo.store.reader import Use
from hpo.stored_study import StoredStudy
from hpo.text import counted
from hpo.trial import Job, State

WAVE: Final = 200  # studies that are under way at once: each holds a file open, its lock
TESTED_AT_ONCE: Final = 128  # between two looks at whether the user wants to stop


@dataclass
class Conductor:
    """Runs one comparison, which this process holds.

    Attributes:
        store: opened for writing.
        row: the comparison, with all its runs.
        plan: all of it, what is stored included.
        execution: how trials are run, its cluster connected.
        timeout: seconds of wall clock; None: any.
        board: what is shown.
        max_failures: of one run, see `hpo.failure_limit`; None: any number.
    """

    store: Store
    row: ComparisonRow
    plan: ComparisonPlan
    execution: Execution
    timeout: float | None
    board: Board
    max_failures: FailureLimit | None = None
    _rates: dict[str, float] = field(default_factory=dict)  # task to seconds of a full training

    def __post_init__(self) -> None:
        self.comparisons = Comparisons(self.store)
        self._deadline = None if self.timeout is None else time.monotonic() + self.timeout

    def run(self) -> bool:
        """Run what has not ended; whether everything has in the end.

        Raises:
            LockedError: another process drives one of its studies.
            KeyboardInterrupt: after Ctrl-C, with everything saved; SystemExit(143) after SIGTERM.
        """
        with ending_by_signal(self.board.note) as stop, contextlib.closing(self.board):
            goes_on = going_on(self.row.name, self.store.path)
            try:
                ending = self._all(stop)
                if ending is Ending.STOPPED:
                    raise Interrupt(SIGINT_EXIT)
            except BaseException as error:
                self.board.stopped()
                stored = not isinstance(error, (StorageError, NoPermissionError, DataError, LockedError))
                saved = ", all results are saved" if stored else ""
                self.board.note(f"comparison {self.row.name}: stopped{saved}; {goes_on} goes on")
                if isinstance(error, SearcherError):
                    raise SearcherError(f"{error}, or use another name and leave the searcher out") from error
                raise
            if ending is Ending.TIMEOUT:  # the results say that they are not complete, and what goes on
                self.board.stopped()
            return ending is Ending.COMPLETE

    # -- what is there

    def _runs(self, task: TaskPlan, *, reference: bool) -> list[RunRow]:
        """Runs of a task, seed by seed."""
        found = [
            run
            for run in self.comparisons.runs(self.row.id)
            if run.task == task.name and (run.searcher == REFERENCE) == reference
        ]
        return sorted(found, key=lambda run: run.nth)

    def _missing(self, task: TaskPlan, *, reference: bool) -> list[RunRow]:
        """Those of the runs that have not ended."""
        return [run for run in self._runs(task, reference=reference) if run.ended is None]

    def _failed(self, runs: Sequence[RunRow]) -> int:
        """Trials that failed in some runs."""
        return sum(self.store.counts(run.study).get(State.FAILED, 0) for run in runs)

    # -- running

    def _all(self, stop: Stop) -> Ending:
        for task in self.plan.tasks.values():
            ending = self._reference(task, stop)
            if ending is not Ending.COMPLETE:
                return ending
        self._estimate()
        for task in self.plan.tasks.values():
            ending = self._search(task, stop)
            if ending is not Ending.COMPLETE:
                return ending
        for task in self.plan.tasks.values():
            ending = self._test(task, stop)
            if ending is not Ending.COMPLETE:
                return ending
        return Ending.COMPLETE

    def _reference(self, task: TaskPlan, stop: Stop) -> Ending:
        """Train the random trials that give the scale, and see how long they take."""
        missing = self._missing(task, reference=True)
        if not missing:
            return Ending.COMPLETE
        label, [found] = f"reference ({REFERENCE_TRIALS} random trials)", missing
        totals = {label: (self.store.charged(found.study), REFERENCE_TRIALS * task.trial_epochs)}
        self.board.begin_task(task.name, task.unit, totals, self._failed(missing))
        ending = self._wave(task, missing, task.objective, stop, {found.study: label})
        if (pace := self.board.pace) is not None:
            self._rates[task.name] = pace * task.trial_epochs
        return ending

    def _search(self, task: TaskPlan, stop: Stop) -> Ending:
        missing = self._missing(task, reference=False)
        if not missing:
            return Ending.COMPLETE
        runs, totals = self._runs(task, reference=False), dict[str, tuple[int, int]]()
        for found in runs:
            spent, total = totals.get(found.searcher, (0, 0))
            done = task.budget if found.ended is not None else self.store.charged(found.study)
            totals[found.searcher] = spent + done, total + task.budget
        totals = {label: totals[label] for label in self.plan.searchers}
        self.board.begin_task(task.name, task.unit, totals, self._failed(runs))
        for objective, some in self._companies(task, missing, WAVE):
            ending = self._wave(task, some, objective, stop, {found.study: found.searcher for found in some})
            if ending is not Ending.COMPLETE:
                return ending
        return Ending.COMPLETE

    def _companies(
        self, task: TaskPlan, runs: Sequence[RunRow], most: int
    ) -> Iterator[tuple[Objective, Sequence[RunRow]]]:
        """Runs that can train together, at most so many at a time, each time with what trains them."""
        together: list[tuple[Objective, Sequence[RunRow]]] = [(task.objective, runs)]
        if self.plan.resplit:
            splits = {found.study: self.plan.objective(task, found.nth) for found in runs}
            if (joined := task.objective.routed(splits)) is not None:
                together = [(joined, runs)]
            else:
                by_split = itertools.groupby(runs, key=lambda found: found.nth)
                together = [(self.plan.objective(task, nth), list(group)) for nth, group in by_split]
        for objective, some in together:
            for first in range(0, len(some), most):
                yield objective, some[first : first + most]

    def _wave(
        self, task: TaskPlan, runs: Sequence[RunRow], objective: Objective, stop: Stop, labels: Mapping[int, str]
    ) -> Ending:
        """Drive some runs of a task to their ends, together."""
        left = None if self._deadline is None else self._deadline - time.monotonic()
        if left is not None and left <= 0:
            return Ending.TIMEOUT
        with contextlib.ExitStack() as cleanup:
            drivers: dict[str, list[Driver]] = {}
            device = objective.numerics()
            surroundings = environment(device)
            with self.store.together():
                for found in runs:
                    driver = Driver(
                        self.store,
                        self.store.study(found.name),
                        trials=REFERENCE_TRIALS if found.searcher == REFERENCE else task.trials,
                        restarts=task.objective.restarts,
                        device=device,
                        execution=self.execution,
                        surroundings=surroundings,
                    )
                    cleanup.callback(driver.close)
                    drivers.setdefault(labels[found.study], []).append(driver)
            executor = make_executor(objective, replace(self.execution, files=self.store.files))
            cleanup.callback(executor.close)
            self.board.follow(drivers)
            together = [driver for its in itertools.zip_longest(*drivers.values()) for driver in its if driver]
            watch = None if self.max_failures is None else FailureWatch(self.board, self.max_failures, stop)
            if watch is not None:  # there may have been too many before
                for driver in together:
                    watch.judge(driver)
            ending = Ending.STOPPED if stop.requested else run(together, executor, watch or self.board, stop, left)
            if self.max_failures is not None and watch is not None and watch.exceeded is not None:
                study = StoredStudy(self.store, self.store.study(watch.exceeded))
                raise too_many_failures(study, self.max_failures, self.row.name)
            if ending is Ending.COMPLETE:
                self.comparisons.end_runs(
                    {
                        driver.study: "exhausted"
                        if driver.searcher.exhausted and driver.charged < (driver.budget or 0)
                        else "complete"
                        for driver in together
                    }
                )
        return ending

    def _test(self, task: TaskPlan, stop: Stop) -> Ending:
        """Test the incumbents of the task as they were trained, those that were not tested before."""
        if not (jobs := self._untested(task)):
            return Ending.COMPLETE
        by_study, done = {job.study: job for job in jobs}, 0
        runs = [found for found in self._runs(task, reference=False) if found.study in by_study]
        self.board.close()
        for objective, some in self._companies(task, runs, TESTED_AT_ONCE):
            if stop.requested:
                return Ending.STOPPED
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return Ending.TIMEOUT
            scores = objective.test_all([by_study[found.study] for found in some])
            with self.store.together():
                for found, score in zip(some, scores, strict=True):
                    job, data = by_study[found.study], self.plan.objective(task, found.nth).test_data()
                    if score is not None and data is not None:
                        self.store.record_use(job.study, Use(job.number, job.seed, job.target, data, score.metrics))
            done += len(some)
            self.board.note(f"{task.name}: {done}/{len(jobs)} incumbents met the test data")
        return Ending.COMPLETE

    def _untested(self, task: TaskPlan) -> list[Job]:
        found: list[Job] = []
        for known in self._runs(task, reference=False):
            if self.store.study(known.name).test_data is None:
                return []
            *_, best = None, *incumbents(ended(self.store, known.study, task.budget), task.definition["direction"])
            if best is None or tested(self.store, known.study, best) is not None:
                continue
            trial = self.store.trial(known.study, best.number)
            job = Job(
                study=known.study,
                evaluation=len(found),
                number=trial.number,
                params=trial.params,
                seed=trial.seed,
                start=0,
                target=best.epochs,
                epochs=task.trial_epochs,
            )
            found.append(job)
        return found

    # -- words

    def _estimate(self) -> None:
        """Say how long it will take at most, from what the reference trials took, and whether it can show anything.

        A few trials fill the machine badly: many beside each other take less.
        """
        seconds, trainings, epochs = 0.0, 0, False
        for task in self.plan.tasks.values():
            missing = self._missing(task, reference=False)
            spent = sum(self.store.charged(found.study) for found in missing)
            left = len(missing) * task.trials - spent // task.trial_epochs
            tests = len(missing) if left and task.objective.test_data() is not None else 0
            epochs = epochs or task.epochs is not None
            trainings += left
            if left:
                seconds += (left + tests) * self._rate(task)
        if not trainings:
            return
        self.board.note(
            f"comparison {self.row.name}: at most about {rough(seconds)} for "
            f"{counted(trainings, 'full training' if epochs else 'trial')}: {size(self.plan)}; store {self.store.path}"
        )
        look = len(self.comparisons.looks(self.row.id)) + 1
        if (why := no_claim(self.plan, look)) is not None:
            self.board.note(f"comparison {self.row.name}: {why}")

    def _rate(self, task: TaskPlan) -> float:
        """Seconds of a full training: of this process's reference trials, else of those that were stored."""
        if task.name not in self._rates:
            [found] = self._runs(task, reference=True)
            spans = self.store.spans(found.study).values()
            took = (max(end for _, end in spans) - min(begin for begin, _ in spans)) / 1000 if spans else 0.0
            self._rates[task.name] = took / REFERENCE_TRIALS
        return self._rates[task.name]
