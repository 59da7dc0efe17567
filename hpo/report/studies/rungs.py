"""The ledger of successive halving: who came into a rung, who went on, and whether early ranks meant anything."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hpo.report import style
from hpo.report.figure import MAX_LINES, MAX_POINTS, MAX_ROWS, Figure, Table
from hpo.report.study_data import StudyData
from hpo.text import number, printable
from hpo.trial import Evaluation, State

if TYPE_CHECKING:
    import plotly.graph_objects as go

FEWEST: Final = 3  # trials in two rungs that ranks are compared of
_SPREAD: Final = 0.3  # of the distance of two rungs, over which the trials of one stand side by side


@dataclass(frozen=True)
class Rung:
    """One rung of one bracket, or of all.

    Attributes:
        bracket: from 0; None: all brackets together.
        rung: from 0.
        epochs: that its trials train to.
        entered: trials that began it.
        promoted: of them, trials that began the next one.
        failed: of them, trials that failed in it.
        best: of the finite values; None: there are none.
        median: of the same.
        charged: epochs newly trained in it.
        correlation: Spearman's, in [-1, 1], of the values here and in the next rung, over the trials that have both;
            None: fewer than FEWEST, or all alike.
    """

    bracket: int | None
    rung: int
    epochs: int
    entered: int
    promoted: int
    failed: int
    best: float | None
    median: float | None
    charged: int
    correlation: float | None


def ledger(evaluations: Iterable[Evaluation], maximized: bool) -> list[Rung]:
    """All brackets together rung by rung, then each bracket where there is more than one."""
    groups: dict[tuple[int, int], list[Evaluation]] = {}
    for evaluation in evaluations:
        if {"bracket", "rung"} <= evaluation.info.keys():
            groups.setdefault((int(evaluation.info["bracket"]), int(evaluation.info["rung"])), []).append(evaluation)
    brackets = sorted({bracket for bracket, _ in groups})
    rungs = sorted({rung for _, rung in groups})
    together = {rung: [e for bracket in brackets for e in groups.get((bracket, rung), ())] for rung in rungs}
    found = [_rung(None, rung, together[rung], together.get(rung + 1, ()), maximized) for rung in rungs]
    if len(brackets) > 1:
        found += [
            _rung(bracket, rung, group, groups.get((bracket, rung + 1), ()), maximized)
            for (bracket, rung), group in sorted(groups.items())
        ]
    return found


def _rung(
    bracket: int | None, rung: int, here: Sequence[Evaluation], above: Sequence[Evaluation], maximized: bool
) -> Rung:
    values, later = _values(here), _values(above)
    both = sorted(values.keys() & later.keys())
    return Rung(
        bracket,
        rung,
        here[0].target,
        len({e.number for e in here}),
        len({e.number for e in above}),
        len({e.number for e in here if e.state == State.FAILED}),
        (max if maximized else min)(values.values(), default=None),
        statistics.median(values.values()) if values else None,
        sum(e.charged for e in here),
        spearman([values[n] for n in both], [later[n] for n in both]),
    )


def _values(evaluations: Iterable[Evaluation]) -> dict[int, float]:
    """Trial to its finite value."""
    return {
        e.number: e.value
        for e in evaluations
        if e.state == State.DONE and e.value is not None and math.isfinite(e.value)
    }


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation of two samples of n, in [-1, 1]; None where n < FEWEST or one of them is constant."""
    import numpy as np
    from scipy.stats import rankdata

    if len(a) < FEWEST or len(set(a)) == 1 or len(set(b)) == 1:
        return None
    return float(np.clip(np.corrcoef(rankdata(a), rankdata(b))[0, 1], -1, 1))


