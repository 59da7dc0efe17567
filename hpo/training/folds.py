"""Folds of cross-validation: networks that train side by side, and whose steps are averaged."""

import math
from collections.abc import Iterator, Sequence

from hpo.objective import Run, Step


def mean_step(steps: Sequence[Step]) -> Step:
    """The mean over folds after the same epoch; of a fold that ended before, its last step."""
    if len(steps) == 1:
        return steps[0]
    health = [name for name in steps[0].health if all(name in step.health for step in steps)]
    return Step(
        max(step.epoch for step in steps),
        _mean([step.value for step in steps]),
        {name: _mean([step.metrics[name] for step in steps]) for name in steps[0].metrics},
        all(step.ended for step in steps),
        {name: _mean([step.health[name] for step in steps]) for name in health},
    )


def _mean(values: Sequence[float]) -> float:
    """NaN if any is not finite."""
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan


class FoldedRun(Run):
    """The folds of a trial, each a run of its own.

    Args:
        runs: one for each fold, before their first epoch.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = list(runs)
        self._last: list[Step | None] = [None for _ in runs]

    def advance(self, target: int) -> Iterator[Step]:
        """See `Run.advance`; an epoch is one of all folds."""
        advancing = [run.advance(target) for run in self._runs]
        while True:
            new = [next(steps, None) for steps in advancing]
            if not any(new):
                return
            self._last = [step or last for step, last in zip(new, self._last, strict=True)]
            step = mean_step([last for last in self._last if last is not None])
            yield step
            if math.isnan(step.value):
                return
