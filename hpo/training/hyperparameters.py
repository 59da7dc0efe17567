"""The hyperparameters that the shared objective knows: the one table of defaults, legal values and meanings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from hpo.domains import Choice, Float, Int
from hpo.errors import SpaceError, did_you_mean
from hpo.space import Space
from hpo.values import plain

MAX_DEPTH: Final = 6
ACTIVATIONS: Final = ("relu", "tanh", "sigmoid", "leaky_relu")
OPTIMIZERS: Final = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop")
PADDED_WIDTHS: Final = (32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
MAX_DROPOUT: Final = 1 - 2**-16  # what is left is divided by 1 - dropout; what is drawn is rounded to 2^-23
_HUGE = 1e6  # keeps products of two settings far inside the range of float32


@dataclass(frozen=True)
class Hyperparameter:
    """What one hyperparameter means and may be: one of `options`, or a number in a range.

    Attributes:
        default: its value where a configuration has none; None: that of the whole network.
        meaning: one line for people.
        options: the legal names; empty for a number.
        low: smallest number.
        high: greatest number.
        open_low: whether `low` itself is excluded.
        open_high: whether `high` itself is excluded.
        integer: whether only integers are legal.
    """

    default: Any
    meaning: str
    options: tuple[str, ...] = ()
    low: float = 0.0
    high: float = _HUGE
    open_low: bool = False
    open_high: bool = False
    integer: bool = False

    @property
    def expected(self) -> str:
        """The legal values in words."""
        if self.options:
            return "one of " + ", ".join(map(repr, self.options))
        low = f"{'>' if self.open_low else '>='} {_short(self.low)}"
        high = "" if math.isinf(self.high) else f" and {'<' if self.open_high else '<='} {_short(self.high)}"
        return f"{'an integer' if self.integer else 'a number'} {low}{high}"

    def accept(self, value: Any) -> Any:
        """`value` as a plain str, int or float; raises ValueError with found and expected if it is not legal."""
        value = plain(value)
        if self.options:
            legal = isinstance(value, str) and value in self.options
        elif isinstance(value, bool) or not isinstance(value, int if self.integer else (int, float)):
            legal = False
        else:
            above = value > self.low if self.open_low else value >= self.low
            below = value < self.high if self.open_high else value <= self.high
            legal = above and below
        if not legal:
            raise ValueError(f"found {value!r} ({type(value).__name__}), expected {self.expected}")
        return value if self.options or self.integer else float(value)


def _short(number: float) -> str:
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def _width(default: int | None, meaning: str) -> Hyperparameter:
    return Hyperparameter(default, meaning, low=1, high=1024, integer=True)


_LAYERS = range(1, MAX_DEPTH + 1)

KNOWN: Final[Mapping[str, Hyperparameter]] = {
    "depth": Hyperparameter(2, "hidden layers", low=1, high=MAX_DEPTH, integer=True),
    "width": _width(64, "units of every hidden layer"),
    **{f"width_{i}": _width(None, f"units of hidden layer {i} where depth >= {i}, instead of width") for i in _LAYERS},
    "activation": Hyperparameter("relu", "what follows every hidden layer", ACTIVATIONS),
    **{
        f"activation_{i}": Hyperparameter(
            None, f"what follows hidden layer {i} where depth >= {i}, instead of activation", ACTIVATIONS
        )
        for i in _LAYERS
    },
    "dropout": Hyperparameter(0.0, "probability that a hidden unit is dropped in training", high=MAX_DROPOUT),
    "optimizer": Hyperparameter("adam", "how weights follow gradients, as in torch.optim", OPTIMIZERS),
    "learning_rate": Hyperparameter(0.01, "step size", open_low=True),
    "momentum": Hyperparameter(0.9, "share of the last step kept by momentum and nesterov", high=1.0, open_high=True),
    "beta1": Hyperparameter(0.9, "share of the mean gradient kept by adam and adamw", high=1.0, open_high=True),
    "beta2": Hyperparameter(0.999, "share of the mean square kept by adam and adamw", high=1.0, open_high=True),
    "alpha": Hyperparameter(0.99, "share of the mean square kept by rmsprop", high=1.0, open_high=True),
    "eps": Hyperparameter(1e-8, "added to the root mean square by adam, adamw and rmsprop", low=1e-12),
    "weight_decay": Hyperparameter(0.0, "the optimizer's own: decoupled for adamw, else added to the gradient as L2"),
    "batch_size": Hyperparameter(32, "training rows a step; all of them if more", low=1, high=math.inf, integer=True),
}


@dataclass(frozen=True)
class Settings:
    """A configuration with nothing left open.

    Attributes:
        widths: units of each hidden layer, 1..6 integers in 1..1024.
        activations: the activation after each hidden layer.
        dropout: probability of dropping a hidden unit, in [0, MAX_DROPOUT].
        optimizer: one of OPTIMIZERS.
        learning_rate: > 0.
        momentum: in [0, 1); read by momentum and nesterov only.
        beta1: in [0, 1); read by adam and adamw only.
        beta2: in [0, 1); read by adam and adamw only.
        alpha: in [0, 1); read by rmsprop only.
        eps: >= 1e-12; read by adam, adamw and rmsprop only.
        weight_decay: >= 0.
        batch_size: rows a step, >= 1.
    """

    widths: tuple[int, ...]
    activations: tuple[str, ...]
    dropout: float
    optimizer: str
    learning_rate: float
    momentum: float
    beta1: float
    beta2: float
    alpha: float
    eps: float
    weight_decay: float
    batch_size: int

    @property
    def padded_width(self) -> int:
        """Units of every hidden layer where trials of different widths train together."""
        return next(width for width in PADDED_WIDTHS if width >= max(self.widths))


def complete(params: Mapping[str, Any]) -> Settings:
    """`params` with defaults for whatever they leave out.

    Raises:
        SpaceError: an unknown hyperparameter or an illegal value, with found and expected.
    """
    values = {name: known.default for name, known in KNOWN.items()}
    for name, value in params.items():
        values[name] = _accept(name, value, "")
    layers = range(1, values["depth"] + 1)

    def per_layer(name: str) -> tuple[Any, ...]:
        own = (values[f"{name}_{layer}"] for layer in layers)
        return tuple(values[name] if value is None else value for value in own)

    own = {field.name: values[field.name] for field in fields(Settings) if field.name in values}
    return Settings(widths=per_layer("width"), activations=per_layer("activation"), **own)


def check_space(space: Space) -> None:
    """Refuse a space with configurations that cannot be trained.

    Raises:
        SpaceError: an unknown hyperparameter, or an illegal option or end of a range, with found and expected.
    """
    for name, domain in space.items():
        if isinstance(domain, Choice):
            for option in domain.options:
                _accept(name, option, "an option: ")
        elif isinstance(domain, (Float, Int)):
            _accept(name, domain.low, "low: ")
            _accept(name, domain.high, "high: ")


def _accept(name: str, value: Any, where: str) -> Any:
    if name not in KNOWN:
        raise SpaceError(f"objective 'simplenn' has no hyperparameter {name!r}: {did_you_mean(name, KNOWN)}")
    try:
        return KNOWN[name].accept(value)
    except ValueError as error:
        raise SpaceError(f"hyperparameter {name!r}: {where}{error}") from None
