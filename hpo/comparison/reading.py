"""The results of a comparison, as they are stored."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from hpo.comparison.plan import REFERENCE_TRIALS, ComparisonPlan, TaskPlan, going_on
from hpo.comparison.results import Results, Run, Task
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
        name=comparison.name,
        tasks=tasks,
        searchers=tuple(plan.searchers),
        seeds=seeds,
        runs=runs,
        look=1,
        resplit=plan.resplit,
        facts=plan.facts(),
    )
    looks, seen = comparisons.looks(comparison.id), digest(found)
    return replace(found, look=looks.index(seen) + 1 if seen in looks else len(looks) + 1)


def digest(found: Results) -> str:
    """Identifies what a verdict is given on: another look at the same data finds nothing new."""
    finals = [[*key, json_float(run.final)] for key, run in sorted(found.runs.items())]
    return hashlib.sha256(canonical([finals, sorted(found.searchers), list(found.seeds)]).encode()).hexdigest()


def ended(store: Reader, study: int, budget: int) -> list[Evaluation]:
    """Evaluations of a run that ended, in the order asked, as far as its budget goes."""
    found, spent = [], 0
    for evaluation in store.evaluations(study):
        spent += evaluation.charged
        if spent > budget:
            break  # somebody went on with the study by itself
        if evaluation.state in (State.DONE, State.FAILED):
            found.append(evaluation)
    return found


def incumbents(evaluations: Iterable[Evaluation], direction: str) -> Iterator[Evaluation | None]:
    """After each evaluation that ended, that of the best trial among those at the greatest epoch; None: there is none.

    As `StoredStudy.best` would have it then: a trial that fails later is out, one that trains on is at its new epoch,
    and of equals the earliest is best.
    """
    sign = 1.0 if direction == "maximize" else -1.0
    standing: dict[int, tuple[tuple[int, float, int], Evaluation]] = {}  # trial -> (epochs, signed value, -number)
    best: tuple[tuple[int, float, int], Evaluation] | None = None
    for evaluation in evaluations:
        number, value = evaluation.number, evaluation.value
        before = standing.pop(number, None)
        if evaluation.state == State.DONE and value is not None and math.isfinite(value):
            standing[number] = now = (evaluation.epochs, sign * value, -number), evaluation
            best = now if best is None or now[0] > best[0] else best
        if before is not None and (before is best or number not in standing):
            best = max(standing.values(), key=lambda each: each[0], default=None)
        yield None if best is None else best[1]


def tested(store: Reader, study: int, incumbent: Evaluation) -> Mapping[str, float] | None:
    """What an incumbent scored on test data as it was trained in the search; None: it was not tested."""
    seed = store.trial(study, incumbent.number).seed
    for use in reversed(store.uses(study)):
        if (use.number, use.seed, use.epochs) == (incumbent.number, seed, incumbent.epochs):
            return use.metrics
    return None


def _task(store: Reader, task: TaskPlan, reference: RunRow) -> Task:
    evaluations = ended(store, reference.study, REFERENCE_TRIALS * task.trial_epochs)
    values = [evaluation.value for evaluation in evaluations if evaluation.state == State.DONE]
    return Task(
        name=task.name,
        direction=task.definition["direction"],
        metric=str(task.definition["objective"].get("metric") or "value"),
        unit=task.unit,
        budget=task.budget,
        trial_epochs=task.trial_epochs,
        reference=tuple(value for value in values if value is not None and math.isfinite(value)),
        reference_study=reference.name,
    )


def _run(store: Reader, comparisons: Comparisons, task: Task, row: RunRow, seed: int) -> Run:
    evaluations = ended(store, row.study, task.budget)
    numbers = [evaluation.number for evaluation in evaluations]
    best = list(incumbents(evaluations, task.direction))
    test = None if not best or best[-1] is None else tested(store, row.study, best[-1])
    states = {evaluation.number: evaluation.state for evaluation in evaluations}  # the latest of each trial
    last = max((evaluation.id for evaluation in evaluations), default=-1)
    return Run(
        task=task.name,
        searcher=row.searcher,
        seed=seed,
        study=row.name,
        spent=tuple(itertools.accumulate(evaluation.charged for evaluation in evaluations)),
        trials=tuple(itertools.accumulate(map(int, _first_times(numbers)))),
        incumbent=tuple(math.nan if one is None or one.value is None else one.value for one in best),
        test=test or {},
        searcher_seconds=comparisons.searcher_seconds(row.study, last + 1),
        failed=sum(state == State.FAILED for state in states.values()),
        exhausted=row.ended == "exhausted",
    )


def _first_times(numbers: Iterable[int]) -> Iterator[bool]:
    """Whether each number was not there before."""
    seen: set[int] = set()
    for number in numbers:
        yield number not in seen
        seen.add(number)
