"""Where each parameter of a trial stands in its row, and how trials of different widths are padded to fit together.

All sizes are multiples of 16, at which matrix products of a stack give the same bits for a matrix whatever
stands beside it. Padded weights are zero and stay zero: what flows through them is masked where it would not
vanish by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from hpo.training import draws
from hpo.training.activations import FIRST_SLOPE
from hpo.training.data import Data
from hpo.training.draws import padded
from hpo.training.hyperparameters import Settings
from hpo.training.initialization import first_weights
from hpo.training.model import SimpleNN, projected

_DRAWN_AT_ONCE: Final = 64  # trials whose first weights are drawn together: bounds the memory in use
_SLOPE: Final = 16  # a place for one number, padded


@dataclass(frozen=True)
class Block:
    """One layer in a row: weights (fan_in, fan_out), then biases (fan_out), then what only some layers have.

    So stored, the forward pass multiplies matrices as they stand, which is faster than by a transposed one.

    Attributes:
        start: where it begins.
        fan_in: padded.
        fan_out: padded.
        extended: whether there are places for gains and shifts (fan_out each) and a slope, of norms and prelu.
        projects: whether there is a place for the weights of a projection (fan_in, fan_out).
    """

    start: int
    fan_in: int
    fan_out: int
    extended: bool = False
    projects: bool = False

    @property
    def bias(self) -> int:
        """Where the biases begin."""
        return self.start + self.fan_in * self.fan_out

    @property
    def gain(self) -> int:
        """Where the gains begin, or what comes instead."""
        return self.bias + self.fan_out

    @property
    def projection(self) -> int:
        """Where the projection begins, or what comes instead."""
        return self.gain + self.extended * (2 * self.fan_out + _SLOPE)

    @property
    def end(self) -> int:
        """Where the next block begins."""
        return self.projection + self.projects * self.fan_in * self.fan_out

    def weights_of(self, rows: Tensor) -> Tensor:
        """Rows (K, P) -> a view (K, fan_in, fan_out)."""
        return rows[:, self.start : self.bias].view(-1, self.fan_in, self.fan_out)

    def biases_of(self, rows: Tensor) -> Tensor:
        """Rows (K, P) -> a view (K, fan_out)."""
        return rows[:, self.bias : self.gain]

    def gains_of(self, rows: Tensor) -> Tensor:
        """Rows (K, P) -> a view (K, fan_out); of an extended block."""
        return rows[:, self.gain : self.gain + self.fan_out]

    def shifts_of(self, rows: Tensor) -> Tensor:
        """Rows (K, P) -> a view (K, fan_out); of an extended block."""
        return rows[:, self.gain + self.fan_out : self.gain + 2 * self.fan_out]

    def slopes_of(self, rows: Tensor) -> Tensor:
        """Rows (K, P) -> a view (K, 1); of an extended block."""
        start = self.gain + 2 * self.fan_out
        return rows[:, start : start + 1]

    def projections_of(self, rows: Tensor) -> Tensor:
        """Rows (K, P) -> a view (K, fan_in, fan_out); of a block that projects."""
        return rows[:, self.projection : self.end].view(-1, self.fan_in, self.fan_out)


@dataclass(frozen=True)
class Layout:
    """The row of a trial: first layer, output layer, then the other hidden layers.

    So the row of a shallow trial is the beginning of that of a deeper one. Running means and variances of batch
    normalization stand in a row of their own, which optimizers do not see: (2 * width) for each hidden layer.

    Attributes:
        n_inputs: d.
        n_outputs: C.
        width: padded units of every hidden layer.
        extended: whether hidden layers have places for norms and prelu.
        projections: whether all hidden layers have a place for a projection; else the first one has if extended.
    """

    n_inputs: int
    n_outputs: int
    width: int
    extended: bool = False
    projections: bool = False

    @property
    def output(self) -> Block:
        """The layer that gives the logits."""
        return Block(self.hidden(1).end, self.width, padded(self.n_outputs))

    @functools.cache  # noqa: B019 (there are few layouts, and they are asked often)
    def hidden(self, layer: int) -> Block:
        """Hidden layer number `layer`, from 1."""
        if layer == 1:
            return Block(0, padded(self.n_inputs), self.width, self.extended, self.extended)
        first = Block(self.output.end, self.width, self.width, self.extended, self.projections)
        return replace(first, start=first.start + (layer - 2) * (first.end - first.start))

    def block(self, number: int) -> Block:
        """Hidden layer `number`, or for 0 the output layer."""
        return self.hidden(number) if number else self.output

    def size(self, depth: int) -> int:
        """Parameters of a trial with `depth` hidden layers, padding included."""
        return self.output.end if depth == 1 else self.hidden(depth).end

    def statistics(self, settings: Settings) -> int:
        """Running means and variances of a trial, padding included."""
        return 2 * self.width * len(settings.widths) if settings.normalization == "batch" else 0

    def first_statistics(self, settings: Settings, dtype: torch.dtype) -> Tensor:
        """Running means 0 and variances 1, (S,)."""
        found = torch.zeros(len(settings.widths), 2, self.width, dtype=dtype, device="cpu")
        found[:, 1] = 1
        return found.flatten()[: self.statistics(settings)]

    def penalized(self, depth: int) -> Tensor:
        """1 for places of weights, which l1 and l2 penalize, 0 for all others: (P,)."""
        row = torch.zeros(1, self.size(depth), device="cpu")
        for number in range(depth + 1):
            block = self.block(number)
            block.weights_of(row).fill_(1)
            if block.projects:
                block.projections_of(row).fill_(1)
        return row[0]

    def initial(self, settings: Sequence[Settings], keys: Tensor, dtype: torch.dtype) -> Tensor:
        """The first parameters of K trials of this layout: keys (K,) -> (K, P), on the CPU."""
        rows = torch.zeros(len(keys), self.size(max(len(each.widths) for each in settings)), dtype=dtype, device="cpu")
        for start in range(0, len(keys), _DRAWN_AT_ONCE):
            some = slice(start, start + _DRAWN_AT_ONCE)
            self._initial(settings[some], keys[some], rows[some])
        return rows

    def _initial(self, settings: Sequence[Settings], keys: Tensor, rows: Tensor) -> None:
        for number in range(max(len(each.widths) for each in settings) + 1):  # 0 is the output layer
            block = self.block(number)
            having = [k for k, each in enumerate(settings) if len(each.widths) >= number]
            block.weights_of(rows)[having] = self._weights(settings, keys, having, number, number, block).to(rows)
            if block.extended:
                for k in having:
                    self._initial_norm(settings[k], block, rows[k : k + 1], number)
            having = [k for k in having if number and number in projected(settings[k], self.n_inputs)]
            if having:
                drawn = self._weights(settings, keys, having, f"projection {number}", number, block)
                block.projections_of(rows)[having] = drawn.to(rows)

    def _weights(
        self,
        settings: Sequence[Settings],
        keys: Tensor,
        having: Sequence[int],
        name: int | str,
        number: int,
        block: Block,
    ) -> Tensor:
        """First weights of a layer of the trials `having` it, (k, fan_in, fan_out) float64."""
        some = [settings[k] for k in having]
        fans = [self.fans(each, number) for each in some]
        return first_weights(
            [each.initialization for each in some],
            [each.init_scale for each in some],
            draws.initial(keys[having], name, block.fan_in, block.fan_out),
            [fan_in for fan_in, _ in fans],
            [fan_out for _, fan_out in fans],
        )

    @staticmethod
    def _initial_norm(settings: Settings, block: Block, row: Tensor, number: int) -> None:
        if settings.normalization in ("batch", "layer"):
            block.gains_of(row)[:, : settings.widths[number - 1]] = 1
        if settings.normalization == "weight":
            block.gains_of(row)[:] = block.weights_of(row).norm(dim=1)
        if settings.activations[number - 1] == "prelu":  # else weight decay would work on it, and clipping count it
            block.slopes_of(row).fill_(FIRST_SLOPE)

    def fans(self, settings: Settings, number: int) -> tuple[int, int]:
        """Fan-in and fan-out of hidden layer `number`, or of the output layer, 0, without padding."""
        sizes = (self.n_inputs, *settings.widths, self.n_outputs)
        return (sizes[number - 1], sizes[number]) if number else (sizes[-2], sizes[-1])

    def to_model(self, settings: Settings, row: Tensor, statistics: Tensor) -> SimpleNN:
        """The network with the parameters (P,) and running statistics of a trial, on the CPU."""
        model = SimpleNN(self.n_inputs, self.n_outputs, settings, 0, row.dtype)
        with torch.no_grad():
            for mine, place in self._pairs(settings, row.detach().cpu(), statistics.detach().cpu(), model):
                mine.copy_(place)
        return model.eval()

    def from_model(self, settings: Settings, model: SimpleNN, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The inverse of `to_model`: parameters (P,) and running statistics."""
        row = torch.zeros(self.size(len(settings.widths)), dtype=dtype, device="cpu")
        statistics = torch.zeros(self.statistics(settings), dtype=dtype, device="cpu")
        with torch.no_grad():
            for mine, place in self._pairs(settings, row, statistics, model):
                place.copy_(mine)
        return row, statistics

    def _pairs(
        self, settings: Settings, row: Tensor, statistics: Tensor, model: SimpleNN
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Every tensor of the model, with the view of the row that is its own, in the same shape."""
        rows, norm = row[None], settings.normalization
        for number in (*range(1, len(settings.widths) + 1), 0):
            block, (fan_in, fan_out) = self.block(number), self.fans(settings, number)
            layer: Any = model.hidden[number - 1] if number else None  # torch does not know what its modules have
            linear: Any = model.output if layer is None else layer.linear
            weight = block.weights_of(rows)[0, :fan_in, :fan_out].T
            yield linear.bias, block.biases_of(rows)[0, :fan_out]
            if layer is None or norm != "weight":
                yield linear.weight, weight
                if layer is None:
                    continue
            else:
                gain, direction = linear.parametrizations.weight.original0, linear.parametrizations.weight.original1
                yield from ((gain, block.gains_of(rows)[0, :fan_out, None]), (direction, weight))
            if norm in ("batch", "layer"):
                yield layer.norm.weight, block.gains_of(rows)[0, :fan_out]
                yield layer.norm.bias, block.shifts_of(rows)[0, :fan_out]
            if norm == "batch":
                first = 2 * self.width * (number - 1)
                means, variances = torch.split(statistics[first : first + 2 * self.width], self.width)
                yield from ((layer.norm.running_mean, means[:fan_out]), (layer.norm.running_var, variances[:fan_out]))
            if settings.activations[number - 1] == "prelu":
                yield layer.activation.weight, block.slopes_of(rows)[0]
            if number in projected(settings, self.n_inputs):
                yield layer.projection.weight, block.projections_of(rows)[0, :fan_in, :fan_out].T


def layout_of(settings: Settings, data: Data) -> Layout:
    """The layout of a trial's row."""
    projections = any(number > 1 for number in projected(settings, data.n_inputs))
    return Layout(data.n_inputs, data.n_outputs, settings.padded_width, not settings.is_plain, projections)
