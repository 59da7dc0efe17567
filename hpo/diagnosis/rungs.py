"""Whether what is seen at a rung of halving foretells what comes of it.

The statistic is Spearman's rank correlation, in [-1, 1], of the values at a rung and at the next one, over the trials
that have both; all brackets together.

Only the best of a rung go on, and among them ranks agree less than among all: a correlation of 0.5 becomes one of about
0.3 if a third survives (restriction of range: Pearson 1903; Sackett and Yang, Journal of Applied Psychology 85 (2000),
https://doi.org/10.1037/0021-9010.85.1.112). So neither its size nor that it does not differ from 0 says anything. The
hypothesis that is tested is that the rung is *well*: that the two values of every trial that entered it are correlated
with 0.5 in normal scores, of which halving kept those it did keep. Bracket by bracket as many pairs are drawn as trials
entered, the same number of the best goes on, ties are put where the study has them, and p is the share of 2,000 such
draws with a correlation of at most the one that was seen. Where not even a correlation of 0 would be told, there
are too few survivors to say that all is well. 0.5 because with it a rung that keeps 3 of 9 normal pairs keeps the one
that is best later in 65 % of all brackets (with 0.9 in 94 %, by chance in 33 %).

Of the correlation of all trials nothing can be known: of those that were dropped the later values are missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hpo import seeding
from hpo.comparison.statistics import holm
from hpo.diagnosis.evidence import Evidence
from hpo.diagnosis.records import SHARE, Check, Finding
from hpo.text import counted

KIND: Final = "rungs"
QUESTION: Final = "do ranks at a rung foretell those at the next?"
HEALTHY: Final = 0.5  # correlation of normal scores among all that entered
DRAWS: Final = 2_000
MOST: Final = 1_000  # trials that entered, of which as many brackets are looked at as hold them: the latest
FEWEST: Final = 5  # survivors, below which there is nothing to draw


@dataclass(frozen=True)
class Step:
    """From one rung to the next.

    Attributes:
        epochs: of the rung.
        above: epochs of the next one.
        entered: trials with a value in each bracket.
        kept: of them, those with a value at the next rung, too.
        here: their values at the rung, in the order of brackets.
        later: at the next.
    """

    epochs: int
    above: int
    entered: tuple[int, ...]
    kept: tuple[int, ...]
    here: tuple[float, ...]
    later: tuple[float, ...]


def check(evidence: Evidence) -> Check:
    """The rungs that do not foretell the next."""
    if not evidence.has_rungs:
        return Check(KIND, QUESTION, beside="no trial was stopped at a rung, nor trained on from one")
    found = [(step, correlation(step.here, step.later)) for step in steps(evidence)]
    known = [(step, seen, null(step, evidence.spec.seed)) for step, seen in found if seen is not None]
    ps = holm([chance(seen, drawn) for _, seen, drawn in known])
    told = [
        _told(evidence, step, seen, p, float(np.median(drawn)))
        for (step, seen, drawn), p in zip(known, ps, strict=True)
        if p <= SHARE
    ]
    if not told and not any(chance(0.0, drawn) <= SHARE / len(known) for _, _, drawn in known):
        most = max((len(step.here) for step, _ in found), default=0)
        why = f"{counted(most, 'trial')} went on from a rung at most, too few to compare ranks"
        return Check(KIND, QUESTION, missing=why)
    return Check(KIND, QUESTION, tuple(told))


def steps(evidence: Evidence) -> list[Step]:
    """From each rung to the next, in ascending order."""
    values: dict[int, dict[int, dict[int, float]]] = {}  # epochs -> bracket -> trial -> value
    brackets: dict[int, int] = {}
    for e in evidence.evaluations:
        bracket = brackets.setdefault(e.number, int(e.info.get("bracket", 0)))
        if e.value is not None and math.isfinite(e.value):
            values.setdefault(e.target, {}).setdefault(bracket, {})[e.number] = e.value
    found = []
    for epochs, above in zip(sorted(values), sorted(values)[1:], strict=False):
        entered: list[int] = []
        kept: list[int] = []
        here: list[float] = []
        later: list[float] = []
        for bracket in sorted(values[epochs], reverse=True):
            both = values[epochs][bracket].keys() & values[above].get(bracket, {}).keys()
            if both and sum(entered) < MOST:
                entered.append(len(values[epochs][bracket]))
                kept.append(len(both))
                here += [values[epochs][bracket][n] for n in sorted(both)]
                later += [values[above][bracket][n] for n in sorted(both)]
        found.append(Step(epochs, above, tuple(entered), tuple(kept), tuple(here), tuple(later)))
    return found


def correlation(here: Sequence[float], later: Sequence[float]) -> float | None:
    """Spearman's; None for fewer than FEWEST values, or if one side is constant."""
    from scipy.stats import rankdata

    if len(here) < FEWEST or len(set(here)) == 1 or len(set(later)) == 1:
        return None
    return float(np.clip(np.corrcoef(rankdata(here), rankdata(later))[0, 1], -1, 1))


def null(step: Step, seed: int, healthy: float = HEALTHY) -> np.ndarray:
    """The correlations of DRAWS rungs that are well, (DRAWS,), with this one's brackets, survivors and ties."""
    from scipy.stats import rankdata

    rng = seeding.generator(seed, step.epochs, "rungs")
    here, later = [], []
    for entered, kept in zip(step.entered, step.kept, strict=True):
        x, e = rng.standard_normal((2, DRAWS, entered))
        y = healthy * x + math.sqrt(1 - healthy**2) * e
        best = np.argpartition(-x, kept - 1, axis=1)[:, :kept]
        here.append(np.take_along_axis(x, best, 1))
        later.append(np.take_along_axis(y, best, 1))
    ranks = []
    for drawn, seen in ((here, step.here), (later, step.later)):
        places = np.argsort(np.argsort(np.concatenate(drawn, 1), axis=1), axis=1)  # (DRAWS, survivors)
        tied = rankdata(np.sort(seen))[places]
        ranks.append((tied - tied.mean(1, keepdims=True)) / tied.std(1, keepdims=True))
    return np.asarray((ranks[0] * ranks[1]).mean(1))


def chance(seen: float, drawn: np.ndarray) -> float:
    """The share of draws with a correlation of at most `seen`, which itself counts as one."""
    return float((1 + (drawn <= seen).sum()) / (1 + len(drawn)))


def _told(evidence: Evidence, step: Step, seen: float, p: float, expected: float) -> Finding:
    figures = {
        "epochs": step.epochs,
        "next": step.above,
        "trials": len(step.here),
        "entered": sum(step.entered),
        "correlation": seen,
        "expected": expected,
        "p": p,
    }
    text = (
        f"Ranks at epoch {step.epochs} do not foretell those at epoch {step.above}: Spearman's correlation is "
        f"{seen:.2f} over the {len(step.here)} trials that went on; among as many survivors of a rung that is well it "
        f"is about {expected:.2f} (p = {p:.2g})."
    )
    settings, options = evidence.spec.settings, []
    if "min_epochs" in settings:
        options.append(f"a later first rung (`--set searcher.min_epochs={step.above}`)")
    if "eta" in settings:
        options.append(f"fewer rungs further apart (`--set searcher.eta={int(settings['eta']) + 1}`)")
    how = " or ".join(options) or "a later first rung"
    advice = f"Begin a new study with {how}, or with a searcher that trains every trial to its end (`--searcher tpe`)."
    return Finding(KIND, figures, text, advice)
