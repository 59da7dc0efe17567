"""What it takes: units spent until a run reaches the final value of each searcher's middle run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from hpo.comparison.analysis import Analysis, Target, TaskAnalysis
from hpo.report import style
from hpo.report.comparisons.shared import colours, grey_text, short_names
from hpo.report.figure import MAX_ROWS, Figure, Table, finite, label
from hpo.text import number, printable

FEW: Final = 6  # searchers, up to which the median final value of each is a target in the figure
_GROUP: Final = 30  # pixels between targets
_BAR: Final = 20  # pixels from bar to bar


def figures(analysis: Analysis) -> list[Figure]:
    """A figure a task; none for tasks without any target."""
    return [
        _figure(analysis, task, place) for place, task in enumerate(analysis.tasks.values(), start=1) if chosen(task)
    ]


def chosen(task: TaskAnalysis) -> list[str]:
    """Whose targets are shown, the hardest first: all of up to FEW, else the hardest, the middle and the easiest.

    A value that several searchers end with is shown once.
    """
    values = {name: next(iter(found.values())).value for name, found in task.targets.items() if found}
    once: dict[float, str] = {}
    for name, value in values.items():
        if math.isfinite(value):
            once.setdefault(value, name)
    ordered = [once[value] for value in sorted(once, key=lambda value: -task.task.sign * value)]
    return ordered if len(task.targets) <= FEW else [ordered[i] for i in style.spread(len(ordered), 3)]


def _figure(analysis: Analysis, task: TaskAnalysis, place: int) -> Figure:
    targets, unit = chosen(task), printable(task.task.unit)
    caption = (
        "A target is the final value of a searcher's middle run, of two the worse one, so that half of its own runs "
        f"reach it. The median is the {unit} that half of each searcher's runs needed to reach the target; less is "
        "better."
    )
    reading = (
        "A bar is such a median, and the number beside it says how many runs reached the target at all; where fewer "
        "than half did, the bar is as long as the budget and hatched."
    )
    if len(task.targets) > FEW:
        caption += " Only the hardest, the middle and the easiest target are shown."
    rows = [
        (
            printable(name),
            target.value,
            printable(searcher),
            finite(target.median),
            target.reached,
            len(target.costs),
        )
        for name in targets
        for searcher, target in task.targets[name].items()
    ]
    head = ("middle run of", "target", "searcher", f"median {unit}", "reached by", "of runs")
    title = f"{unit.capitalize()} to reach a target on {printable(task.task.name)}"
    table = Table(head, tuple(rows[:MAX_ROWS]))
    if len(rows) > MAX_ROWS:
        caption += f" The table has the first {MAX_ROWS} of {len(rows)} rows."
    reading += grey_text(analysis)
    return Figure(f"target-{place}", title, caption, table, lambda: _draw(analysis, task, targets), reading)


def bars(task: TaskAnalysis, found: Mapping[str, Target]) -> list[tuple[float, bool, str]]:
    """For each searcher the bar's length, whether at least half of its runs reached the target, and its text."""
    out = []
    for target in found.values():
        reached = math.isfinite(target.median)
        text = f"{number(target.median)} " if reached else "not by half "
        length = target.median if reached else float(task.task.budget)
        out.append((length, reached, f"{text}({target.reached} of {len(target.costs)})"))
    return out


def _draw(analysis: Analysis, task: TaskAnalysis, targets: list[str]) -> Any:
    import plotly.graph_objects as go

    colour, searchers = colours(analysis), list(next(iter(task.targets.values())))
    short, heads = short_names(searchers, 24), short_names(searchers, 14)
    y, traces, texts = 0.0, [], []
    for name in targets:
        found = task.targets[name]
        value = next(iter(found.values())).value
        said = f"{number(value)}: {label(heads[searchers.index(name)])}'s middle run"
        texts.append({"x": 0, "xanchor": "left", "y": y, "text": f"<b>{said}</b>", "showarrow": False})
        for searcher, (length, reached, text) in zip(searchers, bars(task, found), strict=True):
            y += _BAR
            traces.append(
                go.Bar(
                    x=[length],
                    y=[y],
                    orientation="h",
                    width=0.75 * _BAR,
                    marker={
                        "color": style.faded(colour[searcher], 0.35) if reached else style.CLEAR,
                        "line": {"color": colour[searcher], "width": 1},
                        "pattern": {
                            "shape": "" if reached else "/",
                            "fgcolor": style.faded(colour[searcher], 0.35),
                            "size": 6,
                        },
                    },
                    hovertemplate=f"{style.hover(searcher)}: {text}<extra></extra>",
                    showlegend=False,
                )
            )
            shown = f"{label(short[searchers.index(searcher)])}: {text}"
            texts.append({"x": 0, "xanchor": "left", "y": y, "text": shown, "showarrow": False, "font": {"size": 11}})
        y += _GROUP
    return style.drawing(
        traces,
        int(y) + 80,
        annotations=texts,
        barmode="overlay",
        xaxis=style.axis(f"{task.task.unit} spent", range=[0, task.task.budget]),
        yaxis={"range": [y - _GROUP / 2, -_BAR], "visible": False},
        margin={"l": 16},
    )
