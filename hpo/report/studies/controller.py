"""What the controller of architecture search learned: reward and entropy of its policy from update to update."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo.report import style
from hpo.report.figure import MAX_ROWS, Figure, Table
from hpo.report.study_data import StudyData
from hpo.text import number, printable
from hpo.trial import Evaluation, State

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Policy:
    """What the policy proposed between two updates.

    Attributes:
        updates: that it had been through.
        trials: proposed by it.
        failed: of them, those that failed or whose value is not finite.
        mean: of the finite values; None: there are none.
        best: of them.
        entropy: mean over its trials, in nats: how undecided it was; 0: it writes one configuration only.
    """

    updates: int
    trials: int
    failed: int
    mean: float | None
    best: float | None
    entropy: float


def policies(evaluations: Iterable[Evaluation], maximized: bool) -> list[Policy]:
    """One record for each state of the policy, by its updates; evaluations of other searchers are left out."""
    groups: dict[int, list[Evaluation]] = {}
    for evaluation in evaluations:
        if {"updates", "entropy"} <= evaluation.info.keys():
            groups.setdefault(int(evaluation.info["updates"]), []).append(evaluation)
    found = []
    for updates, group in sorted(groups.items()):
        ended = [e for e in group if e.state in (State.DONE, State.FAILED)]
        values = [e.value for e in ended if e.state == State.DONE and e.value is not None and math.isfinite(e.value)]
        best = (max if maximized else min)(values, default=None)
        entropy = statistics.fmean(float(e.info["entropy"]) for e in group)
        mean = statistics.fmean(values) if values else None
        found.append(Policy(updates, len(group), len(ended) - len(values), mean, best, entropy))
    return found


def figure(data: StudyData) -> Figure | None:
    """The figure; None where no controller proposed."""
    found = policies(data.evaluations, data.maximized)
    if not found:
        return None
    shown = [found[i] for i in style.spread(len(found), MAX_ROWS)]
    metric, first, last = printable(data.metric), found[0], found[-1]
    caption = (
        f"The {metric} of the configurations that the controller wrote between two of its updates: their mean "
        f"and the best of them. Where it learns, the mean {'rises' if data.maximized else 'falls'}. The entropy of its "
        "policy is in nats: it begins with every configuration alike and falls as the controller decides; at 0 it "
        "would write one configuration only, and a fall without a better mean is settling too early. "
    )
    if first.mean is not None and last.mean is not None and len(found) > 1:
        caption += (
            f"From the first to the last policy the mean went from {number(first.mean)} to {number(last.mean)}, the "
            f"entropy from {number(first.entropy)} to {number(last.entropy)}."
        )
    if len(shown) < len(found):
        caption += f" {len(shown)} of {len(found)} updates are shown, evenly spread."
    head = ("updates", "trials", "failed", f"mean {metric}", f"best {metric}", "entropy")
    rows = tuple(tuple(vars(policy).values()) for policy in shown)
    return Figure(
        "controller",
        "The controller's learning",
        caption,
        Table(head, rows),
        lambda: _draw(data, shown),
        "Above the values, below the entropy.",
    )


def _draw(data: StudyData, shown: list[Policy]) -> go.Figure:
    import plotly.graph_objects as go

    def line(name: str, values: list[float | None], axis: str, colour: str, mode: str, **marker: Any) -> Any:
        return go.Scatter(
            x=[policy.updates for policy in shown],
            y=values,
            name=name,
            mode=mode,
            line={"color": colour},
            marker={"color": colour, **marker},
            yaxis=axis,
            hovertemplate=f"{name} %{{y:.4g}}<br>after %{{x}} updates<extra></extra>",
        )

    known = [value for policy in shown for value in (policy.mean, policy.best) if value is not None]
    window = style.window_of(known, data.maximized)
    single = "lines+markers" if len(shown) <= 50 else "lines"
    return style.drawing(
        [
            line("mean", [policy.mean for policy in shown], "y", style.color(0), single),
            line("best", [policy.best for policy in shown], "y", style.BEST, "markers", symbol="diamond", size=7),
            line("entropy", [policy.entropy for policy in shown], "y2", style.color(2), single),
        ],
        460,
        xaxis=style.axis("updates of the controller", anchor="y2"),
        yaxis=style.value_axis(data.metric, None if window is None else window[0], domain=[0.45, 1]),
        yaxis2=style.axis("entropy in nats", domain=[0, 0.37], rangemode="tozero"),
    )
