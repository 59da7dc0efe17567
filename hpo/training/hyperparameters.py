"""The hyperparameters that the shared objective knows: the one table of defaults, legal values and meanings."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from hpo.domains import Choice, Domain, Float, Int
from hpo.errors import SpaceError, did_you_mean
from hpo.space import Space
from hpo.values import plain

MAX_DEPTH: Final = 6
STATEFUL: Final = ("prelu", "rrelu")  # activations that learn or draw their slope
EXTENDED_WIDTHS: Final = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)  # fewer: these gain more from company
PADDED_WIDTHS: Final = (32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)
MAX_DROPOUT: Final = 1 - 2**-16  # what is left is divided by 1 - dropout; what is drawn is rounded to 2^-23
_HUGE = 1e6  # keeps products of two settings far inside the range of float32


@dataclass(frozen=True)
class Hyperparameter:
    """What one hyperparameter means and may be: one of `options`, yes or no, or a number in a range.

    Attributes:
        default: its value where a configuration has none; None: that of the whole network.
        meaning: one line for people.
        options: the legal names, or (False, True); empty for a number.
        low: smallest number.
        high: greatest number.
        open_low: whether `low` itself is excluded.
        open_high: whether `high` itself is excluded.
        integer: whether only integers are legal.
    """

    default: Any
    meaning: str
    options: tuple[str | bool, ...] = ()
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
            legal = any(type(value) is type(option) and value == option for option in self.options)
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


def _flag(meaning: str) -> Hyperparameter:
    return Hyperparameter(False, meaning, (False, True))


def _share(default: float, meaning: str) -> Hyperparameter:
    return Hyperparameter(default, meaning, high=1.0, open_high=True)


_LAYERS = range(1, MAX_DEPTH + 1)
_ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky_relu", "prelu", "rrelu", "elu", "gelu", "silu")
_CLASSIFICATION: Final = ("cross_entropy", "hinge", "mse")
_REGRESSION: Final = ("mse", "mae", "huber")
METRICS: Final[Mapping[str, Mapping[str, str]]] = {  # of each task, name to direction; the first is the default
    "classification": {
        "accuracy": "maximize",
        "balanced_accuracy": "maximize",
        "f1_macro": "maximize",
        "roc_auc": "maximize",
        "log_loss": "minimize",
    },
    "regression": {"rmse": "minimize", "mae": "minimize", "r2": "maximize"},
}
LOSSES: Final[Mapping[str, tuple[str, ...]]] = {"classification": _CLASSIFICATION, "regression": _REGRESSION}

KNOWN: Final[Mapping[str, Hyperparameter]] = {
    # data
    "preprocessing": Hyperparameter(
        "none", "of the inputs, fitted on training rows", ("none", "standardize", "min_max", "whiten", "robust")
    ),
    "clip_outliers": _flag("whether inputs are clipped at the 1 % and 99 % quantiles of the training rows"),
    "pca_components": Hyperparameter(0, "principal components that are kept; 0: the inputs as they are", integer=True),
    "augmentation": Hyperparameter("none", "of training batches", ("none", "gaussian_noise", "mixup")),
    "noise_std": Hyperparameter(0.1, "standard deviation of gaussian_noise, in units of the preprocessed inputs"),
    "mixup_alpha": Hyperparameter(0.2, "both parameters of the beta distribution of mixup", low=1e-3, high=1e3),
    "class_weights": Hyperparameter(
        "none", "balanced: a row counts n / (classes * rows of its class) in the loss", ("none", "balanced")
    ),
    # model
    "depth": Hyperparameter(2, "hidden layers", low=1, high=MAX_DEPTH, integer=True),
    "width": _width(64, "units of every hidden layer"),
    **{f"width_{i}": _width(None, f"units of hidden layer {i} where depth >= {i}, instead of width") for i in _LAYERS},
    "activation": Hyperparameter("relu", "what follows every hidden layer", _ACTIVATIONS),
    **{
        f"activation_{i}": Hyperparameter(
            None, f"what follows hidden layer {i} where depth >= {i}, instead of activation", _ACTIVATIONS
        )
        for i in _LAYERS
    },
    "normalization": Hyperparameter(
        "none", "between a hidden layer and its activation", ("none", "batch", "layer", "weight", "local_response")
    ),
    "residual": _flag("whether a hidden block adds its input to its output, projected where their widths differ"),
    "dropout": Hyperparameter(0.0, "probability that a hidden unit is dropped in training", high=MAX_DROPOUT),
    "initialization": Hyperparameter(
        "he_uniform",
        "distribution of the first weights; biases are 0",
        (
            "normal",
            "uniform",
            "truncated_normal",
            "xavier_uniform",
            "xavier_normal",
            "he_uniform",
            "he_normal",
            "orthogonal",
            "zeros",
        ),
    ),
    "init_scale": Hyperparameter(
        0.05, "standard deviation of normal and truncated_normal (cut at two of them), end of the range of uniform"
    ),
    # training
    "loss": Hyperparameter(
        None,
        "what is minimised; cross_entropy, hinge or mse for classes, mse, mae or huber for numbers; the first of them",
        tuple(dict.fromkeys(_CLASSIFICATION + _REGRESSION)),
    ),
    "label_smoothing": Hyperparameter(0.0, "share of the target that all classes divide; not for hinge", high=0.9),
    "l1": Hyperparameter(0.0, "sum of the weights' sizes in the loss, times this"),
    "l2": Hyperparameter(0.0, "half the sum of the weights' squares in the loss, times this"),
    "optimizer": Hyperparameter(
        "adam",
        "how weights follow gradients, as in torch.optim",
        ("sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam", "adamw"),
    ),
    "learning_rate": Hyperparameter(0.01, "step size", open_low=True),
    "momentum": _share(0.9, "share of the last step kept by momentum and nesterov"),
    "beta1": _share(0.9, "share of the mean gradient kept by adam and adamw"),
    "beta2": _share(0.999, "share of the mean square kept by adam and adamw"),
    "alpha": _share(0.99, "share of the mean square kept by rmsprop"),
    "rho": _share(0.9, "share of the mean squares kept by adadelta"),
    "eps": Hyperparameter(1e-8, "added to the root mean square by the adaptive optimizers", low=1e-12),
    "weight_decay": Hyperparameter(0.0, "the optimizer's own: decoupled for adamw, else added to the gradient as L2"),
    "schedule": Hyperparameter(
        "constant",
        "of the learning rate from epoch to epoch, over the most epochs that the trial may train",
        ("constant", "step", "exponential", "cosine", "warmup_cosine", "plateau"),
    ),
    "step_size": Hyperparameter(
        5, "epochs between two falls of step; epochs without progress before one of plateau", low=1, integer=True
    ),
    "gamma": Hyperparameter(
        0.5, "factor of a fall of step and plateau, of every epoch of exponential", high=1.0, open_low=True
    ),
    "warmup_epochs": Hyperparameter(3, "epochs of the linear rise of warmup_cosine", integer=True),
    "clip_norm": Hyperparameter(0.0, "greatest norm of the gradient of the whole network; 0: any"),
    "clip_value": Hyperparameter(0.0, "greatest size of a gradient's element; 0: any"),
    "batch_size": Hyperparameter(32, "training rows a step; all of them if more", low=1, high=math.inf, integer=True),
    "early_stopping": _flag("whether training ends without progress of the validation loss; the best epoch counts"),
    "patience": Hyperparameter(5, "epochs without progress before early stopping", low=1, integer=True),
}


@dataclass(frozen=True)
class Preparation:
    """How inputs are prepared: what of the settings decides what a trial's network sees."""

    preprocessing: str = "none"
    clip_outliers: bool = False
    pca_components: int = 0


