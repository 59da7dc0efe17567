"""The search spaces that come with the shared objective."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hpo.domains import Choice, Domain, Float, Int
from hpo.space import Space
from hpo.training.hyperparameters import LOSSES, MAX_DEPTH

_ACTIVATIONS = ("relu", "tanh", "sigmoid", "leaky_relu")
_OPTIMIZERS = ("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop")
_RARE: Final = 0.2  # of an even share of the rows: classes with fewer may want weights
_STEPS: Final = 32  # of an epoch that the smallest batches allow, or more
_SMALLEST: Final = (8, 1024)  # range of the smallest batch size
_SIZES: Final = 4  # batch sizes to choose from, each twice the one before


@dataclass(frozen=True)
class Facts:
    """What of a user's table decides what is worth searching.

    Attributes:
        task: "classification" or "regression".
        rows: training rows, >= 1.
        class_counts: training rows of each class; empty for a regression.
    """

    task: str
    rows: int
    class_counts: Sequence[int] = ()

    @property
    def has_rare_class(self) -> bool:
        """Whether some class has far fewer rows than others."""
        counts = [count for count in self.class_counts if count]
        return bool(counts) and min(counts) < _RARE * sum(counts) / len(counts)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Powers of two that suit the number of rows, none above it; all rows where there are fewer than 8."""
        low, high = _SMALLEST
        smallest = min(max(1 << (self.rows // _STEPS).bit_length() >> 1, low), high)
        return tuple(size for i in range(_SIZES) if (size := smallest << i) <= self.rows) or (self.rows,)


def default_space(table: Facts | None = None) -> Space:
    """How and what to train; all hidden layers alike.

    Args:
        table: of a user's table, whose columns have scales of their own; None: a generated data set.

    Returns:
        9 names for generated data, of which momentum only where it is used; 10 or 11 for a table.
    """
    return _generated_space() if table is None else _table_space(table)


def architecture_space(table: Facts | None = None) -> Space:
    """A width and an activation for every hidden layer that is there, and the learning rate; see `default_space`."""
    domains: dict[str, Domain] = {
        "learning_rate": Float(1e-3, 0.1, log=True, default=0.01),
        "depth": Int(1, MAX_DEPTH, default=2),
    }
    for layer in range(1, MAX_DEPTH + 1):
        when = {"depth": list(range(layer, MAX_DEPTH + 1))} if layer > 1 else None
        domains[f"width_{layer}"] = Choice((8, 16, 32, 64, 128, 256), ordered=True, default=64, when=when)
        domains[f"activation_{layer}"] = Choice(_ACTIVATIONS, default="relu", when=when)
    if table is not None:
        domains |= {"preprocessing": Choice(("standardize",)), "batch_size": Choice((_middle(table.batch_sizes),))}
    return Space(domains)


def _generated_space() -> Space:
    return Space(
        {
            "learning_rate": Float(1e-4, 1.0, log=True, default=0.01),
            "optimizer": Choice(_OPTIMIZERS, default="adam"),
            "momentum": Float(0.5, 0.99, default=0.9, when={"optimizer": ["momentum", "nesterov"]}),
            "weight_decay": Float(1e-6, 0.1, log=True, default=1e-4),
            "batch_size": Choice((64, 128, 256, 512), ordered=True, default=64),
            "depth": Int(1, 3, default=2),
            "width": Int(8, 256, log=True, default=64),
            "activation": Choice(_ACTIVATIONS, default="relu"),
            "dropout": Float(0.0, 0.6, default=0.1),
        }
    )


def _table_space(table: Facts) -> Space:
    domains: dict[str, Domain] = {"preprocessing": Choice(("standardize", "robust", "min_max"), default="standardize")}
    if table.has_rare_class:
        domains["class_weights"] = Choice(("none", "balanced"), default="none")
    if table.task == "regression":
        domains["loss"] = Choice(LOSSES["regression"], default="mse")
    domains |= {
        "learning_rate": Float(1e-4, 0.3, log=True, default=0.01),
        "optimizer": Choice(("adam", "adamw", "rmsprop", "nesterov"), default="adam"),
        "momentum": Float(0.5, 0.99, default=0.9, when={"optimizer": ["nesterov"]}),
        "weight_decay": Float(1e-6, 0.1, log=True, default=1e-4),
        "batch_size": Choice(table.batch_sizes, ordered=True, default=_middle(table.batch_sizes)),
        "depth": Int(1, 3, default=2),
        "width": Int(16, 256, log=True, default=64),
        "activation": Choice(_ACTIVATIONS, default="relu"),
        "dropout": Float(0.0, 0.5, default=0.1),
    }
    return Space(domains)


def _middle(sizes: Sequence[int]) -> int:
    return sizes[(len(sizes) - 1) // 2]
