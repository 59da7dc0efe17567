"""A stored study as an Optuna study in a database, for `optuna.load_study` and Optuna's dashboard.

hpo         Optuna
done        COMPLETE
failed      FAIL
paused      PRUNED      trained to less than the most epochs; one that goes on later is brought up to date then
running     RUNNING
cancelled   RUNNING     it runs again on resume
pending     WAITING

Inactive hyperparameters are absent. Categories that Optuna cannot hold (lists, tuples, dicts) are their JSON text;
where it could not tell two of them apart (1, 1.0 and True), all are. Intermediate values count from step 0. What
Optuna has no place for is in user attributes, beside the objective's own: hpo:seed, hpo:state, hpo:epochs,
hpo:seconds, hpo:value (one that is not finite), hpo:reason, hpo:error.

NOTE: what Optuna computes as floats is written as floats: integers beyond 2^53 are rounded, and a step that is too
fine for Optuna is left out.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpo.integrations.optuna_database import Target, opened
from hpo.optuna_space import nearest
from hpo.store.codec import json_float
from hpo.stored_study import StoredStudy
from hpo.trial import State, Trial
from hpo.values import canonical

PAGE = 1_000  # trials in memory
_STATES = {
    State.DONE: TrialState.COMPLETE,
    State.FAILED: TrialState.FAIL,
    State.PAUSED: TrialState.PRUNED,
    State.RUNNING: TrialState.RUNNING,
    State.CANCELLED: TrialState.RUNNING,
    State.PENDING: TrialState.WAITING,
}


@dataclass(frozen=True)
class Exported:
    """What an export has written.

    Attributes:
        url: the database, its password left out.
        new: trials that were not there before.
        changed: trials that have gone on since the export before.
    """

    url: str
    new: int
    changed: int


def export(study: StoredStudy, url: str) -> Exported:
    """Write what is new or has changed since the last export, in one transaction.

    Args:
        study: what to export; the Optuna study has its name.
        url: a database in Optuna's words, "sqlite:///out.db"; such a file is made where there is none.

    Raises:
        UsageError: no such kind of database, or it is a store of hpo.
        CannotCreateError: the file cannot be created there.
        ConflictError: another study has this name in that database.
        DataError: the file is no database, or one of another version of Optuna.
        LockedError: another program does not let go of the database.
        StorageError: the database cannot be read or written.
    """
    identity = canonical([study.created_ms, study.spec.to_json()])
    mark = {"hpo:study": hashlib.sha256(identity.encode()).hexdigest()}
    with opened(url, study.name, study.spec.direction, mark, avoid=study.path) as target:
        new, changed = _write(study, target)
        return Exported(target.name, new, changed)


def _write(study: StoredStudy, target: Target) -> tuple[int, int]:
    """How many trials were added and changed."""
    rows = _Rows(study)
    known = target.known(("hpo:seed", "hpo:state", "hpo:epochs"))
    new = changed = first = 0
    while page := study.page(first, PAGE):
        added = [trial for trial in page if trial.number not in known]
        gone_on = [trial for trial in page if known.get(trial.number, _stamp(trial)) != _stamp(trial)]
        target.refuse_others([trial.number for trial in gone_on if known[trial.number][0] != trial.seed])
        target.add([rows.row(trial) for trial in added])
        target.change([rows.row(trial) for trial in gone_on])
        new, changed, first = new + len(added), changed + len(gone_on), page[-1].number + 1
    target.refuse_others([number for number in known if number >= first])
    return new, changed


def _stamp(trial: Trial) -> tuple[Any, ...]:
    """What changes whenever a trial does, and the seed, which never changes."""
    return trial.seed, str(trial.state), trial.epochs


class _Rows:
    """From the trials of a study to Optuna's."""

    def __init__(self, study: StoredStudy) -> None:
        self._axes = {name: nearest(name, domain) for name, domain in study.spec.space.items()}
        self._metric = study.spec.objective.get("metric", "value")
        self._has_epochs = study.spec.epochs is not None
        self._spans = study.spans()
        self._begun = study.last_run_ms

    def row(self, trial: Trial) -> FrozenTrial:
        """A trial in Optuna's words; its id is the database's to give."""
        state = _STATES[trial.state]
        began, ended = self._spans.get(trial.number, (self._begun, self._begun))
        valued = state in (TrialState.COMPLETE, TrialState.PRUNED)
        return FrozenTrial(
            number=trial.number,
            trial_id=-1,
            state=state,
            value=trial.value if valued else None,
            datetime_start=None if state is TrialState.WAITING else _time(began),
            datetime_complete=_time(ended) if state.is_finished() else None,
            params={name: self._axes[name][1](value) for name, value in trial.params.items()},
            distributions={name: self._axes[name][0] for name in trial.params},
            user_attrs={**trial.user_attrs, **_attributes(trial)},
            system_attrs={},
            intermediate_values=self._intermediate(trial),
        )

    def _intermediate(self, trial: Trial) -> dict[int, float]:
        epochs, curve = trial.points
        values = curve.get(self._metric) or next(iter(curve.values()), [])
        if not values and self._has_epochs and trial.value is not None:  # f(params, epochs) has a value at the end only
            return {trial.epochs - 1: trial.value}
        return {epoch - 1: value for epoch, value in zip(epochs, values, strict=True)}


def _attributes(trial: Trial) -> dict[str, Any]:
    found = {
        "hpo:seed": trial.seed,
        "hpo:state": str(trial.state),
        "hpo:epochs": trial.epochs,
        "hpo:seconds": trial.seconds,
        "hpo:value": json_float(trial.value) if trial.state == State.FAILED else None,
        "hpo:reason": trial.reason,
        "hpo:error": trial.error,
    }
    return {key: value for key, value in found.items() if value is not None}


def _time(milliseconds: float) -> datetime:
    """UTC milliseconds as Optuna's: local, without a time zone."""
    return datetime.fromtimestamp(milliseconds / 1000)
