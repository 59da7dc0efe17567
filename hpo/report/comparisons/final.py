"""What the runs end with: a box and every seed, with the scores on test data beside."""

from __future__ import annotations

import math
from typing import Any

from hpo.comparison.analysis import Analysis, TaskAnalysis
from hpo.report import style
from hpo.report.comparisons.shared import Row, box, colours, draw_rows, grey_text, is_wide
from hpo.report.figure import MAX_LINES, Figure, Table, finite
from hpo.text import printable

SIDES = ("lowest", "quarter", "median", "three quarters", "highest")


def figures(analysis: Analysis) -> list[Figure]:
    """A figure a task."""
    return [_figure(analysis, task, place) for place, task in enumerate(analysis.tasks.values(), start=1)]


def _figure(analysis: Analysis, task: TaskAnalysis, place: int) -> Figure:
    results, metric = analysis.results, printable(task.task.metric)
    failed = sum(math.isnan(value) for values in task.final.values() for value in values)
    tested = any(math.isfinite(value) for values in task.test.values() for value in values)
    better = "further right" if task.task.direction == "maximize" else "further left"
    good = "higher" if task.task.direction == "maximize" else "lower"
    caption = (
        f"The {metric} that runs end with, of each the best trial's; {good} is better. The median of an even number of "
        "runs is the mean of the two in the middle."
    )
    reading = (
        f"A dot is a run with one seed; {better} is better. The box has the middle half of the runs and the median, "
        "its whiskers reach the worst and the best."
    )
    if len(results.searchers) > 1 and len(results.seeds) <= MAX_LINES:
        tests = ": the tests compare along them" if task.why_not is None else ""
        reading += f" Thin lines join the runs of one seed{tests}."
    if tested:
        caption += (
            " Test scores are the same trials', as they were trained in the search: no searcher saw that data, so they "
            "are not flattered by having been chosen."
        )
        reading += " Open diamonds below are the scores on test data."
    if failed:
        caption += f" Runs without any success ({failed}) count as worse than all others."
        reading += " Runs without any success have no dot."
    reading += style.outside_text(_shown(task)[2]) + grey_text(analysis)
    head = ["searcher", "runs", "without success", *SIDES]
    head += [f"test, {side}" for side in SIDES[1:4]] if tested else []
    rows = tuple(_row(task, name, tested) for name in results.searchers)
    title = f"Final {metric} on {printable(task.task.name)}"
    key = f"final-{place}"
    return Figure(key, title, caption, Table(tuple(head), rows), lambda: _draw(analysis, task), reading)


def _row(task: TaskAnalysis, name: str, tested: bool) -> tuple[Any, ...]:
    values = task.final[name]
    found, test = box(values, task.task), box(task.test.get(name, ()), task.task)
    cells = [printable(name), len(values), sum(map(math.isnan, values)), *map(finite, vars(found).values())]
    return (*cells, *(map(finite, (test.q1, test.median, test.q3)) if tested else ()))


def _draw(analysis: Analysis, task: TaskAnalysis) -> Any:
    results, colour = analysis.results, colours(analysis)
    texts = tuple(f"seed {seed}" for seed in results.seeds)
    rows = [
        Row(name, colour[name], box(task.final[name], task.task), task.final[name], texts, task.test.get(name, ()))
        for name in results.searchers
    ]
    values, window, _ = _shown(task)
    axis = style.value_axis(task.task.metric, window, **({"type": "log", "dtick": 1} if is_wide(values) else {}))
    return draw_rows(rows, axis, paired=len(results.seeds) <= MAX_LINES)


def _shown(task: TaskAnalysis) -> tuple[list[float], tuple[float, float] | None, int]:
    """All finite values, what of their axis is shown, and how many are outside: only those that plotly cannot draw."""
    runs = [*task.final.values(), *task.test.values()]
    values = [value for each in runs for value in each if math.isfinite(value)]
    window, outside = style.window_of(values, task.task.direction == "maximize", far=math.inf) or (None, 0)
    return (values, None, 0) if is_wide(values) else (values, window, outside)
