"""The page of a report: one HTML file that is complete in itself.

Every text in it went through `printable` and the template's escaping; data is JSON in blocks that no browser runs. The
content-security policy allows two scripts, named by their hashes, and no loading from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from hpo.report.figure import Figure
from hpo.report.trial_table import TrialTable
from hpo.text import command, printable, value_text

MAX_BYTES: Final = 8_000_000  # of a page
_HEIGHT = 400  # pixels of a drawing that does not say
_ESCAPED = str.maketrans(
    {"<": r"\u003c", ">": r"\u003e", "&": r"\u0026", "/": r"\/", "\u2028": r"\u2028", "\u2029": r"\u2029"}
)


@dataclass(frozen=True)
class Section:
    """A study or a comparison in a report.

    Attributes:
        title: plain text.
        name: what `hpo report` calls it.
        figures: in order.
        facts: name to text, above the figures.
        sentences: the verdict, above all else.
        trials: the table of trials.
        folded: whether it is closed at first.
    """

    title: str
    name: str
    figures: Sequence[Figure]
    facts: Mapping[str, str] = field(default_factory=dict)
    sentences: Sequence[str] = ()
    trials: TrialTable | None = None
    folded: bool = False


def render(title: str, sections: Sequence[Section]) -> str:
    """The HTML of a report.

    A figure or table with which it would be larger than `MAX_BYTES` is left out, and the page says so.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    from hpo import __version__

    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) else printable(value)

    plotly, script, css, template = get_plotlyjs(), _file("page.js"), _file("page.css"), _file("template.html")
    engine = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=finalize
    )
    room = _Room(MAX_BYTES - sum(len(text.encode()) for text in (plotly, script, css, template)))
    return (
        engine.from_string(template)
        .render(
            title=title,
            version=__version__,
            policy=_policy(plotly, script),
            css=_as_it_is(css),
            plotly=_as_it_is(plotly),
            script=_as_it_is(script),
            sections=[_section(f"s{index}", section, room) for index, section in enumerate(sections, 1)],
        )
        .lstrip()
    )


def data_block(data: str) -> Markup:
    """JSON text for a script element: still the same data, but nothing in it ends the element or a string."""
    return _as_it_is(data.translate(_ESCAPED))


def _as_it_is(text: str) -> Markup:
    """Text that the template does not escape: ours, or with nothing to escape."""
    return Markup(text)  # noqa: S704


@dataclass
class _Room:
    """What is left of the page's size, in bytes."""

    left: int

    def take(self, size: int) -> bool:
        """Whether there is room for `size` bytes more, which are then taken."""
        fits = size <= self.left
        self.left -= size * fits
        return fits


def _section(anchor: str, section: Section, room: _Room) -> dict[str, Any]:
    figures = [_figure(f"{anchor}-{index}-{f.key}", section, f, room) for index, f in enumerate(section.figures, 1)]
    return {
        "anchor": anchor,
        "title": section.title,
        "facts": section.facts,
        "sentences": section.sentences,
        "folded": section.folded,
        "figures": figures,
        "trials": None if section.trials is None else _trials(f"{anchor}-trials", section.trials, room),
    }


def _figure(anchor: str, section: Section, figure: Figure, room: _Room) -> dict[str, Any]:
    drawing, height = None, _HEIGHT
    if figure.draw is not None:
        drawn = figure.draw()
        height = int(drawn.layout.height or _HEIGHT)
        drawing = data_block(drawn.to_json(engine="json"))
    rows = [[_cell_text(cell) for cell in row] for row in figure.table.rows]
    fits = room.take(len(drawing or "") + sum(len(cell.encode()) + 40 for row in rows for cell in row))
    why = f"Left out, as the page would be larger than 8 MB: {command('report', section.name, Path(), Path())} has it."
    return {
        "anchor": anchor,
        "figure": figure,
        "rows": rows,
        "classes": [_as_it_is(' class="number"' if numeric else "") for numeric in figure.table.numeric],
        "drawing": drawing if fits else None,
        "height": height,
        "left_out": "" if fits else why,
    }


def _trials(anchor: str, table: TrialTable, room: _Room) -> dict[str, Any]:
    text = json.dumps({"head": table.head, "rows": table.rows}, allow_nan=False, separators=(",", ":"))
    data = data_block(text)
    if room.take(len(data)):
        return {"anchor": anchor, "caption": table.caption, "data": data}
    why = f"Left out, as the page would be larger than 8 MB: {table.elsewhere} has them."
    return {"anchor": anchor, "caption": why, "data": None}


def _cell_text(cell: object) -> str:
    """A cell of a figure's table; text may have several lines."""
    return "" if cell is None else cell if isinstance(cell, str) else value_text(cell)


def _policy(*scripts: str) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _file(name: str) -> str:
    return (resources.files("hpo.report") / name).read_text("utf-8")
