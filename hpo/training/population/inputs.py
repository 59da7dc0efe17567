"""The data as chunks read it: padded, on the device, cut into the batches of an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hpo.training.data import Data
from hpo.training.draws import padded

VALIDATION_ROWS = 128  # rows that are validated at once: enough for the hardware, few enough for its cache


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
        validation: validation inputs, (1, m, d) in all, cut into blocks of rows.
        validation_y: their classes, (1, 1, m true rows).
    """

    data: Data
    x: Tensor
    y: Tensor
    validation: tuple[Tensor, ...]
    validation_y: Tensor

    @staticmethod
    def of(data: Data, device: torch.device) -> Inputs:
        """The data on `device`."""

        def pad(x: Tensor, rows: int) -> Tensor:
            return functional.pad(x, (0, padded(x.shape[1]) - x.shape[1], 0, rows - len(x))).to(device)

        train, validation = data.train, data.validation
        rows = pad(validation.x, padded(len(validation.y)))[None]  # (1, m, d)
        y = functional.pad(train.y, (0, 1)).to(device)
        x, blocks = pad(train.x, len(train.y) + 1), torch.split(rows, VALIDATION_ROWS, dim=1)
        return Inputs(data, x, y, blocks, validation.y[None, None].to(device))

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
