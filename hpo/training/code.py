"""A trial's model as a Python script of its own, in plain torch and numpy, with only the layers that it has.

The script's modules are named as those of `SimpleNN`, so that the weights of a saved model fit as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Final

from hpo.training.activations import LEAK
from hpo.training.hyperparameters import Settings
from hpo.training.model import RESPONSE_ALPHA, RESPONSE_BETA, RESPONSE_SIZE, projected
from hpo.training.preparation import Transform
from hpo.training.schema import Schema

_ACTIVATIONS: Final = {
    "relu": "nn.ReLU()",
    "tanh": "nn.Tanh()",
    "sigmoid": "nn.Sigmoid()",
    "leaky_relu": f"nn.LeakyReLU({LEAK})",
    "prelu": "nn.PReLU()",
    "rrelu": "nn.RReLU()",
    "elu": "nn.ELU()",
    "gelu": "nn.GELU()",
    "silu": "nn.SiLU()",
}
_NORMS: Final = {
    "batch": "nn.BatchNorm1d(width)",
    "layer": "nn.LayerNorm(width)",
    "local_response": f"nn.LocalResponseNorm({RESPONSE_SIZE}, alpha={RESPONSE_ALPHA}, beta={RESPONSE_BETA})",
}
_WIDTH: Final = 100  # of a line of the script

_HEAD: Final = Template("""\
# $title
# python SCRIPT.py MODEL.pt TABLE.csv prints $what
import csv
import sys

