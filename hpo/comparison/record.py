"""How a comparison gets into the store: its row, its plan and a study for each run, in one transaction."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Final

from hpo.comparison.plan import REFERENCE_TRIALS, ComparisonPlan, TaskPlan
from hpo.driver import WAIT_OR_RENAME
from hpo.errors import LockedError
from hpo.objective import Objective
from hpo.store import Store
from hpo.store.comparisons import REFERENCE, ComparisonRow, Comparisons
from hpo.study_spec import StudySpec

_MAX_NAME: Final = 240  # characters of a study's name: one that is taken gets a number
_MAX_BEGINNING: Final = 210  # characters of a longer name that are kept


@contextlib.contextmanager
def held(store: Store, row: ComparisonRow, advice: str = WAIT_OR_RENAME) -> Iterator[None]:
    """Inside the block no other process runs the comparison, nor makes it grow.

    Args:
        store: that it is in.
        row: the comparison.
        advice: what to do if another process runs it, with a place for its number.

    Raises:
        LockedError: another process runs it.
    """
    comparisons = Comparisons(store)
    lock = comparisons.lock(row.id)
    if not lock.acquire():
        owner = comparisons.get(row.name)
        raise LockedError(
            f"comparison {row.name!r} is being run by process {owner.owner_pid} on host {owner.owner_host}: "
            + advice.format(owner.owner_pid)
        )
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def created(store: Store, name: str, plan: ComparisonPlan, *, number: bool) -> Iterator[ComparisonRow]:
    """A new comparison, `held` inside the block; with `number` a name that is taken gets one.

    Raises:
        LockedError: the name is taken.
    """
    with contextlib.ExitStack() as cleanup:
        with store.together():
            row = Comparisons(store).create(name, plan.spec_json(), plan.plan_json(), number=number)
            cleanup.enter_context(held(store, row))
            _add_runs(store, row, plan)
        yield row


def grow(store: Store, row: ComparisonRow, plan: ComparisonPlan) -> None:
    """Store the plan of a comparison that is `held`, and the runs that it lacks."""
    with store.together():
        Comparisons(store).grow(row.id, plan.plan_json())
        _add_runs(store, row, plan)


def _add_runs(store: Store, row: ComparisonRow, plan: ComparisonPlan) -> None:
    """A study for each run that has none."""
    there = {(run.task, run.searcher, run.nth) for run in Comparisons(store).runs(row.id)}
    for task in plan.tasks.values():
        if (task.name, REFERENCE, 0) not in there:
            spec = task.reference_spec(plan.seed)
            _add_run(store, row, task, REFERENCE, 0, spec, task.objective, REFERENCE_TRIALS)
        for nth, label in itertools.product(range(plan.seeds), plan.searchers):
            if (task.name, label, nth) not in there:
                spec, objective = plan.spec(task, label, nth), plan.objective(task, nth)
                _add_run(store, row, task, label, nth, spec, objective, task.trials)


def _add_run(
    store: Store,
    row: ComparisonRow,
    task: TaskPlan,
    label: str,
    nth: int,
    spec: StudySpec,
    objective: Objective,
    trials: int,
) -> None:
    name = "/".join((row.name, task.name, *(("reference",) if label == REFERENCE else (label, str(spec.seed)))))
    study = store.create_study(
        name if len(name) <= _MAX_NAME else f"{name[:_MAX_BEGINNING]}.../{spec.seed}",
        spec.to_json(),
        trials=trials,
        source=objective.source(),
        test_data=objective.test_data(),
        if_taken="number",
    )
    Comparisons(store).add_run(row.id, task.name, label, nth, study.id)
