"""What users have called when an evaluation ends: a tracker, a dashboard, a message.

    def tell(study, trial):
        print(trial.number, trial.state, trial.value)

    search(f, space, callbacks=[tell])

A callback is a function of the study and the trial, or an object with a method `on_trial_end` of these; it is
called after the result was stored, in the process and thread of `search`. Under successive halving a trial has
several evaluations: `trial.state` says whether it may go on (`paused`) or has ended. What a callback raises is
warned about and fails no trial.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hpo.driver import Driver
from hpo.errors import UsageError
from hpo.loop import Watcher
from hpo.stored_study import StoredStudy
from hpo.trial import Outcome, Progress, Trial
from hpo.values import brief


class OnTrialEnd(Protocol):
    """An object that is told of evaluations that ended."""

    def on_trial_end(self, study: StoredStudy, trial: Trial) -> None:
        """The latest evaluation of `trial` has ended, and is stored."""


Callback = OnTrialEnd | Callable[[StoredStudy, Trial], Any]


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Raise UsageError for what cannot be called."""
    if callable(callbacks) or not isinstance(callbacks, (list, tuple)):
        raise UsageError(f"callbacks is {brief(callbacks)}, expected a list of functions of (study, trial)")
    for callback in callbacks:
        if not callable(_function(callback)):
            raise UsageError(
                f"callbacks has {brief(callback)} ({type(callback).__name__}), expected a function of (study, trial) "
                "or an object with a method on_trial_end(study, trial)"
            )


def _function(callback: Any) -> Any:
    return getattr(callback, "on_trial_end", callback)


class Telling:
    """A watcher of the loop that tells callbacks, after another watcher.

    Args:
        watcher: is shown everything first.
        callbacks: are told of evaluations that ended.
        study: what they are told about.
    """

    def __init__(self, watcher: Watcher, callbacks: Sequence[Callback], study: StoredStudy) -> None:
        self._watcher = watcher
        self._callbacks = callbacks
        self._study = study
        self._failed: set[int] = set()  # places of callbacks that raised

    def progress(self, driver: Driver, event: Progress) -> None:
        """See `Watcher.progress`."""
        self._watcher.progress(driver, event)

    def outcomes(self, driver: Driver, outcomes: Sequence[Outcome]) -> None:
        """See `Watcher.outcomes`."""
        self._watcher.outcomes(driver, outcomes)
        for outcome in outcomes:
            trial = self._study.trial(outcome.number)
            for place, callback in enumerate(self._callbacks):
                self._tell(place, callback, trial)

    def note(self, line: str) -> None:
        """See `Watcher.note`."""
        self._watcher.note(line)

    def _tell(self, place: int, callback: Callback, trial: Trial) -> None:
        try:
            _function(callback)(self._study, trial)
        except Exception as error:  # a tracker that is down must not cost a trial
            if place not in self._failed:
                self._failed.add(place)
                name = getattr(callback, "__name__", type(callback).__name__)
                warnings.warn(
                    f"callback {name} raised {type(error).__name__} for trial {trial.number}: {error}; the search goes "
                    "on, and it is called for the next trials, too, without further warnings",
                    stacklevel=2,
                )
