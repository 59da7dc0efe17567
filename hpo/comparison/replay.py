"""A trial trained again from its seed, and whether that gives what is stored."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpo.comparison.check import train_all
from hpo.environment import changed, environment
from hpo.errors import UsageError
from hpo.execution import DEFAULT
from hpo.objective import Objective
from hpo.signals import ending_by_signal
from hpo.store.codec import cut
from hpo.text import headline
from hpo.trial import Job, Outcome, Reason, Trial

if TYPE_CHECKING:
    from hpo.study import Study


@dataclass(frozen=True)
class Difference:
    """The first thing that differs.

    Attributes:
        name: of the metric, or "value", "state", "reason" or "error".
        epoch: after which it was measured; None: at the end.
        stored: what is stored; None: nothing.
        now: what came out now; None: nothing.
    """

    name: str
    epoch: int | None
    stored: Any
    now: Any

    def __str__(self) -> str:
        when = "" if self.epoch is None else f" after epoch {self.epoch}"
        return f"{self.name}{when}: stored {_exact(self.stored)}, now {_exact(self.now)}"


@dataclass(frozen=True)
class Replay:
    """A stored trial beside the same training, done again.

    Attributes:
        trial: as stored.
        outcome: of training it again.
        difference: the first thing that differs; None: all is equal, bit for bit.
        changed: what results may depend on and has changed since a run of the study.
        company_shows: see `Objective.company_shows`.
    """

    trial: Trial
    outcome: Outcome
    difference: Difference | None
    changed: tuple[str, ...]
    company_shows: bool = False

    @property
    def equal(self) -> bool:
        """Whether everything is equal, bit for bit."""
        return self.difference is None

    @property
    def sentences(self) -> list[str]:
        """What came out, in the words of the command line."""
        if self.difference is None:
            value = "no value" if self.trial.value is None else f"value {_exact(self.trial.value)}"
            failure = f", the same failure ({self.trial.reason})" if self.trial.reason else ""
            epochs = _length(self.trial.curve)
            trained = f", {epochs} epoch{'s' if epochs > 1 else ''}" if epochs else ""
            return [f"equal, bit for bit: {value}{trained}{failure}"]
        since = [f"since a run of the study: {line}" for line in self.changed]
        if self.company_shows:
            since.append("trials of this objective train together: the last bits of one may depend on the others")
        return [f"different: {self.difference}", *(since or ["versions, platform and device are as they were"])]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "number": self.trial.number,
            "equal": self.equal,
            "stored": {"value": self.trial.value, "curve": self.trial.curve, "health": self.trial.health},
            "now": {"value": self.outcome.value, "curve": self.outcome.curve, "health": self.outcome.health},
            "difference": self.difference and vars(self.difference),
            "changed": list(self.changed),
        }


def replay(study: Study, trial: Trial, target: int | None, objective: Objective, source: str | None = None) -> Replay:
    """Train a trial again through its objective's executor, up to the last epoch that it was trained to.

    Nothing is written. A batched function gets the one configuration alone.

    Args:
        study: whose trial it is.
        trial: to train again.
        target: epoch that its latest ended evaluation trained to; None: none has ended.
        objective: the study's own.
        source: hash of its source text when the study was made; None: unknown.

    Raises:
        UsageError: there is nothing to compare with.
        KeyboardInterrupt: after Ctrl-C.
    """
    if target is None:
        raise UsageError(
            f"trial {trial.number} of study {study.name!r} is {trial.state}: nothing is stored to compare with; "
            f"{study.command('resume')} trains it"
        )
    job = Job(0, 0, trial.number, trial.params, trial.seed, 0, target, study.spec.trial_epochs)
    execution = DEFAULT
    if Reason.is_violent(trial.reason):
        execution = replace(study.execution, workers=1, retries=0)
    with ending_by_signal(lambda _: None) as stop:
        [outcome] = train_all(objective, [job], stop, execution)
    now = environment(objective.numerics())
    lines = [line for before in study.environments for line in changed(before, now)]
    if source is not None and objective.source() not in (None, source):
        lines.append("the source text of the objective's function has changed")
    return Replay(
        trial, outcome, first_difference(trial, outcome), tuple(dict.fromkeys(lines)), objective.company_shows
    )


def first_difference(trial: Trial, outcome: Outcome) -> Difference | None:
    """What of a stored trial is not what training it again gave: curves first, epoch by epoch, then how it ended."""
    for epoch in range(1, max(_length(trial.curve), _length(outcome.curve)) + 1):
        before, now = _after(trial.curve, epoch), _after(outcome.curve, epoch)
        if (found := _first(before, now, epoch)) is not None:
            return found
    ends = (
        {"reason": trial.reason, "value": trial.value, "error": headline(trial.error)},
        {"reason": outcome.reason, "value": outcome.value, "error": headline(cut(outcome.error))},
    )
    return _first(*ends, None) or _first(trial.health, outcome.health, None)


def _first(before: Mapping[str, Any], now: Mapping[str, Any], epoch: int | None) -> Difference | None:
    for name in dict.fromkeys(itertools.chain(before, now)):
        a, b = before.get(name), now.get(name)
        if a != b and (a == a or b == b):  # NaN equals NaN
            return Difference(name, epoch, a, b)
    return None


def _length(curve: Mapping[str, list[float]]) -> int:
    return max(map(len, curve.values()), default=0)


def _after(curve: Mapping[str, list[float]], epoch: int) -> dict[str, float]:
    return {name: values[epoch - 1] for name, values in curve.items() if len(values) >= epoch}


def _exact(value: Any) -> str:
    """Every digit, so that two that differ look different."""
    return "nothing" if value is None else str(value)
