"""How good the best trial is as the budget is spent: normalised regret over units spent and over trials begun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from hpo.comparison.analysis import Analysis, Band
from hpo.comparison.results import Task
from hpo.report import style
from hpo.report.comparisons.shared import COLOURED, colours, grey_text, short_names
from hpo.report.figure import MAX_ROWS, Figure, Table, finite, label
from hpo.text import printable

POINTS: Final = 100  # of a curve; more are thinned
STOPS: Final = 10  # of a curve in the table, where there are not too many searchers
CEILING: Final = 1.5  # regret above it is not shown on a linear axis: 1 is what random search finds in one trial
LOG_FROM: Final = 30.0  # medians at the end that differ by this factor are shown on a log axis
_NAME: Final = 22  # characters of a searcher in the legend


def figures(analysis: Analysis) -> list[Figure]:
    """One over all tasks; of each task one over units spent, and over trials begun where that is not the same."""
    found = []
    if analysis.across is not None:
        bands, title = analysis.across.by_share, "Regret over all tasks together"
        found.append(_figure(analysis, "anytime-all", title, bands, "share of the budget"))
    for place, task in enumerate(analysis.tasks.values(), start=1):
        name, unit = printable(task.task.name), printable(task.task.unit)
        title, key = f"Regret on {name}", f"anytime-{place}"
        same = unit == "trials" or _is_the_same(analysis, task.task)
        found.append(_figure(analysis, key, f"{title} over {unit} spent", task.by_spent, f"{unit} spent", same))
        if not same:
            trials = task.by_trials
            found.append(_figure(analysis, f"{key}-trials", f"{title} over trials begun", trials, "trials begun"))
    return found


def _figure(
    analysis: Analysis, key: str, title: str, bands: Mapping[str, Band], unit: str, same: bool = False
) -> Figure:
    log = is_log(bands)
    caption = (
        f"How far the best trial so far is from the best value that any run saw, as the budget is spent ({unit}): 0 is "
        "that value, 1 the median of random trials; lower is better. The interquartile mean, of the middle half of the "
        "runs, is one that a few odd runs do not move; low and high are the ends of 95 % bootstrap intervals of median "
        "and mean, not the spread of the runs."
    )
    reading = (
        "The upper panel has the median over the runs, the lower one their interquartile mean, with these intervals as "
        "bands; a curve that falls early needs less."
    )
    if rises(bands):
        caption += " A curve rises where a trial reaches a later epoch: only trials at the greatest epoch count."
    if log:
        reading += " The axis is logarithmic: equal steps are equal factors."
    elif highest(bands) > CEILING:
        reading += f" Regret above {CEILING:g} is cut off."
    if same and unit != "trials spent":
        caption += " Every trial trained fully, so the picture over trials begun is the same."
    head = ("searcher", unit, "median", "low", "high", "interquartile mean", "low", "high")
    table = Table(head, tuple(stops(bands)))
    reading += grey_text(analysis)
    return Figure(key, title, caption, table, lambda: _draw(analysis, bands, unit, log), reading)


def _is_the_same(analysis: Analysis, task: Task) -> bool:
    """Whether all trials trained fully, so that the curves over trials begun are those over units spent."""
    runs = [run for name in analysis.results.searchers for run in analysis.results.of(task.name, name)]
    return all(run.spent == tuple(task.trial_epochs * begun for begun in run.trials) for run in runs)


def stops(bands: Mapping[str, Band]) -> list[tuple[Any, ...]]:
    """The table's rows: each curve where it ends and at some places before, evenly spread."""
    count = max(2, min(STOPS, MAX_ROWS // max(1, len(bands))))
    rows: list[tuple[Any, ...]] = []
    for name, band in bands.items():
        columns = (band.median, band.low, band.high, band.iqm, band.iqm_low, band.iqm_high)
        known = np.flatnonzero(np.isfinite(band.median))
        for i in (known[j] for j in style.spread(len(known), count)):
            rows.append((printable(name), float(band.x[i]), *(finite(column[i]) for column in columns)))
    return rows


def ends(bands: Mapping[str, Band]) -> list[float]:
    """The medians at the end of the curves, those that are finite."""
    found = [band.median[np.isfinite(band.median)] for band in bands.values()]
    return [float(median[-1]) for median in found if len(median)]


def highest(bands: Mapping[str, Band]) -> float:
    """The greatest median of any curve; 0 without any."""
    found = [float(band.median[np.isfinite(band.median)].max(initial=0)) for band in bands.values()]
    return max(found, default=0.0)


def rises(bands: Mapping[str, Band]) -> bool:
    """Whether the regret of some curve grows."""
    known = (band.median[np.isfinite(band.median)] for band in bands.values())
    return any(bool((np.diff(median) > 0).any()) for median in known)


def is_log(bands: Mapping[str, Band]) -> bool:
    """Whether a log axis shows the curves best: they end above 0, far from each other or far below where they begin."""
    last = ends(bands)
    return bool(last) and min(last) > 0 and max(min(highest(bands), CEILING), max(last)) > LOG_FROM * min(last)


def _draw(analysis: Analysis, bands: Mapping[str, Band], unit: str, log: bool) -> Any:
    colour = colours(analysis)
    names = dict(zip(bands, short_names(list(bands), _NAME), strict=True))
    grey_first = sorted(bands, key=lambda name: colour[name] != style.MUTED)
    floor = min(ends(bands), default=1.0) / 3 if log else 0.0
    traces = []
    for name in grey_first:
        band, shade = bands[name], colour[name]
        has_colour = shade != style.MUTED
        traces += _curve(band.x, band.median, band.low, band.high, shade, names[name], "y", floor, has_colour)
        traces += _curve(band.x, band.iqm, band.iqm_low, band.iqm_high, shade, names[name], "y2", floor, False)
    kind: dict[str, Any] = {"type": "log", "dtick": 1} if log else {"rangemode": "tozero"}
    if not log and highest(bands) > CEILING:
        kind = {"range": [0, CEILING]}
    return style.drawing(
        traces,
        470 + 20 * min(len(bands), COLOURED),
        xaxis=_x_axis(bands, unit),
        yaxis=style.axis("median regret", domain=[0.54, 1], **kind),
        yaxis2=style.axis("mean of middle half", domain=[0, 0.46], **kind),
    )


def _x_axis(bands: Mapping[str, Band], unit: str) -> dict[str, Any]:
    if unit.startswith("share"):
        return style.axis(unit, anchor="y2")
    return style.whole_axis(
        unit, 0, max((float(band.x[-1]) for band in bands.values() if len(band.x)), default=0), anchor="y2"
    )


def _curve(
    x: np.ndarray,
    middle: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    colour: str,
    name: str,
    axis: str,
    floor: float,
    in_legend: bool,
) -> list[Any]:
    """A step curve with its band, thinned; without a band where the searcher is grey."""
    import plotly.graph_objects as go

    kept = np.flatnonzero(np.isfinite(middle))
    kept = kept[style.spread(len(kept), POINTS)]

    def line(values: np.ndarray, **more: Any) -> Any:
        return go.Scatter(
            x=x[kept].astype(np.float32),
            y=np.maximum(values[kept], floor).astype(np.float32),
            mode="lines",
            yaxis=axis,
            legendgroup=label(name),
            showlegend=False,
            **more,
        )

    flat = {"shape": "hv", "width": 0}
    band = [
        line(low, line=flat, hoverinfo="skip"),
        line(high, line=flat, fill="tonexty", fillcolor=style.faded(colour, 0.15), hoverinfo="skip"),
    ]
    grey = colour == style.MUTED
    main = line(
        middle,
        line={"shape": "hv", "width": 1 if grey else 2, "color": style.faded(colour, 0.5) if grey else colour},
        hovertemplate=f"{style.hover(name)}: %{{y:.3g}} at %{{x:.6g}}<extra></extra>",
    )
    main.name, main.showlegend = label(name), in_legend
    return [main] if grey else [*band, main]