def figure(data: StudyData) -> Figure | None:
    """The figure; None where no searcher of rungs proposed."""
    found = ledger(data.evaluations, data.maximized)
    if not found:
        return None
    paths = paths_of(data.evaluations)
    shown = thinned(paths)
    metric, whole = printable(data.metric), [rung for rung in found if rung.bracket is None]
    caption = (
        "At each rung trials wait, and only the better train on: where early values foretell late ones, that is safe. "
        + _told(whole)
    )
    reading = (
        f"A column is a rung, a dot the {metric} of a trial that reached it, a line a trial that went on to train "
        "longer. Where lines hardly cross, stopping early is safe; where they cross much, rungs this short drop good "
        "trials."
    )
    if len(shown) < len(paths):
        reading += f" {len(shown)} of {len(paths)} trials are drawn, those that went furthest first."
    if len(found) > MAX_ROWS:
        brackets = len({rung.bracket for rung in found[:MAX_ROWS]}) - 1
        caption += f" The table has the first {brackets} brackets."
    head = (
        "bracket",
        "rung",
        "epochs",
        "trials",
        "went on",
        "failed",
        f"best {metric}",
        f"median {metric}",
        "epochs trained",
        "rank correlation with the next rung",
    )
    rows = [("all" if r.bracket is None else r.bracket, *list(vars(r).values())[1:]) for r in found[:MAX_ROWS]]
    table = Table(head, tuple(rows))
    return Figure("rungs", "Rungs of halving", caption, table, lambda: _draw(data, whole, shown), reading)


def _told(whole: Sequence[Rung]) -> str:
    """What the rank correlations say."""
    known = [(rung, above) for rung, above in itertools.pairwise(whole) if rung.correlation is not None]
    if not known:
        return "Too few trials went on to compare their ranks."
    listed = "; ".join(f"{number(round(r.correlation or 0, 3))} from {r.epochs} to {a.epochs} epochs" for r, a in known)
    return (
        f"Spearman's rank correlation of the values of those that went on: {listed} (1: the same order, 0: no "
        "relation; that of all trials is usually higher, since here the worse ones are missing)."
    )


# -- drawing


def paths_of(evaluations: Iterable[Evaluation]) -> dict[int, list[tuple[int, float]]]:
    """Trial to (rung, finite value) in the rungs that it went through; trials without any are left out."""
    paths: dict[int, list[tuple[int, float]]] = {}
    for e in evaluations:
        if "rung" in e.info and "bracket" in e.info and (value := _values([e]).get(e.number)) is not None:
            paths.setdefault(e.number, []).append((int(e.info["rung"]), value))
    return paths


def thinned(paths: Mapping[int, list[tuple[int, float]]]) -> dict[int, list[tuple[int, float]]]:
    """At most MAX_LINES trials that went on and MAX_POINTS that did not; of the former those that went furthest."""
    ordered = sorted(paths.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [item for item in ordered if len(item[1]) > 1][:MAX_LINES]
    points = [item for item in ordered if len(item[1]) == 1]
    return dict(lines + [points[i] for i in style.spread(len(points), MAX_POINTS)])


def _draw(data: StudyData, whole: Sequence[Rung], shown: Mapping[int, list[tuple[int, float]]]) -> go.Figure:
    import plotly.graph_objects as go

    column = {rung.rung: place for place, rung in enumerate(whole)}
    furthest: dict[int, list[int]] = {}
    for trial, path in shown.items():
        furthest.setdefault(max(rung for rung, _ in path), []).append(trial)
    traces: list[Any] = []
    for last, trials in sorted(furthest.items()):
        x: list[float | None] = []
        y: list[float | None] = []
        texts: list[str | None] = []
        for trial in trials:
            offset = style.beside(trial) * _SPREAD
            for rung, value in sorted(shown[trial]):
                x.append(column[rung] + offset)
                y.append(value)
                texts.append(f"trial {trial}: {number(value)}")
            x.append(None)
            y.append(None)
            texts.append(None)
        is_last = last == whole[-1].rung and len(whole) > 1
        colour = style.BEST if is_last else style.color((0, 2, 3, 4, 5, 6)[column[last] % 6])
        traces.append(
            go.Scatter(
                x=x,
                y=y,
                text=texts,
                name=f"trained to epoch {whole[column[last]].epochs}",
                mode="lines+markers",
                line={"width": 1.5 if is_last else 1, "color": style.faded(colour, 0.9 if is_last else 0.5)},
                marker={"size": 6 if is_last else 5, "color": style.faded(colour, 1 if is_last else 0.6)},
                hovertemplate="%{text}<extra></extra>",
            )
        )
    window = style.window_of([value for path in shown.values() for _, value in path], data.maximized)
    return style.drawing(
        traces,
        xaxis=style.axis(
            "epochs trained",
            tickvals=list(range(len(whole))),
            ticktext=[str(rung.epochs) for rung in whole],
            range=[-0.4, len(whole) - 0.6],
        ),
        yaxis=style.value_axis(data.metric, None if window is None else window[0]),
    )
