"""What an epoch of training comes to."""

import math

from hpo.objective import Step


def step_of(epoch: int, train_loss: float, validation_loss: float, accuracy: float) -> Step:
    """The step after an epoch; its value is the accuracy, NaN if a loss is not finite.

    Args:
        epoch: epochs trained.
        train_loss: mean over the epoch's rows while it trained, dropout included.
        validation_loss: mean over the validation rows after the epoch.
        accuracy: share of the validation rows that are classified rightly, in [0, 1].
    """
    if not math.isfinite(train_loss + validation_loss):
        accuracy = math.nan  # the classes of non-finite logits mean nothing
    metrics = {"train_loss": train_loss, "validation_loss": validation_loss, "accuracy": accuracy}
    return Step(epoch, accuracy, metrics)
