"""What the figures of a comparison share: names and colours of searchers, and rows of boxes with every run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hpo.comparison.curves import quantile
from hpo.report import style
from hpo.report.figure import finite, label
from hpo.text import number, printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hpo.comparison.analysis import Analysis
    from hpo.comparison.results import Task

COLOURED: Final = len(style.PALETTE)  # searchers that have a colour of their own
QUARTERS: Final = (0.25, 0.5, 0.75)
LOG_FROM: Final = 100.0  # values that differ by this factor are shown on a log axis
_OVER: Final = 0.36  # of a row, from its box up to its name


def short_names(names: Sequence[str], length: int) -> list[str]:
    """Names in at most `length` characters, all different: of long ones as much of the end as tells them apart."""
    whole = [printable(name).replace("\n", "\\n").replace("\t", "\\t") for name in names]
    for tail in (length // 3, 0, length // 2, 2 * length // 3):
        cut = [_cut(name, length, tail) for name in whole]
        if len(set(cut)) == len(cut):
            return cut
    return [_cut(name, length - len(f" {i}"), 0) + f" {i}" for i, name in enumerate(whole, start=1)]


def _cut(name: str, length: int, tail: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1 - tail]}…{name[len(name) - tail :]}"


def colours(analysis: Analysis) -> dict[str, str]:
    """Searcher to its colour in all figures; of more than COLOURED the best have one, the others are grey.

    The best have the least mean over tasks of their median normalised regret at the end.
    """
    searchers = analysis.results.searchers
    if len(searchers) <= COLOURED:
        return {name: style.color(i) for i, name in enumerate(searchers)}

    def regret(name: str) -> float:
        medians = [np.median(np.nan_to_num(task.regret[name], nan=np.inf)) for task in analysis.tasks.values()]
        return float(np.mean(medians))

    best = sorted(searchers, key=regret)[:COLOURED]
    return {name: style.color(best.index(name)) if name in best else style.MUTED for name in searchers}


def grey_text(analysis: Analysis) -> str:
    """The sentence of a caption about searchers without a colour; empty if all have one."""
    if len(analysis.results.searchers) <= COLOURED:
        return ""
    return f" The {COLOURED} searchers with the least regret at the end are coloured, the others grey."


def is_wide(values: Sequence[float]) -> bool:
    """Whether positive values differ so much that a log axis shows them best."""
    return bool(values) and min(values) > 0 and max(values) > LOG_FROM * min(values)


# -- rows of boxes


@dataclass(frozen=True)
class Box:
    """What a box shows of runs: the finite values' ends, and quartiles of all; NaN where there is none."""

    low: float
    q1: float
    median: float
    q3: float
    high: float


def box(values: Sequence[float], task: Task | None = None) -> Box:
    """The box of `values`; in its quartiles a failed run of a task counts as worst, so that they may be NaN."""
    found = [value for value in values if math.isfinite(value)]
    if not found:
        return Box(*[math.nan] * 5)
    low, middle, high = (np.quantile(values, q) if task is None else quantile(task, values, q) for q in QUARTERS)
    return Box(min(found), float(low), float(middle), float(high), max(found))


@dataclass(frozen=True)
class Row:
    """One searcher in a drawing of rows.

    Attributes:
        name: of the searcher.
        colour: "#rrggbb".
        box: of all its runs.
        values: of its runs, (n,), NaN where there is none: drawn as points.
        texts: what a point says, for each value.
        below: values of the same runs that stand below them, (n,) or empty.
    """

    name: str
    colour: str
    box: Box
    values: tuple[float, ...]
    texts: tuple[str, ...]
    below: tuple[float, ...] = ()


def draw_rows(rows: Sequence[Row], axis: Mapping[str, Any], *, paired: bool) -> go.Figure:
    """Boxes with all their points, a searcher a row; `paired`: thin lines join the runs of one seed."""
    import plotly.graph_objects as go

    has_below = any(row.below for row in rows)
    traces: list[Any] = []
    if paired and len(rows) > 1:
        traces.append(_pairs(rows))
    for place, row in enumerate(rows):
        found = row.box
        if math.isfinite(found.median):
            traces.append(
                go.Box(
                    q1=[found.q1 if math.isfinite(found.q1) else found.low],
                    median=[found.median],
                    q3=[found.q3 if math.isfinite(found.q3) else found.high],
                    lowerfence=[found.low],
                    upperfence=[found.high],
                    y=[place],
                    orientation="h",
                    width=0.3,
                    line={"color": row.colour, "width": 1.5},
                    fillcolor=style.faded(row.colour, 0.15),
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
        traces.append(_points(row, row.values, [place + _height(i) for i in range(len(row.values))], symbol="circle"))
        if row.below:
            heights = [place + 0.33 + _height(i) / 2 for i in range(len(row.below))]
            traces.append(_points(row, row.below, heights, symbol="diamond-open"))
    names = [
        {"x": 0, "xref": "paper", "xanchor": "left", "y": place - _OVER, "text": label(name), "showarrow": False}
        for place, name in enumerate(short_names([row.name for row in rows], 40))
    ]
    return style.drawing(
        traces,
        (62 if has_below else 48) * len(rows) + 80,
        annotations=names,
        xaxis=dict(axis),
        yaxis={"range": [len(rows) - 0.4, -0.65], "visible": False},
        margin={"l": 16},
        showlegend=False,
    )


def _height(i: int) -> float:
    """How far above or below the middle of its row the run number i stands, with every searcher alike."""
    return 0.22 * style.beside(i)


def _points(row: Row, values: Sequence[float], heights: Sequence[float], symbol: str) -> Any:
    import plotly.graph_objects as go

    kept = [i for i, value in enumerate(values) if math.isfinite(value)]
    return go.Scatter(
        x=[values[i] for i in kept],
        y=[heights[i] for i in kept],
        text=[f"{label(row.name)}, {label(row.texts[i])}: {number(values[i])}" for i in kept],
        mode="markers",
        marker={"color": row.colour, "opacity": 0.8, "size": 6, "symbol": symbol},
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )


def _pairs(rows: Sequence[Row]) -> Any:
    """A line for each seed through its runs, broken where one has no value."""
    import plotly.graph_objects as go

    x: list[float | None] = []
    y: list[float | None] = []
    for i in range(len(rows[0].values)):
        for place, row in enumerate(rows):
            x.append(finite(row.values[i]))
            y.append(place + _height(i))
        x.append(None)
        y.append(None)
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": style.faded(style.MUTED, 0.3), "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
