"""How a comparison is run: reference trials, then all searchers with all seeds in lockstep, then the test data."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hpo.comparison.plan import REFERENCE_TRIALS, ComparisonPlan, TaskPlan, going_on
from hpo.comparison.progress import Board
from hpo.driver import Driver
from hpo.environment import environment
from hpo.errors import Interrupt, LockedError
from hpo.execution import Execution
from hpo.executors.choose import make_executor
from hpo.loop import Ending, run
from hpo.objective import Objective
from hpo.signals import SIGINT_EXIT, Stop, ending_by_signal
from hpo.store import Store
from hpo.store.comparisons import REFERENCE, ComparisonRow, Comparisons, RunRow
from hpo.store.reader import Reader, Use
from hpo.study_spec import StudySpec
from hpo.text import duration
from hpo.trial import Job

WAVE: Final = 200  # studies that are under way at once: each holds a file open, its lock
TESTED_AT_ONCE: Final = 64  # between two looks at whether the user wants to stop
_MAX_NAME: Final = 240  # characters of a study's name: one that is taken gets a number


@dataclass
class Conductor:
    """Runs one comparison.

    Attributes:
        store: opened for writing.
        row: the comparison.
        plan: all of it, what is stored included.
        execution: how trials are run, its cluster connected.
        timeout: seconds of wall clock; None: any.
        board: what is shown.
    """

    store: Store
    row: ComparisonRow
    plan: ComparisonPlan
    execution: Execution
    timeout: float | None
    board: Board
    _rates: dict[str, float] = field(default_factory=dict)  # task to seconds of a full training

    def __post_init__(self) -> None:
        self.comparisons = Comparisons(self.store)
        self._deadline = None if self.timeout is None else time.monotonic() + self.timeout

    def run(self) -> bool:
        """Run what is missing; whether everything is there in the end.

        Raises:
            LockedError: another process runs the comparison, or drives one of its studies.
            KeyboardInterrupt: after Ctrl-C, with everything saved; SystemExit(143) after SIGTERM.
        """
        with self._locked(), ending_by_signal(self.board.note) as stop, contextlib.ExitStack() as cleanup:
            cleanup.callback(self.store.close)
            cleanup.callback(self.board.close)
            self._create()
            goes_on = going_on(self.row.name, self.store.path)
            try:
                ending = self._all(stop)
            except BaseException:
                self.board.stopped()
                self.board.note(f"comparison {self.row.name}: all results are saved; {goes_on} goes on")
                raise
            if ending is not Ending.COMPLETE:
                how = "time is up" if ending is Ending.TIMEOUT else "stopped, all results are saved"
                self.board.stopped()
                self.board.note(f"comparison {self.row.name}: {how}; {goes_on} goes on")
            if ending is Ending.STOPPED:
                raise Interrupt(SIGINT_EXIT)
            return ending is Ending.COMPLETE

    # -- what is there

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.comparisons.lock(self.row.id)
        if not lock.acquire():
            owner = self.comparisons.get(self.row.name)
            raise LockedError(
                f"comparison {self.row.name!r} is being run by process {owner.owner_pid} on host {owner.owner_host}: "
                "wait for it to end, or use another name"
            )
        try:
            yield
        finally:
            lock.release()

    def _create(self) -> None:
        """Store the plan, and a study for each run that has none."""
        there = {(run.task, run.searcher, run.nth) for run in self.comparisons.runs(self.row.id)}
        with self.store.together():
            self.comparisons.grow(self.row.id, self.plan.plan_json())
            for task in self.plan.tasks.values():
                if (task.name, REFERENCE, 0) not in there:
                    spec = task.reference_spec(self.plan.seed)
                    self._create_study(task, REFERENCE, 0, spec, task.objective, REFERENCE_TRIALS)
                for nth, label in itertools.product(range(self.plan.seeds), self.plan.searchers):
                    if (task.name, label, nth) not in there:
                        objective = self.plan.objective(task, nth)
                        spec = self.plan.spec(task, label, nth)
                        self._create_study(task, label, nth, spec, objective, task.trials)

    def _create_study(
        self, task: TaskPlan, label: str, nth: int, spec: StudySpec, objective: Objective, trials: int
    ) -> None:
        parts = (self.row.name, task.name, *((label, str(spec.seed)) if label else ("reference",)))
        name = "/".join(parts)
        row = self.store.create_study(
            name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 30]}.../{spec.seed}",
            spec.to_json(),
            trials=trials,
            source=objective.source(),
            test_data=objective.test_data(),
            if_taken="number",
        )
        self.comparisons.add_run(self.row.id, task.name, label, nth, row.id)

    def _missing(self, task: TaskPlan, *, reference: bool) -> list[RunRow]:
        """Runs of a task that have not ended, seed by seed."""
        found = [
            run
            for run in self.comparisons.runs(self.row.id)
            if run.task == task.name and (run.searcher == REFERENCE) == reference and run.ended is None
        ]
        return sorted(found, key=lambda run: run.nth)

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
        label = f"reference ({REFERENCE_TRIALS} random trials)"
        total = REFERENCE_TRIALS * task.trial_epochs
        self.board.begin_task(task.name, unit_of(task), {label: (self.store.charged(missing[0].study), total)})
        began, before = time.monotonic(), self.store.charged(missing[0].study)
        ending = self._wave(task, missing, task.objective, stop, {missing[0].study: label})
        trained = (self.store.charged(missing[0].study) - before) / task.trial_epochs
        if trained > 0:
            self._rates[task.name] = (time.monotonic() - began) / trained
        return ending

    def _search(self, task: TaskPlan, stop: Stop) -> Ending:
        missing = self._missing(task, reference=False)
        if not missing:
            return Ending.COMPLETE
        runs = [r for r in self.comparisons.runs(self.row.id) if r.task == task.name and r.searcher != REFERENCE]
        budget, totals = task.trials * task.trial_epochs, dict[str, tuple[int, int]]()
        for found in runs:
            spent, total = totals.get(found.searcher, (0, 0))
            done = budget if found.ended is not None else self.store.charged(found.study)
            totals[found.searcher] = spent + done, total + budget
        self.board.begin_task(task.name, unit_of(task), {label: totals[label] for label in self.plan.searchers})
        objective = task.objective
        if self.plan.resplit:
            objective = objective.routed({found.study: self.plan.objective(task, found.nth) for found in missing})
        for first in range(0, len(missing), WAVE):
            wave = missing[first : first + WAVE]
            ending = self._wave(task, wave, objective, stop, {found.study: found.searcher for found in wave})
            if ending is not Ending.COMPLETE:
                return ending
        return Ending.COMPLETE

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
            ending = run(together, executor, self.board, stop, left)
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
        objective = task.objective
        nths = {found.study: found.nth for found in self.comparisons.runs(self.row.id)}
        if self.plan.resplit:
            objective = objective.routed({job.study: self.plan.objective(task, nths[job.study]) for job in jobs})
        self.board.close()
        for first in range(0, len(jobs), TESTED_AT_ONCE):
            if stop.requested:
                return Ending.STOPPED
            if self._deadline is not None and time.monotonic() >= self._deadline:
                return Ending.TIMEOUT
            some = jobs[first : first + TESTED_AT_ONCE]
            scores = objective.test_all(some)
            with self.store.together():
                for job, score in zip(some, scores, strict=True):
                    data = self.plan.objective(task, nths[job.study]).test_data()
                    if score is not None and data is not None:
                        self.store.record_use(job.study, Use(job.number, job.seed, job.target, data, score.metrics))
            self.board.note(f"{task.name}: {first + len(some)}/{len(jobs)} incumbents met the test data")
        return Ending.COMPLETE

    def _untested(self, task: TaskPlan) -> list[Job]:
        found: list[Job] = []
        for known in self.comparisons.runs(self.row.id):
            if known.task != task.name or known.searcher == REFERENCE:
                continue
            if self.store.study(known.name).test_data is None:
                return []
            best = self.store.best(known.study, task.definition["direction"])
            if best is None or tested(self.store, known.study, best.number, best.epochs) is not None:
                continue
            job = Job(known.study, len(found), best.number, best.params, best.seed, 0, best.epochs, task.trial_epochs)
            found.append(job)
        return found

    # -- words

    def _estimate(self) -> None:
        """Say how long it will take, from what the reference trials took."""
        seconds, trainings, epochs = 0.0, 0, False
        for task in self.plan.tasks.values():
            missing = self._missing(task, reference=False)
            spent = sum(self.store.charged(found.study) for found in missing)
            left = len(missing) * task.trials - spent // task.trial_epochs
            epochs = epochs or task.epochs is not None
            trainings += left
            if left:
                seconds += left * self._rate(task)
        if not trainings:
            return
        what = "full trainings" if epochs else "trials"
        tasks = f"{len(self.plan.tasks)} tasks x " if len(self.plan.tasks) > 1 else ""
        self.board.note(
            f"comparison {self.row.name}: about {duration(round(seconds, 1))} for {trainings:,} {what}: {tasks}"
            f"{len(self.plan.searchers)} searchers x {self.plan.seeds} seeds; store {self.store.path}"
        )

    def _rate(self, task: TaskPlan) -> float:
        """Seconds of a full training: of this process's reference trials, else of those that were stored."""
        if task.name not in self._rates:
            [found] = [r for r in self.comparisons.runs(self.row.id) if (r.task, r.searcher) == (task.name, REFERENCE)]
            spans = self.store.spans(found.study).values()
            took = (max(end for _, end in spans) - min(begin for begin, _ in spans)) / 1000 if spans else 0.0
            self._rates[task.name] = took / REFERENCE_TRIALS
        return self._rates[task.name]


def unit_of(task: TaskPlan) -> str:
    """What runs of a task spend."""
    return "trials" if task.epochs is None else "epochs"


def tested(store: Reader, study: int, number: int, epochs: int) -> Mapping[str, float] | None:
    """What a trial scored on test data as it was trained in the search; None: it was not tested."""
    seed = store.trial(study, number).seed
    for use in reversed(store.uses(study)):
        if (use.number, use.seed, use.epochs) == (number, seed, epochs):
            return use.metrics
    return None
