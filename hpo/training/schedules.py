"""What changes from epoch to epoch: the learning rate, and whether training stops early.

Numbers of epochs are those trained so far: 0 before the first one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hpo.training.hyperparameters import Settings

_THRESHOLD: Final = 1e-4  # plateau counts as progress what lowers the loss by more than this share, as in torch


def _cosine(epoch: int, epochs: int) -> float:
    """From 1 at the first epoch down to 0 after the last."""
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


def _warmup_cosine(settings: Settings, epoch: int, epochs: int) -> float:
    rise = settings.warmup_epochs
    return (epoch + 1) / (rise + 1) if epoch < rise else _cosine(epoch - rise, epochs - rise)


_FACTORS: Final[Mapping[str, Callable[[Settings, int, int], float]]] = {
    "constant": lambda settings, epoch, epochs: 1.0,
    "step": lambda settings, epoch, epochs: settings.gamma ** (epoch // settings.step_size),
    "exponential": lambda settings, epoch, epochs: settings.gamma**epoch,
    "cosine": lambda settings, epoch, epochs: _cosine(epoch, epochs),
    "warmup_cosine": _warmup_cosine,
}


def rate_factor(settings: Settings, epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied by in an epoch, whatever happened before.

    Args:
        settings: the schedule and its hyperparameters, any but plateau, for which there is `History`.
        epoch: trained before, in [0, epochs).
        epochs: the most that the trial may train; a warm-up as long as that or longer rises to the end.
    """
    return _FACTORS[settings.schedule](settings, epoch, epochs)


@dataclass
class History:
    """What a trial has to remember of its epochs; `asdict` turns it into plain numbers, `History(**...)` back.

    Attributes:
        factor: plateau's, of the learning rate.
        reference: the validation loss that plateau measures progress against.
        bad_epochs: epochs without progress that plateau has counted.
        best_loss: lowest validation loss.
        best_epoch: epochs trained when it was reached; 0 if there is none, which is so while losses are NaN.
        stopped: whether early stopping has ended training.
    """

    factor: float = 1.0
    reference: float = math.inf
    bad_epochs: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    stopped: bool = False

    def rate(self, settings: Settings, epoch: int, epochs: int) -> float:
        """The learning rate of an epoch.

        Args:
            settings: of the trial.
            epoch: trained before, in [0, epochs); all of them were observed.
            epochs: the most that the trial may train.
        """
        factor = self.factor if settings.schedule == "plateau" else rate_factor(settings, epoch, epochs)
        return settings.learning_rate * factor

    def observe(self, settings: Settings, epoch: int, validation_loss: float) -> bool:
        """Take note of an epoch, each of them once and in turn.

        Plateau falls when more than `step_size` epochs in a row bring no progress; early stopping ends training
        after `patience` epochs in a row without a lower loss. NaN is never lower.

        Args:
            settings: of the trial.
            epoch: trained so far, this one included: from 1.
            validation_loss: after it.

        Returns:
            Whether the loss is lower than ever before.
        """
        if settings.schedule == "plateau":
            self._watch(settings, validation_loss)
        is_best = validation_loss < self.best_loss
        if is_best:
            self.best_loss, self.best_epoch = validation_loss, epoch
        self.stopped = settings.early_stopping and epoch - self.best_epoch >= settings.patience
        return is_best

    def _watch(self, settings: Settings, validation_loss: float) -> None:
        if validation_loss < self.reference * (1 - _THRESHOLD):
            self.reference, self.bad_epochs = validation_loss, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > settings.step_size:
            self.factor, self.bad_epochs = self.factor * settings.gamma, 0
