"""One trial trained by itself in plain torch: the readable reference of what training means."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hpo.objective import Run, Step
from hpo.torch_mode import own_mode
from hpo.training import draws
from hpo.training.data import Data, Part
from hpo.training.gradients import clip_gradients, penalize_gradients
from hpo.training.health import GRADIENT_ROWS, HEALTH_ROWS, health_of
from hpo.training.hyperparameters import Settings, complete
from hpo.training.losses import loss_of
from hpo.training.metrics import METRICS, Metric, step_of
from hpo.training.model import SimpleNN, StepDraws
from hpo.training.optimizers import make_optimizer, set_rate
from hpo.training.schedules import History

_MASK_BLOCK = 2**20  # mask elements drawn at once: many steps of a small network, memory bounded for a large one


def train_and_evaluate(
    params: Mapping[str, Any], data: Data, seed: int, epochs: int, metric: Metric = METRICS["accuracy"]
) -> tuple[SimpleNN, list[Step]]:
    """Train one trial from its first epoch to its last.

    Args:
        params: a configuration, or part of one: defaults fill the rest.
        data: what to train and validate on, its inputs prepared.
        seed: all randomness of the trial, in [0, 2^63).
        epochs: how many, >= 0.
        metric: what is optimised.

    Returns:
        The trained model and a step for every epoch; the last one has value NaN if training diverged.

    Raises:
        SpaceError: an unknown hyperparameter or an illegal value.
    """
    run = SoloRun(complete(params, data.task), data, seed, epochs, metric)
    steps = list(run.advance(epochs))
    return run.best_model(), steps


class SoloRun(Run):
    """A trial under training; going on later gives bit for bit what going on at once would have given.

    Args:
        settings: the trial's hyperparameters.
        data: what to train and validate on; the model takes the dtype of its inputs.
        seed: all randomness of the trial, in [0, 2^63).
        epochs: the most that it may train: schedules depend on it.
        metric: what is optimised.
        start: a network whose weights it starts from; None: drawn ones.
    """

    @own_mode()
    def __init__(
        self,
        settings: Settings,
        data: Data,
        seed: int,
        epochs: int,
        metric: Metric = METRICS["accuracy"],
        start: SimpleNN | None = None,
    ) -> None:
        self.settings = settings
        self.data = data
        self.epochs = epochs
        self.metric = metric
        self.keys = draws.trial_keys([seed])  # (1,)
        self.model = SimpleNN(data.n_inputs, data.n_outputs, settings, seed, data.train.x.dtype)
        if start is not None:
            self.model.load_state_dict(start.state_dict())
        self.optimizer = make_optimizer(self.model.parameters(), settings)
        self.loss = loss_of(data.task, settings.loss)
        self.epoch = 0
        self.history = History()
        self._best: tuple[Step, Mapping[str, Tensor]] | None = None
        self._ended = False

    def best_model(self) -> SimpleNN:
        """The model after the best epoch with early stopping, else after the last, for evaluation."""
        model = copy.deepcopy(self.model)
        if self._best is not None:
            model.load_state_dict(self._best[1])
        return model.eval()

    def advance(self, target: int) -> Iterator[Step]:
        """Train on to epoch `target`, a step after every epoch; a non-finite loss ends it with value NaN.

        Metrics: `train_loss`, the mean over the epoch's rows while it trained (dropout, smoothing and mixup
        included); `validation_loss`, without these, and the metric, both on validation data after the epoch. The
        value is the metric: with early stopping that of the best epoch, the one with the lowest validation loss.
        """
        while self.epoch < target and not self._ended:
            train_loss = self._train_epoch()
            validation_loss, value = evaluate(self.model, self.data, self.data.validation, self.loss.rows, self.metric)
            self.epoch += 1
            step = step_of(self.epoch, train_loss, validation_loss, self.metric.name, value)
            is_best = self.history.observe(self.settings, self.epoch, validation_loss)
            if self.settings.early_stopping:
                step = self._best_so_far(step, is_best)
            self._ended = step.ended or math.isnan(step.value)
            if self._ended or self.epoch == target:
                step = replace(step, health=self._health(value))
            yield step

    def _best_so_far(self, step: Step, is_best: bool) -> Step:
        step = replace(step, ended=self.history.stopped)
        if is_best or self._best is None:
            self._best = step, copy.deepcopy(self.model.state_dict())
            return step
        return step if math.isnan(step.value) else replace(step, value=self._best[0].value)

    @own_mode()
    def _train_epoch(self) -> float:
        """One pass over the training rows in this epoch's order; returns the mean loss."""
        settings, train = self.settings, self.data.train
        set_rate(self.optimizer, self.history.rate(settings, self.epoch, self.epochs))
        size = min(settings.batch_size, len(train.y))
        order = draws.order(self.keys, self.epoch, len(train.y))[0]  # (n,)
        inputs = self._noisy(train.x[order])
        xs, ys = torch.split(inputs, size), torch.split(train.y[order], size)  # the last batch may be smaller
        shares = self._shares(len(ys))
        balanced = self.data.balanced_weights if settings.class_weights == "balanced" else None
        parameters, losses = list(self.model.parameters()), []
        self.model.train()
        for x, y, share, drawn in zip(xs, ys, shares, self._draws([len(y) for y in ys]), strict=True):
            other = None if share is None else (y.roll(-1), share)  # each row is mixed with the next one
            if share is not None:
                x = x * share + x.roll(-1, 0) * (1 - share)
            rows = self.loss.rows(self.model(x, drawn), y, settings.label_smoothing, other)
            loss = rows.mean() if balanced is None else _weighted_mean(rows, balanced, y, other)
            for parameter in parameters:
                parameter.grad = None  # what zero_grad() does, without its bookkeeping
            loss.backward()  # type: ignore[no-untyped-call]
            penalize_gradients(self.model.weights(), settings)
            clip_gradients(parameters, settings)
            self.optimizer.step()
            losses.append(rows.detach().sum())
        return float(torch.stack(losses).sum()) / len(train.y)  # read once an epoch

    def _noisy(self, x: Tensor) -> Tensor:
        """The inputs of an epoch with noise, if that is the augmentation."""
        if self.settings.augmentation != "gaussian_noise":
            return x
        of_rows, of_inputs = draws.noise_words(self.keys, self.epoch, *x.shape)
        return x + self.settings.noise_std * draws.noise(of_rows, of_inputs)[0].to(x.dtype)

    def _shares(self, steps: int) -> Sequence[float | None]:
        """What each row keeps of itself in each step, if the augmentation is mixup."""
        if self.settings.augmentation != "mixup":
            return [None] * steps
        alpha = torch.tensor([self.settings.mixup_alpha], dtype=torch.float64, device="cpu")
        return draws.mixup_shares(self.keys, self.epoch, alpha, steps)[0].tolist()

    def _draws(self, rows: list[int]) -> Iterator[StepDraws]:
        """For batches of so many `rows`, dropout's masks and the slopes of rrelu."""
        settings, start = self.settings, 0
        depth, widest = len(settings.widths), max(settings.widths)
        together = max(1, _MASK_BLOCK // (rows[0] * widest))  # steps
        drop = bend = None
        if settings.dropout > 0:
            drop = draws.dropout_words(self.keys, self.epoch, depth, sum(rows), widest)
        if "rrelu" in settings.activations:
            bend = draws.slope_words(self.keys, self.epoch, depth, sum(rows), widest)
        for first in range(0, len(rows), together):
            counts = rows[first : first + together]
            some = slice(start, start + sum(counts))
            masks = None if drop is None else [self._mask(*words, some, width) for words, width in self._each(drop)]
            slopes = None if bend is None else [self._slope(*words, some, width) for words, width in self._each(bend)]
            start += sum(counts)
            for place in range(len(counts)):
                here = slice(sum(counts[:place]), sum(counts[: place + 1]))
                yield StepDraws(
                    None if masks is None else [mask[here] for mask in masks],
                    None if slopes is None else [slope[here] for slope in slopes],
                )

    def _each(self, words: list[draws.Words]) -> Iterator[tuple[draws.Words, int]]:
        return zip(words, self.settings.widths, strict=True)

    def _mask(self, of_rows: Tensor, of_units: Tensor, some: slice, width: int) -> Tensor:
        dropout = torch.tensor([self.settings.dropout], device="cpu")
        kept = draws.kept(of_rows[:, some], of_units[:, :width], dropout.double())[0]
        return kept.to(self.data.train.x.dtype) / (1 - self.settings.dropout)

    def _slope(self, of_rows: Tensor, of_units: Tensor, some: slice, width: int) -> Tensor:
        return draws.slopes(of_rows[:, some], of_units[:, :width])[0].to(self.data.train.x.dtype)

    @own_mode()
    def _health(self, validation: float) -> Mapping[str, float]:
        """See `hpo.training.health`."""
        model, train = self.model.eval(), self.data.train
        looked = Part(train.x[:HEALTH_ROWS], train.y[:HEALTH_ROWS])
        _, value = evaluate(model, self.data, looked, self.loss.rows, self.metric)
        x, y = looked.x[:GRADIENT_ROWS], looked.y[:GRADIENT_ROWS]
        model.zero_grad()
        loss: Tensor = self.loss.rows(model(x), y).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        relu = [hidden.activated for hidden in model.blocks() if hidden.name == "relu"]
        dead, units = sum(int((y == 0).all(dim=0).sum()) for y in relu), sum(y.shape[1] for y in relu)
        norms = [_norm(layer) for layer in (model.blocks()[0].linear, model.output)]
        return health_of(
            self.metric.name,
            self.metric.direction,
            value,
            validation,
            (norms[0], norms[1]),
            dead / units if units else None,
        )


@own_mode()
@torch.no_grad()
def evaluate(
    model: SimpleNN, data: Data, part: Part, rows: Callable[[Tensor, Tensor], Tensor], metric: Metric
) -> tuple[float, float]:
    """Mean loss of some rows, given what the loss of each is, and the metric, in one forward pass."""
    outputs = model.eval()(part.x)  # (n, C)
    value = metric.of(outputs.T[None], part.y[None, None], data.target_scale)
    return float(rows(outputs, part.y).mean()), float(value)


def _norm(layer: torch.nn.Module) -> float:
    """The norm of the gradient of a layer's weights (of their directions, with weight normalization)."""
    weights = next(p for name, p in layer.named_parameters() if name in ("weight", "parametrizations.weight.original1"))
    assert weights.grad is not None
    return float(weights.grad.double().norm())


def _weighted_mean(rows: Tensor, weights: Tensor, y: Tensor, other: tuple[Tensor, float] | None) -> Tensor:
    """The mean of the rows' losses, each weighing as its class does; with mixup as its two classes in their shares."""
    of_rows = weights[y]
    if other is not None:
        of_rows = of_rows * other[1] + weights[other[0]] * (1 - other[1])
    of_rows = of_rows.to(rows.dtype)
    return (rows * of_rows).sum() / of_rows.sum()
