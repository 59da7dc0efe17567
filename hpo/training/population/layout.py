"""Where each parameter of a trial stands in its row, and how trials of different widths are padded to fit together.

All sizes are multiples of 16, at which matrix products of a stack give the same bits for a matrix whatever
stands beside it. Padded weights are zero and stay zero: what flows through them is masked where it would not
vanish by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hpo.training import draws
from hpo.training.data import Data
from hpo.training.draws import padded
from hpo.training.hyperparameters import Settings
from hpo.training.model import SimpleNN

_DRAWN_AT_ONCE: Final = 64  # trials whose first weights are drawn together: bounds the memory in use


@dataclass(frozen=True)
class Block:
    """One linear layer in a row: weights (fan_in, fan_out), then biases (fan_out).

    So stored, the forward pass multiplies matrices as they stand, which is faster than by a transposed one.

    Attributes:
        start: where it begins.
        fan_in: padded.
        fan_out: padded.
    """

    start: int
    fan_in: int
    fan_out: int

    @property
    def bias(self) -> int:
        """Where the biases begin."""
        return self.start + self.fan_in * self.fan_out

    @property
    def end(self) -> int:
        """Where the next block begins."""
        return self.bias + self.fan_out

    def weights_of(self, rows: Tensor) -> Tensor:
        """Rows (K, P) -> a view (K, fan_in, fan_out)."""
        return rows[:, self.start : self.bias].view(-1, self.fan_in, self.fan_out)

    def biases_of(self, rows: Tensor) -> Tensor:
        """Rows (K, P) -> a view (K, fan_out)."""
        return rows[:, self.bias : self.end]


@dataclass(frozen=True)
class Layout:
    """The row of a trial: first layer, output layer, then the other hidden layers.

    So the row of a shallow trial is the beginning of that of a deeper one.

    Attributes:
        n_inputs: d.
        n_outputs: C.
        width: padded units of every hidden layer.
    """

    n_inputs: int
    n_outputs: int
    width: int

    @property
    def output(self) -> Block:
        """The layer that gives the logits."""
        return Block(self.hidden(1).end, self.width, padded(self.n_outputs))

    def hidden(self, layer: int) -> Block:
        """Hidden layer number `layer`, from 1."""
        if layer == 1:
            return Block(0, padded(self.n_inputs), self.width)
        first = Block(self.output.end, self.width, self.width)
        return Block(first.start + (layer - 2) * (first.end - first.start), self.width, self.width)

    def block(self, number: int) -> Block:
        """Hidden layer `number`, or for 0 the output layer."""
        return self.hidden(number) if number else self.output

    def size(self, depth: int) -> int:
        """Parameters of a trial with `depth` hidden layers, padding included."""
        return self.output.end if depth == 1 else self.hidden(depth).end

    def initial(self, settings: Sequence[Settings], keys: Tensor, dtype: torch.dtype) -> Tensor:
        """The first weights and biases of K trials of this layout: keys (K,) -> (K, P), on the CPU."""
        rows = torch.zeros(len(keys), self.size(max(len(each.widths) for each in settings)), dtype=dtype, device="cpu")
        for start in range(0, len(keys), _DRAWN_AT_ONCE):
            some = slice(start, start + _DRAWN_AT_ONCE)
            self._initial(settings[some], keys[some], rows[some])
        return rows

    def _initial(self, settings: Sequence[Settings], keys: Tensor, rows: Tensor) -> None:
        for number in range(max(len(each.widths) for each in settings) + 1):  # 0 is the output layer
            block = self.block(number)
            having = [k for k, each in enumerate(settings) if len(each.widths) >= number]
            weight, bias = draws.initial(keys[having], number, block.fan_in, block.fan_out)
            sizes = [self._fans(settings[k], number) for k in having]
            scale = torch.tensor([fan_in**-0.5 for fan_in, _ in sizes], dtype=torch.float64, device="cpu")
            weight.mul_(scale[:, None, None])
            bias.mul_(scale[:, None])
            for i, (k, (fan_in, fan_out)) in enumerate(zip(having, sizes, strict=True)):
                row = rows[k : k + 1]
                block.weights_of(row)[0, :fan_in, :fan_out] = weight[i, :fan_in, :fan_out]
                block.biases_of(row)[0, :fan_out] = bias[i, :fan_out]

    def to_model(self, settings: Settings, row: Tensor) -> SimpleNN:
        """The network with the parameters of a trial's row (P,), on the CPU."""
        model = SimpleNN(self.n_inputs, self.n_outputs, settings, 0, row.dtype)
        rows, depth = row.detach().cpu()[None], len(settings.widths)
        with torch.no_grad():
            parameters = iter(model.parameters())  # weights and biases of each layer in turn
            for number in (*range(1, depth + 1), 0):
                block, (fan_in, fan_out) = self.block(number), self._fans(settings, number)
                next(parameters).copy_(block.weights_of(rows)[0, :fan_in, :fan_out].T)
                next(parameters).copy_(block.biases_of(rows)[0, :fan_out])
        return model

    def _fans(self, settings: Settings, number: int) -> tuple[int, int]:
        """Fan-in and fan-out of hidden layer `number`, or of the output layer, 0, without padding."""
        sizes = (self.n_inputs, *settings.widths, self.n_outputs)
        return (sizes[number - 1], sizes[number]) if number else (sizes[-2], sizes[-1])


def layout_of(settings: Settings, data: Data) -> Layout:
    """The layout of a trial's row."""
    return Layout(data.n_inputs, data.n_outputs, settings.padded_width)
