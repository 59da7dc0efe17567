"""What a report consists of: figures, each of which is data, words and perhaps a drawing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hpo.text import printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

MAX_POINTS: Final = 2_000  # of a scatter; more are thinned, and the caption says so
MAX_LINES: Final = 300  # of a figure with a line a trial
MAX_ROWS: Final = 200  # of a figure's table


@dataclass(frozen=True)
class Table:
    """A figure's data, for the terminal and for those who cannot see the drawing.

    Attributes:
        head: names of the columns.
        rows: cells: text, numbers or None.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers only."""
        columns = [{type(row[index]) for row in self.rows} - {type(None)} for index in range(len(self.head))]
        return [bool(kinds) and kinds <= {int, float} for kinds in columns]


@dataclass(frozen=True)
class Figure:
    """One part of a report.

    Attributes:
        key: its name: `study.plot(key)`, and the anchor in the page.
        title: a few words, plain text.
        caption: what it says, table and drawing alike; plain text in sentences.
        table: what it shows.
        draw: the drawing, made when it is asked for; None: the table says it all.
        reading: how to read the drawing, and what was left out of it; of no use beside the table alone.
    """

    key: str
    title: str
    caption: str
    table: Table
    draw: Callable[[], go.Figure] | None = None
    reading: str = ""

    @property
    def text(self) -> str:
        """All that is to be said beside a drawing."""
        return f"{self.caption} {self.reading}".strip()


def finite(value: float) -> float | None:
    """A number for a table, None where it is not finite."""
    return float(value) if math.isfinite(value) else None


def label(text: object, length: int = 60) -> str:
    """Foreign text for plotly, which would take `<b>` or `<a href>` in it for markup.

    One line of at most `length` characters.
    """
    shown = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    shown = shown if len(shown) <= length else f"{shown[: length - 1]}…"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
