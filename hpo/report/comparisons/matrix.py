"""Who beats whom: for every two searchers the probability that one ends better than the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from hpo.comparison.analysis import AcrossTasks, Analysis, Pair, TaskAnalysis
from hpo.comparison.verdict import smallest_text
from hpo.report import style
from hpo.report.comparisons.shared import short_names
from hpo.report.figure import MAX_ROWS, Figure, Table, finite, label
from hpo.text import number, printable

_NAME: Final = 16  # characters of a searcher beside its row
_CROWDED: Final = 12  # searchers, above which there is no room for numbers in the cells on a phone
_SCALE: Final = ((0.0, "#D55E00"), (0.5, "#D5D8DC"), (1.0, "#0072B2"))  # worse, alike, better


def figures(analysis: Analysis) -> list[Figure]:
    """A figure a task, and one over all tasks; none for a single searcher."""
    if len(analysis.results.searchers) < 2:
        return []
    found = [
        _figure(analysis, f"matrix-{place}", f"Wins on {printable(task.task.name)}", task, "seeds")
        for place, task in enumerate(analysis.tasks.values(), start=1)
    ]
    across = analysis.across
    if across is not None and across.pairs:
        found.append(_figure(analysis, "matrix-all", "Wins over tasks", across, "tasks"))
    return found


def cells(searchers: Sequence[str], pairs: Sequence[Pair]) -> tuple[list[list[float | None]], list[list[bool]]]:
    """P(row better than column) in [0, 1], None on the diagonal, and where row and column are told apart, (n, n)."""
    place = {name: i for i, name in enumerate(searchers)}
    shares: list[list[float | None]] = [[None] * len(place) for _ in place]
    told = [[False] * len(place) for _ in place]
    for pair in pairs:
        a, b = place[pair.a], place[pair.b]
        shares[a][b], shares[b][a] = finite(pair.probability), finite(1 - pair.probability)
        told[a][b] = told[b][a] = pair.better is not None
    return shares, told


def _figure(analysis: Analysis, key: str, title: str, tested: TaskAnalysis | AcrossTasks, sample: str) -> Figure:
    pairs = tested.pairs
    caption = (
        f"P is the share of {sample} in which the one searcher ends better than the other, ties counted half: 1 is "
        "always, 0.5 even. "
    )
    reading = (
        "A number is the P of the row's searcher against the column's, in percent: blue rows win, orange rows lose, "
        "grey is even."
    )
    family = "pairs over tasks" if isinstance(tested, AcrossTasks) else "pairs on all tasks"
    if tested.why_not is None:
        apart = sum(pair.better is not None for pair in pairs)
        caption += (
            f"Two are told apart where p is at most 0.05, adjusted by Holm's method for all {family}, and for looks: "
            f"{apart} of {len(pairs)} pairs; of the others the difference may be chance, however great it looks. "
            + _power(tested.detectable, sample)
        )
    else:
        caption += f"No test is made: {tested.why_not}; all of it may be chance."
    if tested.why_not is None:
        reading += " A star marks two that are told apart."
    if len(analysis.results.searchers) > _CROWDED:
        reading += " The numbers are in the table, and where the pointer is."
    # the clearest first, so that none that is told apart is cut off
    ordered = sorted(pairs, key=lambda pair: (pair.better is None, -abs(pair.probability - 0.5)))
    if len(ordered) > MAX_ROWS:
        caption += f" The table has the {MAX_ROWS} clearest of {len(ordered)} pairs."
    head = ("a", "b", sample, "P(a better than b)", "p", "adjusted p", "told apart")
    rows = tuple(
        (
            printable(pair.a),
            printable(pair.b),
            pair.n,
            finite(pair.probability),
            finite(pair.p),
            finite(pair.adjusted),
            f"{printable(pair.better)} is better" if pair.better is not None else "no",
        )
        for pair in ordered[:MAX_ROWS]
    )
    return Figure(key, title, caption, Table(head, rows), lambda: _draw(analysis.results.searchers, pairs), reading)


def _power(detectable: float, sample: str) -> str:
    """What these tests could see."""
    if not math.isfinite(detectable):
        return f"There are too few {sample} for these tests to see any difference."
    return (
        f"Effects below {smallest_text(detectable)} cannot be seen with so many {sample}: one of that size is found in "
        "four of five such comparisons, if differences are normal."
    )


def _draw(searchers: Sequence[str], pairs: Sequence[Pair]) -> Any:
    import plotly.graph_objects as go

    shares, told = cells(searchers, pairs)
    count = len(searchers)
    crowded = count > _CROWDED
    names = [label(name) for name in searchers]
    numbered = [f"{label(name)} {i}" for i, name in enumerate(short_names(searchers, _NAME), start=1)]
    adjusted = {frozenset((pair.a, pair.b)): pair.adjusted for pair in pairs}
    heat = go.Heatmap(
        z=shares,
        x=list(range(count)),
        y=list(range(count)),
        zmin=0,
        zmax=1,
        colorscale=[list(stop) for stop in _SCALE],
        showscale=False,
        xgap=1,
        ygap=1,
        text=[
            [_star(told[i][j]) if crowded else _cell(shares[i][j], told[i][j]) for j in range(count)]
            for i in range(count)
        ],
        texttemplate="%{text}",
        hovertext=[
            [
                f"{names[i]} against {names[j]}: {_cell(shares[i][j], told[i][j])} %"
                + _p(adjusted.get(frozenset((searchers[i], searchers[j])), math.nan))
                for j in range(count)
            ]
            for i in range(count)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        hoverongaps=False,
    )
    return style.drawing(
        [heat],
        max(180, (24 if crowded else 34) * count + 60),
        xaxis={
            "tickvals": list(range(count)),
            "ticktext": [str(i + 1) for i in range(count)],
            "side": "top",
            "tickangle": -90 if crowded else 0,
            "tickfont": {"size": 9 if crowded else 12},
            "showgrid": False,
            "zeroline": False,
        },
        yaxis={
            "tickvals": list(range(count)),
            "ticktext": numbered,
            "autorange": "reversed",
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        margin={"l": 20, "t": 30, "b": 16},
    )


def _cell(share: float | None, told: bool) -> str:
    return "" if share is None else f"{100 * share:.0f}{_star(told)}"


def _star(told: bool) -> str:
    return "*" if told else ""


def _p(adjusted: float) -> str:
    return f", adjusted p {number(adjusted)}" if math.isfinite(adjusted) else ""
