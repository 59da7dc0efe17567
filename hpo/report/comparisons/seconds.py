"""What the searchers themselves cost: processor time, apart from all training."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpo.comparison.analysis import Analysis
from hpo.report import style
from hpo.report.comparisons.shared import Row, box, colours, draw_rows, grey_text, is_wide
from hpo.report.figure import MAX_POINTS, Figure, Table
from hpo.text import printable


def figures(analysis: Analysis) -> list[Figure]:
    """One figure over all tasks."""
    results = analysis.results
    found = {name: [run for task in results.tasks for run in results.of(task.name, name)] for name in results.searchers}
    drawn = max(1, MAX_POINTS // len(found))
    caption = (
        "The seconds of processor time that the searcher itself took in a run to propose and to learn, over the whole "
        "budget; fewer are cheaper. Training is not in it, nor is waiting: the runs trained together, so "
        "the time on a clock says nothing about a single one."
    )
    reading = "A dot is a run; further left is cheaper."
    most = max(map(len, found.values()))
    if most > drawn:
        reading += f" {drawn} of the {most} runs of a searcher are drawn as dots, evenly spread; boxes have them all."
    head = ("searcher", "runs", "lowest", "quarter", "median", "three quarters", "highest", "milliseconds a trial")
    rows = []
    for name, runs in found.items():
        seconds = [run.searcher_seconds for run in runs]
        begun = sum(run.trials[-1] if run.trials else 0 for run in runs)
        each = 1000 * float(np.sum(seconds)) / begun if begun else None
        rows.append((printable(name), len(runs), *vars(box(seconds)).values(), each))
    title = "The searchers' own seconds"
    table = Table(head, tuple(rows))
    return [Figure("seconds", title, caption, table, lambda: _draw(analysis), reading + grey_text(analysis))]


def _draw(analysis: Analysis) -> Any:
    results, colour = analysis.results, colours(analysis)
    limit = max(1, MAX_POINTS // len(results.searchers))
    rows = []
    for name in results.searchers:
        runs = [run for task in results.tasks for run in results.of(task.name, name)]
        shown = [runs[i] for i in style.spread(len(runs), limit)]
        texts = tuple(f"{run.task}, seed {run.seed}" for run in shown)
        whole = box([run.searcher_seconds for run in runs])
        rows.append(Row(name, colour[name], whole, tuple(run.searcher_seconds for run in shown), texts))
    log = is_wide([value for row in rows for value in row.values])
    axis = style.axis("seconds", **({"type": "log", "dtick": 1} if log else {"rangemode": "tozero"}))
    return draw_rows(rows, axis, paired=False)
