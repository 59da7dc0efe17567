"""What trials train on: rows in an order of each trial's own, or the batches of a loader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from hpo import seeding
from hpo.errors import DataError
from hpo.global_randomness import Randomness
from hpo.training import draws
from hpo.training.modules.building import global_draws
from hpo.values import brief

_BLOCK: Final = 512  # validation rows that are evaluated at once


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs (n, ...) and targets (n, ...), as given."""

    x: Tensor
    y: Tensor


class Batch(NamedTuple):
    """Rows of a step.

    Attributes:
        x: inputs, (K, B, ...), or (B, ...) that all trials share.
        y: targets, likewise.
        shared: which of the two.
    """

    x: Tensor
    y: Tensor
    shared: bool


class Feed(Protocol):
    """Data on a device, floats in one precision."""

    def batch(self, batch_size: int) -> int:
        """Rows of a step where a trial asks for `batch_size`; 0: the loader's."""
        ...

    def steps(self, batch_size: int) -> int:
        """Steps of an epoch."""
        ...

    def epoch(self, keys: Tensor, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of an epoch, counted from 0, for trials with these keys, (K,) int64 on the device."""
        ...

    def validation(self) -> Iterator[Batch]:
        """The validation rows, which all trials share, in blocks."""
        ...

    def some(self, rows: int) -> Batch:
        """The first training rows, or a loader's first batch."""
        ...


@dataclass(frozen=True, eq=False)
class ArraysFeed:
    """Rows that all are on the device.

    Attributes:
        train: in the order that each trial draws for each epoch.
        validated: in their own order.
    """

    train: Rows
    validated: Rows

    def batch(self, batch_size: int) -> int:
        """See `Feed.batch`."""
        return min(batch_size, len(self.train.y))

    def steps(self, batch_size: int) -> int:
        """See `Feed.steps`."""
        return -(-len(self.train.y) // batch_size)

    def epoch(self, keys: Tensor, epoch: int, batch_size: int) -> Iterator[Batch]:
        """See `Feed.epoch`."""
        x, y = self.train.x, self.train.y
        for rows in torch.split(draws.order(keys, epoch, len(y)), batch_size, dim=1):  # (K, B); the last may be smaller
            flat = rows.flatten()
            yield Batch(x[flat].view(*rows.shape, *x.shape[1:]), y[flat].view(*rows.shape, *y.shape[1:]), False)

    def validation(self) -> Iterator[Batch]:
        """See `Feed.validation`."""
        for x, y in zip(torch.split(self.validated.x, _BLOCK), torch.split(self.validated.y, _BLOCK), strict=True):
            yield Batch(x, y, True)

    def some(self, rows: int) -> Batch:
        """See `Feed.some`."""
        return Batch(self.train.x[:rows], self.train.y[:rows], True)


@dataclass(frozen=True, eq=False)
class LoadersFeed:
    """Two loaders, whose batches all trials share.

    Attributes:
        train: gives the batches of an epoch.
        validated: gives the same batches in every epoch.
        prepare: puts a batch on the device, in the feed's precision.
    """

    train: DataLoader[Any]
    validated: DataLoader[Any]
    prepare: Callable[[tuple[Tensor, Tensor]], Batch]

    def batch(self, batch_size: int) -> int:
        """See `Feed.batch`."""
        return 0

    def steps(self, batch_size: int) -> int:
        """See `Feed.steps`."""
        return len(self.train)

    def epoch(self, keys: Tensor, epoch: int, batch_size: int) -> Iterator[Batch]:
        """See `Feed.epoch`."""
        return map(self.prepare, batches(self.train, epoch))

    def validation(self) -> Iterator[Batch]:
        """See `Feed.validation`."""
        return map(self.prepare, batches(self.validated, 0))

    def some(self, rows: int) -> Batch:
        """See `Feed.some`."""
        return self.prepare(next(batches(self.train, 0)))


def batches(loader: DataLoader[Any], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a loader, whose draws depend on the epoch alone.

    They are drawn from generators of our own, and from the loader's own one if it has one, which is seeded for the
    epoch and left as it is after the last batch.

    Raises:
        DataError: a batch that is no pair of arrays or tensors.
    """
    seed = seeding.derive("loader", epoch)
    randomness = Randomness(seed)
    if loader.generator is not None:
        loader.generator.manual_seed(seed)
    with global_draws(randomness):
        iterator = iter(loader)
    while True:
        with global_draws(randomness):
            batch = next(iterator, None)
        if batch is None:
            return
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise DataError(f"a DataLoader gave {brief(batch, 60)} ({type(batch).__name__}), expected batches (x, y)")
        yield tensor_of("inputs of a batch", batch[0]), tensor_of("targets of a batch", batch[1])


def tensor_of(what: str, value: Any) -> Tensor:
    """A tensor or array as a tensor on the CPU, without a graph; it may share memory with the value.

    Args:
        what: what messages call it.
        value: of one dimension or more.

    Raises:
        DataError: it has no real numbers, or no dimension, or is sparse.
    """
    found = value if isinstance(value, Tensor) else _array(what, value)
    if found.layout != torch.strided:
        raise DataError(f"{what} are sparse ({found.layout}), expected a dense tensor: call .to_dense()")
    if found.is_complex():
        raise DataError(
            f"{what} are complex ({found.dtype}), expected real numbers: give real and imaginary parts as columns"
        )
    if found.dim() == 0:
        raise DataError(f"{what} are a single number, expected an array with a row for each")
    return found.detach().cpu()


def _array(what: str, value: Any) -> Tensor:
    if hasattr(value, "todense"):  # SciPy's
        raise DataError(f"{what} are sparse ({type(value).__name__}), expected a dense array: call .toarray()")
    try:
        array = np.require(value, requirements=["C", "W", "E"])  # torch warns of memory that is not writable
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{what} ({type(value).__name__}) make no array: {error}; expected numbers, in rows of the same shape"
        ) from None
    try:
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))
    except TypeError:
        raise DataError(
            f"{what} are of type {array.dtype}, expected numbers; for names of classes give "
            "np.unique(y, return_inverse=True)[1]"
        ) from None
