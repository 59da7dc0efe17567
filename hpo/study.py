"""A study as its user sees it: results, resume, ask and tell."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpo.domains import Int
from hpo.driver import Driver
from hpo.errors import ConflictError, NoResultError, UsageError
from hpo.executors.ending import Spent, succeeded
from hpo.function_objective import FunctionObjective, as_value
from hpo.objective import Objective
from hpo.resolve import resolve_objective, stored_objective
from hpo.store import Store, default_path
from hpo.store.reader import StudyRow
from hpo.study_spec import StudySpec
from hpo.text import command, headline
from hpo.trial import Job, Outcome, State, Trial
from hpo.values import canonical

if TYPE_CHECKING:
    import pandas as pd

    from hpo.comparison.winner import Winner


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
        self._test_data = row.test_data
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

    def top(self, count: int) -> list[Trial]:
        """The `ranking` of configurations: one that was tried more than once has one place, its best."""
        return self._store.top(self._id, self.spec.direction, count)

    @property
    def test_uses(self) -> int:
        """How often the objective's test data was used, by all studies of the store together."""
        return 0 if self._test_data is None else self._store.count_uses(self._test_data)

    @property
    def has_test_data(self) -> bool:
        """Whether the objective has test data, so that there can be a `winner`."""
        return self._test_data is not None

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
        found = self._own_objective(objective)
        if device is not None:
            found = found.on_device(device)
        self._objective = found  # the winner is checked where the trials trained
        run_study(self, found, trials=trials, timeout=timeout, progress=progress)
        return self

    def winner(self, objective: Objective | None = None, progress: bool = True) -> Winner:
        """Which of the best trials is best for good, and its score on test data that no searcher saw.

        The best 5 configurations train again, each with 5 fresh seeds, and the best mean wins; only the winner is
        tested. The answer is stored, and given again without training until other trials are the best.

        Args:
            objective: needed only where the study's own is neither at hand, from `search`, nor registered.
            progress: whether to say on stderr what is trained.

        Raises:
            UsageError: the objective has no test data.
            NoResultError: no trial has succeeded.
            LockedError: another process drives the study.
            KeyboardInterrupt: after Ctrl-C; the study is as it was.
        """
        from hpo.comparison.check import check_winner

        if self._test_data is None:
            raise UsageError(
                f"study {self.name!r} has no winner: its objective {canonical(self.spec.objective)} has no test data "
                "to check one on; study.best is its answer"
            )
        if (known := self.known_winner()) is not None:
            return known
        found = self._own_objective(objective)
        self.check_objective(found)
        self._release()
        return check_winner(self, found, progress=progress)

    def known_winner(self) -> Winner | None:
        """The `winner` if it is stored and no other trials have become the best since; never trains."""
        from hpo.comparison.winner import CANDIDATES, Winner

        stored = self._store.winners(self._id)
        if not stored:
            return None
        winner, top = Winner.from_json(stored[-1]), self.top(CANDIDATES)
        same = [(c.number, winner.epochs) for c in winner.candidates] == [(t.number, t.epochs) for t in top]
        return winner if same else None

    def save(
        self,
        path: str | os.PathLike[str],
        refit: bool = False,
        overwrite: bool = False,
        objective: Objective | None = None,
        progress: bool = True,
    ) -> None:
        """Write the winner's model to a file that `hpo.load_model` reads: the very one that was tested.

        It is trained again from its seed, which gives the same weights. If the winner is not known yet it is found
        first, see `winner`; without test data the best trial's model is written.

        Args:
            path: the file.
            refit: whether to train on all rows instead, those of the test part, too. Nothing is left to score such a
                model on: the file has no scores.
            overwrite: whether it may take the place of an existing file.
            objective: see `winner`.
            progress: whether to say on stderr what is trained.

        Raises:
            UsageError: the objective has no models to save.
            CannotCreateError: the file exists, or cannot be created; refused before anything is trained.
            NoResultError: no trial has succeeded, or the training on all rows diverges.
        """
        from hpo.comparison.take_home import save_answer

        found = None if "name" not in self.spec.objective else self._own_objective(objective)
        if found is None or not found.saves_models:
            raise UsageError(
                f"study {self.name!r} has no model to save: its objective {canonical(self.spec.objective)} does not "
                "hand out what it trained; take study.best_params and train your own"
            )
        self.check_objective(found)
        self._release()
        save_answer(self, found, path, refit=refit, overwrite=overwrite, progress=progress)

    def check_objective(self, objective: Objective) -> None:
        """Raise ConflictError if the study was made with another objective."""
        if objective.describe() != self.spec.objective:
            raise ConflictError(
                f"study {self.name!r} was made with objective {canonical(self.spec.objective)}, now "
                f"{canonical(objective.describe())}: give the same one, or start a new study"
            )

    def _own_objective(self, objective: Objective | Callable[..., Any] | None) -> Objective:
        """The one that is given; None: that of this process, else the stored one, imported."""
        description = self.spec.objective
        if objective is None and self._objective is not None and "by_hand" not in description:
            return self._objective
        if objective is None:
            return stored_objective(description, self.spec.direction)
        if isinstance(objective, Objective) or not description.get("batched"):
            return resolve_objective(objective, self.spec.direction)
        return FunctionObjective(objective, batched=True, direction=self.spec.direction)

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
