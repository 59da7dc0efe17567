"""A study as its user sees it: results, winner, resume, ask and tell."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpo.driver import Driver
from hpo.errors import ConflictError, NoResultError, UsageError
from hpo.execution import DEFAULT
from hpo.executors.choose import connected
from hpo.executors.ending import Spent, succeeded
from hpo.function_objective import FunctionObjective
from hpo.objective import Objective
from hpo.resolve import make_execution, resolve_objective, stored_objective
from hpo.store import Store
from hpo.store.reader import StudyRow
from hpo.stored_study import StoredStudy
from hpo.trial import Job, Outcome, Trial
from hpo.values import as_value, canonical

if TYPE_CHECKING:
    from hpo.callbacks import Callback
    from hpo.comparison.replay import Replay
    from hpo.comparison.winner import Winner


class Study(StoredStudy):
    """A stored study: its results, and what goes on with it.

    Get one from `search`, `create_study` or `load_study`.
    """

    def __init__(self, store: Store, row: StudyRow, objective: Objective | None = None) -> None:
        super().__init__(store, row)
        self._objective = objective  # where this process made it; else it is imported to go on
        self._driver: Driver | None = None  # while it is asked and told by hand
        self._again: list[Job] = []  # asked for before this process took the study, and never told
        self._asked_at: dict[int, float] = {}

    # -- going on

    def resume(
        self,
        objective: Objective | Callable[..., Any] | None = None,
        trials: int | None = None,
        timeout: float | str | None = None,
        device: str | None = None,
        progress: bool | Literal["each"] = True,
        *,
        workers: int | None = None,
        trial_timeout: float | str | None = None,
        trial_memory: int | str | None = None,
        retries: int = 1,
        fresh: bool = False,
        executor: Any = None,
        callbacks: Sequence[Callback] = (),
        max_failures: int | float | str | None = None,
    ) -> Study:
        """Go on to a budget of `trials` full trainings in all.

        Args:
            objective: needed only where the study's own is neither at hand, from `search`, nor can be imported:
                functions of scripts and notebooks.
            trials: the new total; None: the study's budget as it is.
            timeout: seconds of wall clock, or a text such as "2h".
            device: of the shared objective: "auto", "cpu", "cuda" or "mps"; None: as it comes.
            progress: whether to show it on stderr; "each": with a line for every trial.
            workers: see `hpo.search`, as for all that follow. Where none of them is given, trials run on this machine
                as in the last run.
            trial_timeout: see there.
            trial_memory: see there.
            retries: see there.
            fresh: see there.
            executor: see there.
            callbacks: see there.
            max_failures: see there; of this call alone.

        Raises:
            LoadError: the objective cannot be imported.
            ConflictError: it is another objective than the study's, or the study is a run of a comparison.
            LockedError: another process drives the study.
            TooManyFailuresError: more trials failed than `max_failures`.
        """
        from hpo.api import run_study

        self._release()
        found = self._own_objective(objective)
        if device is not None:
            found = found.on_device(device)
        self._objective = found  # the winner is checked where the trials trained
        execution = make_execution(workers, trial_timeout, trial_memory, retries, fresh, executor)
        if execution == DEFAULT:
            execution = self.execution
        with connected(execution) as where:
            run_study(
                self,
                found,
                trials=trials,
                timeout=timeout,
                progress=progress,
                execution=where,
                callbacks=callbacks,
                max_failures=max_failures,
            )
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
                f"study {self.name!r} has no winner: its objective {_called(self.spec.objective)!r} has no test data "
                "to check one on; study.best is its answer"
            )
        if (known := self.known_winner()) is not None:
            return known
        found = self._own_objective(objective)
        self.check_objective(found)
        self._release()
        return check_winner(self, found, progress=progress)

    def save(
        self,
        path: str | os.PathLike[str],
        refit: bool = False,
        overwrite: bool = False,
        objective: Objective | None = None,
        progress: bool = True,
    ) -> None:
        """Write the winner's model to a file that `hpo.load_model` reads: the very one that was tested.

        It is trained again from its seed, to the same weights. Without test data it is the best trial's model.

        Args:
            path: the file.
            refit: train on all rows instead, those of the test part, too; no score belongs to such a model.
            overwrite: whether it may take the place of an existing file.
            objective: see `winner`.
            progress: see `winner`.

        Raises:
            UsageError: the objective has no models to save.
            CannotCreateError: the file exists, or cannot be created; refused before anything is trained.
            NoResultError: no trial has succeeded, or the training on all rows diverges.
        """
        from hpo.comparison.take_home import save_answer

        found = None if "name" not in self.spec.objective else self._own_objective(objective)
        if found is None or not found.saves_models:
            raise UsageError(
                f"study {self.name!r} has no model to save: its objective {_called(self.spec.objective)!r} does not "
                f"hand out what it trained; train your own with what {self.command('best')} shows"
            )
        self.check_objective(found)
        self._release()
        save_answer(self, found, path, refit=refit, overwrite=overwrite, progress=progress)

    def replay(self, number: int, objective: Objective | None = None, device: str | None = None) -> Replay:
        """Train a trial again from its seed, and compare value, curve and health with what is stored.

        Args:
            number: of the trial.
            objective: see `winner`.
            device: see `resume`.

        Raises:
            NotFoundError: there is no such trial.
            UsageError: the trial has not been trained yet.
        """
        from hpo.comparison.replay import replay

        trial, found = self.trial(number), self._own_objective(objective)
        self.check_objective(found)
        found = found if device is None else found.on_device(device)
        target = self._store.last_target(self._id, trial.number)
        return replay(self, trial, target, found, self._store.study(self.name).source)

    def check_objective(self, objective: Objective) -> None:
        """Raise ConflictError if the study was made with another objective, SpaceError if the space is not its own."""
        if objective.describe() != self.spec.objective:
            raise ConflictError(
                f"study {self.name!r} was made with objective {canonical(self.spec.objective)}, now "
                f"{canonical(objective.describe())}: give the same one, or start a new study"
            )
        objective.check_space(self.spec.space)

    def check_free(self) -> None:
        """Raise ConflictError if the study is a run of a comparison, whose results it would change by going on."""
        from hpo.comparison.plan import going_on
        from hpo.store.comparisons import Comparisons

        if (comparison := Comparisons(self._store).of_study(self._id)) is not None:
            raise ConflictError(
                f"study {self.name!r} is a run of comparison {comparison!r}: {going_on(comparison, self.path)} goes on"
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
            ConflictError: the study is a run of a comparison.
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
            StorageError: it could not be stored; it is still outstanding, and can be told again.
            TypeError: the value is not a number.
        """
        driver = self._by_hand()
        job = next((job for job in driver.outstanding if job.number == number), None)
        if job is None:
            open_trials = ", ".join(str(job.number) for job in driver.outstanding) or "none"
            raise UsageError(f"trial {number} of study {self.name!r} is not outstanding (outstanding: {open_trials})")
        spent = time.monotonic() - self._asked_at.get(number, time.monotonic())
        driver.record([_ended(job, as_value(value, f"trial {number} was told"), spent)], tell_at_once=True)
        self._asked_at.pop(number, None)  # only now: what could not be stored can be told again
        self._again = [other for other in self._again if other is not job]
        return self.trial(number)

    def close(self) -> None:
        """Give the study back, so that another process may drive it, and close the store."""
        self._release()
        self._store.close()

    def _by_hand(self) -> Driver:
        if self._driver is None:
            self.check_free()
            store = self.writable_store()
            self._driver = Driver(store, store.study(self.name), trials=None)
            self._again = self._driver.outstanding
        return self._driver

    def _release(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver.store.close()
            self._driver = None


def _ended(job: Job, value: float, seconds: float) -> Outcome:
    return succeeded(job, value, Spent(job.target, job.target - job.start, seconds, {}))


def _called(objective: Mapping[str, Any]) -> str:
    """The name of a described objective."""
    named = (objective[key] for key in ("function", "build", "name") if key in objective)
    return str(next(named, "by hand"))


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
