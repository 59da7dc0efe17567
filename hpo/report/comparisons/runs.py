"""All runs in a table."""

from __future__ import annotations

from hpo.comparison.analysis import Analysis
from hpo.report.figure import MAX_POINTS, Figure, Table, finite
from hpo.text import printable


def figures(analysis: Analysis) -> list[Figure]:
    """One table, by task, searcher and seed."""
    results = analysis.results
    rows = [
        (
            printable(task.name),
            printable(name),
            run.seed,
            printable(run.study),
            finite(run.final),
            finite(run.test[task.metric]) if task.metric in run.test else None,
            run.failed,
            run.trials[-1] if run.trials else 0,
            run.spent[-1] if run.spent else 0,
            "yes" if run.exhausted else "no",
        )
        for task in results.tasks
        for name in results.searchers
        for run in results.of(task.name, name)
    ]
    caption = (
        "Each row is one search, whose trials are in the store under the name of its study; final is the value of its "
        "best trial, test the same trial's on test data, exhausted whether the searcher had nothing left to propose."
    )
    if len(rows) > MAX_POINTS:
        caption += f" The first {MAX_POINTS} of {len(rows)} runs are shown; Comparison.to_frame() has them all."
    head = ("task", "searcher", "seed", "study", "final", "test", "failed trials", "trials", "spent", "exhausted")
    return [Figure("runs", "All runs", caption, Table(head, tuple(rows[:MAX_POINTS])))]
