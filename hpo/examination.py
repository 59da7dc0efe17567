"""What an examination finds: one line for each thing that was looked at."""

from dataclasses import asdict, dataclass
from typing import Any, Final

OK: Final = "ok"
NOTE: Final = "note"
PROBLEM: Final = "problem"


@dataclass(frozen=True)
class Item:
    """One thing that was looked at.

    Attributes:
        topic: what it is.
        level: `OK`; `NOTE`: worth knowing; `PROBLEM`: to be mended.
        found: what was found.
        advice: what to do; empty where there is nothing to do.
    """

    topic: str
    level: str
    found: str
    advice: str = ""

    def to_json(self) -> dict[str, Any]:
        """As one JSON object."""
        return asdict(self)
