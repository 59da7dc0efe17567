"""Normalised regret, how it falls as a budget is spent, and what it takes to reach a value.

Summaries are the median and the interquartile mean with stratified bootstrap bands: Agarwal et al., "Deep
Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021, https://arxiv.org/abs/2108.13264
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpo import seeding
from hpo.comparison.analysis import Band, Target
from hpo.comparison.results import Run, Task

POINTS: Final = 100  # of a band, at most
RESAMPLES: Final = 1000
_MOST: Final = 1e200  # a regret that is summed without overflow
_ENDS: Final = (0.025, 0.975)  # of a 95 % band


# -- normalised regret


@dataclass(frozen=True)
class Scale:
    """What makes the values of different tasks comparable.

    Attributes:
        sign: 1 if greater values are better, -1 if lower ones are.
        exponent: values are divided by 2 to this power, which is exact and lets nothing overflow.
        best: the best value that any run or reference trial saw, so divided and times `sign`.
        width: distance from there to the median reference trial; 0: there is no scale.
        without: regret of a run without success.
    """

    sign: float
    exponent: int
    best: float
    width: float
    without: float

    @classmethod
    def of(cls, task: Task, runs: Sequence[Run]) -> Scale:
        """That of a task; `runs` are all runs of all searchers on it."""
        seen = task.sign * np.concatenate([task.reference, *(np.asarray(run.incumbent, float) for run in runs)])
        exponent = math.frexp(float(np.nanmax(np.abs(seen), initial=0.0)))[1] + 1
        seen = np.ldexp(seen, -exponent)
        reference = seen[: len(task.reference)]
        best = float(np.nanmax(seen, initial=-math.inf))
        width = best - float(np.median(reference)) if len(reference) else 0.0
        without = min((best - float(reference.min())) / width, _MOST) if width else 1.0
        return cls(task.sign, exponent, best, width, without)

    def regret(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        """(best - y) / (best - median reference) of each value y, in the better direction: 0 is best, never below.

        Without a scale, all 0. NaN, a run without success, gets the regret of the worst reference trial, at least 1.
        """
        y = self.sign * np.ldexp(np.asarray(values, float), -self.exponent)
        with np.errstate(over="ignore"):
            out = np.minimum((self.best - y) / self.width, _MOST) if self.width else np.zeros(y.shape)
        return np.where(np.isnan(y), self.without, out)


# -- curves over a budget


def grid(last: int) -> np.ndarray:
    """At most POINTS whole numbers from 1 to `last`, evenly spread, `last` among them: (G,)."""
    return np.unique(np.round(np.linspace(1, last, min(POINTS, last))).astype(int)) if last > 0 else np.zeros(0, int)


def steps(at: np.ndarray, values: np.ndarray, points: np.ndarray, before: float) -> np.ndarray:
    """A step function at `points`, (G,): the value of the last entry at or before each, `before` where there is none.

    Args:
        at: where the value changes, (E,) non-decreasing.
        values: from there on, (E,).
        points: (G,).
        before: value before the first entry.
    """
    entry = np.searchsorted(at, points, side="right")  # (G,)
    return np.concatenate([[before], values])[entry]


def band(x: np.ndarray, values: np.ndarray, begun: np.ndarray) -> Band:
    """Median and interquartile mean of all runs at every point, with their bootstrap bands.

    Args:
        x: (G,).
        values: (T, S, G): T strata (tasks), within each of which the S runs are resampled.
        begun: (G,), whether any run has begun; NaN elsewhere.
    """
    tasks, seeds, points = values.shape
    count = tasks * seeds
    # A resample is the same set of runs for any order of them, so runs may be numbered by their rank within the task,
    # point by point: with one task all points then share one order, and their resamples are one product of matrices.
    ranked = np.sort(values, axis=1).reshape(count, points)
    order = np.argsort(ranked, axis=0, kind="stable")
    sorted_ = np.take_along_axis(ranked, order, axis=0)  # (T * S, G)
    cuts = (count - 1) // 2, count // 4  # the median is the mean of what is left of a much trimmed sample
    means = np.stack([sorted_[cut : count - cut].mean(0) for cut in cuts])  # (2, G)
    resampled = np.empty((2, points, RESAMPLES))
    orders, which = np.unique(order, axis=1, return_inverse=True)
    drawn = _drawn(tasks, seeds)
    for k in range(orders.shape[1]):
        columns = np.flatnonzero(which.ravel() == k)
        through = np.cumsum(drawn[orders[:, k]], axis=0)  # (T * S, B): how many of the resample are no greater
        for i, cut in enumerate(cuts):
            kept = np.clip(through, cut, count - cut)
            kept[1:] -= kept[:-1].copy()  # how often each is in the middle
            kept[0] -= cut
            # einsum, since matrix libraries wait for all their threads, long on a busy machine
            resampled[i, columns] = np.einsum("ng,nb->gb", sorted_[:, columns], kept) / (count - 2 * cut)
    low, high = np.quantile(resampled, _ENDS, axis=-1)  # (2, G)
    for values_ in (means, low, high):
        values_[:, ~begun] = math.nan
    return Band(x, means[0], low[0], high[0], means[1], low[1], high[1])


@functools.lru_cache(maxsize=16)
def _drawn(tasks: int, seeds: int) -> np.ndarray:
    """How often each of `seeds` runs of each task is in each resample of its task: (tasks * seeds, RESAMPLES)."""
    draws = seeding.generator("bootstrap", tasks, seeds).integers(seeds, size=(RESAMPLES, tasks, seeds))
    run = draws + np.arange(tasks)[:, None] * seeds + np.arange(RESAMPLES)[:, None, None] * tasks * seeds
    counts = np.bincount(run.ravel(), minlength=RESAMPLES * tasks * seeds)
    drawn = np.ascontiguousarray(counts.reshape(RESAMPLES, tasks * seeds).T.astype(np.int32))
    drawn.setflags(write=False)
    return drawn


@dataclass(frozen=True)
class RegretCurve:
    """A run as arrays of its entries, (E,) each.

    Attributes:
        spent: units spent.
        trials: trials begun.
        regret: normalised regret of the incumbent.
        without: that of a run without success, which it has before its first entry.
    """

    spent: np.ndarray
    trials: np.ndarray
    regret: np.ndarray
    without: float

    @classmethod
    def of(cls, run: Run, scale: Scale) -> RegretCurve:
        """That of a run."""
        return cls(np.array(run.spent, int), np.array(run.trials, int), scale.regret(run.incumbent), scale.without)


def band_by_spent(paths: Sequence[RegretCurve], budget: int) -> Band:
    """The band of one searcher's runs on one task over units spent."""
    return _whole_band(paths, [path.spent for path in paths], budget)


