"""What users give as data: arrays, Datasets or DataLoaders, read and checked."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from hpo import seeding
from hpo.errors import DataError
from hpo.global_randomness import Randomness
from hpo.training.modules.building import global_draws
from hpo.training.modules.feeds import ArraysFeed, Batch, Feed, LoadersFeed, Rows, batches, tensor_of
from hpo.training.splitting import Splitter
from hpo.values import brief

_FORMS: Final = "(X, y), ((X, y), (X_valid, y_valid)), two Datasets or two DataLoaders"
_NO_ROWS: Final = "there are no rows, expected one or more: look at where they are selected"


class Source(Protocol):
    """A user's data.

    Attributes:
        own_batches: whether they come in batches of their own.
        digest: identifies content and split, 32 hexadecimal digits; of DataLoaders the numbers of their batches and
            the first batch of each, no more: other data with these in common are taken for the same.
        notices: what users should know about them.
        inputs: some of them, as given.
        targets: all or some of them, as given.
        again: the same rows split by another seed, in [0, 2^63); None: they came split, or went to another process.
    """

    own_batches: bool
    digest: str
    notices: Sequence[str]
    inputs: Tensor
    targets: Tensor
    again: Callable[[int], Source] | None

    def feed(self, device: torch.device, dtype: torch.dtype, convert: Callable[[Tensor], Tensor]) -> Feed:
        """The data as trials get them; `convert` checks targets and gives them their type."""
        ...


def read(data: Any, share: float, seed: int) -> Source:
    """What a user gave as data.

    Args:
        data: see `TorchObjective`.
        share: of the rows that validate where there is one pair of arrays, in (0, 1).
        seed: fixes the split.

    Raises:
        DataError: anything else, with found and expected.
    """
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise DataError(f"data is {brief(data, 60)} ({type(data).__name__}), expected {_FORMS}")
    for what, part in zip(("training", "validation"), data, strict=True):
        _check_length(what, part)
    first, second = data
    if isinstance(first, DataLoader) and isinstance(second, DataLoader):
        return _Loaders(first, second)
    if _is_dataset(first) and _is_dataset(second):
        return _Arrays(_items("training", first), _items("validation", second))
    if _is_pair(first) and _is_pair(second):
        return _Arrays(_rows("training data", *first), _rows("validation data", *second))
    if isinstance(first, (Dataset, DataLoader)) or isinstance(second, (Dataset, DataLoader)):
        raise DataError(
            f"data is a pair of {type(first).__name__} and {type(second).__name__}, expected {_FORMS}; a Dataset has "
            "__len__ and __getitem__, and torch.utils.data.random_split makes two of one"
        )
    return _split(_rows("data", first, second), share, seed)


def _check_length(what: str, part: Any) -> None:
    """Refuse what can only be read from its beginning."""
    name = type(part).__name__
    if isinstance(part, IterableDataset):
        raise DataError(
            f"the {what} data are an IterableDataset ({name}), which has no length and items: wrap it in a DataLoader "
            "that has a length, or give a map-style Dataset"
        )
    if isinstance(part, Iterator):
        raise DataError(
            f"data has a {name}, which has no length and items: put what it gives into arrays, or give a map-style "
            "Dataset"
        )


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(hasattr(part, "shape") for part in value)


def _is_dataset(value: Any) -> bool:
    """Map-style: with a length and items."""
    array = hasattr(value, "shape") or isinstance(value, (tuple, list, dict, str))
    return not array and hasattr(value, "__len__") and hasattr(value, "__getitem__")


def _rows(where: str, x: Any, y: Any) -> Rows:
    found = Rows(tensor_of(f"inputs of the {where}", x), tensor_of(f"targets of the {where}", y))
    if not len(found.x) and not len(found.y):
        raise DataError(f"the {where}: {_NO_ROWS}")
    if len(found.x) != len(found.y):
        raise DataError(f"the {where}: {len(found.x)} inputs and {len(found.y)} targets, expected one for each row")
    if found.x.is_floating_point() and not found.x.isfinite().all():
        raise DataError(f"the {where}: inputs have missing or infinite values: fill or leave out these rows")
    return found


def _items(what: str, dataset: Any) -> Rows:
    if len(dataset) < 1:
        raise DataError(f"the {what} data: {_NO_ROWS}")
    xs, ys = [], []
    with global_draws(Randomness(seeding.derive("items", what))):
        for place in range(len(dataset)):
            item = dataset[place]
            if not isinstance(item, (tuple, list)) or len(item) != 2:
                raise DataError(
                    f"item {place} of the {what} data is {brief(item, 60)} ({type(item).__name__}), expected (x, y)"
                )
            xs.append(_part(f"x of item {place} of the {what} data", item[0]))
            ys.append(_part(f"y of item {place} of the {what} data", item[1]))
    try:
        return _rows(f"{what} data", torch.stack(xs), torch.stack(ys))
    except RuntimeError as error:
        raise DataError(f"the items of the {what} data cannot be put together: {error}") from None


def _part(what: str, value: Any) -> Tensor:
    """Of an item: an array or a number."""
    if isinstance(value, np.ndarray):
        value = np.require(value, requirements=["C", "W"])  # see `tensor_of`
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{what} is {brief(value, 60)} ({type(value).__name__}), expected numbers: {error}") from None


def _split(rows: Rows, share: float, seed: int) -> _Arrays:
    """Training and validation rows, with the same shares of classes where that can be."""
    count, notices, strata = len(rows.y), list[str](), None
    if count < 2:
        raise DataError(f"data has {count} row, too few to train and validate on")
    if rows.y.dim() == 1 and not rows.y.is_floating_point() and int(rows.y.min()) >= 0:
        _, strata = np.unique(rows.y.numpy(), return_inverse=True)
    classes = () if strata is None else tuple(map(str, range(int(strata.max()) + 1)))
    splitter = Splitter("data", count, strata, classes, None)
    train, validation, _ = splitter.split((1 - share, share), seed, notices)
    parts = [Rows(rows.x[some], rows.y[some]) for some in (np.sort(train), np.sort(validation))]
    return _Arrays(parts[0], parts[1], notices, functools.partial(_split, rows, share))


def _as(x: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Floats in the precision of the modules; whole numbers as torch's layers take them."""
    return x.to(device, dtype if x.is_floating_point() else torch.int64)


