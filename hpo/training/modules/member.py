"""A trial of a user's module between two epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from hpo.objective import Step
from hpo.training.hyperparameters import Settings
from hpo.training.schedules import History


@dataclass(eq=False)
class Member:
    """A trial in a chunk.

    Attributes:
        settings: its training hyperparameters.
        seed: all its randomness.
        epochs: the most that it may train: schedules depend on it.
        p: probability of each dropout layer, once the module is built.
        tensors: its row of parameters, (P,), its fixed tensors, its optimizer's slots, (P,) each; without slots
            before the first epoch, and none before the module is built.
        last: the step of its last epoch; None before the first.
        history: of its validation losses.
        best: with early stopping, row and fixed tensors after the best epoch.
    """

    settings: Settings
    seed: int
    epochs: int
    p: tuple[float, ...] = ()
    tensors: tuple[Tensor, ...] = ()
    last: Step | None = None
    history: History = field(default_factory=History)
    best: tuple[Tensor, ...] = ()

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return self.last.epoch if self.last is not None else 0

    @property
    def over(self) -> bool:
        """Whether its training has ended by itself: early, or in a loss that is not finite."""
        return self.last is not None and (self.last.ended or math.isnan(self.last.value))