@dataclass(frozen=True)
class Settings:
    """A configuration with nothing left open; meanings and ranges are in KNOWN.

    Attributes:
        widths: units of each hidden layer.
        activations: the activation after each hidden layer.
    """

    widths: tuple[int, ...]
    activations: tuple[str, ...]
    preprocessing: str
    clip_outliers: bool
    pca_components: int
    augmentation: str
    noise_std: float
    mixup_alpha: float
    class_weights: str
    normalization: str
    residual: bool
    dropout: float
    initialization: str
    init_scale: float
    loss: str
    label_smoothing: float
    l1: float
    l2: float
    optimizer: str
    learning_rate: float
    momentum: float
    beta1: float
    beta2: float
    alpha: float
    rho: float
    eps: float
    weight_decay: float
    schedule: str
    step_size: int
    gamma: float
    warmup_epochs: int
    clip_norm: float
    clip_value: float
    batch_size: int
    early_stopping: bool
    patience: int

    @property
    def padded_width(self) -> int:
        """Units of every hidden layer where trials of different widths train together."""
        widths = PADDED_WIDTHS if self.is_plain else EXTENDED_WIDTHS
        return next(width for width in widths if width >= max(self.widths))

    @property
    def is_plain(self) -> bool:
        """Whether the network is linear layers and activations only: no norm, no skip, no activation with a state."""
        stateful = any(name in STATEFUL for name in self.activations)
        return self.normalization == "none" and not self.residual and not stateful

    @property
    def preparation(self) -> Preparation:
        """How its inputs are prepared."""
        return Preparation(self.preprocessing, self.clip_outliers, self.pca_components)