def band_by_trials(paths: Sequence[RegretCurve]) -> Band:
    """The band of one searcher's runs on one task over trials begun; a run that ended keeps its last value."""
    return _whole_band(paths, [path.trials for path in paths], max(path.trials.max(initial=0) for path in paths))


def _whole_band(paths: Sequence[RegretCurve], ats: Sequence[np.ndarray], last: int) -> Band:
    x = grid(last)
    values = [steps(at, path.regret, x, path.without) for at, path in zip(ats, paths, strict=True)]
    return band(x, np.stack(values)[None], x >= _first(ats))


def band_by_share(paths: Sequence[Sequence[RegretCurve]], budgets: Sequence[int]) -> Band:
    """The band of one searcher's runs over the share of the budget that is spent; paths and budgets by task."""
    percent = np.arange(1, POINTS + 1) * 100 // POINTS
    values, ats = [], []
    for of_task, budget in zip(paths, budgets, strict=True):
        for path in of_task:
            ats.append(-(-100 * path.spent // budget))  # in whole numbers, rounded up: 0.29 * 100 is less than 29
            values.append(steps(ats[-1], path.regret, percent, path.without))
    return band(percent / 100, np.reshape(values, (len(paths), -1, POINTS)), percent >= _first(ats))


def _first(ats: Sequence[np.ndarray]) -> float:
    return min((float(at[0]) for at in ats if len(at)), default=math.inf)


# -- final values


def quantile(task: Task, values: Sequence[float] | np.ndarray, q: float) -> float:
    """A quantile of final values, 0.5 the median: the one rule for figures, tables and texts.

    NaN, a run without success, counts as worse than any value. Between two values it is interpolated linearly, so the
    median of an even number is the mean of the two in the middle; NaN where one of the two is a run without success.

    Args:
        task: says which values are better.
        values: of the runs, (n,) with n >= 1.
        q: share of the runs that are lower, in [0, 1].
    """
    found = np.asarray(values, float)
    ordered = np.sort(np.where(np.isnan(found), -task.sign * math.inf, found))
    at = q * (len(ordered) - 1)
    below, above = float(ordered[math.floor(at)]), float(ordered[math.ceil(at)])
    if not (math.isfinite(below) and math.isfinite(above)):
        return math.nan
    share = at - math.floor(at)
    return below if below == above else (1 - share) * below + share * above


# -- reaching a value


def median_run(task: Task, own: Sequence[Run]) -> Run:
    """The run in the middle by its final value, of two the worse one; a run without success is worse than any other."""
    ordered = sorted(own, key=lambda run: -math.inf if math.isnan(run.final) else task.sign * run.final)
    return ordered[(len(ordered) - 1) // 2]


def target(task: Task, own: Sequence[Run]) -> float:
    """The final value of a searcher's `median_run`, so that at least half of its own runs reach it.

    Unlike `quantile`, which may lie between two runs. NaN if too many runs had no success.
    """
    return median_run(task, own).final


def reach(task: Task, runs: Sequence[Run], values: Sequence[float]) -> list[Target]:
    """What it takes `runs` to reach each of `values`; NaN is reached by none."""
    s = task.sign
    costs = []  # by run and value
    for run in runs:
        y = s * np.array(run.incumbent, float)
        best = np.maximum.accumulate(np.where(np.isnan(y), -math.inf, y))  # an incumbent may worsen
        spent = np.array([*run.spent, math.inf])
        first = np.searchsorted(best, s * np.array(values), side="left")  # NaN is put last
        costs.append(spent[first].tolist())
    return [
        Target(value, of, _lower_median(of), sum(map(math.isfinite, of)))
        for value, of in zip(values, zip(*costs, strict=True), strict=True)
    ]


def _lower_median(costs: Sequence[float]) -> float:
    return sorted(costs)[(len(costs) - 1) // 2]
