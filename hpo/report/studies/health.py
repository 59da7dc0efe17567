"""How well trials trained: shares that overfit, lost units or gradients, or diverged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.comparison.health import Health, Share, summarize
from hpo.report import style
from hpo.report.figure import Figure, Table, label
from hpo.report.study_data import StudyData
from hpo.text import printable, value_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ROW = 56  # pixels of a bar with its name


def figure(data: StudyData) -> Figure | None:
    """The figure; None where objectives tell nothing of it and no value is not finite."""
    health = summarize(data.trials, data.study.spec.direction)
    found = shares(health)
    if health.metric is None and not health.diverged.count:
        return None
    caption = "Shares are of the trials of which it is known, as they were when last measured; less is better. "
    caption += " ".join(health.sentences) or "Nothing stands out: no trial shows any of these."
    head = ("what", "trials", "of", "share")
    rows = [(name, share.count, share.of, share.count / share.of) for name, share in found]
    rows += [
        (
            f"diverged where {printable(r.name)} {r.relation} {value_text(r.value)}",
            r.inside.count,
            r.inside.of,
            r.inside.count / r.inside.of,
        )
        for r in health.regions
    ]
    return Figure(
        "health",
        "Training health",
        caption,
        Table(head, tuple(rows)),
        lambda: _draw(found),
        "Each bar is a share; shorter is better.",
    )


def shares(health: Health) -> list[tuple[str, Share]]:
    """What may go wrong, with the trials in which it did, of those that tell."""
    named = [
        (f"overfit, by {printable(health.metric)}", health.overfit),
        ("more than half of the relu units dead", health.dead),
        ("gradient vanishes in the first layer", health.vanishing),
        ("diverged", health.diverged),
    ]
    return [(name, share) for name, share in named if share.of]


def _draw(found: list[tuple[str, Share]]) -> go.Figure:
    import plotly.graph_objects as go

    places = list(range(len(found)))
    bars = go.Bar(
        x=[share.count / share.of for _, share in found],
        y=places,
        orientation="h",
        width=0.42,
        marker={"color": style.color(1)},
        text=[str(share) for _, share in found],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="none",
    )
    names = [
        {"x": 0, "xanchor": "left", "y": place - 0.37, "text": label(name), "showarrow": False}
        for place, (name, _) in enumerate(found)
    ]
    return style.drawing(
        [bars],
        _ROW * len(found) + 70,
        annotations=names,
        xaxis=style.axis("share of trials", range=[0, 1.15], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1]),
        yaxis={"range": [len(found) - 0.5, -0.6], "visible": False},
        margin={"l": 16},
    )
