"""The losses of stacked trials, each with its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hpo.training.data import Data
from hpo.training.hyperparameters import Settings
from hpo.training.losses import Loss, loss_of

Mixed = tuple[Tensor, Tensor]  # the other targets (K, 1, R), the share of the first (K, 1, 1)


class Criterion:
    """The losses of K trials.

    Args:
        settings: K of them.
        data: what each trains on.
        like: a tensor of the dtype and on the device of training.
    """

    def __init__(self, settings: Sequence[Settings], data: Sequence[Data], like: Tensor) -> None:
        task = data[0].task
        names = [each.loss for each in settings]
        self._losses: list[tuple[Loss, Tensor | None]] = []  # each with its trials; None: all
        for name in dict.fromkeys(names):
            places = [k for k, each in enumerate(names) if each == name]
            rows = None if len(places) == len(names) else torch.tensor(places, device=like.device)
            self._losses.append((loss_of(task, name), rows))
        shares = [each.label_smoothing for each in settings]
        smoothing = torch.tensor(shares, dtype=torch.float64, device="cpu").to(like)
        self._smoothing = smoothing[:, None, None] if smoothing.any() else None  # (K, 1, 1)
        self._weights: Tensor | None = None
        if any(each.class_weights == "balanced" for each in settings):
            weights = [
                mine.balanced_weights if each.class_weights == "balanced" else torch.ones(mine.n_outputs, device="cpu")
                for each, mine in zip(settings, data, strict=True)
            ]
            self._weights = torch.stack([each.double() for each in weights]).to(like)  # (K, C)

    def rows(self, z: Tensor, y: Tensor, mixed: Mixed | None) -> tuple[Tensor, Tensor]:
        """The loss of every row in training, (K, 1, R), and its gradient, (K, C, R).

        Args:
            z: outputs, (K, C, R).
            y: targets, (K, 1, R).
            mixed: with mixup.
        """
        return self._each(z, y, self._smoothing, mixed)

    def plain(self, z: Tensor, y: Tensor) -> Tensor:
        """The loss of every row in evaluation, without smoothing, (K, 1, R)."""
        return self._each(z, y, None, None)[0]

    def gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """The gradients of `plain`, (K, C, R)."""
        return self._each(z, y, None, None)[1]

    def _each(self, z: Tensor, y: Tensor, smoothing: Tensor | None, mixed: Mixed | None) -> tuple[Tensor, Tensor]:
        if self._losses[0][1] is None:
            return self._losses[0][0].stacked(z, y, smoothing, mixed)
        loss, gradient = y.new_empty(y.shape, dtype=z.dtype), torch.empty_like(z)
        for each, places in self._losses:
            some = None if mixed is None else (mixed[0][places], mixed[1][places])
            smooth = None if smoothing is None else smoothing[places]
            loss[places], gradient[places] = each.stacked(z[places], y[places], smooth, some)
        return loss, gradient

    def weights(self, even: Tensor, y: Tensor, mixed: Mixed | None) -> Tensor:
        """What each row counts in the mean loss of its batch: (R,), or (K, 1, R) with class weights.

        Args:
            even: what each counts without class weights, (R,): 0 for padded rows.
            y: classes, (K, 1, R).
            mixed: with mixup: a row weighs as its classes do, in their shares.
        """
        if self._weights is None:
            return even
        weights = self._of(y)
        if mixed is not None:
            other, share = mixed
            weights = weights * share + self._of(other) * (1 - share)
        weights = weights * even
        return weights / weights.sum(dim=2, keepdim=True)

    def _of(self, y: Tensor) -> Tensor:
        assert self._weights is not None
        return self._weights.gather(1, y[:, 0])[:, None]