import numpy as np
import torch
from torch import nn""")
_NUMBER: Final = Template('''\
def number(text):
    """A cell of a table as a number, NaN where it is none."""
    try:
        return float($text)
    except ValueError:
        return np.nan''')
_ENCODE: Final = Template('''\
def encode(rows):
    """Rows of a table, dicts of texts, as numbers: (n, $d)."""
    return np.array([[number(row[name]) for name in COLUMNS] for row in rows])''')
_ENCODE_LEVELS: Final = Template('''\
def encode(rows):
    """Rows of a table, dicts of texts, as numbers: (n, $d)."""
    return np.array([[x for name in COLUMNS for x in inputs(row[name], COLUMNS[name])] for row in rows])


def inputs(text, levels):
    """What a cell becomes: a number, or for texts 1 for the level that it is, 0 for the others."""
    return [float(text == level) for level in levels] if levels else [number(text)]''')
_MODEL: Final = """\
class Model:
    def __init__(self, path):
        saved = torch.load(path, weights_only=True)
        self.network = Network()
        self.network.load_state_dict(saved["state_dict"])
        self.network.eval()
        self.arrays = {name: tensor.numpy() for name, tensor in saved["transform"].items()}"""
_PROBABILITIES: Final = Template('''\
        self.classes = saved["classes"]

    @torch.no_grad()
    def predict_proba(self, x):
        """Probabilities of the classes, (n, $n_classes), for numbers (n, $d), NaN where missing."""
        return self.network(prepare(x, self.arrays)).softmax(dim=1).numpy()''')
_NUMBERS: Final = Template('''\
        self.mean, self.scale = saved["target_mean"], saved["target_scale"]

    @torch.no_grad()
    def predict(self, x):
        """Predictions, (n,), for numbers (n, $d), NaN where missing."""
        outputs = self.network(prepare(x, self.arrays))[:, 0]
        return outputs.double().numpy() * self.scale + self.mean''')
_MAIN: Final = """\
if __name__ == "__main__":
    model = Model(sys.argv[1])
    with open(sys.argv[2], newline="", encoding="utf-8") as file:
        x = encode(csv.DictReader(file))"""
_PRINT_PROBABILITIES: Final = """\
    print(*model.classes, sep=",")
    for row in model.predict_proba(x):
        print(*row, sep=",")"""
_PRINT_NUMBERS: Final = '    print(*model.predict(x), sep="\\n")\n'


@dataclass(frozen=True)
class Model:
    """What a script is written about.

    Attributes:
        title: what its first line says, one line of printable text.
        settings: the trial's hyperparameters.
        schema: how the columns of a table become inputs.
        transform: the fitted preparation; its arrays are read from the saved model.
        n_classes: 0 for a regression.
    """

    title: str
    settings: Settings
    schema: Schema
    transform: Transform
    n_classes: int

    @property
    def activation(self) -> str | None:
        """The module of all hidden layers; None if they have different ones."""
        names = set(self.settings.activations)
        return _ACTIVATIONS[names.pop()] if len(names) == 1 else None


def code_of(model: Model) -> str:
    """The script, whose `Model(path)` has `predict_proba(x)`, or for a regression `predict(x)`."""
    names = {"title": model.title, "d": len(model.schema.inputs), "n_classes": model.n_classes}
    if model.n_classes:
        what, predict, show = "the probabilities of the classes.", _PROBABILITIES, _PRINT_PROBABILITIES
    else:
        what, predict, show = "predictions.", _NUMBERS, _PRINT_NUMBERS
    kinds = {column.kind for column in model.schema.columns}
    text = '{"true": 1, "false": 0}.get(text.lower(), text)' if "boolean" in kinds else "text"
    parts = [
        [_HEAD.substitute(names, what=what)],
        _columns(model.schema),
        [_NUMBER.substitute(text=text)],
        [(_ENCODE_LEVELS if "levels" in kinds else _ENCODE).substitute(names)],
        _prepare(model.transform),
        _hidden(model),
        _network(model),
        [_MODEL, predict.substitute(names)],
        [_MAIN, show],
    ]
    return "\n\n\n".join("\n".join(part) for part in parts) + "\n"


def _columns(schema: Schema) -> list[str]:
    used = [column for column in schema.columns if column.kind != "unused"]
    names = [column.name for column in used]
    if names == [f"x{i}" for i in range(len(names))] and not any(column.levels for column in used):
        return [f'COLUMNS = [f"x{{i}}" for i in range({len(names)})]']
    if not any(column.levels for column in used):
        return _collection("COLUMNS = [", [repr(name) for name in names], "]")
    lines = ["COLUMNS = {  # the texts that become an input each; None: the column is one of numbers"]
    for column in used:
        begin = f"    {column.name!r}: "
        lines += (
            _collection(f"{begin}[", [repr(level) for level in column.levels], "],")
            if column.levels
            else [f"{begin}None,"]
        )
    return [*lines, "}"]


def _collection(begin: str, items: Sequence[str], end: str) -> list[str]:
    """A list on one line where it fits, else indented below its name."""
    inside = ", ".join(items)
    if len(begin + inside + end) <= _WIDTH:
        return [begin + inside + end]
    indent = begin[: len(begin) - len(begin.lstrip())]
    lines, line = [], ""
    for item in items:
        if line and len(line) + len(item) > _WIDTH:
            lines.append(line)
            line = ""
        line += f"{item}, " if line else f"{indent}    {item}, "
    return [begin, *(each.rstrip() for each in [*lines, line]), indent + end]


def _prepare(transform: Transform) -> list[str]:
    steps = {
        'np.hstack([x, missing[:, arrays["indicators"]]])': len(transform.indicators) > 0,
        'np.clip(x, arrays["low"], arrays["high"])': transform.low is not None,
        'x * arrays["scale"] + arrays["shift"]': transform.scale is not None,
        '(x - arrays["mean"]) @ arrays["matrix"]': transform.matrix is not None,
    }
    return [
        "def prepare(x, arrays):",
        f'    """(n, {transform.n_inputs}), NaN where missing -> what the network sees, (n, {transform.n_outputs})."""',
        "    missing = ~(np.abs(x) <= np.finfo(np.float32).max)",
        '    x = np.where(missing, arrays["medians"], x)',
        *(f"    x = {step}" for step, needed in steps.items() if needed),
        "    return torch.from_numpy(x.astype(np.float32))",
    ]


def _hidden(model: Model) -> list[str]:
    settings, activation = model.settings, model.activation
    linear, projection = "nn.Linear(fan_in, width)", "nn.Linear(fan_in, width, bias=False)"
    if settings.normalization == "weight":
        linear = f"nn.utils.parametrizations.weight_norm({linear})"
    skips = projected(settings, model.transform.n_outputs)
    if len(skips) < len(settings.widths):
        projection = f"nn.Identity() if fan_in == width else {projection}"
    modules = {
        "linear": linear,
        "norm": _NORMS.get(settings.normalization),
        "activation": activation or "activation",
        "dropout": f"nn.Dropout({settings.dropout})" if settings.dropout else None,
        "projection": projection if skips else None,
    }
    y = "self.linear(x)"
    if modules["norm"]:  # torch's local response wants a dimension after that of the units
        local = settings.normalization == "local_response"
        y = f"self.norm({y}[..., None])[..., 0]" if local else f"self.norm({y})"
    y = f"self.activation({y})"
    if modules["dropout"]:
        y = f"self.dropout({y})"
    if settings.residual:
        y += " + self.projection(x)" if skips else " + x"
    return [
        "class Hidden(nn.Module):",
        f"    def __init__(self, fan_in, width{'' if activation else ', activation'}):",
        "        super().__init__()",
        *(f"        self.{name} = {module}" for name, module in modules.items() if module),
        "",
        "    def forward(self, x):",
        f"        return {y}",
    ]


def _network(model: Model) -> list[str]:
    widths, activations = model.settings.widths, model.settings.activations
    sizes = [model.transform.n_outputs, *widths]
    layers = [
        f"Hidden({fan_in}, {width}{'' if model.activation else ', ' + _ACTIVATIONS[name]})"
        for fan_in, width, name in zip(sizes[:-1], widths, activations, strict=True)
    ]
    return [
        "class Network(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *_collection("        self.hidden = nn.Sequential(", layers, ")"),
        f"        self.output = nn.Linear({sizes[-1]}, {model.n_classes or 1})",
        "",
        "    def forward(self, x):",
        "        return self.output(self.hidden(x))",
    ]
