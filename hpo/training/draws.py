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


def initial(keys: Tensor, layer: int | str, fan_in: int, fan_out: int) -> Tensor:
    """What the first weights of a layer are made of: U(-1, 1).

    Args:
        keys: (K,) int64.
        layer: 1 for the first, 0 for the one that gives the logits; "projection 1" for that around layer 1.
        fan_in: inputs of the layer, padded.
        fan_out: outputs of the layer, padded.

    Returns:
        (K, fan_in, fan_out) float64.
    """
    drawn = seeding.uniform(seeding.fold(keys, "init", layer), fan_in * fan_out)  # (K, fan_in * fan_out)
    return drawn.mul_(2).sub_(1).view(-1, fan_in, fan_out)


def order(keys: Tensor, epoch: int | Tensor, rows: int) -> Tensor:
    """The order of the training rows in an epoch, counted from 0 (one, or (K,)): (K,) int64 -> (K, rows) int64."""
    return seeding.permutation(seeding.fold(keys, "order", epoch), rows)


Words = tuple[Tensor, Tensor]  # of rows (K, rows) and of units (K, units), int32


def dropout_words(keys: Tensor, epoch: int | Tensor, layers: int, rows: int, units: int) -> list[Words]:
    """What `kept` draws from, for each hidden layer; see `_words`."""
    return _words(seeding.fold(keys, "dropout", epoch), layers, rows, units)


def slope_words(keys: Tensor, epoch: int | Tensor, layers: int, rows: int, units: int) -> list[Words]:
    """What `slopes` draws from, for each hidden layer; see `_words`."""
    return _words(seeding.fold(keys, "rrelu", epoch), layers, rows, units)


def noise_words(keys: Tensor, epoch: int | Tensor, rows: int, inputs: int) -> Words:
    """What `noise` draws from."""
    return _words(seeding.fold(keys, "noise", epoch), 1, rows, inputs)[0]


def _words(keys: Tensor, layers: int, rows: int, units: int) -> list[Words]:
    """Words for tables of an epoch, one table a layer.

    Args:
        keys: (K,) int64, the epoch's.
        layers: how many.
        rows: training rows, in the epoch's order.
        units: of a layer.
    """
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


def slopes(rows: Tensor, units: Tensor) -> Tensor:
    """Slopes of rrelu below zero, uniform in [1/8, 1/3]: words (K, R) and (K, U) -> (K, R, U) float32."""
    return seeding.uniform_table(rows, units).mul_(1 / 3 - 1 / 8).add_(1 / 8)


def noise(rows: Tensor, inputs: Tensor) -> Tensor:
    """Standard normal noise on the inputs: words (K, R) and (K, d) -> (K, R, d) float32."""
    drawn: Tensor = torch.special.ndtri(seeding.uniform_table(rows, inputs))
    return drawn


def mixup_shares(keys: Tensor, epoch: int | Tensor, alphas: Tensor, steps: int) -> Tensor:
    """How much of a row is its own in each step's mixup, Beta(alpha, alpha) by inversion.

    Args:
        keys: (K,) int64.
        epoch: counted from 0, one or (K,).
        alphas: > 0, (K,) float64, on the CPU.
        steps: of the epoch.

    Returns:
        (K, steps) float64, on the CPU.
    """
    from scipy.special import betaincinv

    drawn = seeding.uniform(seeding.fold(keys, "mixup", epoch), steps).cpu()  # (K, steps)
    return torch.from_numpy(betaincinv(alphas[:, None].numpy(), alphas[:, None].numpy(), drawn.numpy()))