def complete(params: Mapping[str, Any], task: str = "classification") -> Settings:
    """`params` with defaults for whatever they leave out.

    Args:
        params: a configuration, or part of one.
        task: "classification" or "regression", which decides about losses.

    Raises:
        SpaceError: an unknown hyperparameter or an illegal value, with found and expected.
    """
    values = dict(_defaults(task))
    for name, value in params.items():
        values[name] = _accept(name, value, "", task)
    layers = range(1, values["depth"] + 1)

    def per_layer(name: str) -> tuple[Any, ...]:
        own = (values[f"{name}_{layer}"] for layer in layers)
        return tuple(values[name] if value is None else value for value in own)

    own = {name: values[name] for name in _NAMES}
    return Settings(widths=per_layer("width"), activations=per_layer("activation"), **own)


_NAMES: Final = tuple(field.name for field in fields(Settings) if field.name in KNOWN)  # asking takes long


@functools.cache
def known_for(name: str, task: str) -> Hyperparameter:
    """KNOWN[name] as it is for "classification" or "regression"."""
    known = KNOWN[name]
    if name == "loss":
        return replace(known, options=LOSSES[task], default=LOSSES[task][0])
    if name == "class_weights" and task == "regression":
        return replace(known, options=("none",))
    return known


@functools.cache
def _defaults(task: str) -> Mapping[str, Any]:
    return {name: known_for(name, task).default for name in KNOWN}


def check_space(space: Space, task: str = "classification") -> None:
    """Refuse a space with configurations that cannot be trained.

    Raises:
        SpaceError: an unknown hyperparameter, or an illegal option or end of a range, with found and expected.
    """
    for name, domain in space.items():
        check_domain(name, domain, task)


def check_domain(name: str, domain: Domain, task: str = "classification") -> None:
    """Refuse a domain with values that hyperparameter `name` cannot have; raises as `check_space`."""
    if isinstance(domain, Choice):
        for option in domain.options:
            _accept(name, option, "an option: ", task)
    elif isinstance(domain, (Float, Int)):
        _accept(name, domain.low, "low: ", task)
        _accept(name, domain.high, "high: ", task)


def _accept(name: str, value: Any, where: str, task: str) -> Any:
    if name not in KNOWN:
        raise SpaceError(f"objective 'simplenn' has no hyperparameter {name!r}: {did_you_mean(name, KNOWN)}")
    try:
        return known_for(name, task).accept(value)
    except ValueError as error:
        raise SpaceError(f"hyperparameter {name!r}: {where}{error}") from None
