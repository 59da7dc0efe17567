"""Data sets: split once, and prepared as trials want them."""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hpo.errors import UsageError, did_you_mean
from hpo.training import preparation
from hpo.training.generated import DATA_SETS
from hpo.training.hyperparameters import Preparation
from hpo.training.preparation import Transform
from hpo.training.schema import Schema
from hpo.training.splitting import make_folds, split_rows

if TYPE_CHECKING:
    from torch import Tensor

    from hpo.training.tables import TableSource

_KEPT_BYTES: Final = 2**29  # of prepared tensors that a data set remembers
_SOME_ROWS: Final = 1000  # tell what columns are like


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


@dataclass(frozen=True, eq=False)
class Dataset:
    """A table and its split, before preparation; it does not change.

    Attributes:
        x: inputs, (N, d) float64 or float32, NaN where missing.
        y: classes 0, 1, ..., (N,) int64; of a regression the targets in their own unit, (N,) float64.
        schema: how the columns of a table become the d inputs.
        classes: names of the classes; empty for a regression.
        train: row numbers.
        validation: row numbers.
        test: row numbers; may be empty.
        folds: training and validation rows of every fold, which are rows of train and validation; empty: hold-out.
        target: name of what is predicted.
        notices: what users should know about how the table was read.
    """

    x: np.ndarray
    y: np.ndarray
    schema: Schema
    classes: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    folds: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    target: str = "target"
    notices: tuple[str, ...] = ()
    _memory: _Memory = field(default_factory=lambda: _Memory(), init=False, repr=False)

    @property
    def task(self) -> str:
        """What is predicted: "classification" or "regression"."""
        return "classification" if self.classes else "regression"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the d inputs."""
        return self.schema.inputs

    @functools.cached_property
    def scale_ratio(self) -> float:
        """The greatest range of a column over the smallest one, in the first training rows; constants do not count."""
        some = self.x[self.train[:_SOME_ROWS]].astype(np.float64)
        spread = np.fmax.reduce(some) - np.fmin.reduce(some)  # (d,), without NaN where there is a number
        known = spread[spread > 0]
        return float(known.max() / known.min()) if len(known) else 1.0

    @functools.cached_property
    def digest(self) -> str:
        """What identifies content and split: 32 hexadecimal digits."""
        said = hashlib.blake2b(digest_size=16)
        said.update(repr((self.schema, self.classes, self.target, len(self.folds))).encode())
        rows = (self.train, self.validation, self.test, *(part for fold in self.folds for part in fold))
        for array in (self.x, self.y, *(part.astype(np.int64) for part in rows)):
            said.update(repr((array.shape, array.dtype.str)).encode())
            said.update(np.ascontiguousarray(array).data)
        return said.hexdigest()

    def rows(self, rows: int | str = "holdout") -> tuple[np.ndarray, np.ndarray]:
        """Training and validation rows.

        Args:
            rows: "holdout", as split; a fold's number; "development", training and validation rows for both, since
                nothing is held back; "all", every row for both.
        """
        if isinstance(rows, int):
            return self.folds[rows]
        if rows == "holdout":
            return self.train, self.validation
        together = {"development": (self.train, self.validation), "all": (self.train, self.validation, self.test)}
        both = np.concatenate(together[rows])
        return both, both

    def transform(self, how: Preparation, rows: int | str = "holdout") -> Transform:
        """The preparation, fitted to the training rows alone; remembered. See `rows`."""
        fitted: Transform = self._memory.get((how, rows), lambda: preparation.fit(how, self.x, self.rows(rows)[0]))
        return fitted

    def prepared(self, how: Preparation, rows: int | str = "holdout") -> Data:
        """What networks see; the test part is the same rows whatever `rows` says. Remembered: do not write into it.

        Args:
            how: fitted to the training rows, as are mean and scale of a regression's targets.
            rows: see `rows`.
        """
        data: Data = self._memory.get(("prepared", how, rows), lambda: self._prepare(how, rows))
        return data

    def _prepare(self, how: Preparation, rows: int | str) -> Data:
        import torch

        from hpo.torch_mode import own_mode

        train, validation = self.rows(rows)
        transform = self.transform(how, rows)
        mean, scale = 0.0, 1.0
        if not self.classes:
            mean, scale = float(self.y[train].mean()), float(self.y[train].std()) or 1.0

        def part(some: np.ndarray) -> Part:
            y = self.y[some] if self.classes else ((self.y[some] - mean) / scale).astype(np.float32)
            return Part(torch.from_numpy(transform.apply(self.x, some)), torch.from_numpy(y))

        with own_mode():  # tensors made in inference mode could not be trained on
            fitted = part(train)
            checked = fitted if validation is train else part(validation)
            outputs = len(self.classes) or 1
            return Data(fitted, checked, part(self.test), transform.n_outputs, outputs, self.task, mean, scale)


class _Memory:
    """What was computed last, up to _KEPT_BYTES and at least one; copies of a data set begin without."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()

    def get(self, key: Any, compute: Callable[[], Any]) -> Any:
        value, size = self._kept.pop(key, None) or _sized(compute())
        self._kept[key] = value, size  # the newest comes last
        while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        return value

    def __reduce__(self) -> tuple[type[_Memory], tuple[()]]:
        return _Memory, ()


