"""Whether a searcher that should learn from results proposes better trials than it began with.

The statistic is A = U / (n m), the share of pairs, one of the searcher's n first, random trials and one of its m later
ones, in which the later is better, ties counted half: Mann and Whitney's U (https://doi.org/10.1214/aoms/1177730491) as
a probability of superiority, in [0, 1]; 0.5 is what random search has. A failure is worse than any number; of trials
that halving trains in steps the first step counts, where all are comparable.

That A is not clearly above 0.5 would say nothing: few trials show nothing. So the hypothesis that is tested is that the
searcher is *well*, A >= 0.7, and it is told as random only if that can be ruled out:

    p = Phi((A - a) / sqrt(V)),  a = 0.7
    V = a (1 - a) (1 + N ((1 - a) / (2 - a) + a / (1 + a))) / (n m),  N = (n + m) / 2 - 1

the score form of Newcombe's method 5 (Statistics in Medicine 25 (2006), 559-573, https://doi.org/10.1002/sim.2324).
Where not even A = 0.5 would be told, there are too few trials to call it well. 0.7 because searchers that work are
above: on smooth functions of 3 and 8 hyperparameters TPE, CMA-ES and the Gaussian process have 0.8 to 0.95 after 64
trials and `nas` 0.7 to 0.8 after 256; on noise all have 0.45 to 0.55.

What was proposed tells two causes apart: whether the later proposals are spread as the space's own distribution is, by
Kolmogorov and Smirnov's test (chi-squared for a few values) with Holm's correction over all hyperparameters. Spread as
random ones: nothing was learned. Concentrated, and yet no better: there is nothing to learn, as values are noise or all
alike, unless values do depend on a hyperparameter, by Kruskal and Wallis's test of its four quarters with Holm's
correction. Then the searcher works, and its first trials were lucky: nothing is told. These p are no proofs, as
proposals depend on each other; they can only keep this check silent, or choose its words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from hpo.comparison.statistics import holm
from hpo.diagnosis.evidence import Evidence
from hpo.diagnosis.records import SHARE, Check, Finding
from hpo.domains import Domain
from hpo.searcher import Needs
from hpo.space import Space
from hpo.text import counted, printable
from hpo.trial import Trial

KIND: Final = "random"
QUESTION: Final = "does the searcher learn from results?"
HEALTHY: Final = 0.7  # of pairs that a searcher wins that has learned
CLEAR: Final = 0.01  # p below which proposals are called concentrated, and values dependent
QUARTERS: Final = 4
SPARE: Final = 4  # times as many configurations as trials, or none are left to choose from
FEW_VALUES: Final = 20  # which have counts of their own


def check(evidence: Evidence) -> Check:
    """The searcher's later trials beside its first ones."""
    needs = evidence.needs
    if isinstance(needs, str):
        return Check(KIND, QUESTION, missing=needs)
    if needs.blind:
        return _found(evidence, {"reason": needs.blind}, f"Results have no effect: {needs.blind}.", _OTHER)
    if needs.startup is None:
        return Check(KIND, QUESTION, beside=f"{evidence.searcher} is not meant to")
    results = evidence.first_rewards
    begun = startup_trials([reward for _, reward in results], needs.startup, evidence)
    first, later = results[:begun], results[begun:]
    if not later:
        return _without_model(evidence, len(first), needs)
    if len(results) < needs.trials:
        why = f"{counted(len(results), 'trial')} ended, and {evidence.searcher} needs {needs.trials}: {needs.why}"
        return Check(KIND, QUESTION, missing=why)
    if evidence.most is not None and evidence.tried * SPARE > evidence.most:
        there_are = counted(evidence.most, "configuration")
        why = f"{evidence.tried:,} of only {there_are} have been tried: few are left to choose from"
        return Check(KIND, QUESTION, missing=why)
    a = superiority([reward for _, reward in first], [reward for _, reward in later])
    p = chance_if_well(a, len(first), len(later))
    if p > SHARE and chance_if_well(0.5, len(first), len(later)) > SHARE:
        why = f"{len(first)} random and {counted(len(later), 'later trial')} are too few to tell learning from luck"
        return Check(KIND, QUESTION, missing=why)
    if p > SHARE:
        return Check(KIND, QUESTION)
    chances = spread([trial for trial, _ in first], [trial for trial, _ in later], evidence.spec.space)
    preferred = min(chances.values(), default=1.0) < CLEAR
    if preferred and min(dependence(results, evidence.spec.space).values(), default=1.0) < CLEAR:
        return Check(KIND, QUESTION)
    return _told(evidence, first, later, a, p, chances)


