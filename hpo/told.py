"""Which trials of an old study a new one is told: those that mean the same there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hpo.errors import ConflictError, SpaceError, UsageError
from hpo.space import Space
from hpo.store import Store
from hpo.store.damage import blaming
from hpo.store.reader import StudyRow
from hpo.store.told import Told
from hpo.study_spec import StudySpec
from hpo.trial import State, Trial
from hpo.values import UNSET


@dataclass(frozen=True)
class Found:
    """What an old study has for a new one.

    Attributes:
        study: its name.
        trials: those that the new one is told.
        left_out: how many others there are and why, as text; empty: there are none.
        source: hash of the source text of its objective, as it is stored.
    """

    study: str
    trials: Sequence[Told]
    left_out: str
    source: str | None


def find_told(store: Store, row: StudyRow, spec: StudySpec) -> Found:
    """The trials of study `row` that a new study of `spec` is told.

    A trial is left out that has not ended, whose configuration is outside the new space, or that was trained to more
    epochs than the new study's trials may be. A hyperparameter that the old study did not have takes its default,
    which says what a configuration without it means; one without a default leaves the trial out, even a constant.

    Raises:
        ConflictError: it has another objective or direction: its values mean something else.
        UsageError: it has no trial that could be told.
    """
    name = row.name
    with blaming(store.path):
        old = StudySpec.from_json(row.spec)
    lines = [line for line in spec.differences(old) if line.startswith(("objective", "direction"))]
    if (spec.epochs is None) != (old.epochs is None):
        lines += [line for line in spec.differences(old) if line.startswith("epochs")]
    if lines:
        raise ConflictError(
            f"the trials of study {name!r} would mislead the new study, for its values mean something else; leave out "
            "--from (in Python from_study=), or search for the same:\n  " + "\n  ".join(lines)
        )
    targets = {e.number: e.target for e in store.evaluations(row.id) if e.state in (State.DONE, State.FAILED)}
    spans = store.spans(row.id)
    told: list[Told] = []
    outside, longer, going = [], 0, 0
    for trial in store.trials(row.id):
        if trial.state != State.FAILED and trial.epochs == 0:
            going += 1
        elif trial.epochs > spec.trial_epochs:
            longer += 1
        else:
            try:
                params = fitting(spec.space, trial)
            except SpaceError as error:
                outside.append(str(error))
                continue
            ended_ms = round(spans[trial.number][1]) if trial.number in spans else None
            target = min(targets.get(trial.number, spec.trial_epochs), spec.trial_epochs)
            told.append(Told(replace(trial, params=params), target, ended_ms))
    reasons = [
        *([f"{len(outside)} outside the new space ({outside[0]})"] if outside else []),
        *([f"{longer} trained to more than {spec.trial_epochs} epochs"] if longer else []),
        *([f"{going} without a result"] if going else []),
    ]
    if not told:
        why = ", ".join(reasons) or "it has no trials"
        raise UsageError(f"study {name!r} has no trial to tell a new study: {why}; leave out --from (from_study=)")
    return Found(name, told, ", ".join(reasons), row.source)


def fitting(space: Space, trial: Trial) -> Mapping[str, Any]:
    """The configuration of a trial of another study, in `space`; raises SpaceError if it has no place there."""
    where = f"trial {trial.number}"
    params = space.validate(trial.params, where)
    for name in params:
        if name not in trial.params and space[name].default is UNSET:
            raise SpaceError(f"{where}: {name!r} is missing and has no default: it is not known what it was")
    return params
