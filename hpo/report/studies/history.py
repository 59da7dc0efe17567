"""What every trial achieved, in the order begun, and the best so far."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.report import style
from hpo.report.figure import MAX_POINTS, MAX_ROWS, Figure, Table
from hpo.report.study_data import StudyData
from hpo.trial import State, Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class History:
    """Trials by what is known of them, each group by number.

    Attributes:
        compared: at the greatest epoch that any reached.
        shorter: with a value at fewer epochs.
        failed: without a value that counts.
        unknown: neither ended nor with a value yet.
        steps: those of `compared` that were better than all before.
    """

    compared: Sequence[Trial]
    shorter: Sequence[Trial]
    failed: Sequence[Trial]
    unknown: Sequence[Trial]
    steps: Sequence[Trial]


def figure(data: StudyData) -> Figure | None:
    """Value by trial, with the incumbent as a step line; None if no trial has a value."""
    if not data.comparable:
        return None
    shown = history(data)
    return Figure(
        "history",
        "History",
        f"What trials achieved in the order begun: {data.compared}; {data.good}.",
        _table(data, shown),
        functools.partial(_draw, data, shown),
        _reading(data, shown),
    )


def history(data: StudyData) -> History:
    """The trials of a study in their groups."""
    compared = data.comparable
    inside = {trial.number for trial in compared}
    shorter: list[Trial] = []
    failed: list[Trial] = []
    unknown: list[Trial] = []
    for trial in data.trials:
        if trial.number in inside:
            continue
        if trial.state == State.FAILED or not math.isfinite(trial.value or 0.0):
            failed.append(trial)
        else:
            (unknown if trial.value is None else shorter).append(trial)
    return History(compared, shorter, failed, unknown, incumbents(compared, data.maximized))


def incumbents(trials: Sequence[Trial], maximized: bool) -> list[Trial]:
    """The trials that are better than all before them; of equals the first."""
    found: list[Trial] = []
    for trial in trials:
        best = found[-1].value if found else None
        assert trial.value is not None
        if best is None or (trial.value > best if maximized else trial.value < best):
            found.append(trial)
    return found


def thinned(trials: Sequence[Trial], limit: int = MAX_POINTS) -> list[Trial]:
    """At most `limit` of them, evenly."""
    return [trials[i] for i in style.spread(len(trials), limit)]


def _reading(data: StudyData, shown: History) -> str:
    words = [
        "Each dot is a trial in the order begun, its height what it achieved. "
        "The line is the best so far; where it is level, the search found nothing better."
    ]
    if shown.shorter:
        words.append(
            f"Rings are {len(shown.shorter):,} trials that were trained for fewer epochs; they are not compared."
        )
    if shown.failed:
        words.append(f"Crosses at the bottom: {len(shown.failed):,} failed.")
    if shown.unknown:
        words.append(f"Squares at the bottom: {len(shown.unknown):,} have no value yet.")
    if max(len(group) for group in (shown.compared, shown.shorter, shown.failed, shown.unknown)) > MAX_POINTS:
        words.append(f"Of each kind at most {MAX_POINTS:,} are drawn, evenly by number; the line is of all.")
    values = [trial.value or 0.0 for trial in [*shown.compared, *shown.shorter]]
    return " ".join(words) + style.outside_text(_outside(values, data.maximized))


def _outside(values: Sequence[float], maximized: bool) -> int:
    found = style.window_of(values, maximized)
    return 0 if found is None else found[1]


def _table(data: StudyData, shown: History) -> Table:
    """Every step of the incumbent, and other trials as far as there is room."""
    steps = shown.steps[-MAX_ROWS:]
    kept = {trial.number for trial in steps}
    others = [trial for trial in data.trials if trial.number not in kept]
    room = MAX_ROWS - len(steps)
    listed = sorted([*steps, *(thinned(others, room) if room > 1 else [])], key=lambda trial: trial.number)
    best: float | None = None
    rows: list[tuple[Any, ...]] = []
    for trial in listed:
        best = trial.value if trial.number in kept else best
        rows.append((trial.number, str(trial.state), trial.epochs, trial.value, best))
    return Table(("trial", "state", "epochs", data.metric, "best so far"), tuple(rows))


def _draw(data: StudyData, shown: History) -> go.Figure:
    import plotly.graph_objects as go

    last = max(trial.number for trial in data.trials)
    steps = [(trial.number, trial.value or 0.0) for trial in shown.steps]
    steps.append((last, steps[-1][1]))
    dot = {"size": 6, "color": style.faded(style.PALETTE[0], 0.7)}
    ring = {"size": 6, "color": style.MUTED, "symbol": "circle-open"}
    traces = [
        _dots(thinned(shown.compared), "trial", dot),
        _dots(thinned(shown.shorter), "at fewer epochs", ring),
        go.Scatter(
            x=_numbers(steps),
            y=np.array([value for _, value in steps]),
            mode="lines",
            line={"shape": "hv", "width": 2.5, "color": style.BEST},
            name="best so far",
            hovertemplate="best so far %{y:.6g}<extra></extra>",
        ),
        _marks(thinned(shown.failed), "failed", 1, {"symbol": "x", "size": 7, "color": style.PALETTE[3]}),
        _marks(thinned(shown.unknown), "no value yet", 0, {"symbol": "square-open", "size": 7, "color": style.MUTED}),
    ]
    values = [trial.value or 0.0 for trial in [*shown.compared, *shown.shorter]]
    window = style.window_of(values, data.maximized)
    assert window is not None
    strip = bool(shown.failed or shown.unknown)
    hidden = {"showticklabels": False, "showgrid": False, "zeroline": False, "fixedrange": True}
    return style.drawing(
        [trace for trace in traces if len(trace.x)],
        xaxis=style.whole_axis("trial", 0, len(data.trials) - 1, anchor="y2" if strip else "y"),
        yaxis=style.value_axis(data.metric, window[0], domain=[0.14 if strip else 0.0, 1.0]),
        yaxis2=hidden | {"domain": [0.0, 0.1], "range": [-0.7, 1.7]},
    )


def _numbers(points: Sequence[tuple[int, float]]) -> np.ndarray:
    return np.array([number for number, _ in points], dtype=np.int32)


def _dots(trials: Sequence[Trial], name: str, marker: dict[str, Any]) -> go.Scatter:
    import plotly.graph_objects as go

    return go.Scatter(
        x=np.array([trial.number for trial in trials], dtype=np.int32),
        y=np.array([trial.value for trial in trials], dtype=np.float64),
        customdata=np.array([trial.epochs for trial in trials], dtype=np.int32),
        mode="markers",
        marker=marker,
        name=name,
        hovertemplate="trial %{x}: %{y:.6g}<br>epoch %{customdata}<extra></extra>",
    )


def _marks(trials: Sequence[Trial], name: str, height: int, marker: dict[str, Any]) -> go.Scatter:
    """Trials without a value, in the strip at the bottom."""
    import plotly.graph_objects as go

    return go.Scatter(
        x=np.array([trial.number for trial in trials], dtype=np.int32),
        y=np.full(len(trials), height),
        yaxis="y2",
        mode="markers",
        marker=marker,
        name=name,
        hovertemplate=f"trial %{{x}}: {name}<extra></extra>",
    )
