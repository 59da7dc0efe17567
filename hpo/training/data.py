"""The synthetic data sets and their split into train, validation and test."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hpo import seeding
from hpo.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

TRAIN, VALIDATION, TEST = 800, 600, 600  # rows
ROWS = TRAIN + VALIDATION + TEST

Table = tuple[np.ndarray, np.ndarray]  # inputs (ROWS, d) float64, classes (ROWS,) integers


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a data set.

    Attributes:
        x: inputs, (n, d) float32.
        y: classes 0, 1, ..., (n,) int64; of a regression the targets, scaled, (n,) float32.
    """

    x: Tensor
    y: Tensor


@dataclass(frozen=True, eq=False)
class Data:
    """A data set, split and prepared: what networks see.

    Attributes:
        train: what weights are fitted to.
        validation: what trials are compared on.
        test: what winners are checked on; no searcher sees it.
        n_inputs: d.
        n_outputs: how many classes; 1 for a regression.
        task: "classification" or "regression".
        target_mean: of a regression: a network's output times target_scale plus this is in the target's own unit.
        target_scale: > 0.
    """

    train: Part
    validation: Part
    test: Part
    n_inputs: int
    n_outputs: int
    task: str = "classification"
    target_mean: float = 0.0
    target_scale: float = 1.0

    @functools.cached_property
    def balanced_weights(self) -> Tensor:
        """What a training row of each class counts where all classes count the same: n / (C * n_c), (C,) float64."""
        counts = self.train.y.bincount(minlength=self.n_outputs).double()
        return len(self.train.y) / (self.n_outputs * counts.clamp(min=1))


def _classification(seed: int) -> Table:
    from sklearn.datasets import make_classification

    x, y = make_classification(
        n_samples=ROWS,
        n_features=20,
        n_informative=8,
        n_redundant=4,
        n_classes=2,
        n_clusters_per_class=4,
        class_sep=1.0,
        flip_y=0.02,
        random_state=_state(seed, "classification"),
    )
    return x, y


def _moons(seed: int) -> Table:
    from sklearn.datasets import make_moons

    x, y = make_moons(ROWS, noise=0.3, random_state=_state(seed, "moons"))
    return x, y


def _spirals(seed: int, arms: int = 3, turns: float = 1.0, noise: float = 0.12) -> Table:
    """`arms` arms that wind about the origin `turns` times, out to radius 2, with normal noise on both inputs."""
    import torch

    y = np.arange(ROWS) % arms
    t = (np.arange(ROWS) // arms + 1) / math.ceil(ROWS / arms)  # (0, 1], along the arm
    angle = 2 * math.pi * (y / arms + turns * t)
    x = 2 * t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (ROWS, 2)
    key = torch.tensor([seeding.derive(seed, "data", "spirals")], device="cpu")
    return x + noise * seeding.normal(key, 2 * ROWS).numpy().reshape(ROWS, 2), y


DATA_SETS: Final[Mapping[str, Callable[[int], Table]]] = {
    "classification": _classification,
    "moons": _moons,
    "spirals": _spirals,
}


def _state(seed: int, *purpose: str) -> int:
    """A seed as scikit-learn takes it, in [0, 2^32)."""
    return seeding.derive(seed, "data", *purpose) % 2**32


@functools.lru_cache(maxsize=8)
def load_data(name: str, data_seed: int) -> Data:
    """Data set `name`: 800 train, 600 validation and 600 test rows, each part with the same shares of classes.

    Args:
        name: "classification" (20 inputs, 8 of them informative, 2 classes of 4 clusters each, 2 % of labels
            drawn anew), "moons" (2 inputs, 2 classes) or "spirals" (2 inputs, 3 classes).
        data_seed: fixes data and split, whatever the study's seed, >= 0.

    Returns:
        The same tensors for the same arguments: do not write into them.

    Raises:
        UsageError: an unknown name.
    """
    import torch
    from sklearn.model_selection import train_test_split

    from hpo.torch_mode import own_mode

    if name not in DATA_SETS:
        raise UsageError(f"no data set {name!r}: {did_you_mean(name, DATA_SETS)}")
    x, y = DATA_SETS[name](data_seed)
    rest, test = train_test_split(
        np.arange(ROWS), test_size=TEST, stratify=y, random_state=_state(data_seed, "split", "test")
    )
    train, validation = train_test_split(
        rest, test_size=VALIDATION, stratify=y[rest], random_state=_state(data_seed, "split", "validation")
    )

    def part(rows: np.ndarray) -> Part:
        inputs = torch.tensor(x[rows], dtype=torch.float32, device="cpu")
        return Part(inputs, torch.tensor(y[rows], dtype=torch.int64, device="cpu"))

    with own_mode():  # tensors made in inference mode could not be trained on
        return Data(part(train), part(validation), part(test), n_inputs=x.shape[1], n_outputs=int(y.max()) + 1)
