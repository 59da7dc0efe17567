"""Which hyperparameters decide whether a trial is among the best tenth."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpo.report import style
from hpo.report.figure import MAX_ROWS, Figure, Table, label
from hpo.report.study_data import StudyData
from hpo.text import printable

if TYPE_CHECKING:
    import plotly.graph_objects as go

BARS = 20


def figure(data: StudyData) -> Figure | None:
    """Shares of importance; None for fewer than ten trials, or where no hyperparameter makes a difference."""
    found = data.importances
    if not found:
        return None
    rows = tuple((name, share) for name, share in list(found.items())[:MAX_ROWS])
    return Figure(
        "importance",
        "Importance",
        _caption(data, found),
        Table(("hyperparameter", "importance"), rows),
        functools.partial(_draw, found),
        _reading(found),
    )


def _caption(data: StudyData, found: Mapping[str, float]) -> str:
    words = [
        f"How much the values of each hyperparameter among the best tenth of {data.compared} differ from those of "
        "all (PED-ANOVA); the shares add up to 1. It looks at each on its own, "
        "and only where the search looked; what matters only together with another, it may miss."
    ]
    if len(data.comparable) < 50:
        words.append(f"Of {len(data.comparable)} trials the best tenth are few: take it as a hint.")
    left = [name for name in data.space if name not in found]
    if left:
        from hpo.report.ped_anova import MAX_OPTIONS

        words.append(f"Left out: {_listed(left)} (seldom active, or with more than {MAX_OPTIONS:,} options).")
    if any(domain.when for name, domain in data.space.items() if name in found):
        words.append("One that is active only under a condition counts only where it is active.")
    return " ".join(words)


def _reading(found: Mapping[str, float]) -> str:
    words = "The longer a bar, the more care does its hyperparameter deserve."
    return words + (f" Drawn are the first {BARS} of {len(found)}." if len(found) > BARS else "")


def _listed(names: list[str]) -> str:
    return ", ".join(map(printable, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _draw(found: Mapping[str, float]) -> go.Figure:
    import plotly.graph_objects as go

    names, shares = list(found)[:BARS], np.array(list(found.values())[:BARS])
    bars = go.Bar(
        x=shares,
        y=np.arange(len(names)),  # names are only written beside: plotly would join equal ones
        orientation="h",
        marker={"color": style.PALETTE[0]},
        text=[f"{share:.2f}" for share in shares],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": [label(n, 24) for n in names]}
    return style.drawing(
        [bars],
        height=90 + 28 * len(names),
        margin={"r": 44},
        bargap=0.3,
        xaxis=style.axis("share of importance", range=[0, float(shares.max())], rangemode="tozero"),
        yaxis=style.axis("", range=[len(names) - 0.5, -0.5], **ticks),
    )
