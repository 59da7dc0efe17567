"""Losses, each in two forms that mean the same: of the rows of one trial, and of stacked trials with the gradient.

The target of a class is one-hot; label smoothing e makes it (1 - e) onehot + e / C, and mixup a weighted mean of two
targets. K is the number of trials, B or R that of rows, C that of outputs: 1 in regression.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

Mixed = tuple[Tensor, float]  # other targets of the rows of one trial, (B,), and the share of the first
StackedMixed = tuple[Tensor, Tensor]  # the same of stacked trials, (K, 1, R), and (K, 1, 1)


class Loss(ABC):
    """What is minimised. A row's loss and gradient depend on that row alone, so that a NaN stays in its trial."""

    @abstractmethod
    def rows(self, z: Tensor, y: Tensor, smoothing: float = 0.0, mixed: Mixed | None = None) -> Tensor:
        """Losses of the rows of one trial, differentiable.

        Args:
            z: what the network gives, (B, C).
            y: classes (B,) int64, or in regression numbers (B,).
            smoothing: label smoothing in [0, 1); hinge and regression have none.
            mixed: other targets, shaped as `y`, and the share of `y` in [0, 1]; None: all of it.

        Returns:
            (B,)
        """

    @abstractmethod
    def stacked(
        self, z: Tensor, y: Tensor, smoothing: Tensor | None = None, mixed: StackedMixed | None = None
    ) -> tuple[Tensor, Tensor]:
        """Losses of the rows of K trials, and their gradients.

        Args:
            z: what the networks give, (K, C, R).
            y: targets as of `rows`, (K, 1, R).
            smoothing: (K, 1, 1); None: no trial has any.
            mixed: other targets (K, 1, R) and shares (K, 1, 1); None: no trial has any.

        Returns:
            Losses (K, 1, R) and the gradients of `z`, (K, C, R).
        """


class _CrossEntropy(Loss):
    """In nats; its gradient is softmax(z) - target."""

    def rows(self, z: Tensor, y: Tensor, smoothing: float = 0.0, mixed: Mixed | None = None) -> Tensor:
        def of(y: Tensor) -> Tensor:
            return functional.cross_entropy(z, y, reduction="none", label_smoothing=smoothing)

        return _mean(of, y, mixed)

    def stacked(
        self, z: Tensor, y: Tensor, smoothing: Tensor | None = None, mixed: StackedMixed | None = None
    ) -> tuple[Tensor, Tensor]:
        log_p = z.log_softmax(dim=1)  # (K, C, R)
        loss = log_p.gather(1, y).neg_()  # (K, 1, R)
        if mixed is not None:
            other, share = mixed
            loss.mul_(share).sub_(log_p.gather(1, other).mul_(1 - share))
        if smoothing is not None:
            loss.mul_(1 - smoothing).sub_(log_p.mean(dim=1, keepdim=True).mul_(smoothing))
        return loss, _subtract_target(log_p.exp_(), y, smoothing, mixed)


