"""Dropout whose masks are a trial's own: functions of its seed, the call, the epoch and the step.

What a mask is made of are words (see `hpo.seeding.uniform_table`), one for each row and one for each unit of a layer's
input. They are handed to the layers before each forward pass, of one trial or, inside `torch.vmap`, of many.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from hpo import seeding

_KINDS: Final[Mapping[type[nn.Module], int]] = {
    nn.Dropout: 0,
    nn.Dropout1d: 1,
    nn.Dropout2d: 2,
    nn.Dropout3d: 3,
}  # to dimensions dropped as one
_STEPS: Final = 16  # steps whose words are drawn at once


class Words(NamedTuple):
    """What one call's mask is made of; of many trials each has the trials in front.

    Attributes:
        rows: (R,) int32, at least as many as the input has.
        units: (U,) int32.
        p: probability of dropping, ().
    """

    rows: Tensor
    units: Tensor
    p: Tensor


@dataclass(frozen=True)
class Call:
    """One use of a dropout layer in a forward pass.

    Attributes:
        layer: number of the layer in the module.
        rows: length of the input's first dimension.
        units: what a row has that is dropped or kept by itself.
    """

    layer: int
    rows: int
    units: int


class Masks:
    """What the dropout layers of one module share.

    Attributes:
        words: of the calls of the forward pass to come.
        calls: what was called since it was emptied, while there were no words.
    """

    def __init__(self) -> None:
        self.words: Sequence[Words] | None = None
        self.calls: list[Call] = []
        self._place = 0

    def feed(self, words: Sequence[Words] | None) -> None:
        """Words for the next forward pass; None: it drops nothing, and what it calls is noted."""
        self.words, self._place, self.calls = words, 0, []

    def apply(self, layer: "Dropout", x: Tensor) -> Tensor:
        """What the layer makes of `x` in training."""
        held = layer.together
        shape = x.shape[: max(1, x.dim() - held)] if held else x.shape  # one number for each channel
        units = shape[1:].numel()
        if self.words is None:
            self.calls.append(Call(layer.number, shape[0], units))
            return x
        rows, of_units, p = self.words[self._place]
        self._place += 1
        if len(rows) < shape[0]:
            raise ValueError(f"dropout has {shape[0]} rows, expected at most the {len(rows)} of the first batch")
        drawn = seeding.uniform_table(rows[None, : shape[0]], of_units[None])[0]  # (R, U)
        kept = torch.where(drawn > p, torch.where(p < 1, 1 / (1 - p), 0).to(x.dtype), 0)
        kept = kept.reshape(*shape, *[1] * (x.dim() - len(shape)))
        return x.mul_(kept) if layer.inplace else x * kept


class Dropout(nn.Module):
    """In the place of torch's own.

    Args:
        number: of the layer in the module.
        p: probability of dropping.
        together: how many trailing dimensions are dropped or kept as one.
        inplace: whether the input is changed.
        masks: shared with the module's other layers.
    """

    def __init__(self, number: int, p: float, together: int, inplace: bool, masks: Masks) -> None:
        super().__init__()
        self.number, self.p, self.together, self.inplace, self.masks = number, p, together, inplace, masks

    def forward(self, x: Tensor) -> Tensor:
        """Drop in training; in evaluation give back `x`."""
        return self.masks.apply(self, x) if self.training else x


def take_over_dropout(module: nn.Module) -> nn.Module:
    """Put our layers in the place of torch's, in the module itself; returns the module, or the layer if it is one."""
    masks = Masks()
    taken: dict[nn.Module, Dropout] = {}

    def taken_over(layer: nn.Module) -> Dropout:
        if layer not in taken:  # one that is used under two names stays one
            p, inplace = float(layer.p), bool(layer.inplace)  # type: ignore[arg-type]
            taken[layer] = Dropout(len(taken), p, _KINDS[type(layer)], inplace, masks)
            taken[layer].train(layer.training)
        return taken[layer]

    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) in _KINDS:
                setattr(parent, name, taken_over(child))
    return taken_over(module) if type(module) in _KINDS else module


def layers_of(module: nn.Module) -> list[Dropout]:
    """Our dropout layers of a module, by number."""
    return sorted((each for each in module.modules() if isinstance(each, Dropout)), key=lambda each: each.number)


def calls_of(module: nn.Module, x: Tensor) -> list[Call]:
    """The dropout of a forward pass in training with the rows `x`; the module stays as it is."""
    if not layers_of(module):
        return []
    copied = copy.deepcopy(module).train()
    masks = layers_of(copied)[0].masks
    masks.feed(None)
    with torch.no_grad():
        copied(x)
    return masks.calls


def probabilities(p: Sequence[Sequence[float]], like: Tensor) -> Tensor:
    """Those of each trial's layers, (K, L), where and at least as precise as parameters are."""
    return torch.tensor(p, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)


def words_of_steps(keys: Tensor, epoch: int, calls: Sequence[Call], p: Tensor) -> Iterator[list[Words]]:
    """For each step of an epoch the words of all calls.

    Args:
        keys: of K trials, (K,) int64.
        epoch: counted from 0.
        calls: of a forward pass with as many rows as the greatest batch.
        p: of each layer, (K, L) on the device of the keys.

    Yields:
        Words with K trials in front, for each call.
    """
    epoch_keys = seeding.fold(keys, "dropout", epoch)
    of_calls = [seeding.fold(epoch_keys, number) for number in range(len(calls))]
    units = [
        seeding.words(seeding.fold(key, "unit"), call.units).int() for key, call in zip(of_calls, calls, strict=True)
    ]
    first = 0
    while True:
        steps = torch.arange(first, first + _STEPS, device=keys.device).repeat(len(keys))
        rows = []
        for key, call in zip(of_calls, calls, strict=True):
            of_steps = seeding.fold(key.repeat_interleave(_STEPS), steps)  # (K * S,)
            rows.append(seeding.words(of_steps, call.rows).int().view(len(keys), _STEPS, -1).unbind(1))
        for step in range(_STEPS):
            yield [
                Words(rows[number][step], units[number], p[:, call.layer]) for number, call in enumerate(calls)
            ]  # (K, R), (K, U), (K,)
        first += _STEPS
