"""What is random in an epoch of a chunk, drawn for a few steps at once so that it stays in a core's cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hpo.training import draws
from hpo.training.hyperparameters import Settings
from hpo.training.optimizers import setting_columns
from hpo.training.population.inputs import Batches

_BLOCK: Final = 2**20  # elements of a mask drawn at once


@dataclass(frozen=True)
class StackedDraws:
    """What is random in a step of stacked trials; the twin of `hpo.training.model.StepDraws`.

    Attributes:
        rows: true rows of the batch, the first of R.
        masks: what the outputs of each hidden layer are multiplied by, (k, R, width) of the k trials that have it;
            None where no trial has dropout.
        slopes: of rrelu below zero, likewise; None where no trial has rrelu.
    """

    rows: int
    masks: Sequence[Tensor] | None = None
    slopes: Sequence[Tensor] | None = None


class Randomness:
    """The draws of K trials for dropout and rrelu.

    Args:
        settings: K of them, the deepest first.
        keys: (K,) int64.
        batches: of an epoch.
        width: padded units of a layer.
        like: a tensor of the dtype and on the device of training.
    """

    def __init__(self, settings: Sequence[Settings], keys: Tensor, batches: Batches, width: int, like: Tensor) -> None:
        depths = [len(each.widths) for each in settings]
        self._layers = [sum(depth >= number for depth in depths) for number in range(1, depths[0] + 1)]
        self._keys, self._batches, self._width, self._dtype = keys, batches, width, like.dtype
        dropout = setting_columns(settings)["dropout"]  # (K, 1)
        self._drops = bool(dropout.any())
        self._dropout = dropout[:, 0].to(like.device, torch.float32)
        self._scale = (1 / (1 - dropout)).to(like)[:, None]  # (K, 1, 1)
        self._bends = any("rrelu" in each.activations for each in settings)
        self._memory: list[Tensor] = []  # a block of each hidden layer, and one to work in

    def epoch(self, epochs: Tensor) -> Iterator[StackedDraws]:
        """The draws of each step of epochs (K,), counted from 0."""
        rows = self._batches.rows
        if not (self._drops or self._bends):
            yield from (StackedDraws(count) for count in rows)
            return
        n, layers, size, width = sum(rows), len(self._layers), self._batches.size, self._width
        together = min(len(rows), max(1, _BLOCK // (len(self._keys) * size * width)))  # steps
        drop = draws.dropout_words(self._keys, epochs, layers, n, width) if self._drops else None
        bend = draws.slope_words(self._keys, epochs, layers, n, width) if self._bends else None
        for first in range(0, len(rows), together):
            steps = range(first, min(first + together, len(rows)))
            masks = None if drop is None else self._masks(drop, steps, together)
            slopes = None if bend is None else self._slopes(bend, steps)
            for i, step in enumerate(steps):
                yield StackedDraws(
                    rows[step],
                    None if masks is None else [layer[i] for layer in masks],
                    None if slopes is None else [layer[i] for layer in slopes],
                )

    def _masks(self, words: list[draws.Words], steps: range, together: int) -> list[list[Tensor]]:
        """Of each hidden layer, for each of the steps, (k, R, width)."""
        batches, width = self._batches, self._width
        if not self._memory:
            most = together * batches.size * width
            shape = (*self._layers, self._layers[0])
            self._memory = [self._keys.new_empty(k * most, dtype=torch.int32) for k in shape]
        counts = [batches.rows[step] for step in steps]
        places = slice(steps[0] * batches.size, steps[0] * batches.size + sum(counts))
        *memories, scratch = self._memory
        drawn = []
        for k, (of_rows, of_units), memory in zip(self._layers, words, memories, strict=True):
            here, there = (each[: k * sum(counts) * width].view(k, -1, width) for each in (memory, scratch))
            kept = draws.kept(of_rows[:k, places], of_units[:k], self._dropout[:k], (here, there))
            masks = torch.split(kept.to(self._dtype).mul_(self._scale[:k]), counts, dim=1)
            drawn.append([batches.pad(step, mask) for step, mask in zip(steps, masks, strict=True)])
        return drawn

    def _slopes(self, words: list[draws.Words], steps: range) -> list[list[Tensor]]:
        batches = self._batches
        counts = [batches.rows[step] for step in steps]
        places = slice(steps[0] * batches.size, steps[0] * batches.size + sum(counts))
        drawn = []
        for k, (of_rows, of_units) in zip(self._layers, words, strict=True):
            slopes = torch.split(draws.slopes(of_rows[:k, places], of_units[:k]).to(self._dtype), counts, dim=1)
            drawn.append([batches.pad(step, each) for step, each in zip(steps, slopes, strict=True)])
        return drawn
