"""A study as its user sees it: results, resume, ask and tell."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpo.domains import Int
from hpo.driver import Driver
from hpo.errors import NoResultError, UsageError
from hpo.executors.ending import Spent, succeeded
from hpo.function_objective import FunctionObjective, as_value
from hpo.objective import Objective
from hpo.resolve import resolve_objective, stored_objective
from hpo.store import Store, default_path
from hpo.store.reader import StudyRow
from hpo.study_spec import StudySpec
from hpo.text import command, headline
from hpo.trial import Job, Outcome, State, Trial

if TYPE_CHECKING:
    import pandas as pd


class Study:
    """A stored study. Reading it never imports its objective.

    Get one from `search`, `create_study` or `load_study`.

    Attributes:
        name: its name in the store.
        spec: everything that determines its trials.
        path: the store's file.
    """

    def __init__(self, store: Store, row: StudyRow, objective: Objective | None = None) -> None:
        self._store = store
        self._id = row.id
        self._objective = objective  # where this process made it; else it is imported to go on
        self._driver: Driver | None = None  # while it is asked and told by hand
        self._again: list[Job] = []  # asked for before this process took the study, and never told
        self._asked_at: dict[int, float] = {}
        self.name = row.name
        self.spec = StudySpec.from_json(row.spec)

    @property
    def path(self) -> Path:
        """The store's file, as it was named."""
        return self._store.path

    def writable_store(self) -> Store:
        """The study's store, opened for writing; to be closed by whoever asks."""
        return self._store.reopened("write")

    # -- results

    @property
    def best(self) -> Trial:
        """The best of the trials at the greatest epoch that any reached.

        Raises:
            NoResultError: no trial has succeeded.
        """
        best = self._store.best(self._id, self.spec.direction)
        if best is None:
            raise NoResultError(self._why_no_result())
        return best

    @property
    def has_result(self) -> bool:
        """Whether a trial has succeeded, so that there is a `best`."""
        return self._store.best(self._id, self.spec.direction) is not None

    @property
    def best_params(self) -> dict[str, Any]:
        """The configuration of `best`."""
        return dict(self.best.params)

    @property
    def best_value(self) -> float:
        """The value of `best`."""
        value = self.best.value
        assert value is not None
        return value

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return self._store.trials(self._id)

    def trial(self, number: int) -> Trial:
        """One trial.

        Raises:
            NotFoundError: there is no such trial.
        """
        return self._store.trial(self._id, operator.index(number))

    def page(self, first: int, count: int) -> list[Trial]:
        """Up to `count` trials from number `first` on."""
        return self._store.trials(self._id, first, count)

    def ranking(self, count: int) -> list[Trial]:
        """Up to `count` of the best trials, `best` first."""
        return self._store.ranking(self._id, self.spec.direction, count)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, platform and device of the last run; empty before the first."""
        runs = self._store.environments(self._id)
        return runs[-1] if runs else {}

    def counts(self) -> dict[str, int]:
        """State to number of trials."""
        return self._store.counts(self._id)

    @property
    def epochs_spent(self) -> int:
        """Epochs charged so far."""
        return self._store.charged(self._id)

    @property
    def budget(self) -> int | None:
        """Epochs that may be spent in all; None: asked and told by hand."""
        trials = self._store.study(self.name).trials
        return None if trials is None else trials * self.spec.trial_epochs

    def to_frame(self) -> pd.DataFrame:
        """A row a trial: number, state, value, epochs, seconds, then the hyperparameters (missing where inactive)."""
        import pandas as pd

        trials = self.trials
        names = ["number", "state", "value", "epochs", "seconds"]
        columns: dict[str, Any] = {name: [getattr(trial, name) for trial in trials] for name in names}
        columns["state"] = [str(trial.state) for trial in trials]
        for name, label in self.labels(names).items():
            values = [trial.params.get(name) for trial in trials]
            whole = isinstance(self.spec.space[name], Int) and None in values
            columns[label] = pd.array(values, dtype="Int64") if whole else values  # floats would round great integers
        return pd.DataFrame(columns)

    def labels(self, taken: Iterable[str]) -> dict[str, str]:
        """Hyperparameter to the name of its column in a table that has columns `taken`: prefixed where they clash."""
        used, labels = set(taken), {}
        for name in self.spec.space:
            label = name
            while label in used:
                label = f"params.{label}"
            used.add(label)
            labels[name] = label
        return labels

    # -- going on

    def resume(
        self,
        objective: Objective | Callable[..., Any] | None = None,
        trials: int | None = None,
        timeout: float | str | None = None,
        device: str | None = None,
        progress: bool | Literal["each"] = True,
    ) -> Study:
        """Go on to a budget of `trials` full trainings in all.

        Args:
            objective: needed only where the study's own is neither at hand, from `search`, nor can be imported:
                functions of scripts and notebooks.
            trials: the new total; None: the study's budget as it is.
            timeout: seconds of wall clock, or a text such as "2h".
            device: of the shared objective: "auto", "cpu", "cuda" or "mps"; None: as it comes.
            progress: whether to show it on stderr; "each": with a line for every trial.

        Raises:
            LoadError: the objective cannot be imported.
            ConflictError: it is another objective than the study's.
            LockedError: another process drives the study.
        """
        from hpo.api import run_study

        self._release()
        description = self.spec.objective
        if objective is None and self._objective is not None and "by_hand" not in description:
            found = self._objective
        elif objective is None:
            found = stored_objective(description, self.spec.direction)
        elif isinstance(objective, Objective) or not description.get("batched"):
            found = resolve_objective(objective, self.spec.direction)
        else:
            found = FunctionObjective(objective, batched=True, direction=self.spec.direction)
        if device is not None:
            found = found.on_device(device)
        self._objective = found  # what is tested later trains where the trials trained
        run_study(self, found, trials=trials, timeout=timeout, progress=progress)
        return self

    def test(self, objective: Objective | None = None) -> dict[str, float] | None:
        """Metrics of the best trial on test data that no searcher saw: the very trial, trained again from its seed.

        Every use of the test data is stored; a trial that was tested before is not tested again.

        Returns:
            Metric name to value; None if the objective has no test data.
        """
        if (stored := self.tested()) is not None:
            return stored
        if "function" in self.spec.objective or "by_hand" in self.spec.objective:
            return None  # neither has test data
        found = objective or self._objective or stored_objective(self.spec.objective, self.spec.direction)
        best = self.best
        metrics = found.test(best.params, best.seed, best.epochs)
        if metrics is not None:
            store = self.writable_store()
            store.record_test(self._id, best, metrics)
            store.close()
        return metrics

    def tested(self) -> dict[str, float] | None:
        """The test metrics of the best trial if they are stored; never trains."""
        best = self.best
        uses = self._store.tests(self._id)
        return next((u["metrics"] for u in uses if (u["number"], u["epochs"]) == (best.number, best.epochs)), None)

    # -- by hand

    def ask(self) -> Trial:
        """The next trial to evaluate; train it to epoch `trial.target`, then call `tell`.

        The study belongs to this process from the first `ask` on until `close`. Trials that were asked for before
        that and never told come first, as they were.

        Raises:
            NoResultError: nothing is left to propose, or nothing before outstanding trials are told.
        """
        driver = self._by_hand()
        jobs = self._again[:1] or driver.ask(1)
        if not jobs:
            open_trials = ", ".join(str(job.number) for job in driver.outstanding)
            why = f"tell the outstanding trials first ({open_trials})" if open_trials else "the space is used up"
            raise NoResultError(f"study {self.name!r} has nothing to propose now: {why}")
        self._again = self._again[1:]
        self._asked_at[jobs[0].number] = time.monotonic()
        return self.trial(jobs[0].number)

    def tell(self, number: int, value: float) -> Trial:
        """Store the value of a trial that `ask` gave; a non-finite value fails it.

        Raises:
            UsageError: the trial is not outstanding.
            TypeError: the value is not a number.
        """
        driver = self._by_hand()
        job = next((job for job in driver.outstanding if job.number == number), None)
        if job is None:
            open_trials = ", ".join(str(job.number) for job in driver.outstanding) or "none"
            raise UsageError(f"trial {number} of study {self.name!r} is not outstanding (outstanding: {open_trials})")
        spent = time.monotonic() - self._asked_at.pop(number, time.monotonic())
        self._again = [other for other in self._again if other is not job]
        driver.record([_ended(job, as_value(value, f"trial {number} was told"), spent)], tell_at_once=True)
        return self.trial(number)

    def close(self) -> None:
        """Give the study back, so that another process may drive it, and close the store."""
        self._release()
        self._store.close()

    def _by_hand(self) -> Driver:
        if self._driver is None:
            store = self.writable_store()
            self._driver = Driver(store, store.study(self.name), trials=None)
            self._again = self._driver.outstanding
        return self._driver

    def _release(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver.store.close()
            self._driver = None

    def _why_no_result(self) -> str:
        counts = self.counts()
        if not counts.get("failed"):
            return f"study {self.name!r} has no result yet: {self.command('resume')} goes on"
        first = next(trial for trial in self.trials if trial.state == State.FAILED)
        return (
            f"no trial of study {self.name!r} succeeded, {counts['failed']} failed; the first, trial {first.number}, "
            f"with: {headline(first.error) or first.reason} ({self.command('show', first.number)} has it all)"
        )

    def command(self, name: str, *more: object) -> str:
        """What to type in a shell for command `name` of this study, with `more` arguments."""
        return command(name, self.name, self.path, default_path(), *more)

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {sum(self.counts().values())} trials, store {str(self.path)!r})"

    def _repr_html_(self) -> str:
        from hpo.notebook import study_html

        return study_html(self)


def _ended(job: Job, value: float, seconds: float) -> Outcome:
    return succeeded(job, value, Spent(job.target, job.target - job.start, seconds, {}))


def load_study(name: str | None = None, store: str | Path | None = None) -> Study:
    """A stored study, by name; None: the latest.

    Args:
        name: of the study.
        store: its file; None: `HPO_STORE`, else `hpo.db` in the working directory.

    Raises:
        NotFoundError: no such store or study.
    """
    opened = Store(store)
    return Study(opened, opened.study(name))
