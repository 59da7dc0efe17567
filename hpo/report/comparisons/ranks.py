"""The critical-difference picture: mean ranks over tasks, and who cannot be told apart.

Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006),
https://jmlr.org/papers/v7/demsar06a.html, figure 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hpo.comparison.analysis import AcrossTasks, Analysis
from hpo.report import style
from hpo.report.comparisons.shared import colours, grey_text, short_names
from hpo.report.figure import Figure, Table, label
from hpo.text import printable

_SIDE: Final = 128  # pixels on either side for the names
_NAME: Final = 14  # characters of a searcher
_LEVEL: Final = 22  # pixels from name to name
_BAR: Final = 10  # pixels from bar to bar
MAX_BARS: Final = 20
_GAP: Final = 0.02  # of the axis, between two bars on one level


@dataclass(frozen=True)
class Place:
    """Where a searcher stands in the picture.

    Attributes:
        name: of the searcher.
        rank: mean over tasks, from 1, the best, on.
        left: whether its name stands on the left: that of the better half does.
        level: row of its name, from 0 on, so that no line crosses another.
    """

    name: str
    rank: float
    left: bool
    level: int


def places(ranks: Mapping[str, float]) -> list[Place]:
    """All searchers, the best first."""
    ordered = sorted(ranks, key=lambda name: ranks[name])
    half = math.ceil(len(ordered) / 2)
    return [
        Place(name, ranks[name], i < half, i if i < half else len(ordered) - 1 - i) for i, name in enumerate(ordered)
    ]


def bar_levels(spans: Sequence[tuple[float, float]], gap: float) -> list[int]:
    """The row of each bar (from, to), from 0 on, so that bars of one row are more than `gap` apart."""
    ends: list[float] = []  # of the last bar in each row
    levels = [0] * len(spans)
    for i in sorted(range(len(spans)), key=lambda i: spans[i]):
        low, high = spans[i]
        level = next((row for row, end in enumerate(ends) if end + gap < low), len(ends))
        ends[level : level + 1] = [high]
        levels[i] = level
    return levels


def figures(analysis: Analysis) -> list[Figure]:
    """One figure; none for a single task or a single searcher."""
    across = analysis.across
    if across is None or len(across.ranks) < 2:
        return []
    count = len(analysis.tasks)
    caption = f"A searcher's mean rank over the {count} tasks by its median regret; 1 is best, and ties share a rank. "
    reading = "Each searcher stands at its rank: further left is better."
    if across.why_not is None:
        caption += (
            "Searchers of one bar, which is a group, cannot be told apart: two without a common one differ by more "
            "than chance (pairwise Wilcoxon tests over the tasks, p adjusted by Holm's method and for looks; "
            f"Friedman's p = {across.friedman:.2g})."
        )
        reading += " A bar joins searchers at its dots."
        if len(across.groups) > MAX_BARS:
            reading += f" Only the {MAX_BARS} largest of {len(across.groups)} bars are drawn."
    else:
        caption += f"No test is made: {across.why_not}."
    grouped: dict[str, list[str]] = {name: [] for name in across.ranks}
    for i, group in enumerate(across.groups, start=1):
        for name in group:
            grouped[name].append(str(i))
    rows = tuple((printable(p.name), p.rank, ", ".join(grouped[p.name])) for p in places(across.ranks))
    table = Table(("searcher", "mean rank", "bars"), rows)
    title = "Mean ranks over tasks" if across.why_not else "Critical differences over tasks"
    return [Figure("ranks", title, caption, table, lambda: _draw(analysis, across), reading + grey_text(analysis))]


def _draw(analysis: Analysis, across: AcrossTasks) -> Any:
    import plotly.graph_objects as go

    found, colour = places(across.ranks), colours(analysis)
    low, high = math.floor(found[0].rank), math.ceil(found[-1].rank)
    high = high if high > low else low + 1
    groups = sorted(across.groups, key=len, reverse=True)[:MAX_BARS]
    spans = [(across.ranks[group[0]], across.ranks[group[-1]]) for group in groups]
    rows = bar_levels(spans, _GAP * (high - low))
    first = 26 + _BAR * (max(rows, default=-1) + 1)  # pixels from the axis down to the first name
    depth = first + _LEVEL * max(place.level for place in found) + 16
    short = dict(zip(across.ranks, short_names(list(across.ranks), _NAME), strict=True))
    traces: list[Any] = []
    names = []
    for place in found:
        y, end = first + _LEVEL * place.level, low if place.left else high
        traces.append(
            go.Scatter(
                x=[place.rank, place.rank, end],
                y=[0, y, y],
                mode="lines+markers",
                line={"color": colour[place.name], "width": 1.5},
                marker={"size": [7, 0, 0], "opacity": 1, "line": {"width": 0}},
                cliponaxis=False,
                hovertemplate=f"{style.hover(place.name)}: mean rank {place.rank:.3g}<extra></extra>",
            )
        )
        names.append(
            {
                "x": 0 if place.left else 1,
                "xref": "paper",
                "xanchor": "right" if place.left else "left",
                "xshift": -4 if place.left else 4,
                "y": y,
                "text": f"{label(short[place.name])} {place.rank:.2f}",
                "font": {"size": 11},
                "showarrow": False,
            }
        )
    for group, (left, right), row in zip(groups, spans, rows, strict=True):
        air = 0.008 * (high - low)
        members = [across.ranks[name] for name in group]
        traces.append(
            go.Scatter(
                x=[left - air, *members, right + air],
                y=[14 + _BAR * row] * (len(group) + 2),
                mode="lines+markers",
                line={"color": style.MUTED, "width": 3},
                marker={"color": style.MUTED, "size": [0, *[8] * len(group), 0], "opacity": 1, "line": {"width": 0}},
                hovertemplate=f"not told apart: {', '.join(map(style.hover, group))}<extra></extra>",
            )
        )
    return style.drawing(
        traces,
        depth + 60,
        annotations=names,
        showlegend=False,
        xaxis=style.axis(
            "mean rank",
            side="top",
            range=[low, high],
            showgrid=False,
            showline=True,
            ticks="outside",
            ticklen=7,
            **_whole(low, high),
        ),
        yaxis={"range": [depth, 0], "visible": False},
        margin={"l": _SIDE, "r": _SIDE, "t": 52, "b": 8},
    )


def _whole(low: int, high: int) -> dict[str, Any]:
    """Ticks at whole ranks, few enough for a phone."""
    step = math.ceil((high - low) / 5)
    return {"tickvals": list(range(low, high + 1, step)), "tickformat": "d"}
