"""Every random draw of training: its key and its shape, in one place for all engines.

A trial's draws depend on its own seed and on what they are for, never on what else is trained, so one trial
alone and the same trial inside a population draw the same numbers. K is the number of trials.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hpo import seeding


def trial_keys(seeds: Sequence[int]) -> Tensor:
    """The keys of trials: K seeds in [0, 2^63) -> (K,) int64."""
    return torch.tensor(seeds, dtype=torch.int64, device="cpu")


def initial(keys: Tensor, layer: int, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
    """First weights and biases, U(-1/sqrt(fan_in), 1/sqrt(fan_in)): what `torch.nn.Linear` starts from.

    Args:
        keys: (K,) int64.
        layer: 1 for the first, depth + 1 for the one that gives the logits.
        fan_in: inputs of the layer.
        fan_out: outputs of the layer.

    Returns:
        Weights (K, fan_out, fan_in) and biases (K, fan_out), float64.
    """
    bound = fan_in**-0.5
    weight = seeding.uniform(seeding.fold(keys, "init", layer, "weight"), fan_out * fan_in)  # (K, fan_out * fan_in)
    bias = seeding.uniform(seeding.fold(keys, "init", layer, "bias"), fan_out)  # (K, fan_out)
    return ((2 * weight - 1) * bound).unflatten(1, (fan_out, fan_in)), (2 * bias - 1) * bound


def order(keys: Tensor, epoch: int, rows: int) -> Tensor:
    """The order of the training rows in an epoch, counted from 0: (K,) int64 -> (K, rows) int64."""
    return seeding.permutation(seeding.fold(keys, "order", epoch), rows)


def kept(keys: Tensor, layer: int, steps: int | Tensor, count: int, dropout: float | Tensor) -> Tensor:
    """Which outputs of a hidden layer survive dropout in a training step.

    The outputs of a batch are numbered row by row; a smaller last batch takes the first `count` of the draws.

    Args:
        keys: (K,) int64, or (1,) together with S steps.
        layer: 1 for the first hidden layer.
        steps: steps since training began, counted from 0; (K,) or (S,) int64 for one per result.
        count: outputs to decide upon, rows of the batch times width.
        dropout: probability of dropping, in [0, 1); (K,) for one per trial.

    Returns:
        (K, count) or (S, count) bool.
    """
    keys = seeding.fold(keys, "dropout", layer, steps)  # (K,) or (S,)
    return seeding.keep(
        keys, count, torch.as_tensor(dropout, dtype=torch.float64, device=keys.device).expand(len(keys))
    )
