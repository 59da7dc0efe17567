"""`search` and `create_study`: from an objective and a space to a study with its trials."""

import contextlib
import shlex
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from hpo.callbacks import Callback, Telling, check_callbacks
from hpo.driver import Driver
from hpo.environment import changed, environment
from hpo.errors import ConflictError, DiskError, Interrupt, UsageError
from hpo.execution import DEFAULT, Execution
from hpo.executors.choose import connected, make_executor
from hpo.failure_limit import FailureLimit, FailureWatch, too_many_failures
from hpo.function_objective import FunctionObjective
from hpo.loop import Ending, Watcher, run
from hpo.objective import Objective
from hpo.plan import DEFAULT_SEARCHER, DEFAULT_TRIALS, Plan, specify
from hpo.progress import Display
from hpo.resolve import (
    DEFAULT_OBJECTIVE,
    MAX_TRIALS,
    make_execution,
    objective_by_name,
    resolve_objective,
    seconds,
    whole,
)
from hpo.searcher import Searcher
from hpo.signals import SIGINT_EXIT, ending_by_signal
from hpo.space import Space
from hpo.store import Store, default_path
from hpo.store.damage import blaming
from hpo.store.reader import StudyRow
from hpo.store.told import told_from
from hpo.study import Study
from hpo.study_spec import StudySpec
from hpo.text import command, composed
from hpo.told import Found, find_told
from hpo.trial import State
from hpo.values import brief, canonical

MAX_NAME = 255  # characters of a study's name
_DIED = (
    "the run before ended amid trials without a word: if it was one of them that ended the process (os._exit, a crash, "
    "no memory), --fresh or fresh=True gives each a process of its own, and only that trial fails"
)


def search(
    objective: Objective | Callable[..., Any] | str | None = None,
    space: Space | Mapping[str, Any] | None = None,
    searcher: str | type[Searcher] | Searcher = DEFAULT_SEARCHER,
    trials: int = DEFAULT_TRIALS,
    epochs: int | None = None,
    timeout: float | str | None = None,
    seed: int = 0,
    direction: str | None = None,
    batch: int | None = None,
    initial: Sequence[Mapping[str, Any]] | None = None,
    store: str | Path | None = None,
    name: str | None = None,
    progress: bool | Literal["each"] = True,
    *,
    data: Any = None,
    target: str | None = None,
    task: str | None = None,
    metric: str | None = None,
    folds: int | None = None,
    workers: int | None = None,
    trial_timeout: float | str | None = None,
    trial_memory: int | str | None = None,
    retries: int = 1,
    fresh: bool = False,
    executor: Any = None,
    free_running: bool = False,
    callbacks: Sequence[Callback] = (),
    max_failures: int | float | str | None = None,
    from_study: str | None = None,
) -> Study:
    """Search for the best hyperparameters; every trial is stored, and an interrupted search can be resumed.

    Args:
        objective: what is optimised: a function (see `hpo.FunctionObjective`), an Objective, a registered name
            or "module:function"; None: train a SimpleNN on `data`, or on synthetic classification data.
        space: the hyperparameters: a `Space` or a dict of name to domain; None: the objective's own.
        searcher: a name (`hpo searchers` lists them), a Searcher class, or an instance with its settings.
        trials: the budget in full trainings: `trials` x `epochs` epochs, which halving spends on more, shorter
            trials; 0 only creates the study.
        epochs: the most that one trial trains; None: the objective's default.
        timeout: wall clock of this call, in seconds or as a text such as "2h".
        seed: determines every trial, in [0, 2^64).
        direction: "maximize" or "minimize"; a function needs it, the shared objective's metric has it.
        batch: proposals a round; None: the searcher's default. More is faster, fewer use results sooner.
        initial: configurations that are tried first; hyperparameters left out take their defaults.
        store: the store's file; None: `HPO_STORE`, else `hpo.db` in the working directory.
        name: of the study; an existing one of the same specification goes on to the total of `trials`. None: a
            new study, named after objective, searcher and seed.
        progress: whether to show it on stderr; "each": with a line for every trial.
        data: without an objective, what to train on: a CSV or Parquet file, a DataFrame, a pair (X, y) of arrays, or
            the name of generated data. `hpo.training.objective.SimpleNNObjective` takes more about a table.
        target: the column of a table to predict.
        task: "classification" or "regression"; None: as the target looks.
        metric: what is optimised; None: accuracy, of a regression rmse.
        folds: of cross-validation; None: one validation part.
        workers: processes that run trials of a function side by side, or threads that train the shared objective;
            None: a function runs in this process, or in one of its own if `fresh` or a limit is given; the shared
            objective on all cores.
        trial_timeout: that one evaluation of a function may take, in seconds or as a text such as "10m".
        trial_memory: that the process of a trial may take, in bytes or as a text such as "2GiB".
        retries: how often an evaluation begins again whose process died or ran out of memory.
        fresh: whether every evaluation of a function gets a process of its own.
        executor: a `dask.distributed.Client`, or the address of a scheduler: trials run on its workers.
        free_running: propose anew as soon as a trial has ended, told in the order in which they end, rather than in
            rounds of `batch`: no worker waits where durations are uneven, but another run gives other trials.
        callbacks: are told of every evaluation that ended; see `hpo.callbacks`.
        max_failures: ends this call when more trials of the study have failed: a count such as 5, or a share of those
            that ended such as 0.5 or "50%"; None: never.
        from_study: name of a study in this store, of the same objective and direction: a new study is told its trials
            before the first proposal, those whose configurations are in the new space and that trained no more than
            `epochs`. They cost nothing. A hyperparameter that it did not have takes its `default` there.

    Returns:
        The study.

    Raises:
        HpoError: of the kind that says what is wrong, before the first trial; see `hpo.errors`.
        TooManyFailuresError: more failed than `max_failures`; everything is saved, and the study can go on.
        KeyboardInterrupt: after Ctrl-C, with everything saved; SystemExit(143) after SIGTERM.
    """
    trials = whole("trials", trials, 0, MAX_TRIALS)
    told = {"data": data, "target": target, "task": task, "metric": metric, "folds": folds}
    told = {setting: value for setting, value in told.items() if value is not None}
    if told and objective is not None:
        setting, name = next(iter(told)), brief(objective)
        raise UsageError(f"{setting} is for the shared objective: leave it out, or leave out objective={name}")
    found = resolve_objective(objective_by_name(DEFAULT_OBJECTIVE, told) if told else objective, direction)
    execution = make_execution(workers, trial_timeout, trial_memory, retries, fresh, executor)
    found.check_execution(execution)
    plan = Plan(
        objective=found,
        spec=specify(found, space, searcher, epochs=epochs, seed=seed, batch=batch, free_running=free_running),
        trials=trials,
        initial=initial,
        name=name,
        from_study=from_study,
    )
    limit = seconds(timeout)
    FailureLimit.read(max_failures)
    check_callbacks(callbacks)
    with connected(execution) as where:  # or refused before there is a study
        study = open_study(plan, store)
        if trials != 0:
            run_study(
                study,
                found,
                trials=trials,
                timeout=limit,
                progress=progress,
                execution=where,
                callbacks=callbacks,
                max_failures=max_failures,
            )
    return study


