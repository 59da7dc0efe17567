"""The results of a comparison, as they are stored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from hpo.comparison.plan import ComparisonPlan, TaskPlan, going_on
from hpo.comparison.results import Results, Run, Task
from hpo.comparison.run import tested, unit_of
from hpo.errors import NoResultError
from hpo.store.codec import json_float
from hpo.store.comparisons import REFERENCE, ComparisonRow, Comparisons, RunRow
from hpo.store.reader import Reader
from hpo.trial import Evaluation, State
from hpo.values import canonical


def results(store: Reader, comparison: ComparisonRow) -> Results:
    """All runs of a comparison that is complete.

    Raises:
        NoResultError: it is not; says how far it is.
    """
    comparisons, plan = Comparisons(store), ComparisonPlan.stored(comparison.spec, comparison.plan)
    rows = {(run.task, run.searcher, run.nth): run for run in comparisons.runs(comparison.id)}
    done = sum(run.ended is not None for run in rows.values() if run.searcher != REFERENCE)
    expected = len(plan.tasks) * len(plan.searchers) * plan.seeds
    if done < expected or not expected:
        raise NoResultError(
            f"comparison {comparison.name!r} is not complete: {done} of {expected} runs have ended; "
            f"{going_on(comparison.name, store.path)} goes on"
        )
    tasks = tuple(_task(store, task, rows[name, REFERENCE, 0]) for name, task in plan.tasks.items())
    seeds = tuple(range(plan.seed, plan.seed + plan.seeds))
    runs = {
        (task.name, label, seed): _run(store, comparisons, task, rows[task.name, label, nth], seed)
        for task in tasks
        for label in plan.searchers
        for nth, seed in enumerate(seeds)
    }
    found = Results(
        comparison.name, tasks, tuple(plan.searchers), seeds, runs, look=1, resplit=plan.resplit, facts=plan.facts()
    )
    looks, seen = comparisons.looks(comparison.id), digest(found)
    return replace(found, look=looks.index(seen) + 1 if seen in looks else len(looks) + 1)


def digest(found: Results) -> str:
    """Identifies what a verdict is given on: another look at the same data finds nothing new."""
    finals = [[*key, json_float(run.final)] for key, run in sorted(found.runs.items())]
    return hashlib.sha256(canonical([finals, sorted(found.searchers), list(found.seeds)]).encode()).hexdigest()


def incumbents(evaluations: Iterable[Evaluation], direction: str) -> Iterator[float]:
    """After each evaluation that ended, the value of the best trial among those at the greatest epoch; NaN: none.

    As `StoredStudy.best` would have it then: a trial that fails later is out, one that trains on is at its new epoch.
    """
    sign = 1.0 if direction == "maximize" else -1.0
    standing: dict[int, tuple[int, float]] = {}  # trial -> (epochs, signed value)
    best: tuple[int, float] | None = None
    for evaluation in evaluations:
        before = standing.pop(evaluation.number, None)
        value = evaluation.value
        if evaluation.state == State.DONE and value is not None and math.isfinite(value):
            standing[evaluation.number] = now = (evaluation.epochs, sign * value)
            best = now if best is None else max(best, now)
        if before is not None and (before == best or evaluation.number not in standing):
            best = max(standing.values(), default=None)
        yield math.nan if best is None else sign * best[1]


def _task(store: Reader, task: TaskPlan, reference: RunRow) -> Task:
    values = [trial.value for trial in store.summaries(reference.study) if trial.state == State.DONE]
    return Task(
        task.name,
        task.definition["direction"],
        str(task.definition["objective"].get("metric") or "value"),
        unit_of(task),
        task.trials * task.trial_epochs,
        task.trial_epochs,
        tuple(value for value in values if value is not None and math.isfinite(value)),
        reference.name,
    )


def _run(store: Reader, comparisons: Comparisons, task: Task, row: RunRow, seed: int) -> Run:
    spent: list[int] = []
    begun: set[int] = set()
    trials: list[int] = []
    ended: list[Evaluation] = []
    for evaluation in store.evaluations(row.study):
        total = (spent[-1] if spent else 0) + evaluation.charged
        if evaluation.state not in (State.DONE, State.FAILED) or total > task.budget:
            continue  # beyond the budget: somebody went on with the study by itself
        begun.add(evaluation.number)
        spent.append(total)
        trials.append(len(begun))
        ended.append(evaluation)
    best = store.best(row.study, task.direction)
    test = None if best is None else tested(store, row.study, best.number, best.epochs)
    return Run(
        task.name,
        row.searcher,
        seed,
        row.name,
        tuple(spent),
        tuple(trials),
        tuple(incumbents(ended, task.direction)),
        test or {},
        comparisons.searcher_seconds(row.study),
        store.counts(row.study).get(State.FAILED, 0),
        row.ended == "exhausted",
    )
