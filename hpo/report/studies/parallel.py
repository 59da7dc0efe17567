"""Whole configurations as lines through one axis for each hyperparameter, down to the value."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.domains import Domain
from hpo.report import style
from hpo.report.figure import MAX_LINES, MAX_ROWS, Figure, Table, label
from hpo.report.study_data import StudyData
from hpo.trial import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

AXES = 12
HEAD = 30  # of the best, which are drawn whatever else is left out
ROW = 58  # pixels between axes
INACTIVE = -0.12  # where the lines of trials run that have no value of a hyperparameter
NAME = 34  # characters of a name
TICK = 9  # of a tick

_GROUPS = (  # name, from which share of the ranking on, colour
    ("worse half", 0.5, style.faded(style.MUTED, 0.4)),
    ("better half", 0.1, style.faded(style.PALETTE[6], 0.5)),
    ("best tenth", 0.0, style.faded(style.PALETTE[0], 0.9)),
)


@dataclass(frozen=True)
class Row:
    """One axis.

    Attributes:
        name: what is on it.
        ticks: place in [0, 1] and text, escaped.
        gap: whether some line has no value there.
    """

    name: str
    ticks: Sequence[tuple[float, str]]
    gap: bool


@dataclass(frozen=True)
class Lines:
    """Trials as lines.

    Attributes:
        rows: the hyperparameters, the most important first; the last row is the value.
        trials: best first, (N,).
        places: where they cross the rows, (N, R), in [0, 1]; INACTIVE where they have no value.
        shares: their place in the ranking of all that are compared, (N,), from 0 for the best to 1.
    """

    rows: Sequence[Row]
    trials: Sequence[Trial]
    places: np.ndarray
    shares: np.ndarray


def figure(data: StudyData) -> Figure | None:
    """A line a trial; None if no trial can be compared or nothing varies."""
    shown = lines(data)
    if shown is None:
        return None
    return Figure(
        "parallel",
        "Parallel coordinates",
        f"The best of {data.compared} and their hyperparameters; {data.good}.",
        _table(data, shown),
        functools.partial(_draw, shown),
        _reading(data, shown),
    )


def lines(data: StudyData) -> Lines | None:
    """At most MAX_LINES trials, evenly by rank, the best among them, on up to AXES hyperparameters."""
    found = {name for trial in data.ranking for name in trial.params}
    names = [name for name in data.by_importance if name in found][:AXES]
    window = style.window_of([trial.value or 0.0 for trial in data.ranking], data.maximized)
    if not names or window is None:
        return None
    kept = style.spread(len(data.ranking), MAX_LINES, HEAD)
    trials = [data.ranking[i] for i in kept]
    columns = [_places(data, name, trials) for name in names]
    rows = [
        Row(name, _ticks(data.space[name]), bool((column == INACTIVE).any()))
        for name, column in zip(names, columns, strict=True)
    ]
    low, high = window[0]
    values = np.array([trial.value for trial in trials], dtype=np.float64)
    columns.append(np.clip(values / 2 - low / 2, 0, high / 2 - low / 2) / ((high / 2 - low / 2) or 1.0))
    ends = [(0.0, low), *([(0.5, low / 2 + high / 2), (1.0, high)] if high > low else [])]
    rows.append(Row(data.metric, [(place, f"{value:.3g}") for place, value in ends], gap=False))
    shares = np.array(kept) / max(len(data.ranking) - 1, 1)
    return Lines(rows, trials, np.column_stack(columns), shares)


def _ticks(domain: Domain) -> list[tuple[float, str]]:
    return [(place, style.tick_label(domain, text, TICK)) for place, text in style.scale_ticks(domain)]


def _places(data: StudyData, name: str, trials: Sequence[Trial]) -> np.ndarray:
    domain = data.space[name]
    return np.array([domain.encode(t.params[name]) if name in t.params else INACTIVE for t in trials])


def _reading(data: StudyData, shown: Lines) -> str:
    order = "the most important first" if data.importances else "in the order of the space"
    words = [
        f"Each line from top to bottom is a trial. It crosses a row for each hyperparameter, {order}, "
        f"at its value, and the last row at its {data.metric}. Where the lines of the best tenth run "
        "together, good trials agree; where they are scattered, the value hardly matters."
    ]
    if any(row.gap for row in shown.rows):
        words.append("Left of a row, at the mark -, run the trials in which it is not active.")
    if len(shown.rows) - 1 < len(data.space):
        words.append(f"Shown are {len(shown.rows) - 1} of {len(data.space)} hyperparameters.")
    if len(shown.trials) < len(data.ranking):
        words.append(
            f"{len(shown.trials)} of {len(data.ranking):,} lines are drawn, evenly by rank, the best {HEAD} among them."
        )
    window = style.window_of([trial.value or 0.0 for trial in data.ranking], data.maximized)
    if window is not None and window[1]:
        words.append(f"Values far worse than the others ({window[1]:,}) are drawn at the end of the last row.")
    return " ".join(words)


def _table(data: StudyData, shown: Lines) -> Table:
    names = [row.name for row in shown.rows[:-1]]
    texts = {name: style.text_of(data.space[name]) for name in names if style.indexed(data.space[name])}
    rows: list[tuple[Any, ...]] = []
    for i in style.spread(len(shown.trials), MAX_ROWS, HEAD):
        trial = shown.trials[i]
        cells = [
            texts[name](trial.params[name]) if name in texts and name in trial.params else trial.params.get(name)
            for name in names
        ]
        rows.append((trial.number, *cells, trial.value))
    return Table(("trial", *names, data.metric), tuple(rows))


def _draw(shown: Lines) -> go.Figure:
    count = len(shown.rows)
    heights = -np.arange(count, dtype=np.float64)
    traces = [_crowd(shown, name, first, colour, heights) for name, first, colour in _GROUPS]
    traces.append(_line(shown, heights))
    ruled = {"type": "line", "x0": 0, "x1": 1, "layer": "below", "line": {"width": 1, "color": style.MUTED}}
    halo = {"size": 10, "shadow": "auto"}  # lines run behind the words
    words: list[dict[str, Any]] = []
    for height, row in zip(heights.tolist(), shown.rows, strict=True):
        place = {"y": height, "showarrow": False, "xref": "x", "yref": "y"}
        words.append(place | {"x": 0, "xanchor": "left", "yshift": 13, "text": f"<b>{label(row.name, NAME)}</b>"})
        words[-1]["font"] = halo | {"size": 12}
        ticks = [*([(INACTIVE, "-")] if row.gap else []), *row.ticks]
        words += [place | {"x": at, "yshift": -10, "text": text, "font": halo} for at, text in ticks]
    left = INACTIVE - 0.04 if any(row.gap for row in shown.rows) else -0.06
    hidden = {"visible": False, "fixedrange": True}
    return style.drawing(
        [trace for trace in traces if trace is not None],
        height=80 + ROW * count,
        margin={"l": 8, "r": 8, "b": 40, "t": 10},
        xaxis=hidden | {"range": [left, 1.06]},
        yaxis=hidden | {"range": [0.6 - count, 0.55]},
        shapes=[ruled | {"y0": height, "y1": height} for height in heights.tolist()],
        annotations=words,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yanchor": "top"},
    )


def _crowd(shown: Lines, name: str, first: float, colour: str, heights: np.ndarray) -> Any:
    """The lines of a stretch of the ranking in one trace; None if there are none."""
    import plotly.graph_objects as go

    last = min((start for _, start, _ in _GROUPS if start > first), default=1.1)
    chosen = np.flatnonzero((shown.shares >= first) & (shown.shares < last))
    chosen = chosen[chosen > 0][::-1]  # the best has its own; better ones are drawn over worse ones
    if not len(chosen):
        return None
    lifted = np.column_stack([shown.places[chosen], np.full(len(chosen), np.nan)])  # NaN: the pen is lifted
    numbers = np.array([shown.trials[i].number for i in chosen.tolist()], dtype=np.int32)
    return go.Scatter(
        x=lifted.ravel(),
        y=np.tile(np.append(heights, heights[-1]), len(chosen)),
        customdata=np.repeat(numbers, lifted.shape[1]),
        mode="lines",
        line={"width": 1, "color": colour},
        name=name,
        hovertemplate="trial %{customdata}<extra></extra>",
    )


def _line(shown: Lines, heights: np.ndarray) -> Any:
    """The best trial."""
    import plotly.graph_objects as go

    best = shown.trials[0].number
    return go.Scatter(
        x=shown.places[0],
        y=heights,
        mode="lines+markers",
        line={"width": 2.5, "color": style.BEST},
        marker={"size": 6, "color": style.BEST},
        name=f"trial {best} (best)",
        hovertemplate=f"trial {best}<extra></extra>",
    )
