"""What checks hand over: plain, frozen records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LEVEL: Final = 0.05  # chance that a study in which nothing is wrong is told of anything by a test
TESTS: Final = 4  # checks that test a hypothesis
SHARE: Final = LEVEL / TESTS  # of each, however many hyperparameters, ends or rungs it looks at


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a study.

    Attributes:
        kind: of the check that found it.
        figures: behind it, name to number or text.
        text: what was found, in a sentence with the figures.
        advice: what to try.
    """

    kind: str
    figures: Mapping[str, Any]
    text: str
    advice: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"kind": self.kind, "figures": dict(self.figures), "text": self.text, "advice": self.advice}


@dataclass(frozen=True)
class Check:
    """What a check came to.

    Attributes:
        kind: of the check.
        question: that it asks.
        findings: empty if all is well, or if it cannot tell.
        missing: why it cannot tell; empty if it can.
        beside: why its question does not arise in this study; empty if it does.
    """

    kind: str
    question: str
    findings: tuple[Finding, ...] = ()
    missing: str = ""
    beside: str = ""

    @property
    def verdict(self) -> str:
        """One of "found", "unknown", "beside" and "clear"."""
        named = (("found", self.findings), ("unknown", self.missing), ("beside", self.beside))
        return next((name for name, given in named if given), "clear")

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the findings."""
        why = {"why": self.missing or self.beside} if self.missing or self.beside else {}
        return {"kind": self.kind, "question": self.question, "verdict": self.verdict, **why}
