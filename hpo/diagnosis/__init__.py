"""Why a study disappoints: checks of what is stored of it, each with the figure behind what it says.

    random    a searcher that should learn from results and does not
    edges     the best trials pile up where a range ends
    rungs     what is seen at a rung of halving does not foretell what comes of it
    space     every configuration has been tried
    budget    too small for the searcher
    failures  they cluster in one corner of the space

Four of them (random, edges, rungs, failures) are tests of a hypothesis. Each may err with a chance of at most `SHARE`,
so that of studies in which nothing is wrong at most one in twenty is told of anything (Bonferroni). The other two
count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.diagnosis.records import LEVEL as LEVEL
from hpo.diagnosis.records import SHARE as SHARE
from hpo.diagnosis.records import Check as Check
from hpo.diagnosis.records import Finding as Finding

if TYPE_CHECKING:
    from hpo.stored_study import StoredStudy


def diagnose(study: StoredStudy) -> list[Finding]:
    """What is wrong with a study, as far as its trials can tell; nothing is trained and its objective not imported."""
    return [finding for check in examine(study) for finding in check.findings]


def examine(study: StoredStudy) -> list[Check]:
    """Every check with its findings, or why it cannot judge."""
    from hpo.diagnosis import budget, edges, failures, randomness, rungs, space
    from hpo.diagnosis.evidence import Evidence

    evidence = Evidence(study)
    return [module.check(evidence) for module in (budget, space, randomness, edges, rungs, failures)]