def _sized(value: Transform | Data) -> tuple[Transform | Data, int]:
    """A value and its size in bytes."""
    if isinstance(value, Transform):
        return value, sum(array.nbytes for array in value.to_arrays().values())
    tensors = {id(t): t for part in (value.train, value.validation, value.test) for t in (part.x, part.y)}
    return value, sum(tensor.nbytes for tensor in tensors.values())


def load_dataset(source: str | TableSource, data_seed: int, folds: int = 1) -> Dataset:
    """The data set of a name or a user's table, split; remembered as long as its files stay as they are.

    Args:
        source: one of DATA_SETS, or a table.
        data_seed: fixes data and split, whatever the study's seed, >= 0.
        folds: how many folds cover training and validation rows; 1: hold-out.

    Raises:
        UsageError: an unknown name, or arguments that cannot be used together.
        NotFoundError: a missing file.
        DataError: a table that cannot be read or learned from.
    """
    if folds < 1:
        raise UsageError(f"folds is {folds}, expected 1 for hold-out or more for cross-validation")
    if isinstance(source, str):
        return _generated(source, data_seed, folds)
    return _read(_Version(source.version(), source), data_seed, folds)


def load_data(name: str, data_seed: int) -> Data:
    """A generated data set as it is, without any preparation; see `load_dataset`."""
    return load_dataset(name, data_seed).prepared(Preparation())


@functools.lru_cache(maxsize=8)
def _generated(name: str, data_seed: int, folds: int) -> Dataset:
    if name not in DATA_SETS:
        raise UsageError(f"no data set {name!r}: {did_you_mean(name, DATA_SETS)}")
    table = DATA_SETS[name](data_seed)
    strata = table.y if table.classes else None
    train, validation, test = split_rows(strata, len(table.y), table.validation, table.test, data_seed)
    held = np.concatenate([train, validation])
    if folds > len(held):
        raise UsageError(f"data set {name!r} has {len(held)} rows besides its test part: too few for {folds} folds")
    split = make_folds(held, folds, strata, None, data_seed)
    schema = Schema.of_numbers(table.columns)
    return Dataset(table.x, table.y, schema, table.classes, train, validation, test, split)


@dataclass(frozen=True)
class _Version:
    """A source and what its files were when it was asked for."""

    key: tuple[Any, ...]
    source: TableSource = field(compare=False)


@functools.lru_cache(maxsize=4)
def _read(version: _Version, data_seed: int, folds: int) -> Dataset:
    from hpo.training.tables import build  # pandas is for tables alone

    return build(version.source, data_seed, folds)
