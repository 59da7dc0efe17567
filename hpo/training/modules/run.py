"""One trial of a user's module trained by itself in plain torch: the readable reference of what training means."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from hpo.global_randomness import Randomness
from hpo.objective import Run, Step
from hpo.torch_mode import own_mode
from hpo.training import draws
from hpo.training.gradients import clip_gradients, penalize_gradients
from hpo.training.hyperparameters import Settings
from hpo.training.metrics import step_of
from hpo.training.modules.building import global_draws
from hpo.training.modules.dropout import Words, calls_of, layers_of, probabilities, words_of_steps
from hpo.training.modules.feeds import Batch, Feed
from hpo.training.modules.scoring import Scoring
from hpo.training.optimizers import make_optimizer, set_rate
from hpo.training.schedules import History


class ModuleRun(Run):
    """A trial under training; going on later gives what going on at once would have given.

    Args:
        module: before its first epoch, see `build_module`; it is trained.
        settings: the training hyperparameters.
        feed: what to train and validate on.
        seed: all randomness of the trial, in [0, 2^63).
        epochs: the most that it may train: schedules depend on it.
        scoring: loss and metric.
    """

    def __init__(
        self, module: nn.Module, settings: Settings, feed: Feed, seed: int, epochs: int, scoring: Scoring
    ) -> None:
        self.module = module
        self.settings, self.epochs = settings, epochs
        self._feed, self._scoring = feed, scoring
        self._parameters = [each for each in self.module.parameters() if each.requires_grad]
        self._weights = [each for each in self._parameters if each.dim() > 1]
        self._keys = draws.trial_keys([seed]).to(self._parameters[0].device)  # (1,)
        self._dropout = layers_of(self.module)
        self._optimizer = make_optimizer(self._parameters, settings)
        self._p = probabilities([[layer.p for layer in self._dropout]], self._parameters[0])
        with global_draws(Randomness(seed)):
            self._calls = calls_of(module, feed.some(settings.batch_size).x) if self._dropout else []
        self._randomness = Randomness(seed)  # what the module draws by itself
        self.epoch = 0
        self._history = History()
        self._last: Step | None = None
        self._ended = False

    def advance(self, target: int) -> Iterator[Step]:
        """Train on to epoch `target`, a step after every epoch; a non-finite loss ends it with value NaN.

        Metrics: `train_loss`, the mean over the epoch's rows while it trained, dropout and smoothing included;
        `validation_loss`, without these, and the metric, both on validation data after the epoch. The value is the
        metric: with early stopping that of the best epoch, the one with the lowest validation loss.
        """
        while self.epoch < target and not self._ended:
            with global_draws(self._randomness):
                train_loss = self._train_epoch()
                validation_loss, value = self._evaluate()
            self.epoch += 1
            step = step_of(self.epoch, train_loss, validation_loss, self._scoring.metric_name, value)
            is_best = self._history.observe(self.settings, self.epoch, validation_loss)
            if self.settings.early_stopping:
                step = self._best_so_far(step, is_best)
            self._last = step
            self._ended = step.ended or math.isnan(step.value)
            yield step

    def _best_so_far(self, step: Step, is_best: bool) -> Step:
        """The step of an epoch with early stopping: its value is that of the best epoch."""
        step = replace(step, ended=self._history.stopped)
        if is_best or self._last is None or math.isnan(step.value):
            return step
        return replace(step, value=self._last.value)

    @own_mode()
    def _train_epoch(self) -> float:
        """One pass over the training rows; returns the mean loss."""
        settings = self.settings
        set_rate(self._optimizer, self._history.rate(settings, self.epoch, self.epochs))
        losses, rows = [], 0
        self.module.train()
        words = self._words()
        masks = self._dropout[0].masks if self._dropout else None
        for x, y in map(_own, self._feed.epoch(self._keys, self.epoch, settings.batch_size)):
            if masks is not None:
                masks.feed(next(words))
            z = self._scoring.outputs(self.module(x), len(x))
            loss = self._scoring.rows(z, y, settings.label_smoothing).mean()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for parameter in self._parameters:
                if parameter.grad is None:  # one that the forward pass did not use decays all the same
                    parameter.grad = torch.zeros_like(parameter)
            penalize_gradients(self._weights, settings)
            clip_gradients(self._parameters, settings)
            self._optimizer.step()
            losses.append(loss.detach() * len(x))
            rows += len(x)
        return float(torch.stack(losses).double().sum()) / rows  # read once an epoch

    def _words(self) -> Iterator[list[Words]]:
        """For each step of the epoch, what dropout's masks are made of."""
        for words in words_of_steps(self._keys, self.epoch, self._calls, self._p):
            yield [Words(*(part[0] for part in each)) for each in words]

    @own_mode()
    @torch.no_grad()
    def _evaluate(self) -> tuple[float, float]:
        """Mean loss of the validation rows, and the metric."""
        self.module.eval()
        parts = [(self._scoring.outputs(self.module(x), len(x)), y) for x, y, _ in self._feed.validation()]
        losses, values = self._scoring.values(torch.cat([z for z, _ in parts])[None], torch.cat([y for _, y in parts]))
        return losses[0], values[0]


def _own(batch: Batch) -> tuple[Tensor, Tensor]:
    """Inputs and targets of a batch for one trial."""
    return (batch.x, batch.y) if batch.shared else (batch.x[0], batch.y[0])
