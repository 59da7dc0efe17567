"""How the metric went as trials trained, with the rungs at which halving chose."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.report import style
from hpo.report.figure import MAX_LINES, MAX_ROWS, Figure, Table
from hpo.report.study_data import StudyData
from hpo.trial import State, Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

BEST = 5  # trials in colours of their own
HEAD = 30  # of the best, which are drawn whatever else is left out
POINTS = 12_000  # of all lines together


@dataclass(frozen=True)
class Curve:
    """A trial's learning curve.

    Attributes:
        number: the trial.
        epochs: ascending, (P,), counted from 1.
        values: of the metric after them, (P,), finite.
    """

    number: int
    epochs: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Curves:
    """Learning curves of a study.

    Attributes:
        metric: what they show.
        lines: the best trial first.
        of: trials with a value, shown or not.
        rungs: epochs at which trials waited to be chosen, ascending.
        every: whether all points of the lines are there.
    """

    metric: str
    lines: Sequence[Curve]
    of: int
    rungs: Sequence[int]
    every: bool


def figure(data: StudyData) -> Figure | None:
    """The metric over epochs, a line a trial; None if no trial has a curve of two points."""
    shown = curves(data)
    if shown is None:
        return None
    return Figure(
        "curves",
        "Learning curves",
        f"{data.metric} after each epoch, {data.good}. Failed trials are left out.",
        _table(shown),
        functools.partial(_draw, data, shown),
        _reading(data, shown),
    )


def curves(data: StudyData) -> Curves | None:
    """The curves of at most MAX_LINES trials, evenly by rank, the best among them."""
    order = ranked(data)
    chosen = [order[i] for i in style.spread(len(order), MAX_LINES, HEAD)]
    found = {trial.number: trial for trial in data.with_curves([trial.number for trial in chosen])}
    metric = data.metric
    lines = [line for trial in chosen if (line := _line(found[trial.number], metric)) is not None]
    if not any(len(line.epochs) > 1 for line in lines):
        return None
    room = max(POINTS // len(lines), 2)
    every = all(len(line.epochs) <= room for line in lines)
    return Curves(metric, [_shortened(line, room) for line in lines], len(order), rungs(data), every)


def ranked(data: StudyData) -> list[Trial]:
    """All trials with a value: the comparable ones by value, then those with more epochs first."""
    sign = -1.0 if data.maximized else 1.0
    inside = {trial.number for trial in data.comparable}
    others = [
        trial
        for trial in data.trials
        if trial.number not in inside and trial.state != State.FAILED and math.isfinite(trial.value or 0.0)
    ]
    others = [trial for trial in others if trial.value is not None]
    others.sort(key=lambda trial: (-trial.epochs, sign * (trial.value or 0.0), trial.number))
    return [*data.ranking, *others]


def rungs(data: StudyData) -> list[int]:
    """Epochs below the greatest to which trials were trained, to be chosen there."""
    full = data.study.spec.trial_epochs
    return sorted({found.target for found in data.evaluations if 0 < found.target < full})


def _line(trial: Trial, metric: str) -> Curve | None:
    epochs, metrics = trial.points
    values = metrics.get(metric) or next(iter(metrics.values()), [])
    pairs = [(epoch, value) for epoch, value in zip(epochs, values, strict=False) if math.isfinite(value)]
    if not pairs:
        return None
    return Curve(trial.number, np.array([e for e, _ in pairs], dtype=np.int32), np.array([v for _, v in pairs]))


def _shortened(line: Curve, room: int) -> Curve:
    places = style.spread(len(line.epochs), room)
    return Curve(line.number, line.epochs[places], line.values[places])


def _reading(data: StudyData, shown: Curves) -> str:
    best = f"the best {min(BEST, len(shown.lines))} are" if len(shown.lines) > 1 else "it is"
    words = [f"A line a trial; {best} in colour."]
    if shown.rungs:
        words.append(
            f"Dotted lines are rungs (epochs {_listed(shown.rungs)}): trials wait there, and only the better train on."
        )
    if len(shown.lines) < shown.of:
        words.append(f"{len(shown.lines):,} of {shown.of:,} trials are drawn, evenly by rank, the best among them.")
    if not shown.every:
        words.append("Of long curves every so many epochs are drawn.")
    outside = style.window_of(np.concatenate([line.values for line in shown.lines]), data.maximized)
    return " ".join(words) + style.outside_text(0 if outside is None else outside[1])


def _listed(rungs: Sequence[int]) -> str:
    return ", ".join(map(str, rungs[:12])) + (", ..." if len(rungs) > 12 else "")


def _table(shown: Curves) -> Table:
    """The best trials' values at up to eight epochs."""
    longest = max(shown.lines, key=lambda line: len(line.epochs)).epochs
    marks = longest[style.spread(len(longest), 8)].tolist()
    rows: list[tuple[Any, ...]] = []
    for line in shown.lines[:MAX_ROWS]:
        values = dict(zip(line.epochs.tolist(), line.values.tolist(), strict=True))
        rows.append((line.number, int(line.epochs[-1]), *(values.get(epoch) for epoch in marks)))
    return Table(("trial", "epochs", *(f"{shown.metric} at {epoch}" for epoch in marks)), tuple(rows))


def _draw(data: StudyData, shown: Curves) -> go.Figure:
    import plotly.graph_objects as go

    best, others = shown.lines[:BEST], shown.lines[BEST:]
    traces = []
    if others:
        numbers = np.concatenate([np.append(np.full(len(line.epochs), line.number, np.int32), -1) for line in others])
        traces.append(
            go.Scatter(
                x=np.concatenate([np.append(line.epochs, line.epochs[-1]).astype(np.int32) for line in others]),
                y=np.concatenate([np.append(line.values, np.nan) for line in others]),  # NaN: the pen is lifted
                customdata=numbers,
                mode="lines",
                line={"width": 1, "color": style.faded(style.MUTED, 0.45)},
                name="other trials",
                hovertemplate="trial %{customdata}, epoch %{x}: %{y:.6g}<extra></extra>",
            )
        )
    for i, line in reversed(list(enumerate(best))):  # the best on top
        dots = len(line.epochs) == 1
        traces.append(
            go.Scatter(
                x=line.epochs,
                y=line.values,
                mode="markers" if dots else "lines",
                line={"width": 2.5 if i == 0 else 1.7, "color": _colour(i)},
                marker={"size": 7, "color": _colour(i)},
                name=f"trial {line.number}" + (" (best)" if i == 0 else ""),
                legendrank=i,
                hovertemplate=f"trial {line.number}, epoch %{{x}}: %{{y:.6g}}<extra></extra>",
            )
        )
    rule = {
        "type": "line",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"dash": "dot", "width": 1, "color": style.MUTED},
    }
    window = style.window_of(np.concatenate([line.values for line in shown.lines]), data.maximized)
    assert window is not None
    return style.drawing(
        traces,
        xaxis=style.whole_axis("epoch", 1, max(int(line.epochs[-1]) for line in shown.lines)),
        yaxis=style.value_axis(data.metric, window[0]),
        shapes=[rule | {"x0": rung, "x1": rung} for rung in shown.rungs[:50]],
    )


def _colour(place: int) -> str:
    """The best has the colour that it has everywhere."""
    return (style.BEST, style.PALETTE[0], style.PALETTE[2], style.PALETTE[3], style.PALETTE[5])[place]
