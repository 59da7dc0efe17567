"""The losses of stacked trials, each with its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hpo.training.data import Data
from hpo.training.hyperparameters import Settings
from hpo.training.losses import loss_of

Mixed = tuple[Tensor, Tensor]  # the other targets (K, 1, R), the share of the first (K, 1, 1)
_Kind = tuple[str, bool, bool]  # the loss; whether targets are smoothed, and mixed
_Group = tuple[_Kind, Tensor | None]  # with its trials; None: all


class Criterion:
    """The losses of K trials.

    Args:
        settings: K of them.
        data: what each trains on.
        like: a tensor of the dtype and on the device of training.
    """

    def __init__(self, settings: Sequence[Settings], data: Sequence[Data], like: Tensor) -> None:
        self._task = data[0].task
        # a technique that a trial has not must not be computed for it: 0 times an infinite loss is NaN
        kinds = [(each.loss, each.label_smoothing > 0, each.augmentation == "mixup") for each in settings]
        self._training = _groups(kinds, like)
        self._evaluating = _groups([(name, False, False) for name, _, _ in kinds], like)
        smoothing = torch.tensor([each.label_smoothing for each in settings], dtype=torch.float64, device="cpu")
        self._smoothing = smoothing[:, None, None].to(like)  # (K, 1, 1)
        balanced = torch.tensor([each.class_weights == "balanced" for each in settings], device="cpu")
        self._balanced = balanced[:, None, None].to(like.device)  # (K, 1, 1)
        self._weights: Tensor | None = None
        if balanced.any():
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
        return self._each(self._training, z, y, mixed)

    def plain(self, z: Tensor, y: Tensor) -> Tensor:
        """The loss of every row in evaluation, without smoothing, (K, 1, R)."""
        return self._each(self._evaluating, z, y, None)[0]

    def gradient(self, z: Tensor, y: Tensor) -> Tensor:
        """The gradients of `plain`, (K, C, R)."""
        return self._each(self._evaluating, z, y, None)[1]

    def _each(self, groups: list[_Group], z: Tensor, y: Tensor, mixed: Mixed | None) -> tuple[Tensor, Tensor]:
        loss, gradient = y.new_empty(y.shape, dtype=z.dtype), torch.empty_like(z)
        for (name, smooths, mixes), places in groups:
            smoothing, of, each = (
                self._smoothing if smooths else None,
                mixed if mixes else None,
                loss_of(self._task, name),
            )
            if places is None:
                return each.stacked(z, y, smoothing, of)
            smoothing = None if smoothing is None else smoothing[places]
            of = None if of is None else (of[0][places], of[1][places])
            loss[places], gradient[places] = each.stacked(z[places], y[places], smoothing, of)
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
        # equal weights divided by their sum are not `even` to the last bit
        return torch.where(self._balanced, weights / weights.sum(dim=2, keepdim=True), even)

    def _of(self, y: Tensor) -> Tensor:
        assert self._weights is not None
        return self._weights.gather(1, y[:, 0])[:, None]


def _groups(kinds: Sequence[_Kind], like: Tensor) -> list[_Group]:
    found: list[_Group] = []
    for kind in dict.fromkeys(kinds):
        places = [k for k, each in enumerate(kinds) if each == kind]
        found.append((kind, None if len(places) == len(kinds) else torch.tensor(places, device=like.device)))
    return found
