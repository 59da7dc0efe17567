"""What an epoch of training comes to: the metrics that a study can optimise, defined as scikit-learn defines them.

All of them are computed for K trials at once; one trial is K = 1. C is the number of outputs, m that of rows.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hpo.objective import Step
from hpo.training import hyperparameters


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as scikit-learn calls it.
        task: "classification" or "regression".
        direction: "maximize" or "minimize".
        function: of outputs (K, C, m) and targets (1 or K, 1, m), to (K,) float64 on the CPU; regression in the
            units of the targets as they are. Use `of`.
        scales: whether it has the unit of the targets.
    """

    name: str
    task: str
    direction: str
    function: Callable[[Tensor, Tensor], Tensor]
    scales: bool = False

    def of(self, outputs: Tensor, y: Tensor, scale: float | Tensor = 1.0) -> Tensor:
        """The metric of every trial.

        Args:
            outputs: what the networks give: logits (K, C, m), or in regression numbers (K, 1, m).
            y: classes int64, or numbers, the same for all trials (1, 1, m) or not (K, 1, m).
            scale: in regression, what one unit of outputs and targets is worth, one or (K,) float64 on the CPU; errors
                are multiplied by it.

        Returns:
            (K,) float64 on the CPU; NaN for a trial with an output that is not finite, or if `y` leaves the metric
            undefined: roc_auc of a single class.
        """
        value = self.function(outputs, y)
        if self.scales:
            value = value * scale
        finite = outputs.sum(dim=(1, 2)).isfinite().cpu()  # one fast pass; a sum may overflow, so this is not all
        if not finite.all():
            finite = outputs.isfinite().flatten(1).all(dim=1).cpu()
        return value.masked_fill_(~finite, math.nan)


def step_of(epoch: int, train_loss: float, validation_loss: float, metric: str, value: float) -> Step:
    """The step after an epoch; its value is NaN if a loss is not finite.

    Args:
        epoch: epochs trained.
        train_loss: mean over the epoch's rows while it trained, dropout included.
        validation_loss: mean over the validation rows after the epoch.
        metric: name of what is optimised, one of METRICS.
        value: of it, on the validation rows.
    """
    if not math.isfinite(train_loss + validation_loss):
        value = math.nan  # what non-finite outputs are good for means nothing
    return Step(epoch, value, {"train_loss": train_loss, "validation_loss": validation_loss, metric: value})


def _accuracy(outputs: Tensor, y: Tensor) -> Tensor:
    """Share of the rows that are classified rightly."""
    right = outputs.max(dim=1).indices == y[:, 0]  # (K, m); argmax is much slower
    return right.cpu().double().mean(dim=1)


def _confusion(outputs: Tensor, y: Tensor) -> Tensor:
    """How many rows of each class are taken for each class: (K, true C, predicted C) float64."""
    k, classes, _ = outputs.shape
    predicted = outputs.max(dim=1).indices.cpu()  # (K, m)
    cells = (torch.arange(k, device="cpu")[:, None] * classes + y[:, 0].cpu()) * classes + predicted  # (K, m)
    return torch.bincount(cells.flatten(), minlength=k * classes**2).view(k, classes, classes).double()


def _balanced_accuracy(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean recall of the classes that occur in `y`."""
    confusion = _confusion(outputs, y)
    return (confusion.diagonal(dim1=1, dim2=2) / confusion.sum(dim=2)).nanmean(dim=1)  # 0 / 0 of those that do not


def _f1_macro(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean F1 of the classes that occur in `y` or are predicted."""
    confusion = _confusion(outputs, y)
    both = confusion.sum(dim=1) + confusion.sum(dim=2)  # (K, C)
    return (2 * confusion.diagonal(dim1=1, dim2=2) / both).nanmean(dim=1)


def _roc_auc(outputs: Tensor, y: Tensor) -> Tensor:
    """Area under the ROC curve; of more than two classes the mean over one class against the rest each.

    Classes that no row or every row of `y` has are left out. Two classes are ranked by the difference of their
    logits: their probabilities have the same order until they are rounded to 0 or 1.
    """
    scores, y = outputs.cpu().double(), y[:, 0].cpu()  # (K, C, m), (K, m)
    if scores.shape[1] == 2:
        return _area(scores[:, 1] - scores[:, 0], y == 1)
    scores = scores.log_softmax(dim=1)
    areas = [_area(scores[:, c], y == c) for c in range(scores.shape[1])]  # a class at a time, to bound memory
    return torch.stack(areas, dim=1).nanmean(dim=1)


def _area(scores: Tensor, positive: Tensor) -> Tensor:
    """P(score of a positive row > that of a negative one) + P(equal) / 2, by ranks: (K, m), (K, m) -> (K,)."""
    ascending, order = scores.sort(dim=1)
    below, up_to = torch.searchsorted(ascending, ascending), torch.searchsorted(ascending, ascending, right=True)
    ranks = (below + up_to + 1).double() / 2  # from 1; ties share the mean of theirs
    positive = positive.expand_as(scores).gather(1, order).double()
    n_positive = positive.sum(dim=1)
    n_negative = scores.shape[1] - n_positive
    return ((ranks * positive).sum(dim=1) - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def _log_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean of -log p of the right class, in nats; log-softmax needs no p to be cut off at 0."""
    log_p = outputs.log_softmax(dim=1).gather(1, y.expand(len(outputs), -1, -1))  # (K, 1, m)
    return log_p[:, 0].cpu().double().mean(dim=1).neg_()


def _errors(outputs: Tensor, y: Tensor) -> Tensor:
    return outputs[:, 0].cpu().double() - y[:, 0].cpu().double()  # (K, m)


def _rmse(outputs: Tensor, y: Tensor) -> Tensor:
    return _errors(outputs, y).square_().mean(dim=1).sqrt_()


def _mae(outputs: Tensor, y: Tensor) -> Tensor:
    return _errors(outputs, y).abs_().mean(dim=1)


def _r2(outputs: Tensor, y: Tensor) -> Tensor:
    """1 - squared errors / squares about the mean; of constant targets 1 if they are met and 0 if not."""
    left = _errors(outputs, y).square_().sum(dim=1)
    targets = y[:, 0].cpu().double()
    total = (targets - targets.mean(dim=1, keepdim=True)).square_().sum(dim=1).expand_as(left)
    return torch.where(total > 0, 1 - left / total, (left == 0).double())


_FUNCTIONS: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1_macro": _f1_macro,
    "roc_auc": _roc_auc,
    "log_loss": _log_loss,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
}
METRICS: Final[Mapping[str, Metric]] = {
    name: Metric(name, task, direction, _FUNCTIONS[name], scales=name in ("rmse", "mae"))
    for task, names in hyperparameters.METRICS.items()
    for name, direction in names.items()
}
