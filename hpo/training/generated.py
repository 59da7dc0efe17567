"""The data sets that need no file: drawn from a seed, or scikit-learn's own copies of classics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hpo import seeding

TRAIN, VALIDATION, TEST = 800, 600, 600  # rows of a drawn set
ROWS = TRAIN + VALIDATION + TEST


@dataclass(frozen=True, eq=False)
class Table:
    """A data set before it is split.

    Attributes:
        x: inputs, (N, d) float64.
        y: classes 0, 1, ..., (N,) int64; of a regression the targets, (N,) float64.
        columns: names of the inputs.
        classes: names of the classes; empty for a regression.
        validation: how many rows validate.
        test: how many rows test; the rest train.
    """

    x: np.ndarray
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    validation: int = VALIDATION
    test: int = TEST


REGRESSIONS: Final = ("line",)  # of DATA_SETS; known without drawing one


def random_state(seed: int, *purpose: str) -> int:
    """A seed for scikit-learn, in [0, 2^32), for one purpose of a data seed."""
    return seeding.derive(seed, "data", *purpose) % 2**32


def array_columns(count: int) -> tuple[str, ...]:
    """Names for columns that have none: x0, x1, ..."""
    return tuple(f"x{i}" for i in range(count))


def _drawn(x: np.ndarray, y: np.ndarray) -> Table:
    classes = tuple(str(label) for label in range(int(y.max()) + 1))
    return Table(x, y.astype(np.int64), array_columns(x.shape[1]), classes)


def _clusters(seed: int, name: str, **settings: Any) -> tuple[np.ndarray, np.ndarray]:
    """2 classes of 4 normal clusters each in 20 inputs, of which 8 are informative and 4 are sums of those."""
    from sklearn.datasets import make_classification

    x, y = make_classification(
        n_samples=ROWS,
        n_features=20,
        n_informative=8,
        n_redundant=4,
        n_classes=2,
        n_clusters_per_class=4,
        class_sep=1.0,
        random_state=random_state(seed, name),
        **settings,
    )
    return x, y


def _classification(seed: int) -> Table:
    """20 inputs, 8 of them informative, 2 classes of 4 clusters each, 2 % of labels drawn anew."""
    return _drawn(*_clusters(seed, "classification", flip_y=0.02))


def _imbalanced(seed: int) -> Table:
    """As classification, 9 rows of the first class for one of the second, all labels right."""
    return _drawn(*_clusters(seed, "imbalanced", flip_y=0.0, weights=[0.9]))


def _noisy_labels(seed: int) -> Table:
    """As classification, exactly 10 % of the labels wrong, in all parts alike: nobody gets clean labels to test on."""
    x, y = _clusters(seed, "noisy_labels", flip_y=0.0)
    wrong = seeding.generator(seed, "data", "noisy_labels").choice(ROWS, ROWS // 10, replace=False)
    y[wrong] = 1 - y[wrong]
    return _drawn(x, y)


def _moons(seed: int) -> Table:
    """2 inputs, 2 classes: interleaved half circles with normal noise of 0.3."""
    from sklearn.datasets import make_moons

    return _drawn(*make_moons(ROWS, noise=0.3, random_state=random_state(seed, "moons")))


def _circles(seed: int) -> Table:
    """2 inputs, 2 classes: circles of radius 1 and 0.5 with normal noise of 0.15."""
    from sklearn.datasets import make_circles

    return _drawn(*make_circles(ROWS, noise=0.15, factor=0.5, random_state=random_state(seed, "circles")))


def _blobs(seed: int) -> Table:
    """2 inputs, 5 classes: normal clusters of standard deviation 1 around the corners of a pentagon of radius 2."""
    from sklearn.datasets import make_blobs

    angle = 2 * np.pi * np.arange(5) / 5
    centers = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (5, 2)
    x, y = make_blobs(ROWS, centers=centers, cluster_std=1.0, random_state=random_state(seed, "blobs"))
    return _drawn(x, y)


def _spirals(seed: int, arms: int = 3, turns: float = 1.0, noise: float = 0.12) -> Table:
    """2 inputs, 3 classes: `arms` arms that wind about the origin `turns` times, out to radius 2, with normal noise."""
    import torch

    y = np.arange(ROWS) % arms
    t = (np.arange(ROWS) // arms + 1) / math.ceil(ROWS / arms)  # (0, 1], along the arm
    angle = 2 * math.pi * (y / arms + turns * t)
    x = 2 * t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)  # (ROWS, 2)
    key = torch.tensor([seeding.derive(seed, "data", "spirals")], device="cpu")
    return _drawn(x + noise * seeding.normal(key, 2 * ROWS).numpy().reshape(ROWS, 2), y)


def _line(seed: int, train: int = 20, others: int = 200, noise: float = 0.3) -> Table:
    """A regression to overfit: y = x + 0.3 * normal noise, x uniform in [-1, 1), 20 training rows, 200 and 200 more."""
    draws = seeding.generator(seed, "data", "line")
    x = draws.uniform(-1, 1, train + 2 * others)
    return Table(x[:, None], x + noise * draws.standard_normal(len(x)), ("x",), (), others, others)


def _classic(x: np.ndarray, y: np.ndarray, columns: Sequence[str], classes: Sequence[str]) -> Table:
    part = round(0.2 * len(y))
    return Table(x.astype(np.float64), y.astype(np.int64), tuple(columns), tuple(map(str, classes)), part, part)


def _digits(seed: int) -> Table:
    """1,797 images of 8 x 8 pixels in 0..16, 10 classes: handwritten digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return _classic(found.data, found.target, found.feature_names, found.target_names)


def _wine(seed: int) -> Table:
    """178 wines, 13 measurements, 3 classes: cultivars."""
    from sklearn.datasets import load_wine

    found = load_wine()
    return _classic(found.data, found.target, found.feature_names, found.target_names)


def _breast_cancer(seed: int) -> Table:
    """569 tumours, 30 measurements, 2 classes: malignant, benign."""
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    return _classic(found.data, found.target, found.feature_names, found.target_names)


DATA_SETS: Final[Mapping[str, Callable[[int], Table]]] = {
    "classification": _classification,
    "moons": _moons,
    "circles": _circles,
    "spirals": _spirals,
    "blobs": _blobs,
    "imbalanced": _imbalanced,
    "noisy_labels": _noisy_labels,
    "digits": _digits,
    "wine": _wine,
    "breast_cancer": _breast_cancer,
    "line": _line,
}
