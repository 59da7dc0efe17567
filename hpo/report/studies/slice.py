"""What trials achieved against each hyperparameter, one small drawing for each."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.domains import Domain
from hpo.report import style
from hpo.report.figure import MAX_POINTS, MAX_ROWS, Figure, Table, label
from hpo.report.study_data import StudyData
from hpo.trial import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

PANELS = 12
COLUMNS = 2  # as many as fit on a phone
DOTS = MAX_POINTS // 3  # of a panel
HEAD = 50  # of the best, which are drawn whatever else is left out
ROW = 225  # pixels
BELOW = 76  # of these, for ticks that a narrow page turns upright, and the title
TICKS = 4
OPTION = 8  # characters at a tick
NAME = 22  # of a title


@dataclass(frozen=True)
class Panel:
    """One hyperparameter, among the trials in which it is active.

    Attributes:
        name: of the hyperparameter.
        domain: its values.
        numbers: the trials, best first, (N,).
        at: where they stand on its axis, (N,), see `style.position`.
        values: what they achieved, (N,).
        medians: of options: position and median value of all trials that have it; empty for numbers.
    """

    name: str
    domain: Domain
    numbers: np.ndarray
    at: np.ndarray
    values: np.ndarray
    medians: Sequence[tuple[float, float]]


def figure(data: StudyData) -> Figure | None:
    """Value against hyperparameters, the most important first; None if no trial can be compared or nothing varies."""
    shown = panels(data)
    if not shown:
        return None
    return Figure(
        "slice",
        "Slices",
        f"The best of {data.compared} and their hyperparameters, {_order(data)}; {data.good}.",
        _table(data, shown),
        functools.partial(_draw, data, shown),
        _reading(data, shown),
    )


def panels(data: StudyData) -> list[Panel]:
    """Up to PANELS hyperparameters that were active in some trial, the most important first."""
    found = (_panel(name, data.space[name], data.ranking) for name in data.by_importance)
    return [panel for panel in found if len(panel.numbers)][:PANELS]


def _panel(name: str, domain: Domain, ranking: Sequence[Trial]) -> Panel:
    active = [trial for trial in ranking if name in trial.params]
    at = np.array([style.position(domain, trial.params[name]) for trial in active])
    values = np.array([trial.value for trial in active], dtype=np.float64)
    few = style.indexed(domain) and (domain.size or 0) <= style.MAX_TICKS
    medians = [(place, style.median(values[at == place])) for place in np.unique(at).tolist()] if few else []
    kept = style.spread(len(active), DOTS, HEAD)
    numbers = np.array([active[i].number for i in kept], dtype=np.int32)
    return Panel(name, domain, numbers, at[kept], values[kept], medians)


def _order(data: StudyData) -> str:
    return "the most important first" if data.importances else "in the order of the space"


def _reading(data: StudyData, shown: Sequence[Panel]) -> str:
    words = [
        f"Each dot is a trial: across its value of a hyperparameter, up its {data.metric}. Look for the place of the "
        "best dots: a slope or a narrow place matters, an even band does not, and best dots at an end suggest a wider "
        "range. The diamond is the best trial."
    ]
    if any(panel.medians for panel in shown):
        words.append("Bars are the medians of options.")
    if any(panel.domain.when for panel in shown):
        words.append("A hyperparameter that is active under a condition has the dots of the trials that had it.")
    if len(shown) < len(data.space):
        words.append(f"Shown are {len(shown)} of {len(data.space)} hyperparameters.")
    if len(data.ranking) > DOTS:
        words.append(f"At most {DOTS} dots each, evenly by rank, the best {HEAD} among them.")
    window = style.window_of([trial.value or 0.0 for trial in data.ranking], data.maximized)
    return " ".join(words) + style.outside_text(0 if window is None else window[1])


def _table(data: StudyData, shown: Sequence[Panel]) -> Table:
    """The best trials, their value and these hyperparameters."""
    texts = [style.text_of(panel.domain) if style.indexed(panel.domain) else None for panel in shown]
    rows: list[tuple[Any, ...]] = []
    for place in style.spread(len(data.ranking), MAX_ROWS, HEAD):
        trial = data.ranking[place]
        cells = [_cell(trial, panel.name, text) for panel, text in zip(shown, texts, strict=True)]
        rows.append((trial.number, trial.value, *cells))
    return Table(("trial", data.metric, *(panel.name for panel in shown)), tuple(rows))


def _cell(trial: Trial, name: str, text: Any) -> Any:
    """A hyperparameter's value for a table; None where it is inactive."""
    if name not in trial.params:
        return None
    return trial.params[name] if text is None else text(trial.params[name])


def _draw(data: StudyData, shown: Sequence[Panel]) -> go.Figure:
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    height = 20 + ROW * rows
    window = style.window_of([trial.value or 0.0 for trial in data.ranking], data.maximized)
    traces: list[Any] = []
    axes: dict[str, Any] = {}
    for i, panel in enumerate(shown):
        row, column = divmod(i, columns)
        mark = "" if i == 0 else str(i + 1)
        left = column / columns + (0.03 if column else 0.0)
        right = (column + 1) / columns - (0.0 if column == columns - 1 else 0.03)
        top = 1 - row / rows
        bottom = 1 - (row + 1) / rows + BELOW / (ROW * rows)
        traces += _traces(panel, mark, data)
        axes[f"xaxis{mark}"] = style.axis_of(
            panel.name,
            panel.domain,
            width=OPTION,
            ticks=TICKS,
            title={"text": label(panel.name, NAME), "standoff": 10 if style.indexed(panel.domain) else 4},
            domain=[left, right],
            anchor=f"y{mark}",
            automargin=False,
        )
        axes[f"yaxis{mark}"] = style.value_axis(
            "",
            window and window[0],
            title={"text": label(data.metric, NAME) if column == 0 else "", "standoff": 8},
            domain=[bottom, top],
            anchor=f"x{mark}",
            showticklabels=column == 0,
            **({"matches": "y"} if mark else {}),
        )
    return style.drawing(traces, height, showlegend=False, margin={"b": 8, "t": 12}, **axes)


def _traces(panel: Panel, mark: str, data: StudyData) -> list[Any]:
    import plotly.graph_objects as go

    place = {"xaxis": f"x{mark}", "yaxis": f"y{mark}", "mode": "markers"}
    told = "trial %{customdata}: %{y:.6g}<br>at %{x}<extra></extra>"
    dots = go.Scatter(
        x=panel.at,
        y=panel.values,
        customdata=panel.numbers,
        marker={"size": 5, "color": style.faded(style.PALETTE[0], 0.65)},
        hovertemplate=told,
        **place,
    )
    bars = go.Scatter(
        x=np.array([at for at, _ in panel.medians]),
        y=np.array([median for _, median in panel.medians]),
        marker={"symbol": "line-ew-open", "size": 20, "color": style.PALETTE[2], "line": {"width": 3}},
        hovertemplate="median %{y:.6g}<br>of %{x}<extra></extra>",
        **place,
    )
    is_best = panel.numbers == data.ranking[0].number
    best = go.Scatter(
        x=panel.at[is_best],
        y=panel.values[is_best],
        customdata=panel.numbers[is_best],
        marker={"size": 10, "color": style.BEST, "symbol": "diamond"},
        hovertemplate=told,
        **place,
    )
    return [dots, *([bars] if panel.medians else []), *([best] if is_best.any() else [])]