def create_study(
    space: Space | Mapping[str, Any],
    searcher: str | type[Searcher] | Searcher = DEFAULT_SEARCHER,
    *,
    direction: str,
    epochs: int | None = None,
    seed: int = 0,
    initial: Sequence[Mapping[str, Any]] | None = None,
    store: str | Path | None = None,
    name: str | None = None,
    from_study: str | None = None,
) -> Study:
    """A study without an objective, for `study.ask()` and `study.tell(number, value)`; arguments as in `search`."""
    found = resolve_objective(_ByHand(has_epochs=epochs is not None), direction)
    spec = specify(found, space, searcher, epochs=epochs, seed=seed, batch=1)
    return open_study(Plan(found, spec, trials=None, initial=initial, name=name, from_study=from_study), store)


def open_study(plan: Plan, path: str | Path | None) -> Study:
    """The planned study in the store at `path`: a new one, or the existing one of this name and specification.

    Raises:
        ConflictError: the name belongs to a study of another specification; the differences are listed.
    """
    spec, name = plan.spec, plan.name
    trials = None if plan.trials is None else whole("trials", plan.trials, 0, MAX_TRIALS)
    if name is not None and not (isinstance(name, str) and name and name.isprintable() and len(name) <= MAX_NAME):
        raise UsageError(f"study name {brief(name)}: expected printable text of 1 to {MAX_NAME} characters")
    if name is not None:
        plan = replace(plan, name=(name := composed(name)))
    given = () if plan.initial is None else plan.initial
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise UsageError(f"initial is {brief(given)}, expected a list of configurations")
    initial = [spec.space.validate(params, f"initial[{i}]") for i, params in enumerate(given)]
    store = Store(path, "create" if plan.from_study is None else "write")  # where there is no store there is no study
    found = None if plan.from_study is None else _told(plan, store)
    row = store.create_study(
        name or _new_name(plan),
        spec.to_json(),
        trials=trials,
        source=plan.objective.source(),
        test_data=plan.objective.test_data(),
        initial=initial,
        told=None if found is None else (found.study, found.trials),
        if_taken="number" if name is None else "return",
    )
    _same(row, plan, initial, store)
    return Study(store, row, plan.objective)


def _told(plan: Plan, store: Store) -> Found | None:
    """What `plan.from_study` has for the planned study; None: that exists, and was told what it was."""
    if not isinstance(plan.from_study, str):
        raise UsageError(f"from_study is {brief(plan.from_study)}, expected the name of a study in this store")
    if plan.name is not None and store.has_study(plan.name):
        return None
    found = find_told(store, store.study(plan.from_study), plan.spec)
    if found.left_out:
        warnings.warn(
            f"trials of study {found.study!r} that the new study is not told: {found.left_out}; "
            f"it is told {len(found.trials)}",
            stacklevel=4,
        )
    if found.source is not None and (source := plan.objective.source()) is not None and source != found.source:
        warnings.warn(
            f"the source of {plan.objective.name!r} has changed since study {found.study!r} was made: its trials and "
            "new ones may not be comparable",
            stacklevel=4,
        )
    return found


