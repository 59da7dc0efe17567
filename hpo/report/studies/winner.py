"""The answer of a study: its winner over fresh seeds and its test score where they are known, else its best trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.comparison.winner import Candidate, Winner
from hpo.report import style
from hpo.report.figure import Figure, Table, finite, label
from hpo.report.study_data import StudyData
from hpo.text import number, params_text, printable, value_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ROW = 52  # pixels of a candidate
_OVER = 0.36  # of a row, from its values up to its name


@dataclass(frozen=True)
class Strip:
    """A candidate in the drawing.

    Attributes:
        name: what it is called.
        first: its value in the search; None: it was no trial.
        fresh: finite values with fresh seeds.
        mean: of them; None if a run failed.
    """

    name: str
    first: float | None
    fresh: tuple[float, ...]
    mean: float | None


def figure(data: StudyData) -> Figure | None:
    """The figure; None before a trial has succeeded."""
    if not data.study.has_result:
        return None
    winner = data.study.known_winner()
    return _best(data) if winner is None else _winner(data, winner)


def _best(data: StudyData) -> Figure:
    best = data.study.best
    epochs = f" after {best.epochs} epochs" if best.epochs > 1 else ""
    caption = (
        f"Trial {best.number} has the best {printable(data.metric)} of the search{epochs}, {number(best.value)} "
        f"({data.study.spec.direction}d). The best of many noisy values is partly luck: a new training may be worse."
    )
    if data.study.has_test_data:
        caption += " The winner over fresh seeds is not known yet, and the test data was not used."
    rows = [(printable(name), value_text(value)) for name, value in best.params.items()]
    head = ("hyperparameter", "value")
    return Figure("winner", "Best trial", caption, Table(head, (("value", best.value), *rows)))


def _winner(data: StudyData, winner: Winner) -> Figure:
    said = [*winner.sentences]
    won = winner.candidate
    if won is not None:
        said.insert(0, f"{_capital(won.label)} wins: {params_text(won.params)}.")
    if winner.test is not None:
        scores = ", ".join(f"{printable(name)} {number(value)}" for name, value in winner.test.metrics.items())
        said.append(
            f"On test data, which no trial saw, its model scores: {scores} (95 % interval of the first: "
            f"{number(winner.test.low)} to {number(winner.test.high)})."
        )
    said.append(
        "Each small circle is a training with a fresh seed, the diamond their mean, the large open circle the value in "
        "the search, which luck may have flattered. What is to be compared are the diamonds."
    )
    rows = tuple(_row(winner, candidate) for candidate in entries(winner))
    head = ("configuration", "in the search", "mean", "deviation", "lowest", "highest", "failed", "hyperparameters")
    title = "Winner over fresh seeds" if won is not None else "No winner"
    return Figure("winner", title, " ".join(said), Table(head, rows), lambda: _draw(data, winner))


def entries(winner: Winner) -> list[Candidate]:
    """The candidates, and the default configuration if it is none of them."""
    default = winner.default
    known = {candidate.number for candidate in winner.candidates}
    return [*winner.candidates, *([default] if default is not None and default.number not in known else [])]


def _row(winner: Winner, candidate: Candidate) -> tuple[Any, ...]:
    fresh = [value for value in candidate.fresh if math.isfinite(value)]
    return (
        _name(winner, candidate),
        candidate.first,
        finite(candidate.mean),
        finite(candidate.spread),
        min(fresh, default=None),
        max(fresh, default=None),
        len(candidate.fresh) - len(fresh),
        params_text(candidate.params),
    )


def strips(winner: Winner) -> list[Strip]:
    """What is drawn, the candidates in the order of the search."""
    return [
        Strip(_name(winner, c), c.first, tuple(value for value in c.fresh if math.isfinite(value)), finite(c.mean))
        for c in entries(winner)
    ]


def _name(winner: Winner, candidate: Candidate) -> str:
    roles = []
    if candidate.number is not None and candidate.number == winner.number:
        roles.append("winner")
    if candidate.number is not None and candidate.number == winner.runner_up:
        roles.append("runner-up")
    if candidate.number is not None and winner.default is not None and candidate.number == winner.default.number:
        roles.append("default")
    if candidate.failed:
        roles.append("out")
    return candidate.label + (f" ({', '.join(roles)})" if roles else "")


def _draw(data: StudyData, winner: Winner) -> go.Figure:
    import plotly.graph_objects as go

    rows = strips(winner)
    height = _ROW * len(rows) + 130

    def marks(points: Sequence[tuple[float, float, str]], name: str, **marker: Any) -> Any:
        """A trace of (x, y, text)."""
        return go.Scatter(
            x=[x for x, _, _ in points],
            y=[y for _, y, _ in points],
            text=[text for _, _, text in points],
            mode="markers",
            name=name,
            marker=marker,
            hovertemplate="%{text}<extra></extra>",
        )

    fresh, means, firsts = [], [], []
    for place, row in enumerate(rows):
        fresh += [(value, place, f"{row.name}: {number(value)}") for value in row.fresh]
        means += [(row.mean, place, f"{row.name}: mean {number(row.mean)}")] if row.mean is not None else []
        firsts += (
            [(row.first, place, f"{row.name}: {number(row.first)} in the search")] if row.first is not None else []
        )
    colour = style.color(0)
    traces = [
        marks(firsts, "in the search", symbol="circle-open", size=15, color=style.MUTED, line={"width": 2}),
        marks(fresh, "with a fresh seed", size=8, color=colour, opacity=0.65),
        marks(means, "their mean", symbol="diamond", size=13, color=colour),
    ]
    names = [
        {"x": 0, "xref": "paper", "xanchor": "left", "y": place - _OVER, "text": label(row.name), "showarrow": False}
        for place, row in enumerate(rows)
    ]
    test = winner.test
    if test is not None and (score := next(iter(test.metrics.values()))) is not None and math.isfinite(score):
        place = next(i for i, candidate in enumerate(entries(winner)) if candidate.number == winner.number)
        trace = marks(
            [(score, place + 0.25, f"test {number(score)}, {number(test.low)} to {number(test.high)}")],
            "winner on test data",
            symbol="square",
            size=10,
            color=style.BEST,
        )
        trace.error_x = {
            "type": "data",
            "symmetric": False,
            "array": [test.high - score],
            "arrayminus": [score - test.low],
            "color": style.BEST,
        }
        traces.append(trace)
    return style.drawing(
        traces,
        height,
        annotations=names,
        xaxis=style.axis(data.metric),
        yaxis={"range": [len(rows) - 0.5, -0.6], "visible": False},
        margin={"l": 16},
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
