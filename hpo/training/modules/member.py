"""A trial of a user's module between two epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hpo.training.hyperparameters import Settings
from hpo.training.population.paused import Pausable


@dataclass(eq=False)
class Member(Pausable):
    """A trial in a chunk.

    Attributes:
        settings: its training hyperparameters.
        seed: all its randomness.
        epochs: the most that it may train: schedules depend on it.
        p: probability of each dropout layer, once the module is built.
        tensors: its row of parameters, (P,), its fixed tensors, its optimizer's slots, (P,) each; without slots
            before the first epoch, and none before the module is built.
    """

    settings: Settings
    seed: int
    epochs: int
    p: tuple[float, ...] = ()

    @property
    def over(self) -> bool:
        """Whether its training has ended by itself: early, or in a loss that is not finite."""
        return self.last is not None and (self.last.ended or math.isnan(self.last.value))
