"""Augmentation of the training batches of a chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hpo.training import draws
from hpo.training.hyperparameters import Settings
from hpo.training.optimizers import setting_columns
from hpo.training.population.criterion import Mixed
from hpo.training.population.inputs import Batches

Augmented = tuple[Tensor, Tensor, Mixed | None]


class Augmentation:
    """The augmentation of K trials.

    Args:
        settings: K of them.
        keys: (K,) int64.
        n_inputs: d without padding, which stays zero.
        like: a tensor of the dtype and on the device of training.
    """

    def __init__(self, settings: Sequence[Settings], keys: Tensor, n_inputs: int, like: Tensor) -> None:
        self._keys, self._n_inputs, self._like = keys, n_inputs, like
        columns = setting_columns(settings)
        noisy = torch.tensor([[each.augmentation == "gaussian_noise"] for each in settings], device="cpu")  # (K, 1)
        self._mixes = torch.tensor([each.augmentation == "mixup" for each in settings], device="cpu")  # (K,)
        self._mixing = self._mixes[:, None, None].to(like.device)  # (K, 1, 1)
        std = columns["noise_std"] * noisy
        self._std = std[:, None].to(like) if std.any() else None  # (K, 1, 1)
        self._alphas = columns["mixup_alpha"][:, 0]  # (K,)

    def epoch(self, epochs: Tensor, batches: Batches) -> Callable[[int, Tensor, Tensor], Augmented]:
        """What turns the inputs (K, R, d), which it may overwrite, and targets (K, 1, R) of a step into augmented ones.

        Args:
            epochs: of the trials, counted from 0, (K,).
            batches: of an epoch.
        """
        words = shares = None
        if self._std is not None:
            words = draws.noise_words(self._keys, epochs, sum(batches.rows), self._n_inputs)
        if self._mixes.any():
            shares = torch.ones(len(self._mixes), len(batches.rows), dtype=torch.float64, device="cpu")
            some = self._mixes.nonzero()[:, 0]
            there = some.to(self._keys.device)
            shares[some] = draws.mixup_shares(self._keys[there], epochs[there], self._alphas[some], len(batches.rows))
            shares = shares.to(self._like)

        def augment(step: int, x: Tensor, y: Tensor) -> Augmented:
            rows, start = batches.rows[step], step * batches.size
            if words is not None and self._std is not None:
                noise = draws.noise(words[0][:, start : start + rows], words[1]).to(x.dtype)
                x[:, :rows, : self._n_inputs].addcmul_(noise, self._std)
            if shares is None:
                return x, y, None
            share = shares[:, step, None, None]  # (K, 1, 1)
            mixed = x * share + _next(x, rows, 1) * (1 - share)
            return torch.where(self._mixing, mixed, x), y, (_next(y, rows, 2), share)

        return augment


def _next(rows: Tensor, count: int, dim: int) -> Tensor:
    """Of each of the first `count` rows the one after it, of the last one the first; the others stay."""
    parts = torch.split(rows, [1, count - 1, rows.shape[dim] - count], dim=dim)
    return torch.cat([parts[1], parts[0], parts[2]], dim=dim)
