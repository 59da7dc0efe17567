"""What is minimised and what is optimised: hpo's own by name, or functions of the user's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from hpo.errors import DataError, UsageError, did_you_mean
from hpo.training.hyperparameters import LOSSES as LOSS_NAMES
from hpo.training.hyperparameters import METRICS as METRIC_NAMES
from hpo.training.losses import LOSSES
from hpo.training.metrics import METRICS
from hpo.values import brief

Function = Callable[..., Any]

_TAKEN: Final = ("train_loss", "validation_loss", "step")  # "step": the steps that functions report at
_EXAMPLE: Final = "np.unique(y, return_inverse=True)[1] numbers any labels"


@dataclass(frozen=True)
class Scoring:
    """Loss and metric of an objective. K is the number of trials, B that of rows.

    Attributes:
        task: "classification" or "regression"; None: the targets go to functions as they are.
        loss: a name of the task, or (outputs, targets) -> a scalar or the losses of the rows.
        metric: a name of the task, or (outputs, targets) -> a number.
        classes: of the targets, at least as many as their greatest plus one; 0 but for a classification.
    """

    task: str | None
    loss: str | Function
    metric: str | Function
    classes: int = 0

    @property
    def metric_name(self) -> str:
        """What the metric is called in curves; a function's own name, unless a column there has it already."""
        name = self.metric if isinstance(self.metric, str) else getattr(self.metric, "__name__", "metric").strip("<>")
        return "metric" if name in _TAKEN else name

    def targets(self, y: Tensor) -> Tensor:
        """Targets, checked and in the form that the task has them in.

        Raises:
            DataError: targets that are not of the task.
        """
        if self.task is None:
            return y
        if self.task == "regression":
            if y.dim() == 2 and y.shape[1] == 1:
                y = y[:, 0]
            y = y if y.is_floating_point() else y.double()
            if y.dim() != 1 or not y.isfinite().all():
                raise DataError(f"targets of shape {tuple(y.shape)}, expected one finite number for each row")
            return y
        if y.dim() != 1 or y.is_floating_point():
            raise DataError(
                f"targets are {y.dtype} of shape {tuple(y.shape)}, expected for each row the number of its class, an "
                f"integer from 0: {_EXAMPLE}"
            )
        if len(y) and (int(y.min()) < 0 or (self.classes and int(y.max()) >= self.classes)):
            raise DataError(f"targets go from {int(y.min())} to {int(y.max())}, expected classes from 0: {_EXAMPLE}")
        return y

    def outputs(self, z: Any, rows: int) -> Tensor:
        """What a module gave for a batch of one trial, checked: (B, C) where there is a task.

        Raises:
            TypeError, ValueError: it is no tensor, or of another shape than the task needs.
        """
        if not isinstance(z, Tensor):
            raise TypeError(f"the module gave {type(z).__name__}, expected one tensor")
        if self.task is None or (self.classes == 0 and self.task == "classification"):
            return z
        shape = tuple(z.shape)
        if self.task == "regression":
            if shape not in ((rows,), (rows, 1)):
                raise ValueError(f"the module gave outputs of shape {shape} for {rows} rows, expected ({rows}, 1)")
            return z.reshape(rows, 1)
        if len(shape) != 2 or shape[0] != rows or shape[1] < max(2, self.classes):
            raise ValueError(
                f"the module gave outputs of shape {shape} for {rows} rows, expected ({rows}, C) with C >= "
                f"{max(2, self.classes)} classes"
            )
        return z

    def rows(self, z: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
        """The loss of one trial, differentiable: of the rows (B,), or of a function that gives a scalar ()."""
        if isinstance(self.loss, str):
            assert self.task is not None
            return LOSSES[self.task][self.loss].rows(z, y, smoothing)
        found: Tensor = self.loss(z, y)
        return found

    def stacked(self, z: Tensor, y: Tensor, smoothing: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean losses of a batch of K trials, and the gradients of their outputs.

        Args:
            z: outputs, (K, B, ...), without a graph.
            y: targets, (K, B, ...).
            smoothing: (K, 1, 1); None: no trial has any.

        Returns:
            (K,) and (K, B, ...).
        """
        if isinstance(self.loss, str):
            assert self.task is not None
            loss, gradient = LOSSES[self.task][self.loss].stacked(z.transpose(1, 2), y[:, None], smoothing)
            return loss.mean(dim=(1, 2)), gradient.div_(z.shape[1]).transpose(1, 2)
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            losses = torch.vmap(lambda z, y: self.rows(z, y).mean())(z, y)  # (K,)
        (gradient,) = torch.autograd.grad(losses.sum(), z)
        return losses.detach(), gradient

    def values(self, z: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
        """Mean losses and metrics of K trials on the validation rows.

        Args:
            z: outputs, (K, m, ...), without a graph.
            y: targets, (m, ...).
        """
        if isinstance(self.loss, str):
            assert self.task is not None
            many = y.expand(len(z), *y.shape)
            of_rows, _ = LOSSES[self.task][self.loss].stacked(z.transpose(1, 2), many[:, None])
            losses = of_rows[:, 0].cpu().double().mean(1).tolist()
        else:
            losses = [float(self.loss(each, y).double().mean()) for each in z]
        if isinstance(self.metric, str):
            values = METRICS[self.metric].of(z.transpose(1, 2), y[None, None]).tolist()
        else:
            values = [float(self.metric(each, y)) if bool(each.isfinite().all()) else math.nan for each in z]
        return losses, values


def scoring_of(loss: Any, metric: Any, targets: Tensor) -> Scoring:
    """Loss and metric as the user names them; the task is the metric's, else the loss's, else as targets look.

    Args:
        loss: a name or a function.
        metric: a name or a function.
        targets: all of them, or some.

    Raises:
        UsageError: an unknown name, two that are of different tasks, or a metric of classes where targets are floats.
        DataError: targets that are not of the task.
    """
    task = None
    if not callable(metric):
        known = {name: task for task, names in METRIC_NAMES.items() for name in names}
        if not isinstance(metric, str) or metric not in known:
            raise UsageError(f"metric is {brief(metric)}: {did_you_mean(str(metric), known)}, or give a function")
        task = known[metric]
    if not callable(loss):
        of = [task for task, names in LOSS_NAMES.items() if loss in names]
        if not of:
            known_losses = {name for names in LOSS_NAMES.values() for name in names}
            raise UsageError(f"loss is {brief(loss)}: {did_you_mean(str(loss), known_losses)}, or give a function")
        if task is not None and task not in of:
            others = ", ".join(map(repr, LOSS_NAMES[task]))
            raise UsageError(
                f"loss is {loss!r}, but metric {metric!r} is for a {task}: expected one of {others}, or for the loss a "
                f"metric of {', '.join(map(repr, METRIC_NAMES[of[0]]))}"
            )
        if task is None:
            task = of[0] if len(of) == 1 else "regression" if targets.is_floating_point() else "classification"
    if task == "classification" and targets.is_floating_point() and (callable(loss) or "regression" in of):
        said = "the loss is a function of yours" if callable(loss) else f"loss {loss!r} is for numbers"
        fitting = ", ".join(map(repr, METRIC_NAMES["regression"]))
        raise UsageError(
            f"metric {metric!r} needs classes, but {said} and targets are {targets.dtype}: give as metric one of "
            f"{fitting} or a function, or targets that are integers from 0"
        )
    found = Scoring(task, loss, metric)
    checked = found.targets(targets)
    return Scoring(task, loss, metric, int(checked.max()) + 1) if task == "classification" else found
