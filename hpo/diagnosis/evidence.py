"""What the checks look at, read from the store once and only if asked for."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from hpo.errors import HpoError
from hpo.searcher import Needs
from hpo.text import printable
from hpo.trial import Evaluation, State, Trial
from hpo.values import canonical

if TYPE_CHECKING:
    from hpo.stored_study import StoredStudy


class Ranked(NamedTuple):
    """A trial that ended, with its place: the greater the pair, the better.

    A trial that halving trained further is better than one that it dropped; a failure is worse than any number.
    """

    trial: Trial
    epochs: int
    reward: float


class Evidence:
    """A study's trials, as the checks need them.

    Args:
        study: any, also one that is under way.
    """

    def __init__(self, study: StoredStudy) -> None:
        self.study = study
        self.spec = study.spec
        self.searcher = printable(study.spec.searcher)
        self.enqueued = study.enqueued
        self.budget = study.budget  # in epochs; None: by hand
        self.trials: Sequence[Trial] = study.summaries()

    @functools.cached_property
    def spent(self) -> int:
        """Epochs charged."""
        return self.study.epochs_spent

    @property
    def trials_left(self) -> int | None:
        """Full trainings that the budget still has; None: asked and told by hand, without a budget."""
        return None if self.budget is None else max(0, self.budget - self.spent) // self.spec.trial_epochs

    @property
    def is_under_way(self) -> bool:
        """Whether trials are running or stopped in between, to be run again."""
        return any(trial.state in (State.RUNNING, State.CANCELLED, State.PENDING) for trial in self.trials)

    @functools.cached_property
    def needs(self) -> Needs | str:
        """What the searcher says that it needs; a text: why that is not known."""
        try:
            searcher = self.spec.bound_searcher()
            if searcher.variant_setting is not None:
                self.searcher = printable(searcher.label)
            needs = searcher.needs()
        except HpoError as error:
            return f"the searcher cannot be asked what it needs: {error}"
        except Exception as error:  # a plug-in may fail in any way
            return f"searcher {self.searcher} failed when it was asked what it needs: {type(error).__name__}: {error}"
        return f"searcher {self.searcher} does not say what it needs (`Searcher.needs`)" if needs is None else needs

    @functools.cached_property
    def tried(self) -> int:
        """Different configurations among the trials."""
        return len({canonical(dict(trial.params)) for trial in self.trials})

    @functools.cached_property
    def most(self) -> int | None:
        """How many configurations the searcher can propose; None: without end, or too many to count."""
        given = self.needs.most if isinstance(self.needs, Needs) else None
        return self.spec.space.size if given is None else given

    @functools.cached_property
    def ranked(self) -> list[Ranked]:
        """The trials that ended or wait at a rung, by number."""
        ended = (State.DONE, State.FAILED, State.PAUSED)
        return [
            Ranked(trial, trial.epochs if math.isfinite(reward) else 0, reward)
            for trial in self.trials
            if trial.state in ended
            for reward in [self._reward(trial.value, trial.state)]
        ]

    @property
    def has_rungs(self) -> bool:
        """Whether trials trained to different epochs, so that evaluations tell more than trials."""
        return len({ranked.epochs for ranked in self.ranked if ranked.epochs}) > 1

    @functools.cached_property
    def evaluations(self) -> list[Evaluation]:
        """Those that ended, in the order asked; read only where there are rungs."""
        ended = (State.DONE, State.FAILED)
        return [evaluation for evaluation in self.study.evaluations() if evaluation.state in ended]

    @functools.cached_property
    def first_rewards(self) -> list[tuple[Trial, float]]:
        """The searcher's own trials by number, each with what came of its first evaluation; failures are -inf.

        All trials are comparable there, whatever halving did with them later.
        """
        if not self.has_rungs:
            return [(ranked.trial, ranked.reward) for ranked in self.ranked if ranked.trial.number >= self.enqueued]
        first = {e.number: self._reward(e.value, e.state) for e in self.evaluations if e.start == 0}
        return [
            (ranked.trial, first[ranked.trial.number])
            for ranked in self.ranked
            if ranked.trial.number >= self.enqueued and ranked.trial.number in first
        ]

    def _reward(self, value: float | None, state: State) -> float:
        if state == State.FAILED or value is None or not math.isfinite(value):
            return -math.inf
        return value if self.spec.direction == "maximize" else -value
