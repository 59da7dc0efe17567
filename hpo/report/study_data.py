"""What the figures of a study are drawn from, read once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from hpo.domains import Domain
from hpo.stored_study import StoredStudy
from hpo.trial import Evaluation, State, Trial

PAGE = 1_000  # trials that are read at once with their curves


@dataclass(frozen=True)
class StudyData:
    """A study under report.

    Attributes:
        study: the study.
    """

    study: StoredStudy

    @functools.cached_property
    def trials(self) -> list[Trial]:
        """All by number, without curve, error and info."""
        return self.study.summaries()

    @functools.cached_property
    def evaluations(self) -> list[Evaluation]:
        """All in the order asked."""
        return self.study.evaluations()

    @functools.cached_property
    def full_epochs(self) -> int:
        """The greatest epoch that any trial with a value reached: only trials there are compared."""
        return max((trial.epochs for trial in self.trials if self._has_value(trial)), default=0)

    @functools.cached_property
    def comparable(self) -> list[Trial]:
        """Trials with a finite value at the greatest epoch, by number."""
        return [t for t in self.trials if self._has_value(t) and t.epochs == self.full_epochs]

    @functools.cached_property
    def ranking(self) -> list[Trial]:
        """The comparable ones, the best first, the earlier of equals."""
        sign = -1.0 if self.maximized else 1.0
        return sorted(self.comparable, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    @functools.cached_property
    def importances(self) -> dict[str, float]:
        """Share of importance by PED-ANOVA, most important first; empty where nothing can be said of it."""
        from hpo.report.ped_anova import ped_anova

        return ped_anova(self.space, self.comparable, self.study.spec.direction)

    @functools.cached_property
    def by_importance(self) -> list[str]:
        """The hyperparameters that vary, the most important first, those of unknown importance last."""
        return [*self.importances, *(name for name in self.space if name not in self.importances)]

    @property
    def compared(self) -> str:
        """Which trials are compared, in words."""
        count = f"{len(self.comparable):,} {'trial' if len(self.comparable) == 1 else 'trials'}"
        return count if self.study.spec.epochs is None else f"{count} at epoch {self.full_epochs}"

    @property
    def good(self) -> str:
        """Which values are better, in words."""
        return "higher is better" if self.maximized else "lower is better"

    @property
    def maximized(self) -> bool:
        """Whether more is better."""
        return self.study.spec.direction == "maximize"

    @property
    def metric(self) -> str:
        """What the values are called."""
        return str(self.study.spec.objective.get("metric") or "value")

    @functools.cached_property
    def space(self) -> dict[str, Domain]:
        """The hyperparameters that vary, by name."""
        return {name: domain for name, domain in self.study.spec.space.items() if domain.size != 1}

    def with_curves(self, numbers: Sequence[int]) -> list[Trial]:
        """Some trials with their curves, by number."""
        wanted, found = sorted(set(numbers)), []
        for _, group in groupby(wanted, key=lambda number: number // PAGE):
            page = list(group)
            read = self.study.page(page[0], page[-1] - page[0] + 1)
            keep = set(page)
            found += [trial for trial in read if trial.number in keep]
        return found

    @staticmethod
    def _has_value(trial: Trial) -> bool:
        return trial.state != State.FAILED and trial.value is not None and math.isfinite(trial.value)
