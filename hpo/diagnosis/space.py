"""Whether every configuration has been tried.

The figure is the number of different configurations among the trials beside the number that the searcher can propose:
that of the space, or of a grid its points. Told only if budget is left over, for which there is nothing to try: a
study that ends with both is complete. An equality of counts, so nothing is tested.
"""

from __future__ import annotations

from typing import Final

from hpo.diagnosis.evidence import Evidence
from hpo.diagnosis.records import Check, Finding
from hpo.domains import Float, Int
from hpo.text import counted, printable

KIND: Final = "space"
QUESTION: Final = "is there anything left to try?"


def check(evidence: Evidence) -> Check:
    """Configurations tried beside those that there are."""
    most, left = evidence.most, evidence.trials_left
    if most is None:
        return Check(KIND, QUESTION, beside="the space is a continuum, or too large to be used up")
    if len(evidence.trials) < most or evidence.tried < most or left == 0:
        return Check(KIND, QUESTION)
    rest = "and it goes on by hand" if left is None else f"and {counted(left, 'trial')} of the budget are left"
    whole = evidence.spec.space.size == most
    where = "of the space" if whole else f"that {evidence.searcher} makes of the space"
    figures = {"configurations": most, "tried": evidence.tried, "budget_left": left}
    text = f"All {counted(most, 'configuration')} {where} have been tried, {rest}."
    return Check(KIND, QUESTION, (Finding(KIND, figures, text, _advice(evidence, whole)),))


def _advice(evidence: Evidence, whole: bool) -> str:
    if not whole and "points" in evidence.spec.settings:
        points = 2 * int(evidence.spec.settings["points"]) - 1
        return (
            f"Begin a new study with a finer grid (`--set searcher.points={points}`), or with a searcher that proposes "
            "what lies between its points (`--searcher tpe`)."
        )
    stepped = [
        printable(name)
        for name, domain in evidence.spec.space.items()
        if domain.size != 1 and isinstance(domain, (Float, Int)) and domain.step
    ]
    how = f"leave out the step of {stepped[0]}, or give" if stepped else "give"
    return (
        f"The best trial is the best there is, up to noise. For more, begin a new study and {how} hyperparameters more "
        "values: ranges (Float, Int) instead of lists, or wider ones."
    )