class _Hinge(Loss):
    """Mean over the C classes of max(0, 1 - z of the right class + z of another); that of the right class is 0.

    NOTE: torch's multi_margin_loss is the same but for NaN: it takes the loss of a NaN for 0, so that a trial that
    diverged would look perfect.
    """

    def rows(self, z: Tensor, y: Tensor, smoothing: float = 0.0, mixed: Mixed | None = None) -> Tensor:
        def of(y: Tensor) -> Tensor:
            right = y[:, None]  # (B, 1)
            margins = z - z.gather(1, right) + 1  # (B, C)
            return margins.scatter(1, right, 0).relu().mean(dim=1)

        return _mean(of, y, mixed)

    def stacked(
        self, z: Tensor, y: Tensor, smoothing: Tensor | None = None, mixed: StackedMixed | None = None
    ) -> tuple[Tensor, Tensor]:
        loss, gradient = self._stacked(z, y)
        if mixed is not None:
            other, share = mixed
            others_loss, others_gradient = self._stacked(z, other)
            loss.mul_(share).add_(others_loss.mul_(1 - share))
            gradient.mul_(share).add_(others_gradient.mul_(1 - share))
        return loss, gradient

    def _stacked(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        margins = (z - z.gather(1, y)).add_(1).scatter_(1, y, 0).relu_()  # (K, C, R)
        loss = margins.mean(dim=1, keepdim=True)  # (K, 1, R)
        gradient = margins.sign_().div_(z.shape[1])
        return loss, gradient.scatter_(1, y, gradient.sum(dim=1, keepdim=True).neg_())


class _SquaredDistance(Loss):
    """Mean over the classes of the squared difference from the target."""

    def rows(self, z: Tensor, y: Tensor, smoothing: float = 0.0, mixed: Mixed | None = None) -> Tensor:
        def target(y: Tensor) -> Tensor:
            return functional.one_hot(y, z.shape[1]).to(z.dtype) * (1 - smoothing) + smoothing / z.shape[1]

        return functional.mse_loss(z, _mean(target, y, mixed), reduction="none").mean(dim=1)

    def stacked(
        self, z: Tensor, y: Tensor, smoothing: Tensor | None = None, mixed: StackedMixed | None = None
    ) -> tuple[Tensor, Tensor]:
        difference = _subtract_target(z.clone(), y, smoothing, mixed)  # (K, C, R)
        loss = difference.square().mean(dim=1, keepdim=True)  # (K, 1, R)
        return loss, difference.mul_(2 / z.shape[1])


class _Distance(Loss):
    """A function of the difference between a number and its target.

    Args:
        function: (z, y), reduction: of one trial, torch's own.
        of_difference: z - y, which may be overwritten -> losses and gradients.
    """

    def __init__(
        self, function: Callable[..., Tensor], of_difference: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> None:
        self._function = function
        self._of_difference = of_difference

    def rows(self, z: Tensor, y: Tensor, smoothing: float = 0.0, mixed: Mixed | None = None) -> Tensor:
        target = y if mixed is None else torch.lerp(mixed[0], y, mixed[1])
        return self._function(z[:, 0], target, reduction="none")

    def stacked(
        self, z: Tensor, y: Tensor, smoothing: Tensor | None = None, mixed: StackedMixed | None = None
    ) -> tuple[Tensor, Tensor]:
        return self._of_difference(z - (y if mixed is None else torch.lerp(mixed[0], y, mixed[1])))


def _squared(difference: Tensor) -> tuple[Tensor, Tensor]:
    return difference.square(), difference.mul_(2)


def _absolute(difference: Tensor) -> tuple[Tensor, Tensor]:
    return difference.abs(), difference.sign_()


def _huber(difference: Tensor) -> tuple[Tensor, Tensor]:
    """Half the square up to 1, the size less a half beyond."""
    gradient = difference.clamp(-1, 1)
    return difference.sub_(gradient, alpha=0.5).mul_(gradient), gradient


def _mean(of: Callable[[Tensor], Tensor], y: Tensor, mixed: Mixed | None) -> Tensor:
    """`of(y)`, or its weighted mean with that of the other targets."""
    if mixed is None:
        return of(y)
    other, share = mixed
    return share * of(y) + (1 - share) * of(other)


def _subtract_target(x: Tensor, y: Tensor, smoothing: Tensor | None, mixed: StackedMixed | None) -> Tensor:
    """Subtract the targets of classes from (K, C, R), in place."""
    weight = x.new_full((), -1.0)
    if smoothing is not None:
        x.sub_(smoothing / x.shape[1])
        weight = smoothing - 1  # (K, 1, 1)
    if mixed is not None:
        other, share = mixed
        x.scatter_add_(1, other, (weight * (1 - share)).expand(y.shape))
        weight = weight * share
    return x.scatter_add_(1, y, weight.expand(y.shape))


LOSSES: Final[Mapping[str, Mapping[str, Loss]]] = {
    "classification": {"cross_entropy": _CrossEntropy(), "hinge": _Hinge(), "mse": _SquaredDistance()},
    "regression": {
        "mse": _Distance(functional.mse_loss, _squared),
        "mae": _Distance(functional.l1_loss, _absolute),
        "huber": _Distance(functional.huber_loss, _huber),
    },
}


def loss_of(task: str, name: str) -> Loss:
    """The loss that a trial's settings name.

    Args:
        task: "classification" or "regression".
        name: one of the task's, see `hyperparameters.LOSSES`.
    """
    return LOSSES[task][name]
