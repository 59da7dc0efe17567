"""Whether failures cluster in one corner of the space.

For each hyperparameter, the trials that have it are cut in two at every place between two values, or by each option;
the figure is how many of the failed trials lie on one side, beside how many of all do. A corner is told if its rate of
failures is more than three times that of the rest, and if Fisher's exact one-sided test says so with p < 0.01, after
Bonferroni's correction for every cut of every hyperparameter: the test of `hpo.comparison.health.divergence`, here for
whatever a trial failed with. p is exact for any number of trials if failures do not depend on the configuration; it is
below this check's share of the level, and three times is what makes leaving a corner out worth it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from hpo.comparison.health import LEVEL, Region, divergence
from hpo.diagnosis.evidence import Evidence
from hpo.diagnosis.records import SHARE, Check, Finding
from hpo.text import counted, printable, value_text
from hpo.trial import State

KIND: Final = "failures"
QUESTION: Final = "do failures cluster in one corner of the space?"
FEWEST: Final = 3  # failures that can cluster
assert LEVEL <= SHARE


def check(evidence: Evidence) -> Check:
    """The corners in which failures cluster."""
    trials = [ranked.trial for ranked in evidence.ranked]
    failed = [trial.state == State.FAILED for trial in trials]
    total = sum(failed)
    if not trials:
        return Check(KIND, QUESTION, missing="no trial has ended")
    if not total:
        return Check(KIND, QUESTION)
    reasons = Counter(printable(trial.reason or "?") for trial in trials if trial.state == State.FAILED)
    if total == len(trials):
        return Check(KIND, QUESTION, (_all_failed(evidence, total, reasons),))
    if total < FEWEST:
        why = f"{counted(total, 'trial')} failed, and fewer than {FEWEST} cannot cluster"
        return Check(KIND, QUESTION, missing=why)
    return Check(KIND, QUESTION, tuple(_told(evidence, region, reasons) for region in divergence(trials, failed)))


def _told(evidence: Evidence, region: Region, reasons: Counter[str]) -> Finding:
    name, cut = printable(region.name), value_text(region.value)
    inside, elsewhere = region.inside, region.elsewhere
    total, of = inside.count + elsewhere.count, inside.of + elsewhere.of
    figures = {
        "hyperparameter": region.name,
        "relation": region.relation,
        "value": region.value,
        "failed_inside": inside.count,
        "failed": total,
        "trials_inside": inside.of,
        "trials": of,
        "p": region.p,
        "reasons": dict(reasons),
    }
    text = (
        f"{inside.count} of {total} failed trials have {name} {region.relation} {cut}, where {inside.of} of {of} "
        f"trials lie (p = {region.p:.2g}); most often: {reasons.most_common(1)[0][0]}."
    )
    look = f"See why with {evidence.study.command('show', _first_inside(evidence, region))}"
    bound = {">": f"`high` of {name} at {cut}", "<=": f"`low` of {name} above {cut}"}
    leave = f"keep {bound[region.relation]}" if region.relation in bound else f"leave {cut} out of {name}"
    return Finding(KIND, figures, text, f"{look}. If it is the configuration, {leave} in a new study.")


def _first_inside(evidence: Evidence, region: Region) -> int:
    """The first of the failed trials in a region."""

    def inside(value: Any) -> bool:
        if region.relation == "=":
            return repr(value) == repr(region.value)
        return bool(value > region.value) if region.relation == ">" else bool(value <= region.value)

    trials = (ranked.trial for ranked in evidence.ranked if ranked.trial.state == State.FAILED)
    return next(t.number for t in trials if region.name in t.params and inside(t.params[region.name]))


def _all_failed(evidence: Evidence, total: int, reasons: Counter[str]) -> Finding:
    reason, often = reasons.most_common(1)[0]
    first = next(ranked.trial.number for ranked in evidence.ranked)
    text = f"All {counted(total, 'trial')} that ended failed, {often} of them with: {reason}."
    advice = (
        f"It is the objective rather than a corner of the space: see {evidence.study.command('show', first)}, mend it, "
        "and begin a new study."
    )
    return Finding(KIND, {"failed": total, "trials": total, "reasons": dict(reasons)}, text, advice)
