"""What trials achieved in the plane of the two most important hyperparameters."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.domains import Domain, Float, Int
from hpo.report import style
from hpo.report.figure import MAX_POINTS, Figure, Table, label
from hpo.report.study_data import StudyData

if TYPE_CHECKING:
    import plotly.graph_objects as go

BINS = 10  # of an axis at most, and as many options or integers that have a bin of their own
LEAST = 3
PER_CELL = 3  # trials that a cell would have if they were spread evenly
CANDIDATES = 12


@dataclass(frozen=True)
class Plane:
    """Medians in bins of two hyperparameters.

    Attributes:
        x: name of the one across.
        y: name of the other one.
        x_edges: of its bins, on its axis, ascending, (X + 1,).
        y_edges: likewise, (Y + 1,).
        median: of the values of the trials in each cell, (Y, X); NaN where there is none.
        count: of these trials, (Y, X).
        at: where the trials stand, (N, 2), the best first.
        numbers: the trials, (N,).
    """

    x: str
    y: str
    x_edges: np.ndarray
    y_edges: np.ndarray
    median: np.ndarray
    count: np.ndarray
    at: np.ndarray
    numbers: np.ndarray


def figure(data: StudyData) -> Figure | None:
    """Median value by two hyperparameters; None unless two have different values among the compared trials."""
    shown = plane(data)
    if shown is None:
        return None
    return Figure(
        "heatmap",
        "Heat map",
        _caption(data),
        _table(data, shown),
        functools.partial(_draw, data, shown),
        _reading(data, shown),
    )


def plane(data: StudyData) -> Plane | None:
    """The first two hyperparameters by importance that both varied among trials that have both."""
    places = {name: _positions(data, name) for name in data.by_importance[:CANDIDATES]}
    for x, y in itertools.combinations(places, 2):
        both = np.column_stack([places[x], places[y]])
        inside = ~np.isnan(both).any(axis=1)
        if all(len(np.unique(column)) > 1 for column in both[inside].T):
            return _plane(data, (x, y), both, inside)
    return None


def _positions(data: StudyData, name: str) -> np.ndarray:
    domain = data.space[name]
    return np.array([style.position(domain, t.params[name]) if name in t.params else np.nan for t in data.ranking])


def _plane(data: StudyData, names: tuple[str, str], both: np.ndarray, inside: np.ndarray) -> Plane:
    at = both[inside]
    values = np.array([trial.value for trial in data.ranking], dtype=np.float64)[inside]
    bins = min(max(math.ceil(math.sqrt(len(at) / PER_CELL)), LEAST), BINS)
    x_edges, y_edges = (edges(data.space[name], bins) for name in names)
    column, row = bin_of(x_edges, at[:, 0]), bin_of(y_edges, at[:, 1])
    median = np.full((len(y_edges) - 1, len(x_edges) - 1), np.nan)
    count = np.zeros(median.shape, dtype=np.int64)
    cell = row * median.shape[1] + column
    for index in np.unique(cell).tolist():
        found = values[cell == index]
        median.flat[index], count.flat[index] = style.median(found), len(found)
    numbers = np.array([trial.number for trial in data.ranking], dtype=np.int32)[inside]
    kept = style.spread(len(at), MAX_POINTS)
    return Plane(*names, x_edges, y_edges, median, count, at[kept], numbers[kept])


def edges(domain: Domain, bins: int) -> np.ndarray:
    """Edges of about `bins` bins of equal width on a hyperparameter's axis, in the logarithm where that is its scale.

    A bin for each option or number where there are at most BINS; of more, options share one with their neighbours.
    """
    size = domain.size
    if style.indexed(domain) or (size is not None and size <= BINS):
        assert size is not None
        if size <= BINS:
            places = [style.position(domain, domain.grid_value(i, 0)) for i in range(size)]
            return _around(np.array(places))
        return np.array([round(i * size / bins) - 0.5 for i in range(bins + 1)])
    assert isinstance(domain, (Float, Int))
    half = 0.5 if isinstance(domain, Int) else 0.0  # every integer owns half a unit to either side
    low, high = float(domain.low) - half, float(domain.high) + half
    u = np.arange(1, bins) / bins
    inner = np.exp((1 - u) * math.log(low) + u * math.log(high)) if domain.log else (1 - u) * low + u * high
    return np.unique([low, *(np.floor(inner) + half if half else inner), high])


def bin_of(edges: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Which bin each position falls into; an inner edge belongs to the bin above it, (N,)."""
    return np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(edges) - 2)


