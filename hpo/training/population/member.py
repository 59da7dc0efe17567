"""A trial in the population, between two epochs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hpo.training import draws
from hpo.training.data import Data
from hpo.training.draws import padded
from hpo.training.hyperparameters import Settings
from hpo.training.model import SimpleNN
from hpo.training.optimizers import OPTIMIZERS
from hpo.training.population.inputs import BLOCK_ROWS
from hpo.training.population.layout import Layout, layout_of
from hpo.training.population.paused import Pausable
from hpo.training.schedules import History

Shape = tuple[int, ...]  # trials of one shape can train together


@dataclass(eq=False)
class Member(Pausable):
    """A trial, or one fold of it.

    Attributes:
        settings: its hyperparameters.
        key: of its draws, (1,) int64.
        data: what it trains on.
        epochs: the most that it may train: schedules depend on it.
        start: weights that it starts from; None: drawn ones.
        tensors: its parameters, its running statistics and its optimizer's slots; empty before it is in a chunk.
        best: with early stopping, parameters and running statistics after the best epoch.
    """

    settings: Settings
    key: Tensor
    data: Data
    epochs: int
    start: SimpleNN | None = None

    @property
    def layout(self) -> Layout:
        """Of its parameters."""
        return layout_of(self.settings, self.data)

    def reset(self) -> None:
        """Forget all training."""
        self.tensors, self.last, self.history, self.best = (), None, History(), ()

    def first(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Its first parameters and running statistics, on the CPU."""
        if self.start is not None:
            return self.layout.from_model(self.settings, self.start, dtype)
        row = self.layout.initial([self.settings], self.key, dtype)[0]
        return row, self.layout.first_statistics(self.settings, dtype)

    def model(self) -> SimpleNN:
        """Its network on the CPU, after the best epoch with early stopping, else after the last."""
        row, statistics = (self.best or self.tensors)[:2] if self.tensors else self.first(self.data.train.x.dtype)
        return self.layout.to_model(self.settings, row, statistics)


def member_of(settings: Settings, data: Data, seed: int, epochs: int, start: SimpleNN | None = None) -> Member:
    """The trial before its first epoch; see `Member`."""
    return Member(settings, draws.trial_keys([seed]), data, epochs, start)


def shape_of(settings: Settings, data: Data) -> Shape:
    """Padded width, rows of a batch, then whatever else must be the same."""
    layout = layout_of(settings, data)
    n, m = len(data.train.y), len(data.validation.y)
    batch_size = min(settings.batch_size, n)
    return layout.width, batch_size, n, m, data.n_inputs, layout.extended, layout.projections


def nbytes_of(settings: Settings, data: Data) -> int:
    """About how many bytes a trial's training works on.

    Parameters, gradients and slots; the buffers of a batch and of a block of validation rows; the epoch's inputs.
    """
    layout = layout_of(settings, data)
    depth, n = len(settings.widths), len(data.train.y)
    rows = padded(min(settings.batch_size, n)) + 2 * BLOCK_ROWS
    hidden = depth * layout.width * (9 if layout.extended else 3)  # y, what dropout leaves of it, masks; a graph
    ends = padded(data.n_inputs) + 4 * padded(data.n_outputs)  # logits, probabilities and their gradients
    floats = layout.size(depth) * (2 + OPTIMIZERS[settings.optimizer].slots) + rows * (hidden + ends)
    return (floats + n * padded(data.n_inputs)) * data.train.x.element_size()
