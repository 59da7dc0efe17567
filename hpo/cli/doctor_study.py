"""`hpo doctor STUDY`: why a study disappoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hpo.cli import render
from hpo.text import counted, states_text

if TYPE_CHECKING:
    from hpo.diagnosis import Check
    from hpo.study import Study


def show(study: Study, as_json: bool) -> None:
    """Print what is wrong with a study, with the figures behind it and what to try.

    Args:
        study: any, also one that is under way.
        as_json: print one JSON document instead of text.
    """
    from hpo.diagnosis import examine

    checks, counts = examine(study), study.counts()
    if as_json:
        render.emit_json(data_of(study, checks, counts))
        return
    render.facts({"study": study.name, "searcher": study.spec.searcher, "trials": states_text(counts)})
    for finding in (finding for check in checks for finding in check.findings):
        render.line()
        render.paragraph(finding.text)
        render.paragraph(f"Try: {finding.advice}")
    render.line()
    render.paragraph(summary(checks))
    for check in checks:
        if check.missing:
            render.paragraph(f"Cannot tell yet, {check.question} {_sentence(check.missing)}")


def summary(checks: Sequence[Check]) -> str:
    """How much was looked at and what it came to, in a sentence."""
    found = sum(len(check.findings) for check in checks)
    unknown = sum(check.verdict == "unknown" for check in checks)
    beside = sum(check.verdict == "beside" for check in checks)
    notes = [f"{unknown} could not be judged"] * (unknown > 0) + [f"{beside} do not apply to this study"] * (beside > 0)
    what = counted(found, "finding") if found else "Nothing found"
    return f"{what} among {len(checks)} checks{'; ' * bool(notes)}{', '.join(notes)}."


def data_of(study: Study, checks: Sequence[Check], counts: dict[str, int]) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "study": study.name,
        "store": str(study.path),
        "states": counts,
        "checks": [check.to_json() for check in checks],
        "findings": [finding.to_json() for check in checks for finding in check.findings],
    }


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