def run_study(
    study: Study,
    objective: Objective,
    *,
    trials: int | None,
    timeout: float | str | None,
    progress: bool | Literal["each"],
    execution: Execution = DEFAULT,
    callbacks: Sequence[Callback] = (),
    max_failures: int | float | str | None = None,
) -> Ending:
    """Drive a study to its budget; the objective must be the study's own, a cluster `connected`."""
    most = FailureLimit.read(max_failures)
    study.check_free()
    study.check_objective(objective)
    objective.check_execution(execution)
    check_callbacks(callbacks)
    limit = seconds(timeout)
    store = study.writable_store()
    store.db.check()
    row = store.study(study.name)
    _warn(row, objective, store)
    budget = whole("trials", row.trials if trials is None else trials, 0, MAX_TRIALS)
    display = Display(enabled=bool(progress), each=progress == "each")
    died = bool(store.counts(row.id).get(State.RUNNING))  # the driver before, amid trials
    with ending_by_signal(display.note) as stop, contextlib.ExitStack() as cleanup:
        cleanup.callback(store.close)
        driver = Driver(
            store,
            row,
            trials=budget,
            restarts=objective.restarts,
            device=objective.numerics(),
            execution=execution,
        )
        cleanup.callback(driver.close)
        executor = make_executor(objective, replace(execution, files=store.files))
        cleanup.callback(executor.close)
        cleanup.callback(display.close)
        watcher: Watcher = Telling(display, callbacks, study) if callbacks else display
        watch = None if most is None else FailureWatch(watcher, most, stop)
        try:
            display.begin(driver, objective, execution)
            if died and isinstance(objective, FunctionObjective) and execution == DEFAULT:
                display.note(_DIED)
            if watch is not None:
                watch.judge(driver)  # there may have been too many before
            ending = Ending.STOPPED if stop.requested else run([driver], executor, watch or watcher, stop, limit)
        except Interrupt:
            display.end(driver, Ending.STOPPED)
            raise
        except DiskError as error:
            resume = command("resume", row.name, store.path, default_path())
            raise DiskError(f"{error}; {resume} goes on") from error
        display.end(driver, ending)
        if most is not None and watch is not None and watch.exceeded:
            raise too_many_failures(study, most)
        if ending is Ending.STOPPED:
            raise Interrupt(SIGINT_EXIT)
    return ending


def _new_name(plan: Plan) -> str:
    label = plan.label or plan.objective.name
    label = "".join(c if c.isprintable() else "-" for c in label)[: MAX_NAME // 2]
    return f"{label}-{plan.spec.searcher.replace(':', '-')[: MAX_NAME // 4]}-{plan.spec.seed}"


def _same(row: StudyRow, plan: Plan, initial: Sequence[Mapping[str, Any]], store: Store) -> None:
    with blaming(store.path):
        lines = plan.spec.differences(StudySpec.from_json(row.spec))
    tell = not any(line.startswith(("objective", "direction")) for line in lines)
    if plan.initial is not None:
        stored = [dict(trial.params) for trial in store.trials(row.id, limit=row.enqueued)]
        if canonical(stored) != canonical(list(initial)):
            lines.append(f"initial: stored {canonical(stored)}, now {canonical(list(initial))}")
    if plan.from_study is not None:
        told, _ = told_from(store, row.id) or (None, 0)
        if told is None or composed(told) != composed(plan.from_study):
            lines.append(f"from: stored {canonical(told)}, now {canonical(plan.from_study)}")
            tell = False
    if lines:
        resume = command("resume", row.name, store.path, default_path())
        told_its = f"; --from {shlex.quote(row.name)} (in Python from_study=) tells that the stored trials"
        raise ConflictError(
            f"study {row.name!r} in store {store.path} was made with other settings: {resume} goes on with those, "
            f"another name makes a new study{told_its if tell else ''}; the differences:\n  " + "\n  ".join(lines)
        )


def _warn(row: StudyRow, objective: Objective, store: Store) -> None:
    if row.source is not None and (source := objective.source()) is not None and source != row.source:
        warnings.warn(
            f"study {row.name!r}: the source of {objective.name!r} has changed since the study was made: old and new "
            "trials may not be comparable",
            stacklevel=4,
        )
    runs = store.environments(row.id)
    if runs and (lines := changed(runs[-1], environment(objective.numerics()))):
        warnings.warn(
            f"study {row.name!r} goes on in another environment ({'; '.join(lines)}): "
            "trials may differ from those of one uninterrupted run",
            stacklevel=4,
        )


class _ByHand(Objective):
    """The objective of a study that is asked and told by hand."""

    name = "study"

    def __init__(self, has_epochs: bool) -> None:
        self.has_epochs = has_epochs

    def describe(self) -> dict[str, Any]:
        return {"by_hand": True}

    def start(self, job: Any) -> Any:
        raise UsageError(
            "a study made for asking and telling by hand has no objective to run: study.ask() and study.tell() go on"
        )
