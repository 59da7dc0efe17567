"""Whether the best trials pile up where a range ends, so that better ones may lie beyond.

For each numeric hyperparameter and each end of its range, the *edge* is the outer tenth of the range in its own scale,
or the end value alone of a range with at most ten. The figure is how many of the best tenth of the trials (at least 8)
lie in it, beside how many of all do. It is told if both hold:

* at least four fifths of the best lie in the edge;
* the trials in the edge are better than the others: Mann and Whitney's U over the ranks of all trials, one-sided,
  normal with tie correction (https://doi.org/10.1214/aoms/1177730491), p <= SHARE after Holm's correction over all
  names and ends.

The obvious test, the binomial tail of the first figure with the share of all trials in the edge as its rate, has no
power where it matters: a searcher that works has moved nearly all its trials to the edge, so that the best being there
too is no surprise. Ranks over all trials see that those it left are worse. The space's own share (a tenth) as its rate
would tell of every searcher that settles anywhere near. The U test is exact in distribution where values do not
depend on the hyperparameter and trials not on each other, as in random search; a model's later trials are better and
lie closer together, for which the first condition is there (the rate of false alarms is a test of this module).

A range may end by nature: what is zero, one for a share, one for a count. Then the advice is not to widen it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpo.comparison.statistics import holm
from hpo.diagnosis.evidence import Evidence
from hpo.diagnosis.records import SHARE, Check, Finding
from hpo.domains import Float, Int
from hpo.text import counted, number, printable

KIND: Final = "edges"
QUESTION: Final = "do the best trials pile up at the end of a range?"
EDGE: Final = 0.1  # of the range
BEST: Final = 0.1  # of the trials
MOST: Final = 0.8  # of them, that lie in the edge
FEWEST_BEST: Final = 8
FEWEST: Final = 40  # trials with a value: the best 8 are then a fifth of them


@dataclass(frozen=True)
class Edge:
    """One end of a range.

    Attributes:
        name: of the hyperparameter.
        domain: its range.
        upper: which end.
        best_inside: of the best trials those that lie in it.
        best: how many they are.
        inside: of all trials that have the hyperparameter those that lie in it.
        trials: how many they are.
        p: of the test, not corrected.
    """

    name: str
    domain: Float | Int
    upper: bool
    best_inside: int
    best: int
    inside: int
    trials: int
    p: float


def check(evidence: Evidence) -> Check:
    """The ends at which the best trials pile up."""
    ranges = {n: d for n, d in evidence.spec.space.items() if isinstance(d, (Float, Int)) and d.size != 1}
    if not ranges:
        return Check(KIND, QUESTION, beside="the space has no ranges")
    if (known := sum(ranked.epochs > 0 for ranked in evidence.ranked)) < FEWEST:
        return Check(KIND, QUESTION, missing=f"{counted(known, 'trial')} with a value, and it takes {FEWEST}")
    if len({(ranked.epochs, ranked.reward) for ranked in evidence.ranked}) == 1:
        return Check(KIND, QUESTION, missing="all values are the same")
    edges = [edge for name, domain in ranges.items() for edge in look(name, domain, evidence)]
    corrected = holm([edge.p for edge in edges])
    piled = [
        _told(edge, p)
        for edge, p in sorted(zip(edges, corrected, strict=True), key=lambda pair: pair[1])
        if p <= SHARE and edge.best_inside >= MOST * edge.best
    ]
    return Check(KIND, QUESTION, tuple(piled))


def look(name: str, domain: Float | Int, evidence: Evidence) -> Iterator[Edge]:
    """Both ends of a range, among the trials that have it; none where too few do."""
    active = [ranked for ranked in evidence.ranked if name in ranked.trial.params]
    if len(active) < FEWEST:
        return
    ranks = _ranks([(ranked.epochs, ranked.reward) for ranked in active])
    best = np.argsort(-ranks, kind="stable")[: max(FEWEST_BEST, math.ceil(BEST * len(active)))]
    values = [ranked.trial.params[name] for ranked in active]
    for upper in (False, True):
        inside = _inside(domain, values, upper)
        yield Edge(
            name,
            domain,
            upper,
            int(inside[best].sum()),
            len(best),
            int(inside.sum()),
            len(active),
            _better(ranks, inside),
        )


def bound(domain: Float | Int, upper: bool) -> float:
    """Where an edge begins: its values are at or beyond this, in the domain's own unit."""
    if domain.size is not None and domain.size <= 1 / EDGE:
        return float(domain.high if upper else domain.low)
    return float(domain.decode(1 - EDGE if upper else EDGE))


