"""The network of the best trial, layer by layer; of the shared objective, which knows what its networks look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hpo.report import style
from hpo.report.figure import Figure, Table, label
from hpo.report.study_data import StudyData
from hpo.text import number, printable
from hpo.training.hyperparameters import METRICS, Settings, complete
from hpo.trial import Trial

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ROW: Final = 62  # pixels of a layer
_THICK: Final = 0.56  # of a row
_LEAST: Final = 0.04  # of the drawing's width, so that a layer of one unit is seen
_NORMS: Final = {
    "batch": "batch norm",
    "layer": "layer norm",
    "weight": "weight norm",
    "local_response": "local response norm",
}


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
        name: what it is called.
        units: of its output; None: as many as the data ask for.
        normalization: what comes before the activation; "none".
        activation: what follows; "none".
        dropout: probability that a unit is dropped in training.
        skip: what is added to its output: "none", "input", or "projected input" where widths differ.
    """

    name: str
    units: int | None
    normalization: str
    activation: str
    dropout: float
    skip: str


def layers(settings: Settings) -> list[Layer]:
    """The layers of a network, input and output included."""
    found = [Layer("input", None, "none", "none", 0.0, "none")]
    before: int | None = None
    for i, (width, activation) in enumerate(zip(settings.widths, settings.activations, strict=True), start=1):
        skip = "none"
        if settings.residual:
            skip = "input, projected if widths differ" if before is None else _skip(before, width)
        found.append(Layer(f"hidden {i}", width, settings.normalization, activation, settings.dropout, skip))
        before = width
    return [*found, Layer("output", None, "none", "none", 0.0, "none")]


def _skip(before: int, width: int) -> str:
    return "input" if before == width else "projected input"


def figure(data: StudyData) -> Figure | None:
    """The figure; None for other objectives, before a trial has succeeded, and where trials start from a saved model,
    whose file decides about what configurations leave open.
    """
    objective = data.study.spec.objective
    if objective.get("name") != "simplenn" or "init_from" in objective or not data.study.has_result:
        return None
    task = "regression" if objective.get("metric") in METRICS["regression"] else "classification"
    trial, role = _chosen(data)
    found = layers(complete(trial.params, task))
    caption = (
        f"The network of {role}, trial {trial.number} ({printable(data.metric)} {number(trial.value)} in the search), "
        "from input to output."
    )
    reading = (
        "A box is a layer, as wide as it has units. Input and output are as wide as the data ask for, and drawn like "
        "the narrowest layer."
    )
    if any(layer.skip != "none" for layer in found):
        reading += (
            " Lines beside the boxes add a layer's input to its output, through a projection where they are dashed."
        )
    head = ("layer", "units", "normalization", "activation", "dropout", "added")
    rows = tuple(tuple(vars(layer).values()) for layer in found)
    return Figure("architecture", "Best architecture", caption, Table(head, rows), lambda: _draw(found), reading)


def _chosen(data: StudyData) -> tuple[Trial, str]:
    winner = data.study.known_winner()
    if winner is not None and winner.number is not None:
        return data.study.trial(winner.number), "the winner"
    return data.study.best, "the best trial"


def box_widths(found: list[Layer]) -> list[float]:
    """The boxes' widths as shares of the widest, in proportion to units; input and output are as the smallest."""
    known = [layer.units for layer in found if layer.units is not None]
    least = min(known)
    return [max(_LEAST, (least if layer.units is None else layer.units) / max(known)) for layer in found]


def _text(layer: Layer) -> str:
    if layer.units is None:
        return label(layer.name)
    parts = [f"{layer.units} units", _NORMS.get(layer.normalization, ""), layer.activation]
    parts += [f"dropout {number(layer.dropout)}"] if layer.dropout else []
    return label(", ".join(part for part in parts if part))


def _draw(found: list[Layer]) -> go.Figure:
    import plotly.graph_objects as go

    widths = box_widths(found)
    places = list(range(len(found)))
    boxes = go.Bar(
        x=widths,
        base=[-width / 2 for width in widths],
        y=places,
        orientation="h",
        width=_THICK,
        marker={
            "color": [style.faded(style.color(0 if layer.units is not None else 2), 0.35) for layer in found],
            "line": {"color": [style.color(0 if layer.units is not None else 2) for layer in found], "width": 1.5},
        },
        text=[_text(layer) for layer in found],
        hovertext=[f"{layer.name}: {_text(layer)}" for layer in found],
        hoverinfo="text",
        textposition="none",
        showlegend=False,
    )
    traces: list[Any] = [boxes]
    for place, layer in enumerate(found):
        if layer.skip == "none":
            continue
        side = max(widths[place], widths[place - 1]) / 2 + 0.03
        top, bottom = place - 0.5 - 0.03, place + 0.5 - 0.08
        traces.append(
            go.Scatter(
                x=[0, side, side, 0],
                y=[top, top, bottom, bottom],
                mode="lines",
                line={"color": style.BEST, "width": 2, "dash": "solid" if layer.skip == "input" else "dash"},
                hovertemplate=f"added to {layer.name}: {layer.skip}<extra></extra>",
                showlegend=False,
            )
        )
    texts = [
        {"x": 0, "y": place, "text": _text(layer), "showarrow": False, "font": {"size": 12}}
        for place, layer in enumerate(found)
    ]
    arrows = [
        {
            "x": 0,
            "y": place - _THICK / 2,
            "ax": 0,
            "ay": place - 1 + _THICK / 2,
            "axref": "x",
            "ayref": "y",
            "showarrow": True,
            "arrowhead": 2,
            "arrowwidth": 1.5,
            "arrowcolor": style.MUTED,
            "text": "",
        }
        for place in places[1:]
    ]
    return style.drawing(
        traces,
        _ROW * len(found) + 20,
        annotations=[*arrows, *texts],
        xaxis={"range": [-0.56, 0.56], "visible": False},
        yaxis={"range": [len(found) - 0.55, -0.5], "visible": False},
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
    )
