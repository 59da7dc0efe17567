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


def padded(size: int) -> int:
    """The next multiple of 16: sizes that weights are drawn at, so that trials of different sizes draw together."""
    return -(-size // 16) * 16


def initial(keys: Tensor, layer: int, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
    """First weights and biases before they are scaled: U(-1, 1).

    Divided by the root of the true fan-in they are what `torch.nn.Linear` starts from.

    Args:
        keys: (K,) int64.
        layer: 1 for the first, 0 for the one that gives the logits.
        fan_in: inputs of the layer, padded.
        fan_out: outputs of the layer, padded.

    Returns:
        Weights (K, fan_in, fan_out) and biases (K, fan_out), float64.
    """
    weight = seeding.uniform(seeding.fold(keys, "init", layer, "weight"), fan_in * fan_out)  # (K, fan_in * fan_out)
    bias = seeding.uniform(seeding.fold(keys, "init", layer, "bias"), fan_out)  # (K, fan_out)
    return weight.mul_(2).sub_(1).view(-1, fan_in, fan_out), bias.mul_(2).sub_(1)


def order(keys: Tensor, epoch: int | Tensor, rows: int) -> Tensor:
    """The order of the training rows in an epoch, counted from 0 (one, or (K,)): (K,) int64 -> (K, rows) int64."""
    return seeding.permutation(seeding.fold(keys, "order", epoch), rows)


def dropout_words(keys: Tensor, epoch: int | Tensor, layers: int, rows: int, units: int) -> list[tuple[Tensor, Tensor]]:
    """What `kept` draws from, for an epoch.

    Args:
        keys: (K,) int64.
        epoch: counted from 0, one or (K,).
        layers: hidden layers.
        rows: training rows, in the epoch's order.
        units: of a layer.

    Returns:
        For each layer words of the rows (K, rows) and of the units (K, units), int32.
    """
    keys = seeding.fold(keys, "dropout", epoch)
    numbers = torch.arange(layers, device=keys.device).repeat_interleave(len(keys))
    keys = seeding.fold(keys.repeat(layers), numbers)  # (layers * K,)
    of_rows, of_units = seeding.words(keys, rows).int(), seeding.words(seeding.fold(keys, "unit"), units).int()
    return list(zip(of_rows.chunk(layers), of_units.chunk(layers), strict=True))


def kept(rows: Tensor, units: Tensor, dropout: Tensor, memory: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Which outputs of a hidden layer survive dropout.

    Args:
        rows: words of some rows of an epoch, (K, R) int32, see `dropout_words`.
        units: words of the units, (K, U) int32.
        dropout: probability of dropping, (K,) in [0, 1).
        memory: two tensors (K, R, U) int32 to work in, of which the first becomes the result.

    Returns:
        (K, R, U) float32, 1 or 0.
    """
    return seeding.keep(rows, units, dropout, memory)