def startup_trials(rewards: Sequence[float], startup: int, evidence: Evidence) -> int:
    """How many of the searcher's first trials were proposed before `startup` results succeeded, at most.

    A round is proposed at once, so all of the round in which the last of them ended were; free-running, as many as are
    under way at a time.
    """
    succeeded, batch = 0, evidence.spec.batch
    for place, reward in enumerate(rewards):
        succeeded += math.isfinite(reward)
        if succeeded >= startup:
            first = place + batch if evidence.spec.free_running else -(-(place + 1) // batch) * batch
            return min(first, len(rewards))
    return len(rewards)


def superiority(first: Sequence[float], later: Sequence[float]) -> float:
    """The share of pairs in which the later is greater, ties counted half."""
    from scipy.stats import rankdata

    ranks = rankdata([*first, *later])  # (n + m,)
    n, m = len(first), len(later)
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def chance_if_well(a: float, n: int, m: int, well: float = HEALTHY) -> float:
    """Chance of seeing `a` or less if the true probability of superiority is `well`.

    Args:
        a: share of pairs, in [0, 1].
        n: first trials, >= 1.
        m: later trials, >= 1.
        well: in (0, 1).
    """
    half = (n + m) / 2 - 1
    variance = well * (1 - well) * (1 + half * ((1 - well) / (2 - well) + well / (1 + well))) / (n * m)
    return NormalDist().cdf((a - well) / math.sqrt(variance))


def spread(first: Sequence[Trial], later: Sequence[Trial], space: Space) -> dict[str, float]:
    """Hyperparameter to p of the hypothesis that its later values are random draws, after Holm's correction.

    Draws from the space, or of a searcher that keeps to a few values of a range, as `nas` does, from these.
    """
    found = {}
    for name, domain in space.items():
        values = [trial.params[name] for trial in later if name in trial.params]
        kept = (
            {*values, *(trial.params[name] for trial in first if name in trial.params)} if domain.size is None else ()
        )
        if domain.size != 1 and values:
            found[name] = _even(values, kept) if 0 < len(kept) <= FEW_VALUES else _drawn(domain, values)
    return _corrected(found)


def dependence(results: Sequence[tuple[Trial, float]], space: Space) -> dict[str, float]:
    """Hyperparameter to p of the hypothesis that rewards do not depend on it, after Holm's correction."""
    from scipy.stats import kruskal

    found = {}
    for name, domain in space.items():
        known = [(domain.encode(trial.params[name]), reward) for trial, reward in results if name in trial.params]
        places, rewards = np.array(known).reshape(-1, 2).T
        parts = np.searchsorted(np.quantile(places, [0.25, 0.5, 0.75]), places) if len(known) else places
        groups = [rewards[parts == part] for part in range(QUARTERS) if (parts == part).any()]
        if len(groups) > 1 and len(set(rewards.tolist())) > 1:
            found[name] = float(kruskal(*groups).pvalue)
    return _corrected(found)


def _corrected(found: Mapping[str, float]) -> dict[str, float]:
    return dict(zip(found, holm(list(found.values())), strict=True)) if found else {}


def _even(values: Sequence[Any], kept: Iterable[Any]) -> float:
    """P that values were drawn evenly from those that are kept to."""
    from scipy.stats import chisquare

    return float(chisquare([values.count(value) for value in kept]).pvalue) if len(set(kept)) > 1 else 0.0


def _drawn(domain: Domain, values: Sequence[object]) -> float:
    from scipy.stats import chisquare, kstest

    places = np.array([domain.encode(value) for value in values])
    if domain.size is not None and domain.size <= FEW_VALUES:
        counts = np.bincount([domain.grid_index(value, 0) for value in values], minlength=domain.size)
        share = np.histogram([domain.encode(domain.decode(u)) for u in _EVEN], bins=_edges(domain))[0]
        return float(chisquare(counts, share / share.sum() * len(values)).pvalue)
    return float(kstest(places, "uniform").pvalue)


_EVEN: Final = (np.arange(4096) + 0.5) / 4096  # of the unit interval


def _edges(domain: Domain) -> np.ndarray:
    """Between the places of a domain's few values, (size + 1,)."""
    assert domain.size is not None
    places = np.array([domain.encode(domain.grid_value(i, 0)) for i in range(domain.size)])
    return np.concatenate([[0.0], (places[1:] + places[:-1]) / 2, [1.0]])


_OTHER: Final = "Begin a new study with another searcher (`hpo searchers` lists them)."


def _found(evidence: Evidence, figures: dict[str, object], text: str, advice: str) -> Check:
    return Check(KIND, QUESTION, (Finding(KIND, {"searcher": evidence.spec.searcher, **figures}, text, advice),))


def _without_model(evidence: Evidence, first: int, needs: Needs) -> Check:
    """No trial was proposed from results: told if rounds are to blame."""
    batch = evidence.spec.batch
    ended = evidence.trials_left == 0 and not evidence.is_under_way
    if not ended or batch <= (needs.startup or 0) or first < needs.trials:
        why = f"{counted(first, 'trial')} ended, all proposed before there were {needs.startup} results to learn from"
        return Check(KIND, QUESTION, missing=why)
    text = (
        f"All {counted(first, 'trial')} were proposed before {evidence.searcher} had the {needs.startup} results that "
        f"it begins with: a round has {batch:,}."
    )
    less = max(1, min(8, first // 8))
    advice = f"Begin a new study with smaller rounds (`--batch {less}`), or leave `batch` to the searcher."
    return _found(evidence, {"first": first, "later": 0, "batch": batch, "startup": needs.startup}, text, advice)


def _told(
    evidence: Evidence,
    first: Sequence[tuple[Trial, float]],
    later: Sequence[tuple[Trial, float]],
    a: float,
    p: float,
    chances: Mapping[str, float],
) -> Check:
    name, least = min(chances.items(), key=lambda item: item[1], default=("", 1.0))
    rewards = {reward for _, reward in [*first, *later]}
    figures: dict[str, object] = {
        "superiority": a,
        "healthy": HEALTHY,
        "first": len(first),
        "later": len(later),
        "p": p,
        "spread_p": least,
    }
    text = (
        f"The {len(later)} trials that {evidence.searcher} proposed later are better than its {len(first)} first, "
        f"random ones in {a:.0%} of pairs; random search has 50%, a searcher that learns {HEALTHY:.0%} or more "
        f"(p = {p:.2g}). "
    )
    if len(rewards) == 1:
        text += "All values are the same."
        advice = (
            "Nothing that is searched changes the value: see whether the objective uses the hyperparameters, or take a "
            "metric of more resolution (a loss instead of an accuracy)."
        )
    elif least < CLEAR:
        text += f"It did prefer some values, most of all of {printable(name)}, to no avail: values look like noise."
        advice = (
            "Make values less noisy (more epochs, more validation data, `--folds 5` or the mean of several seeds), or "
            "search what matters more: `hpo report` shows the importance of each hyperparameter."
        )
    else:
        text += "Its proposals are still spread over the space as random ones are."
        settings = evidence.spec.settings
        slower = "learning_rate" in settings
        advice = (
            f"Give it more trials ({evidence.study.command('resume', '--trials', 2 * _budget(evidence))})"
            + (", or a greater `searcher.learning_rate`" if slower else "")
            + "; search fewer hyperparameters at once; or take another searcher in a new study (`hpo searchers` lists "
            "them)."
        )
    return _found(evidence, figures, text, advice)


def _budget(evidence: Evidence) -> int:
    return max(len(evidence.trials), (evidence.budget or 0) // evidence.spec.trial_epochs)
