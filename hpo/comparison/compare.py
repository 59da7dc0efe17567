"""`compare` and `Comparison`: which searcher to use, on which evidence."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.comparison import plan as plans
from hpo.comparison.labels import check_name, labelled
from hpo.comparison.plan import ComparisonPlan, TaskPlan
from hpo.comparison.progress import Board
from hpo.comparison.reading import digest, results
from hpo.comparison.results import Results
from hpo.comparison.run import Conductor
from hpo.errors import HpoError, LoadError, UsageError
from hpo.execution import DEFAULT, Execution
from hpo.executors.choose import connected
from hpo.objective import Objective
from hpo.resolve import make_execution, resolve_objective, seconds
from hpo.space import Space
from hpo.store import Store, default_path
from hpo.store.comparisons import ComparisonRow, Comparisons
from hpo.study_file import Question
from hpo.values import brief

if TYPE_CHECKING:
    import pandas as pd

    from hpo.comparison.analysis import Analysis


class Comparison:
    """A stored comparison of searchers; get one from `compare` or `load_comparison`.

    Attributes:
        name: its name in the store.
        path: the store's file.
    """

    def __init__(self, store: Store, row: ComparisonRow) -> None:
        self._store, self._row = store, row
        self.name = row.name
        self.path = store.path

    @functools.cached_property
    def results(self) -> Results:
        """All runs, as plain records.

        Raises:
            NoResultError: not all runs have ended.
        """
        return results(self._store, self._row)

    @functools.cached_property
    def analysis(self) -> Analysis:
        """What the statistics say; a look at data that no verdict was given on before is counted in the store.

        Raises:
            NoResultError: not all runs have ended.
        """
        from hpo.comparison.analyse import analyse

        found, seen = self.results, digest(self.results)
        if seen not in Comparisons(self._store).looks(self._row.id):
            store = self._store.reopened("write")
            try:
                Comparisons(store).add_look(self._row.id, seen)
            finally:
                store.close()
        return analyse(found)

    @property
    def verdict(self) -> str:
        """Which searchers are better than which, and what cannot be told, in sentences."""
        return " ".join(self.analysis.sentences)

    @property
    def studies(self) -> list[str]:
        """Names of the studies of all runs, the reference trials' included; `load_study` loads them."""
        return [run.name for run in Comparisons(self._store).runs(self._row.id)]

    def to_frame(self) -> pd.DataFrame:
        """A row for each evaluation of each run, in the order asked, with the run's state after it.

        Columns: task, searcher (its label), seed, study, evaluation (from 0 on), spent (units of the budget so far),
        trials (begun so far), incumbent (value of the best trial so far, NaN before one has succeeded), regret (the
        same, normalised: 0 is the best value that any run saw, 1 the median reference trial).
        """
        import pandas as pd

        from hpo.comparison.curves import RegretCurve, Scale

        parts = []
        for task in self.results.tasks:
            runs = [run for label in self.results.searchers for run in self.results.of(task.name, label)]
            scale = Scale.of(task, runs)
            for run in runs:
                columns: dict[str, Any] = {
                    "task": run.task,
                    "searcher": run.searcher,
                    "seed": run.seed,
                    "study": run.study,
                    "evaluation": range(len(run.spent)),
                    "spent": run.spent,
                    "trials": run.trials,
                    "incumbent": run.incumbent,
                    "regret": RegretCurve.of(run, scale).regret,
                }
                parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def to_latex(self) -> str:
        """A table of searchers by tasks for a paper; needs the package `booktabs`."""
        from hpo.comparison.latex import latex

        return latex(self.analysis)

    def report(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write one HTML file with verdict, figures and all studies' winners, which opens without network.

        Raises:
            CannotCreateError: the file exists, or cannot be created.
            NoResultError: not all runs have ended.
        """
        from hpo.report.build import write_comparison

        write_comparison(self, Path(path), overwrite)

    def __repr__(self) -> str:
        plan = self._row.plan
        tasks, searchers = (", ".join(plan.get(section, {})) for section in ("tasks", "searchers"))
        seeds = plan.get("seeds", 0)
        return f"Comparison({self.name!r}: {searchers} on {tasks}, {seeds} seeds, store {str(self.path)!r})"


def load_comparison(name: str | None = None, store: str | Path | None = None) -> Comparison:
    """A stored comparison, by name; None: the latest.

    Args:
        name: of the comparison.
        store: its file; None: `HPO_STORE`, else `hpo.db` in the working directory.

    Raises:
        NotFoundError: no such store or comparison.
    """
    opened = Store(store)
    return Comparison(opened, Comparisons(opened).get(name))


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
        seeds: how many study seeds every searcher runs with; None: 20. Fewer than 5 give curves and no test.
        trials: budget of each run in full trainings; None: 30.
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

    Returns:
        The comparison; where the time was up before its end it has no verdict yet.

    Raises:
        HpoError: of the kind that says what is wrong, before the first trial: searchers that cannot run a task are
            named all at once.
        ConflictError: the name belongs to a comparison with another budget, or with another definition of a task or
            a searcher; the differences are listed.
        LockedError: another process runs the comparison.
        KeyboardInterrupt: after Ctrl-C, with everything saved; SystemExit(143) after SIGTERM.
    """
    told = {"data": data, "target": target, "task": task, "metric": metric}
    told = {setting: value for setting, value in told.items() if value is not None}
    if told and objective is not None:
        setting = next(iter(told))
        raise UsageError(f"{setting} is for the shared objective: leave it out, or leave out objective")
    questions: dict[str, Question] | None = None
    if told:
        from hpo.resolve import DEFAULT_OBJECTIVE, objective_by_name

        questions = _questions(objective_by_name(DEFAULT_OBJECTIVE, told), space, direction)
    elif objective is not None or space is not None or direction is not None:
        questions = _questions(objective, space, direction)
    return run_comparison(
        questions,
        None if searchers is None else labelled(searchers),
        seeds=seeds,
        trials=trials,
        epochs=epochs,
        seed=seed,
        resplit=resplit,
        name=name,
        store=store,
        device=device,
        execution=make_execution(workers),
        timeout=seconds(timeout),
        progress=progress,
    )


def run_comparison(
    questions: Mapping[str, Question] | None,
    searchers: Mapping[str, Any] | None,
    *,
    seeds: int | None,
    trials: int | None,
    epochs: int | None,
    seed: int | None,
    resplit: bool | None,
    name: str | None,
    store: str | Path | None,
    device: str | None = None,
    execution: Execution = DEFAULT,
    timeout: float | None = None,
    progress: bool = True,
) -> Comparison:
    """See `compare`; None is what is stored under the name, else the default. Questions are by name of the task."""
    if name is not None:
        check_name("comparison name", name)
    before, ended = _stored(name, store)
    made = _plan(before, questions, searchers, seeds, trials, epochs, seed, resplit)
    if before is not None:
        made = made.grown(before, str(name))
    runs = itertools.product(made.tasks, made.searchers, range(made.seeds))
    missing = [made.tasks[task] for task in dict.fromkeys(run[0] for run in runs if run not in ended)]
    for task in missing:  # of the others nothing runs: their objectives may be gone
        _check_task(task, made, execution, device)
    made.check(missing)
    with connected(execution) as where:
        opened = Store(store, "create")
        label = "-".join(made.tasks)[: plans.MAX_NAME_PART]
        row = Comparisons(opened).create(name or f"compare-{label}", made.spec_json(), number=name is None)
        conductor = Conductor(opened, row, made, where, timeout, Board(progress))
        conductor.run()
    again = opened.reopened("read")
    return Comparison(again, Comparisons(again).get(row.name))


def _stored(name: str | None, store: str | Path | None) -> tuple[ComparisonPlan | None, set[tuple[str, str, int]]]:
    """The plan of the comparison of this name, if there is one, and its runs that have ended."""
    if name is None or not Path(default_path() if store is None else store).exists():
        return None, set()
    opened = Store(store)
    try:
        comparisons = Comparisons(opened)
        row = comparisons.find(name)
        if row is None or not row.plan:
            return None, set()
        runs = comparisons.runs(row.id)
    finally:
        opened.close()
    ended = {(run.task, run.searcher, run.nth) for run in runs if run.ended is not None}
    return ComparisonPlan.stored(row.spec, row.plan), ended


def _plan(
    before: ComparisonPlan | None,
    questions: Mapping[str, Question] | None,
    searchers: Mapping[str, Any] | None,
    seeds: int | None,
    trials: int | None,
    epochs: int | None,
    seed: int | None,
    resplit: bool | None,
) -> ComparisonPlan:
    """What was asked for; what was not said is as it was, else the default."""
    if questions is None:
        questions = {} if before is not None else _questions(None, None, None)
    tasks: dict[str, TaskPlan] = {}
    for task, question in questions.items():
        known = None if before is None else before.tasks.get(task)
        most = epochs if question.objective.has_epochs or len(questions) == 1 else None  # of several those with epochs
        if known is None:
            tasks[task] = TaskPlan.of(task, question, trials, most)
        else:
            there = known.epochs if most is None else most
            tasks[task] = TaskPlan.of(task, question, known.trials if trials is None else trials, there)
    if before is not None:
        for task, found in before.tasks.items():
            if task not in tasks:
                budget = {key: value for key, value in (("trials", trials), ("epochs", epochs)) if value is not None}
                tasks[task] = TaskPlan(task, {**found.definition, **budget})
    if searchers is None:
        searchers = before.searchers if before is not None else labelled(plans.DEFAULT_SEARCHERS)
    defaults = before or ComparisonPlan(0, False, {}, {}, plans.DEFAULT_SEEDS)
    return ComparisonPlan(
        defaults.seed if seed is None else seed,
        defaults.resplit if resplit is None else resplit,
        tasks,
        dict(searchers),
        defaults.seeds if seeds is None else seeds,
    )


def _check_task(task: TaskPlan, plan: ComparisonPlan, execution: Execution, device: str | None) -> None:
    """Refuse a task that cannot be run in this way, before anything is stored."""
    try:
        if device is not None:
            task.given = task.objective.on_device(device)
        task.objective.check_execution(execution)
        if plan.resplit:
            task.split(plan.seed)
    except LoadError as error:
        raise LoadError(f"task {task.name!r}: {error}; give it to hpo.compare(objective=..., name=...)") from error
    except HpoError as error:
        raise type(error)(f"task {task.name!r}: {error}") from error


def _questions(objective: Any, space: Any, direction: str | None) -> dict[str, Question]:
    """The tasks of `compare` by name."""
    if not isinstance(objective, Mapping):
        question = _question(objective, space, direction)
        return {plans.task_name(question): question}
    if not objective:
        raise UsageError("objective is an empty dict, expected task names with their objectives")
    by_task = isinstance(space, Mapping) and not isinstance(space, Space) and set(space) == set(objective)
    if isinstance(space, Mapping) and not isinstance(space, Space) and not by_task:
        Space(space)  # one for all of them, or an error that says what is wrong with it
    found = {}
    for name, one in objective.items():
        if not isinstance(name, str):
            raise UsageError(f"task {brief(name)} is no text: give tasks names")
        found[name] = _question(one, space[name] if by_task and space is not None else space, direction)
    return found


def _question(objective: Any, space: Any, direction: str | None) -> Question:
    found = resolve_objective(objective, direction)
    if space is None and (space := found.space()) is None:
        raise UsageError(f"objective {found.name!r} needs a search space: give space={{...}}")
    return Question(found, Space(space), {}, None, None, None)