class _Arrays:
    """Rows that all are in memory."""

    own_batches = False

    def __init__(
        self,
        train: Rows,
        validation: Rows,
        notices: Sequence[str] = (),
        again: Callable[[int], Source] | None = None,
    ) -> None:
        self._train, self._validation, self.notices, self.again = train, validation, notices, again
        self.inputs = train.x[:2]
        if train.x.shape[1:] != validation.x.shape[1:]:
            raise DataError(
                f"rows of the training data have shape {tuple(train.x.shape[1:])}, those of the validation data "
                f"{tuple(validation.x.shape[1:])}, expected the same"
            )
        if train.y.shape[1:] != validation.y.shape[1:]:
            raise DataError(
                f"targets of the training data have shape {tuple(train.y.shape)}, those of the validation data "
                f"{tuple(validation.y.shape)}, expected the same but for the number of rows"
            )
        self.targets = torch.cat([train.y, validation.y])
        self.digest = _digest(train.x, train.y, validation.x, validation.y)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "again": None}  # it holds all rows once more

    def feed(self, device: torch.device, dtype: torch.dtype, convert: Callable[[Tensor], Tensor]) -> Feed:
        """See `Source`."""
        parts = [
            Rows(_as(part.x, device, dtype), _as(convert(part.y), device, dtype))
            for part in (self._train, self._validation)
        ]
        return ArraysFeed(*parts)


class _Loaders:
    """Two DataLoaders: batches and order are theirs, the same for all trials, anew in each epoch.

    Reading them seeds their own generators anew, see `batches`.
    """

    own_batches = True
    notices: Sequence[str] = ()
    again: Callable[[int], Source] | None = None

    def __init__(self, train: DataLoader[Any], validation: DataLoader[Any]) -> None:
        self._train, self._validation = train, validation
        for what, loader in (("training", train), ("validation", validation)):
            try:
                length = len(loader)
            except TypeError:
                raise DataError(f"the DataLoader of the {what} data has no length: give a map-style Dataset") from None
            if length < 1:
                raise DataError(f"the DataLoader of the {what} data has no batches")
        firsts = [next(batches(loader, 0)) for loader in (train, validation)]
        self.inputs, self.targets = firsts[0][0], torch.cat([y for _, y in firsts])
        sizes = torch.tensor([len(train), len(validation)])
        self.digest = _digest(sizes, *(part for pair in firsts for part in pair))

    def feed(self, device: torch.device, dtype: torch.dtype, convert: Callable[[Tensor], Tensor]) -> Feed:
        """See `Source`."""

        def prepare(pair: tuple[Tensor, Tensor]) -> Batch:
            return Batch(_as(pair[0], device, dtype), _as(convert(pair[1]), device, dtype), True)

        return LoadersFeed(self._train, self._validation, prepare)


def _digest(*arrays: Tensor) -> str:
    said = hashlib.blake2b(digest_size=16)
    for array in arrays:
        said.update(repr((tuple(array.shape), str(array.dtype))).encode())
        said.update(np.ascontiguousarray(array.numpy()).data)
    return said.hexdigest()
