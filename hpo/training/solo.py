"""One trial trained by itself in plain torch: the readable reference of what training means."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from hpo.objective import Run, Step
from hpo.torch_mode import own_mode
from hpo.training import draws
from hpo.training.data import Data, Part
from hpo.training.hyperparameters import Settings, complete
from hpo.training.losses import cross_entropy
from hpo.training.metrics import step_of
from hpo.training.model import SimpleNN
from hpo.training.optimizers import make_optimizer

_MASK_BLOCK = 2**20  # mask elements drawn at once: many steps of a small network, memory bounded for a large one


def train_and_evaluate(params: Mapping[str, Any], data: Data, seed: int, epochs: int) -> tuple[SimpleNN, list[Step]]:
    """Train one trial from its first epoch on.

    Args:
        params: a configuration, or part of one: defaults fill the rest.
        data: what to train and validate on.
        seed: all randomness of the trial, in [0, 2^63).
        epochs: how many, >= 0.

    Returns:
        The trained model and a step for every epoch; the last one has value NaN if training diverged.

    Raises:
        SpaceError: an unknown hyperparameter or an illegal value.
    """
    run = SoloRun(complete(params), data, seed)
    steps = list(run.advance(epochs))
    return run.model, steps


class SoloRun(Run):
    """A trial under training; going on later gives bit for bit what going on at once would have given.

    Args:
        settings: the trial's hyperparameters.
        data: what to train and validate on; the model takes the dtype of its inputs.
        seed: all randomness of the trial, in [0, 2^63).
    """

    @own_mode()
    def __init__(self, settings: Settings, data: Data, seed: int) -> None:
        self.settings = settings
        self.data = data
        self.keys = draws.trial_keys([seed])  # (1,)
        self.model = SimpleNN(data.n_inputs, data.n_outputs, settings, seed, data.train.x.dtype)
        self.optimizer = make_optimizer(self.model.parameters(), settings)
        self.epoch = 0
        self.diverged = False

    def advance(self, target: int) -> Iterator[Step]:
        """Train on to epoch `target`, a step after every epoch; a non-finite loss ends it with value NaN.

        Metrics: `train_loss`, the mean over the epoch's rows while it trained (dropout included);
        `validation_loss` and `accuracy`, both on validation data after the epoch. The value is the accuracy.
        """
        while self.epoch < target and not self.diverged:
            train_loss = self._train_epoch()
            validation_loss, accuracy = evaluate(self.model, self.data.validation)
            self.epoch += 1
            step = step_of(self.epoch, train_loss, validation_loss, accuracy)
            self.diverged = math.isnan(step.value)
            yield step

    @own_mode()
    def _train_epoch(self) -> float:
        """One pass over the training rows in this epoch's order; returns the mean loss."""
        train, size = self.data.train, min(self.settings.batch_size, len(self.data.train.y))
        order = draws.order(self.keys, self.epoch, len(train.y))[0]  # (n,)
        xs, ys = torch.split(train.x[order], size), torch.split(train.y[order], size)  # the last batch may be smaller
        parameters, losses = list(self.model.parameters()), []
        for x, y, masks in zip(xs, ys, self._masks([len(y) for y in ys]), strict=True):
            loss = cross_entropy(self.model(x, masks), y)
            for parameter in parameters:
                parameter.grad = None  # what zero_grad() does, without its bookkeeping
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            losses.append(loss.detach())
        rows = torch.tensor([len(y) for y in ys], dtype=train.x.dtype, device=train.x.device)  # (steps,)
        return float(torch.stack(losses) @ rows) / len(train.y)  # read once an epoch

    def _masks(self, rows: list[int]) -> Iterator[list[Tensor] | None]:
        """For batches of so many `rows`, dropout's masks (rows, width) of all hidden layers."""
        settings, start = self.settings, 0
        if settings.dropout == 0:
            yield from [None] * len(rows)
            return
        dtype, dropout = self.data.train.x.dtype, torch.tensor([settings.dropout], device="cpu")
        words = draws.dropout_words(self.keys, self.epoch, len(settings.widths), sum(rows), max(settings.widths))
        together = max(1, _MASK_BLOCK // (rows[0] * max(settings.widths)))  # steps
        for first in range(0, len(rows), together):
            counts = rows[first : first + together]
            some = slice(start, start + sum(counts))
            drawn = []
            for (of_rows, of_units), width in zip(words, settings.widths, strict=True):
                kept = draws.kept(of_rows[:, some], of_units[:, :width], dropout)[0]
                drawn.append(torch.split(kept.to(dtype) / (1 - settings.dropout), counts))
            start += sum(counts)
            yield from (list(masks) for masks in zip(*drawn, strict=True))


@own_mode()
@torch.no_grad()
def evaluate(model: SimpleNN, part: Part) -> tuple[float, float]:
    """Mean cross-entropy in nats and share of rows classified rightly, in one forward pass without dropout."""
    logits = model(part.x)  # (n, C)
    right = int((logits.argmax(dim=1) == part.y).sum())
    return float(cross_entropy(logits, part.y)), right / len(part.y)