def _inside(domain: Float | Int, values: Sequence[float], upper: bool) -> np.ndarray:
    cut, numbers = bound(domain, upper), np.array(values, float)
    return numbers >= cut if upper else numbers <= cut


def _ranks(places: Sequence[tuple[int, float]]) -> np.ndarray:
    """Mid-ranks of pairs, (n,), the best the greatest."""
    from scipy.stats import rankdata

    order = {place: i for i, place in enumerate(sorted(set(places)))}
    return np.asarray(rankdata([order[place] for place in places]))


def _better(ranks: np.ndarray, inside: np.ndarray) -> float:
    """One-sided p of the U test that the ranks inside are no greater than outside."""
    from scipy.stats import mannwhitneyu

    if inside.all() or not inside.any() or ranks.min() == ranks.max():
        return 1.0
    return float(mannwhitneyu(ranks[inside], ranks[~inside], alternative="greater", method="asymptotic").pvalue)


def _told(edge: Edge, p: float) -> Finding:
    name, domain = printable(edge.name), edge.domain
    end = domain.high if edge.upper else domain.low
    figures = {
        "hyperparameter": edge.name,
        "end": end,
        "edge": bound(domain, edge.upper),
        "best_inside": edge.best_inside,
        "best": edge.best,
        "inside": edge.inside,
        "trials": edge.trials,
        "p": p,
    }
    cut, last = number(bound(domain, edge.upper)), number(float(end))
    where = f"= {last}" if cut == last else f"{cut} to {last}" if edge.upper else f"{last} to {cut}"
    side = "upper" if edge.upper else "lower"
    text = (
        f"{edge.best_inside} of the {edge.best} best trials have {name} {where}, the {side} end of its range, where "
        f"{edge.inside} of all {edge.trials} lie; these are better than the others (p = {p:.2g})."
    )
    if natural(domain, edge.upper):
        return Finding(KIND, figures, text, _natural_advice(name, domain, edge.upper))
    beyond = number(wider(domain, edge.upper))
    figures["widen_to"] = wider(domain, edge.upper)
    key, where = ("high", "above") if edge.upper else ("low", "below")
    advice = f"Widen {name} {where} {last}: begin a new study with {key} = {beyond}."
    return Finding(KIND, figures, text, advice)


def natural(domain: Float | Int, upper: bool) -> bool:
    """Whether a range ends there because there is nothing beyond: zero, one of a share, one of a count."""
    if upper:
        return isinstance(domain, Float) and not domain.log and domain.high == 1 and domain.low >= 0
    return domain.low == 0 or (isinstance(domain, Int) and domain.low == 1)


def wider(domain: Float | Int, upper: bool) -> float:
    """A bound further out: ten times on a logarithmic scale (four times an integer), else half the range more."""
    low, high, whole = domain.low, domain.high, isinstance(domain, Int)
    if domain.log:
        factor = 4 if whole else 10
        beyond: float = high * factor if upper else low / factor
    else:
        step = domain.step or (1 if whole else 0)
        more = (high - low) / 2
        more = max(1, math.ceil(more / step)) * step if step else more
        beyond = high + more if upper else low - more
        if not upper and low > 0 >= beyond:  # what is positive stays so
            beyond = low / 2
    if whole:
        return max(1, round(beyond)) if low >= 1 else round(beyond)
    return float(f"{beyond:.6g}")


def _natural_advice(name: str, domain: Float | Int, upper: bool) -> str:
    end = number(float(domain.high if upper else domain.low))
    if isinstance(domain, Int):
        return (
            f"{name} cannot be less: begin a new study with {name} fixed at {end}, or with more values of the others."
        )
    if upper:
        return (
            f"{name} cannot be more: fix it at {end} in a new study, or search its distance from {end} on a "
            "logarithmic scale (log = true), where values close to it differ."
        )
    return (
        f"{name} cannot be less: leave it at {end} in a new study, or search it on a logarithmic scale (log = true, "
        f"low = {number(domain.high / 1e4)}), where small values differ."
    )