def _around(places: np.ndarray) -> np.ndarray:
    """Edges half-way between single values, and as far beyond the first and the last."""
    middle = places[:-1] / 2 + places[1:] / 2
    return np.concatenate([[places[0] - (middle[0] - places[0])], middle, [places[-1] + (places[-1] - middle[-1])]])


def _caption(data: StudyData) -> str:
    which = (
        "the two most important hyperparameters" if data.importances else "the first two hyperparameters that varied"
    )
    return (
        f"The median {data.metric} of the trials in each cell, over {which}; {data.good}. A cell with one trial says "
        "little."
    )


def _reading(data: StudyData, shown: Plane) -> str:
    total = int(shown.count.sum())
    words = [
        f"Better is brighter. Rings are trials ({total:,} of {data.compared}), the diamond is the best of them. "
        "A blank cell has none: nothing is known there."
    ]
    if total > MAX_POINTS:
        words.append(f"{MAX_POINTS:,} rings are drawn, evenly by rank; the medians are of all.")
    if any((data.space[name].size or 0) > BINS and style.indexed(data.space[name]) for name in (shown.x, shown.y)):
        words.append("Neighbouring options share a cell.")
    return " ".join(words)


def _table(data: StudyData, shown: Plane) -> Table:
    across = _spans(data.space[shown.x], shown.x_edges)
    up = _spans(data.space[shown.y], shown.y_edges)
    rows: list[tuple[Any, ...]] = [
        (across[column], up[row], float(shown.median[row, column]), int(shown.count[row, column]))
        for row, column in zip(*np.nonzero(shown.count), strict=True)
    ]
    return Table((shown.x, shown.y, f"median {data.metric}", "trials"), tuple(rows))


def _spans(domain: Domain, edges: np.ndarray) -> list[str]:
    single = domain.size is not None and domain.size == len(edges) - 1
    text = style.text_of(domain)
    if single:
        return [text(domain.grid_value(i, 0)) for i in range(len(edges) - 1)]
    return [style.span_text(domain, float(low), float(high)) for low, high in itertools.pairwise(edges)]


def _draw(data: StudyData, shown: Plane) -> go.Figure:
    import plotly.graph_objects as go

    found = shown.median[~np.isnan(shown.median)]
    window = style.window_of(found, data.maximized)
    assert window is not None
    title = {"text": f"median {label(data.metric, style.NAME)}", "side": "bottom"}
    cells = go.Heatmap(
        x=shown.x_edges,
        y=shown.y_edges,
        z=shown.median,
        zmin=window[0][0],
        zmax=window[0][1],
        customdata=shown.count,
        colorscale=style.scale(data.maximized),
        colorbar={"orientation": "h", "y": -0.24, "yanchor": "top", "thickness": 12, "title": title},
        hovertemplate="median %{z:.6g} of %{customdata} trials<extra></extra>",
        hoverongaps=False,
    )
    ring = {"symbol": "circle", "size": 5, "color": "rgba(255,255,255,0.75)", "line": {"width": 1, "color": "#222222"}}
    dots = go.Scatter(
        x=shown.at[:, 0],
        y=shown.at[:, 1],
        customdata=shown.numbers,
        mode="markers",
        marker=ring,
        hovertemplate="trial %{customdata}<br>%{x}, %{y}<extra></extra>",
    )
    best = go.Scatter(
        x=shown.at[:1, 0],
        y=shown.at[:1, 1],
        customdata=shown.numbers[:1],
        mode="markers",
        marker={"symbol": "diamond", "size": 11, "color": style.BEST, "line": {"width": 1, "color": "#ffffff"}},
        hovertemplate="trial %{customdata}<br>%{x}, %{y}<extra></extra>",
    )
    return style.drawing(
        [cells, dots, best],
        height=430,
        showlegend=False,
        xaxis=_axis(data, shown.x, shown.x_edges),
        yaxis=_axis(data, shown.y, shown.y_edges),
    )


def _axis(data: StudyData, name: str, edges: np.ndarray) -> dict[str, Any]:
    """An axis as long as its bins."""
    domain = data.space[name]
    ends = np.log10(edges[[0, -1]]) if style.is_log(domain) else edges[[0, -1]]
    return style.axis_of(name, domain, range=ends.tolist(), showgrid=False)
