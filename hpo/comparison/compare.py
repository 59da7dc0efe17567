"""`compare`: which searcher to use, on which evidence."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpo.comparison.comparison import Comparison
from hpo.comparison.labels import check_name
from hpo.comparison.plan import MAX_NAME_PART, ComparisonPlan, TaskPlan
from hpo.comparison.progress import Board
from hpo.comparison.reading import digest
from hpo.comparison.record import created, grow, held
from hpo.comparison.request import Request, kept, planned, questions_of
from hpo.comparison.run import Conductor
from hpo.errors import ConflictError, HpoError, LoadError, UsageError
from hpo.execution import DEFAULT, Execution
from hpo.executors.choose import connected
from hpo.failure_limit import FailureLimit
from hpo.objective import Objective
from hpo.resolve import make_execution, seconds
from hpo.space import Space
from hpo.store import Store, default_path
from hpo.store.comparisons import Comparisons, RunRow
from hpo.study_file import Question


def compare(
    objective: Objective | Callable[..., Any] | str | Mapping[str, Any] | None = None,
    space: Space | Mapping[str, Any] | None = None,
    searchers: Iterable[Any] | None = None,
    *,
    seeds: int | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    direction: str | None = None,
    seed: int | None = None,
    resplit: bool | None = None,
    name: str | None = None,
    store: str | Path | None = None,
    data: Any = None,
    target: str | None = None,
    task: str | None = None,
    metric: str | None = None,
    device: str | None = None,
    workers: int | None = None,
    timeout: float | str | None = None,
    progress: bool = True,
    max_failures: int | float | str | None = None,
) -> Comparison:
    """Which searcher to use: the same tasks, budget, splits and seeds for all, all in lockstep, and what can be told.

    Every run is a study in the store, and an interrupted comparison goes on. Under the name of a comparison that is
    there only what is missing is trained: more seeds, searchers or tasks; what is left out is as it was.

    Args:
        objective: what is optimised, as in `hpo.search`; a dict of task names to objectives: several tasks.
        space: the hyperparameters; with several tasks, a dict of task names to spaces, or one for all of them. None:
            the objective's own.
        searchers: a list of texts such as "halving:eta=2", of Searcher classes and instances, and of dicts from labels
            to any of them. None: random, tpe and halving.
        seeds: how many study seeds every searcher runs with; None: 12. Fewer than 5 give curves and no test.
        trials: budget of each run in full trainings; None: 25.
        epochs: the most that one trial trains, on tasks that train in epochs; None: the objective's default.
        direction: "maximize" or "minimize"; functions need it.
        seed: the first study seed, the others follow it; None: 0.
        resplit: whether each seed has a split of the data of its own, the same for all searchers.
        name: of the comparison; None: a new one.
        store: the store's file; None: `HPO_STORE`, else `hpo.db` in the working directory.
        data: see `hpo.search`, as for target, task and metric.
        target: see there.
        task: see there.
        metric: see there.
        device: of the shared objective: "auto", "cpu", "cuda" or "mps"; None: as it comes.
        workers: see `hpo.search`.
        timeout: wall clock of this call, in seconds or as a text such as "2h".
        progress: whether to show it on stderr.
        max_failures: ends this call when more trials of one run have failed: a count such as 5, or a share of those
            that ended such as 0.5 or "50%"; None: never.

    Returns:
        The comparison; where the time was up before its end it has no verdict yet.

    Raises:
        HpoError: of the kind that says what is wrong, before the first trial: searchers that cannot run a task are
            named all at once.
        ConflictError: the name belongs to a comparison with another budget, or with another definition of a task or
            a searcher, the differences are listed; or a function's code has changed since, and is to run again.
        LockedError: another process runs the comparison.
        SearcherError: a searcher fails; names its run. What was trained is saved.
        TooManyFailuresError: more trials failed than `max_failures`; names the run. What was trained is saved.
        KeyboardInterrupt: after Ctrl-C, with everything saved; SystemExit(143) after SIGTERM.
    """
    told = {"data": data, "target": target, "task": task, "metric": metric}
    told = {setting: value for setting, value in told.items() if value is not None}
    if told and objective is not None:
        setting = next(iter(told))
        raise UsageError(f"{setting} is for the shared objective: leave it out, or leave out objective")
    tasks: dict[str, Question] | None = None
    if told:
        from hpo.resolve import DEFAULT_OBJECTIVE, objective_by_name

        tasks = questions_of(objective_by_name(DEFAULT_OBJECTIVE, told), space, direction)
    elif objective is not None or space is not None or direction is not None:
        tasks = questions_of(objective, space, direction)
    request = Request(
        tasks=tasks,
        searchers=list(searchers) if isinstance(searchers, Iterator) else searchers,
        seeds=seeds,
        trials=trials,
        epochs=epochs,
        seed=seed,
        resplit=resplit,
    )
    return run_comparison(
        request,
        name=name,
        store=store,
        device=device,
        execution=make_execution(workers),
        timeout=seconds(timeout),
        progress=progress,
        max_failures=max_failures,
    )


def run_comparison(
    request: Request,
    *,
    name: str | None,
    store: str | Path | None,
    device: str | None = None,
    execution: Execution = DEFAULT,
    timeout: float | None = None,
    progress: bool = True,
    max_failures: int | float | str | None = None,
) -> Comparison:
    """See `compare`."""
    most = FailureLimit.read(max_failures)
    if name is not None:
        check_name("comparison name", name)
    with contextlib.ExitStack() as cleanup:
        opened, board = _opened(name, store), Board(progress)
        before, runs = None, list[RunRow]()
        if opened is not None:
            cleanup.callback(opened.close)
            comparisons = Comparisons(opened)
            cleanup.enter_context(held(opened, comparisons.get(name)))
            row = comparisons.get(name)  # as it is now that nobody else makes it grow
            before, runs = ComparisonPlan.stored(row.spec, row.plan), comparisons.runs(row.id)
        plan, wrong = planned(request, before, name or "")
        missing = _missing(plan, runs)
        objectives = {task: _checked(plan.tasks[task], plan, execution, device) for task in missing}
        plan = replace(plan, tasks={**plan.tasks, **objectives})
        plan.check(list(objectives.values()), wrong)
        if opened is not None:
            _check_sources(opened, runs, plan, missing)
            if left_out := kept(request, plan):
                board.note(f"comparison {name}: what is stored is compared, too: {', '.join(left_out)}")
        where = cleanup.enter_context(connected(execution))
        if opened is not None:
            grow(opened, row, plan)
        else:
            opened = Store(store, "create")
            cleanup.callback(opened.close)
            label = name or f"compare-{'-'.join(plan.tasks)[:MAX_NAME_PART]}"
            row = cleanup.enter_context(created(opened, label, plan, number=name is None))
        complete = Conductor(opened, row, plan, where, timeout, board, most).run()
        found = Comparison(opened.reopened("read"), Comparisons(opened).get(row.name))
        if complete and found.results.testable:
            Comparisons(opened).add_look(row.id, digest(found.results))
    return found


def _opened(name: str | None, path: str | Path | None) -> Store | None:
    """The store, to be written, if it has a comparison of this name."""
    if name is None or not Path(default_path() if path is None else path).exists():
        return None
    store = Store(path)
    found = Comparisons(store).find(name)
    store.close()
    return None if found is None else store.reopened("write")


def _missing(plan: ComparisonPlan, runs: Iterable[RunRow]) -> list[str]:
    """The tasks on which something is to be run; of the others the objectives may be gone."""
    ended = {(run.task, run.searcher, run.nth) for run in runs if run.ended is not None}
    wanted = itertools.product(plan.tasks, plan.searchers, range(plan.seeds))
    return list(dict.fromkeys(run[0] for run in wanted if run not in ended))


def _checked(task: TaskPlan, plan: ComparisonPlan, execution: Execution, device: str | None) -> TaskPlan:
    """The task with the objective as it will run.

    Raises:
        HpoError: it cannot run in this way; nothing is stored yet.
    """
    try:
        objective = task.objective if device is None else task.objective.on_device(device)
        objective.check_execution(execution)
        task = replace(task, given=objective, _splits={})
        if plan.resplit:
            task.split(plan.seed)
    except LoadError as error:
        raise LoadError(f"task {task.name!r}: {error}; give it to hpo.compare(objective=..., name=...)") from error
    except HpoError as error:
        raise type(error)(f"task {task.name!r}: {error}") from error
    return task


def _check_sources(store: Store, runs: Iterable[RunRow], plan: ComparisonPlan, tasks: Iterable[str]) -> None:
    """Raise ConflictError where the code of an objective is another than that of the runs that are there."""
    for task in tasks:
        now = plan.tasks[task].objective.source()
        then = {store.study(run.name).source for run in runs if run.task == task}
        if now is not None and then - {now, None}:
            raise ConflictError(
                f"task {task!r}: the source of {plan.tasks[task].objective.name!r} has changed since the comparison "
                "was made: old and new runs cannot be compared; use another name, or put the source back"
            )
