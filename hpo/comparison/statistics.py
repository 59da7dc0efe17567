"""Tests, effect sizes and corrections: pure functions of numbers.

Searchers are compared in pairs, seed by seed on one task or task by task, with Wilcoxon's signed-rank test (Demšar,
"Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006),
https://jmlr.org/papers/v7/demsar06a.html; Benavoli, Corani and Mangili, "Should We Really Use Post-Hoc Tests Based on
Mean-Ranks?", JMLR 17 (2016), https://jmlr.org/papers/v17/benavoli16a.html).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpo import seeding

LEVEL: Final = 0.05  # chance that a verdict claims a difference where there is none, over all its pairs and looks
POWER: Final = 0.8  # chance that a difference of the size called detectable is found
MIN_SEEDS: Final = 5
MIN_TASKS: Final = 9
_FIRST_LOOK: Final = 0.8  # of the level
_RESOLUTION: Final = 1e-12  # relative to the median magnitude of values: what differs by less is equal
_LARGE: Final = 1022  # values of at most 2 to this power have finite differences
_DECIMALS: Final = 12  # of scores that are ranked: rounding errors make no ranks
_ROUNDING: Final = 1e-9  # relative, of chances and sums: far above rounding errors, far below any step between two
_LEAST_SAMPLES: Final = 400  # simulated: the power of what is called detectable is then 0.8 +- 0.02
_MOST_SAMPLES: Final = 4_000  # 0.8 +- 0.006
_ALL_AVERAGES: Final = 20_000_000  # Walsh averages in all samples: about a second
_AVERAGES_AT_ONCE: Final = 2_000_000  # of 8 bytes each: some 50 MB with copies


# -- two searchers


@dataclass(frozen=True)
class Paired:
    """How the first of two paired samples stands beside the second.

    Attributes:
        n: pairs.
        probability: P(first better than second), ties counted half, in [0, 1].
        p: of the two-sided test, in (0, 1].
        side: 1 if both rank sum and `probability` favour the first, -1 the second, 0 neither.
    """

    n: int
    probability: float
    p: float
    side: int


def paired(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> Paired:
    """Wilcoxon's signed-rank test of two paired samples, greater is better.

    The test is exact given the sizes of the differences: without a true difference each of the 2^n assignments of
    signs is equally likely, so ties need no correction and small n no approximation. Zeros get ranks, which are then
    left out of the sum (Pratt, JASA 54 (1959), https://doi.org/10.1080/01621459.1959.10501526).

    Args:
        first: n >= 1 values; NaN, a failure, is worse than any number, and two failures are equal.
        second: the same in the same order.
    """
    d = _differences(np.asarray(first, float), np.asarray(second, float))  # (n,)
    ranks = _doubled_ranks(np.abs(d))  # (n,)
    above, below = int(ranks[d > 0].sum()), int(ranks[d < 0].sum())
    null = _null(tuple(sorted(ranks[d != 0].tolist())))
    p = min(1.0, 2 * float(null[: min(above, below) + 1].sum()))
    probability = float((d > 0).mean() + (d == 0).mean() / 2)
    sides = {int(np.sign(above - below)), int(np.sign(probability - 0.5))}
    return Paired(len(d), probability, p, sides.pop() if len(sides) == 1 else 0)


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The differences, infinite where only one is NaN; 0.3 - 0.2 and 0.2 - 0.1 are made equal by rounding."""
    failed, other = np.isnan(first), np.isnan(second)
    sizes = np.abs(np.concatenate([first, second]))
    exponent = _LARGE - math.frexp(sizes[np.isfinite(sizes)].max(initial=0.0))[1]  # at least -2: nothing is lost
    first, second, sizes = (np.ldexp(values, exponent) for values in (first, second, sizes))
    sizes = sizes[sizes > 0]  # nor NaN
    unit = float(np.median(sizes)) * _RESOLUTION if len(sizes) else 0.0
    d: np.ndarray = np.where(failed | other, 0.0, first - second)
    if unit > 0:
        with np.errstate(over="ignore"):  # infinite then, which is as good as huge
            d = np.round(d / unit)
    return d + np.where(other & ~failed, np.inf, 0.0) - np.where(failed & ~other, np.inf, 0.0)


def _doubled_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the mid-rank of each value: integers, so that sums of ranks are exact."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    doubled: np.ndarray = (2 * np.cumsum(counts) - counts + 1)[which]
    return doubled


@functools.lru_cache(maxsize=8)  # all tests without ties share one
def _null(ranks: tuple[int, ...]) -> np.ndarray:
    """Distribution of the sum of those ranks that a fair coin each chooses: probabilities of 0, 1, ..., their sum."""
    chances = np.zeros(sum(ranks) + 1)
    chances[0] = 1.0
    for rank in ranks:
        chosen = chances[: len(chances) - rank] / 2
        chances /= 2
        chances[rank:] += chosen
    chances.setflags(write=False)
    return chances


# -- many of them


def holm(ps: Sequence[float]) -> list[float]:
    """p-values after Holm's correction: rejecting those <= a errs in any of them with a chance of at most a.

    In ascending order, p_i becomes the greatest of (m - j + 1) p_j over j <= i, at most 1 (Holm, Scandinavian Journal
    of Statistics 6 (1979), https://www.jstor.org/stable/4615733).
    """
    p = np.asarray(ps, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(1.0, p[order] * np.arange(len(p), 0, -1)))
    out = np.empty(len(p))
    out[order] = stepped
    return out.tolist()


def share(look: int) -> float:
    """The share of the level that look `look` at a growing comparison may spend, from 1 on: 0.8, 0.1, 0.033, ...

    Who looks, adds seeds and looks again gets a chance to err with each look, and nobody knows how many there will be.
    So the first look gets most of the level, and look k of the others 0.2 / ((k-1) k): these sum to 1 however many
    follow, and so does the chance to err to the level at most (spending the level: Lan and DeMets, Biometrika 70
    (1983), https://doi.org/10.1093/biomet/70.3.659; the sum bounds it however the looks depend on each other).
    """
    return _FIRST_LOOK if look == 1 else (1 - _FIRST_LOOK) / ((look - 1) * look)


def first_step(pairs: int, look: int) -> float:
    """What the smallest of `pairs` p-values must not exceed for any claim: Holm's first step at that look."""
    return LEVEL * share(look) / pairs


def adjust(ps: Sequence[float], look: int) -> list[float]:
    """p-values corrected for being many and for earlier looks, to be compared with LEVEL; see `holm` and `share`."""
    return [min(1.0, p / share(look)) for p in holm(ps)]


def groups(labels: Sequence[str], apart: Callable[[str, str], bool]) -> list[tuple[str, ...]]:
    """The greatest sets of two or more labels none of which can be told apart, in the order of `labels`.

    They may overlap: a alike b, b alike c, and yet a and c apart. (Maximal cliques, after Bron and Kerbosch, CACM 16
    (1973), https://doi.org/10.1145/362342.362367.)
    """
    found: list[tuple[str, ...]] = []

    def grow(members: list[str], open_: list[str], closed: list[str]) -> None:
        if not open_ and not closed and len(members) > 1:
            found.append(tuple(label for label in labels if label in members))
        while open_:
            label, *rest = open_
            grow(
                [*members, label],
                [other for other in rest if not apart(label, other)],
                [other for other in closed if not apart(label, other)],
            )
            open_, closed = rest, [*closed, label]

    grow([], list(labels), [])
    return sorted(found, key=lambda group: [labels.index(label) for label in group])


# -- over tasks


@dataclass(frozen=True)
class Friedman:
    """Friedman's test whether searchers differ at all.

    Attributes:
        ranks: mean rank of each searcher over tasks, (K,), 1 is best.
        p: by the chi-squared approximation, in [0, 1].
        p_f: by Iman's and Davenport's F, which is less conservative, in [0, 1].
    """

    ranks: np.ndarray
    p: float
    p_f: float


def friedman(scores: np.ndarray) -> Friedman:
    """Friedman's test with the correction for ties.

    chi2 = (K-1) sum_k (R_k - N(K+1)/2)^2 / (sum of squared ranks - N K (K+1)^2 / 4), of K-1 degrees of freedom, and
    F = (N-1) chi2 / (N(K-1) - chi2), of K-1 and (K-1)(N-1) (Iman and Davenport, Communications in Statistics 9 (1980),
    https://doi.org/10.1080/03610928008827904). Where all are tied, chi2 is 0/0 and p is 1.

    Args:
        scores: (N, K) of N tasks and K searchers, lower is better.
    """
    from scipy.special import chdtrc, fdtrc

    tasks, searchers = scores.shape
    ranks = np.stack([_doubled_ranks(row) / 2 for row in np.round(scores, _DECIMALS)])  # (N, K)
    spread = float((ranks**2).sum()) - tasks * searchers * (searchers + 1) ** 2 / 4
    if spread == 0:
        return Friedman(ranks.mean(0), 1.0, 1.0)
    freedom = searchers - 1
    chi2 = freedom * float(((ranks.sum(0) - tasks * (searchers + 1) / 2) ** 2).sum()) / spread
    rest = tasks * freedom - chi2
    f = (tasks - 1) * chi2 / rest if rest > _ROUNDING * tasks * freedom else math.inf
    p_f = 0.0 if math.isinf(f) else float(fdtrc(freedom, freedom * (tasks - 1), f))
    return Friedman(ranks.mean(0), float(chdtrc(freedom, chi2)), p_f)


# -- what can be seen at all


def fewest(level: float) -> int:
    """The least number of pairs with which a two-sided p can be as small as `level`: 2^(1-n) <= level."""
    return max(1, math.ceil(1 - math.log2(level) - _ROUNDING))


@functools.lru_cache(maxsize=256)
def detectable(n: int, level: float) -> float:
    """The smallest P(better) that `paired` finds in four of five samples of `n` pairs; NaN if it can find none.

    Found are p <= level on the side of the truth. For differences that are normal with mean m and deviation 1,
    P(better) is Phi(m). The sum of the ranks of positive differences is the number of positive Walsh averages
    (x_i + x_j) / 2, i <= j (Tukey), so each simulated sample has a smallest shift from which on it is found: the
    answer is Phi of the 80 % quantile of these shifts, and no search over shifts is needed.

    Args:
        n: pairs, >= 1.
        level: in (0, 1).
    """
    from scipy.special import ndtr

    null = _null(tuple(range(2, 2 * n + 1, 2)))[::2]  # chances of the rank sums 0, 1, ..., n(n+1)/2
    extreme = np.flatnonzero(2 * np.cumsum(null) <= level * (1 + _ROUNDING))  # the distribution is symmetric
    if not len(extreme):
        return math.nan
    averages = len(null) - 1
    needed = averages - int(extreme[-1])  # smallest rank sum that is found
    i, j = np.triu_indices(n)
    samples = max(_LEAST_SAMPLES, min(_MOST_SAMPLES, _ALL_AVERAGES // averages))
    draws = seeding.generator("detectable", n).normal(size=(samples, n))
    shifts = []
    for sample in np.array_split(draws, math.ceil(samples * averages / _AVERAGES_AT_ONCE)):
        walsh = (sample[:, i] + sample[:, j]) / 2  # (S, n(n+1)/2)
        by_ranks = np.partition(walsh, averages - needed, axis=1)[:, averages - needed]
        by_count = np.partition(sample, n - (n // 2 + 1), axis=1)[:, n - (n // 2 + 1)]  # more than half are positive
        shifts.append(-np.minimum(by_ranks, by_count))
    return float(ndtr(np.quantile(np.concatenate(shifts), POWER)))
