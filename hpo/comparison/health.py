"""How well the trials of a study trained, and where in the space training diverged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from hpo.text import printable, value_text
from hpo.trial import Trial

GAP: Final = 0.1  # between training and validation, above which a trial overfits: of metrics such as accuracy
RELATIVE_GAP: Final = 0.2  # of errors, which have no natural unit: as a share of the training value
DEAD: Final = 0.5  # share of relu units
VANISHING: Final = 1e-6  # norm of the first layer's gradient
BALANCE: Final = 1e-3  # of the norms of first and last layer: where all of training is over, both are small
LEVEL: Final = 0.01  # of Fisher's exact test, over all regions that were looked at
CUTS: Final = 200  # of one range that are looked at, evenly over its values
STRENGTH: Final = 3.0  # times as many failures in a region as elsewhere


@dataclass(frozen=True)
class Share:
    """So many trials of those of which it is known.

    Attributes:
        count: trials.
        of: trials among which they were counted.
    """

    count: int
    of: int

    @property
    def rate(self) -> float:
        """The share, in [0, 1]."""
        return self.count / self.of

    def __str__(self) -> str:
        return f"{self.count} of {self.of}"


@dataclass(frozen=True)
class Region:
    """Values of one hyperparameter among which training diverged more often than among its others.

    Attributes:
        name: of the hyperparameter.
        relation: ">", "<=" or "=".
        value: what it is related to.
        inside: trials in the region that diverged.
        elsewhere: trials with another value of the hyperparameter that diverged.
        p: of the one-sided Fisher test, times the number of regions that were looked at.
    """

    name: str
    relation: str
    value: Any
    inside: Share
    elsewhere: Share
    p: float

    def __str__(self) -> str:
        where = f"{printable(self.name)} {self.relation} {value_text(self.value)}"
        return f"{where} diverged in {self.inside} (elsewhere {self.elsewhere})"


@dataclass(frozen=True)
class Health:
    """A study's trials summed up; see `summarize`.

    Attributes:
        metric: that overfitting is measured in; None: no trial tells its health.
        relative: whether the gap is a share of the training value.
        overfit: trials that are better on training data by more than GAP or RELATIVE_GAP.
        dead: trials with relu of whose units more than DEAD are 0 for all rows looked at.
        vanishing: trials whose gradient does not reach the first layer.
        diverged: trials whose value is not finite.
        regions: where they diverged, the clearest first, one for each hyperparameter.
    """

    metric: str | None
    relative: bool
    overfit: Share
    dead: Share
    vanishing: Share
    diverged: Share
    regions: tuple[Region, ...]

    @property
    def sentences(self) -> list[str]:
        """What there is to say; nothing about what is well."""
        gap = f"{RELATIVE_GAP:.0%} of the training value" if self.relative else f"{GAP:g}"
        said = [
            (self.overfit, f"{self.overfit} trials overfit (gap in {self.metric} > {gap})."),
            (self.dead, f"{self.dead} trials with relu have more than half of its units dead."),
            (
                self.vanishing,
                f"Gradients vanish in the first layer of {self.vanishing} trials (norm below {VANISHING:g}, and "
                f"{1 / BALANCE:g} times smaller than in the last layer).",
            ),
            (self.diverged, f"{self.diverged} trials diverged: their value is not finite."),
        ]
        return [text for share, text in said if share.count] + [f"{region}." for region in self.regions]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        shares = {name: vars(getattr(self, name)) for name in ("overfit", "dead", "vanishing", "diverged")}
        regions = [
            vars(region) | {"inside": vars(region.inside), "elsewhere": vars(region.elsewhere)}
            for region in self.regions
        ]
        return {"metric": self.metric, **shares, "diverged_in": regions, "sentences": self.sentences}


def summarize(trials: Sequence[Trial], direction: str) -> Health:
    """Count what went wrong in training.

    Args:
        trials: of one study; curves are not needed. Those without a value are left out.
        direction: of the metric; one that is minimized is an error, whose gap is taken relative to the training value.
    """
    trials = [trial for trial in trials if trial.value is not None]
    names = (name for trial in trials for name in trial.health if name.startswith("train_"))
    metric, relative = next((name.removeprefix("train_") for name in names), None), direction == "minimize"

    def share(needed: Sequence[str], is_so: Callable[..., bool]) -> Share:
        known = [[trial.health.get(name, math.nan) for name in needed] for trial in trials]
        known = [numbers for numbers in known if all(map(math.isfinite, numbers))]
        return Share(sum(is_so(*numbers) for numbers in known), len(known))

    diverged = [not math.isfinite(trial.value or 0.0) for trial in trials]
    return Health(
        metric,
        relative,
        share(["gap", f"train_{metric}"], lambda gap, train: overfits(gap, train, relative)),
        share(["dead_relu"], lambda dead: dead > DEAD),
        share(["gradient_first", "gradient_last"], vanishes),
        Share(sum(diverged), len(diverged)),
        divergence(trials, diverged),
    )


def overfits(gap: float, train: float, relative: bool) -> bool:
    """Whether a trial is much better on training data.

    Args:
        gap: by how much.
        train: its value there.
        relative: whether the gap counts as a share of that.
    """
    return gap > (RELATIVE_GAP * abs(train) if relative else GAP)


def vanishes(first: float, last: float) -> bool:
    """Whether a gradient does not reach the first layer, given the norms of first and last layer."""
    return first < VANISHING and first < BALANCE * last


def divergence(trials: Sequence[Trial], diverged: Sequence[bool]) -> tuple[Region, ...]:
    """The clearest region of each hyperparameter in which training diverged, the clearest of all first.

    A region is all values above or below a cut, or one option. It is told if failures are STRENGTH times as frequent
    there as among the trials with other values, and if Fisher's exact test says so with p < LEVEL after Bonferroni's
    correction for all regions of all hyperparameters.
    """
    if not any(diverged) or all(diverged):
        return ()
    failed = np.asarray(diverged)
    candidates = [found for name in _names(trials) for found in _candidates(name, trials, failed)]
    strong = [
        region
        for region in candidates
        if region.inside.count * region.elsewhere.of > STRENGTH * region.elsewhere.count * region.inside.of
    ]
    if not strong:
        return ()
    best: dict[str, Region] = {}
    counts = np.array([(r.inside.count, r.inside.of, r.elsewhere.count, r.elsewhere.of) for r in strong])
    for region, p in zip(strong, fisher(*counts.T), strict=True):
        corrected = min(1.0, float(p) * len(candidates))
        told = best.get(region.name)
        # of many trials p is 0 in more than one region: the one with the greater rate is the clearer
        if corrected < LEVEL and (told is None or (corrected, -region.inside.rate) < (told.p, -told.inside.rate)):
            best[region.name] = replace(region, p=corrected)
    return tuple(sorted(best.values(), key=lambda region: region.p))


def fisher(a: np.ndarray, n: np.ndarray, b: np.ndarray, m: np.ndarray) -> np.ndarray:
    """The one-sided p of Fisher's exact test that a of n is no higher a rate than b of m.

    P(X >= a) where X is hypergeometric: n drawn of n + m, of which a + b are marked. Arrays of integers, one length.
    """
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.sf(a - 1, n + m, a + b, n))


def _names(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.params))


def _candidates(name: str, trials: Sequence[Trial], failed: np.ndarray) -> Iterator[Region]:
    """All regions of a hyperparameter, among the trials that have it; p is not known yet."""
    active = np.array([name in trial.params for trial in trials])
    values = [trial.params[name] for trial in trials if name in trial.params]
    failed = failed[active]
    total = Share(int(failed.sum()), len(failed))

    def region(relation: str, value: Any, count: int, of: int) -> Region:
        return Region(name, relation, value, Share(count, of), Share(total.count - count, total.of - of), math.nan)

    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        distinct, places = np.unique(np.array(values, dtype=np.float64), return_inverse=True)
        counts = np.cumsum(np.bincount(places, failed)).astype(int)  # of trials up to each value
        sizes = np.cumsum(np.bincount(places))
        between_two = np.unique(np.linspace(0, len(distinct) - 2, min(CUTS, len(distinct) - 1)).round().astype(int))
        for i in between_two.tolist():
            cut = between(float(distinct[i]), float(distinct[i + 1]))
            yield region("<=", cut, int(counts[i]), int(sizes[i]))
            yield region(">", cut, total.count - int(counts[i]), total.of - int(sizes[i]))
        return
    options: dict[str, list[int]] = {}
    for place, value in enumerate(values):
        options.setdefault(repr(value), []).append(place)
    if len(options) > 1:
        for places_of in options.values():
            yield region("=", values[places_of[0]], int(failed[places_of].sum()), len(places_of))


def between(low: float, high: float) -> float:
    """The number of fewest digits in [low, high), near their middle; the geometric one if both are positive."""
    middle = math.sqrt(low) * math.sqrt(high) if low > 0 else low / 2 + high / 2
    rounded = (float(f"{middle:.{digits}g}") for digits in range(1, 18))
    return next((cut for cut in rounded if low <= cut < high), low)
