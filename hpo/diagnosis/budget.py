"""Whether the budget is enough for the searcher: compared with what the searcher itself says that it needs.

The figure is the budget in full trainings beside `Searcher.needs().trials`: of a model-based searcher twice its random
trials, so that the model proposes half of them; of halving the epochs of a bracket, which pays off only when its last
rung is reached (https://jmlr.org/papers/v18/16-558.html, section 3); of the grid its points; of CMA-ES five
generations (its distribution's path is a mean over about so many: https://arxiv.org/abs/1604.00772, section 3.3); of
the controller of `nas` 16 updates (measured: its trials then beat its first 16 in about 3 of 4 pairs). Nothing is
drawn at random in this, so nothing is tested: less is less. A budget that is not yet spent counts in full.
"""

from __future__ import annotations

from typing import Final

from hpo.diagnosis.evidence import Evidence
from hpo.diagnosis.records import Check, Finding
from hpo.text import counted

KIND: Final = "budget"
QUESTION: Final = "is the budget enough for the searcher?"


def check(evidence: Evidence) -> Check:
    """The budget beside what the searcher needs."""
    if not evidence.budget:
        why = (
            "it was created without trials"
            if evidence.budget == 0
            else "it is asked and told by hand, without a budget"
        )
        return Check(KIND, QUESTION, beside=why)
    if isinstance(evidence.needs, str):
        return Check(KIND, QUESTION, missing=evidence.needs)
    needs, budget = evidence.needs, evidence.budget // evidence.spec.trial_epochs
    if budget >= needs.trials:
        return Check(KIND, QUESTION)
    figures = {
        "budget": budget,
        "needed": needs.trials,
        "share": budget / needs.trials,
        "searcher": evidence.spec.searcher,
    }
    text = (
        f"The budget is {counted(budget, 'trial')}, {budget / needs.trials:.0%} of the "
        f"{counted(needs.trials, 'full training')} that {evidence.searcher} needs: {needs.why or 'so it says'}."
    )
    return Check(KIND, QUESTION, (Finding(KIND, figures, text, _advice(evidence, budget, needs.trials)),))


def _advice(evidence: Evidence, budget: int, needed: int) -> str:
    goes_on = evidence.study.command("resume", "--trials", needed)
    smaller = {
        "points": "a coarser grid (a smaller `searcher.points`)",
        "startup_trials": f"an earlier start of its model (`--set searcher.startup_trials={max(1, budget // 2)}`)",
        "min_epochs": "fewer rungs (a greater `searcher.min_epochs`)",
    }
    settings = evidence.spec.settings
    found = [text for setting, text in smaller.items() if setting in settings]
    others = [*found[:1], "`--searcher random`, which makes the most of any budget"]
    return f"Go on with {goes_on}, or begin a new study with {', or with '.join(others)}."
