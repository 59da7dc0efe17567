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

    @property
    def maximized(self) -> bool:
        """Whether more is better."""
        return self.study.spec.direction == "maximize"

    @property
    def metric(self) -> str:
        """What the values are called."""
        return str(self.study.spec.objective.get("metric") or "value")

    @property
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
