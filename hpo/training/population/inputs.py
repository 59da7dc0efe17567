"""The data as chunks read it: padded, on the device, cut into the batches of an epoch."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor
from torch.nn import functional

from hpo.training.data import Data
from hpo.training.draws import padded
from hpo.training.health import HEALTH_ROWS

if TYPE_CHECKING:
    from hpo.training.population.member import Member

_KEPT: Final = 64  # data sets that differ in preparation or fold
BLOCK_ROWS: Final = 128  # rows that are evaluated at once: enough for the hardware, few enough for its cache


@dataclass(frozen=True)
class Batches:
    """How the n rows of an epoch are cut into steps.

    Attributes:
        size: rows of a batch; the last one may have fewer.
        rows: true rows of every batch.
        padded: the same, each rounded up to a multiple of 16.
        places: for every padded row, its place in the epoch's order, n where there is none; None without padding.
        unpadded: places of the true rows among the padded ones; None without padding.
        weights: for every batch, each row's share in the loss, (R,): one over the true rows, 0 for the others.
    """

    size: int
    rows: tuple[int, ...]
    padded: tuple[int, ...]
    places: Tensor | None
    unpadded: Tensor | None
    weights: tuple[Tensor, ...]

    def pad(self, step: int, mask: Tensor) -> Tensor:
        """(K, rows, width) of a step -> (K, R, width)."""
        missing = self.padded[step] - self.rows[step]
        return functional.pad(mask, (0, 0, 0, missing)) if missing else mask


@dataclass(frozen=True, eq=False)
class Inputs:
    """A data set on a device; sizes are padded to multiples of 16.

    Attributes:
        data: where it comes from.
        x: training inputs and a row of zeros, (n + 1, d).
        y: their classes, (n + 1,).
        validation: validation inputs, (m, d) in all, cut into blocks of rows.
        validation_y: their classes, (m true rows,).
        checked: the first training inputs likewise, for what is measured on them at the end.
        checked_y: their classes, (true rows,).
    """

    data: Data
    x: Tensor
    y: Tensor
    validation: tuple[Tensor, ...]
    validation_y: Tensor
    checked: tuple[Tensor, ...]
    checked_y: Tensor

    @staticmethod
    def of(data: Data, device: torch.device) -> Inputs:
        """The data on `device`."""

        def pad(x: Tensor, rows: int) -> Tensor:
            return functional.pad(x, (0, padded(x.shape[1]) - x.shape[1], 0, rows - len(x))).to(device)

        def blocks(x: Tensor) -> tuple[Tensor, ...]:
            return torch.split(pad(x, padded(len(x))), BLOCK_ROWS)

        train, validation = data.train, data.validation
        return Inputs(
            data,
            x=pad(train.x, len(train.y) + 1),
            y=functional.pad(train.y, (0, 1)).to(device),
            validation=blocks(validation.x),
            validation_y=validation.y.to(device),
            checked=blocks(train.x[:HEALTH_ROWS]),
            checked_y=train.y[:HEALTH_ROWS].to(device),
        )

    def batches(self, batch_size: int) -> Batches:
        """The cuts for a batch size."""
        n, like = len(self.y) - 1, self.x
        size = min(batch_size, n)
        rows = tuple(min(size, n - start) for start in range(0, n, size))
        full = tuple(padded(count) for count in rows)
        weights = tuple(
            (torch.arange(total, device=like.device) < count).to(like.dtype) / count
            for count, total in zip(rows, full, strict=True)
        )
        if rows == full:
            return Batches(size, rows, full, None, None, weights)
        inside = torch.cat([torch.arange(total, device="cpu") < count for count, total in zip(rows, full, strict=True)])
        places = torch.full((sum(full),), n, device="cpu")
        places[inside] = torch.arange(n, device="cpu")
        return Batches(size, rows, full, places.to(like.device), inside.nonzero()[:, 0].to(like.device), weights)


class Tables:
    """The data of K trials: one table for all of them, or the different ones below each other.

    Args:
        inputs: what each trial trains on; all of the same sizes.

    Attributes:
        inputs: the different ones.
        n: training rows.
        x: training inputs, (tables * (n + 1), d).
        y: their targets, (tables * (n + 1),).
        offsets: where the table of each trial begins, (K, 1); None where all have the same one.
    """

    def __init__(self, inputs: Sequence[Inputs]) -> None:
        self.inputs = list(dict.fromkeys(inputs))
        first, self._k = self.inputs[0], len(inputs)
        self.n = len(first.y) - 1
        self.offsets: Tensor | None = None
        self._which: Tensor | None = None
        if len(self.inputs) == 1:
            self.x, self.y = first.x, first.y
        else:
            self._which = torch.tensor([self.inputs.index(each) for each in inputs], device=first.x.device)
            self.offsets = self._which[:, None] * (self.n + 1)
            self.x, self.y = torch.cat([each.x for each in self.inputs]), torch.cat([each.y for each in self.inputs])
        self._memory: Tensor | None = None

    def select(self, rows: Tensor) -> Tensor:
        """Rows of `x`, (rows, d), in memory that the next call reuses."""
        if self._memory is None or len(self._memory) < len(rows):
            self._memory = self.x.new_empty(len(rows), self.x.shape[1])
        return torch.index_select(self.x, 0, rows, out=self._memory[: len(rows)])

    def validation(self) -> Iterator[Tensor]:
        """Validation inputs of every trial a block at a time, (K, R, d)."""
        return self._blocks([each.validation for each in self.inputs])

    def validation_y(self) -> Tensor:
        """Validation targets, (K, 1, m)."""
        return self._targets([each.validation_y for each in self.inputs])

    def checked(self) -> Iterator[Tensor]:
        """The first training inputs, likewise."""
        return self._blocks([each.checked for each in self.inputs])

    def checked_y(self) -> Tensor:
        """The first training targets, likewise."""
        return self._targets([each.checked_y for each in self.inputs])

    def _blocks(self, blocks: Sequence[tuple[Tensor, ...]]) -> Iterator[Tensor]:
        for same in zip(*blocks, strict=True):
            if self._which is None:
                yield same[0].expand(self._k, -1, -1)
            else:
                yield torch.stack(same)[self._which]

    def _targets(self, targets: Sequence[Tensor]) -> Tensor:
        if self._which is None:
            return targets[0].expand(self._k, 1, -1)
        return torch.stack(list(targets))[self._which][:, None]


class InputsCache:
    """The data as chunks read it, made once; may be called from several threads.

    Args:
        device: where it goes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._made: OrderedDict[Data, Inputs] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, member: Member) -> Inputs:
        """What a member trains on."""
        with self._lock:
            if member.data not in self._made:
                self._made[member.data] = Inputs.of(member.data, self._device)
            self._made.move_to_end(member.data)
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
            return self._made[member.data]
