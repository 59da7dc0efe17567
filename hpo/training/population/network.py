"""The stacked network: what `SimpleNN` computes, for K trials at once, and the way back.

Trials stand in the order of their depth, the deepest first, so that every hidden layer serves the first so many.
The backward pass is written out: its gradients go where the optimizer reads them, it needs no memory beyond a few
buffers, and every view it needs is made once. On small networks the time of a step is the number of calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hpo.training.activations import ACTIVATIONS, Activation
from hpo.training.hyperparameters import Settings
from hpo.training.population.layout import Block, Layout
from hpo.training.population.randomness import StackedDraws

_DIRECT: Final = 2**13  # weights of a layer from which on torch writes products into strided memory as fast


@dataclass(frozen=True)
class Part:
    """Neighbouring trials whose hidden layer has the same activation.

    Attributes:
        activation: theirs.
        trials: which.
        mask: 1 for true units and 0 for padded ones, (k, 1, width); None where padded units are 0 anyway.
    """

    activation: Activation
    trials: slice
    mask: Tensor | None


@dataclass(frozen=True)
class Layer:
    """A hidden layer of the first k trials.

    Attributes:
        size: k.
        block: where its parameters stand.
        parts: its activations.
        last: the trials whose last hidden layer it is.
    """

    size: int
    block: Block
    parts: Sequence[Part]
    last: slice


class Network:
    """The networks of K trials, the deepest first.

    Args:
        layout: of their rows.
        settings: K of them.
        rows: their parameters, (K, P).
        grads: where the backward pass writes, (K, P).
    """

    def __init__(self, layout: Layout, settings: Sequence[Settings], rows: Tensor, grads: Tensor) -> None:
        self.layout = layout
        self.rows = rows
        self.grads = grads
        self._workspaces: dict[tuple[int, bool], Workspace] = {}
        self._last: tuple[Workspace, Tensor, Sequence[Tensor] | None] | None = None  # of the last pass
        depths = [len(each.widths) for each in settings]
        self.layers: list[Layer] = []
        for number in range(1, depths[0] + 1):
            size, deeper = sum(depth >= number for depth in depths), sum(depth > number for depth in depths)
            parts = _parts(settings[:size], number, layout.width, rows)
            self.layers.append(Layer(size, layout.hidden(number), parts, slice(deeper, size)))

    def forward(self, x: Tensor, drawn: StackedDraws | None = None) -> Tensor:
        """Inputs (K, R, d) -> logits (K, C, R), in memory that the next pass with as many rows reuses.

        Args:
            x: inputs, d padded.
            drawn: what is random in training; None in evaluation.
        """
        masks = None if drawn is None else drawn.masks
        key = x.shape[1], masks is not None
        if key not in self._workspaces:
            self._workspaces[key] = Workspace(self, *key)
        workspace = self._workspaces[key]
        self._last = workspace, x, masks
        return workspace.forward(x, masks)

    def evaluate(self, x: Tensor) -> Tensor:
        """The same without anything random, and no way back."""
        return self.forward(x)

    def backward(self, gradient: Tensor, weights: Tensor) -> None:
        """Write the gradients of all parameters, after a forward pass.

        Args:
            gradient: of every row's loss with respect to the logits, (K, C, R).
            weights: of the rows in the loss, (R,) or (K, 1, R).
        """
        assert self._last is not None
        workspace, x, masks = self._last
        workspace.backward(x, gradient, weights, masks)

    def hidden(self) -> list[Tensor]:
        """What the activations of each hidden layer gave in the last pass, (k, R, width)."""
        assert self._last is not None
        return self._last[0].activations


class Workspace:
    """Buffers of a network for batches of R rows, and the passes that use them.

    Of every hidden layer there are y, what its activation gives, and `other`. With dropout, `other` holds h, what is
    left of y; h is dead once the next layer has the gradient of its weights, so its memory takes h's own gradient.
    Without dropout h is y, which the activation needs on the way back, and `other` only takes the gradient.

    Args:
        network: whose.
        size: R.
        dropout: whether passes have masks.

    Attributes:
        activations: y of each hidden layer.
    """

    def __init__(self, network: Network, size: int, dropout: bool) -> None:
        width, layout, like = network.layout.width, network.layout, network.rows
        logits = like.new_empty(len(like), size, layout.output.fan_out)  # (K, R, padded C)
        dlogits = torch.zeros_like(logits)
        self._logits_of_classes = logits[
            ..., : layout.n_outputs
        ].mT  # (K, C, R): softmax over classes is fast with rows last
        self._dlogits_of_classes = dlogits[..., : layout.n_outputs].mT
        self._hidden: list[_Hidden] = []
        self.activations: list[Tensor] = []
        below: _Hidden | None = None
        for layer in network.layers:
            y, other = (like.new_empty(layer.size, size, width) for _ in range(2))
            below = _Hidden(network, layer, y, other, y if not dropout else other, below)
            below.add_output(network, logits, dlogits)
            self._hidden.append(below)
            self.activations.append(y)

    def forward(self, x: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Inputs (K, R, d) -> logits (K, C, R).

        Args:
            x: inputs, d padded.
            masks: with dropout, what the outputs of each hidden layer are multiplied by: (k, R, width) of the k
                trials that have it.
        """
        for number, hidden in enumerate(self._hidden):
            hidden.forward(x, None if masks is None else masks[number])
        return self._logits_of_classes

    def backward(self, x: Tensor, gradient: Tensor, weights: Tensor, masks: Sequence[Tensor] | None = None) -> None:
        """Write the gradients of all parameters.

        Args:
            x: as in the forward pass before.
            gradient: of every row's loss with respect to the logits, (K, C, R).
            weights: of the rows in the loss, (R,) or (K, 1, R).
            masks: as in the forward pass before.
        """
        torch.mul(gradient, weights, out=self._dlogits_of_classes)
        for number in reversed(range(len(self._hidden))):
            self._hidden[number].backward(x, None if masks is None else masks[number])


class _Hidden:
    """A hidden layer, and the output layer of those trials whose last one it is, on a workspace's buffers.

    All views are made here, once: making one takes as long as a small kernel.
    """

    def __init__(
        self, network: Network, layer: Layer, y: Tensor, other: Tensor, h: Tensor, below: _Hidden | None
    ) -> None:
        rows, grads, block = network.rows[: layer.size], network.grads[: layer.size], layer.block
        self._layer, self._y, self._dy, self._h = layer, y, other, h
        self._bias = block.biases_of(rows)[:, None]  # (k, 1, width)
        self._weight = block.weights_of(rows)  # (k, fan_in, width)
        self._weight_t = self._weight.mT
        self._bias_grad = block.biases_of(grads)[:, None]
        self._weight_grad = _Product(block.weights_of(grads))
        self._parts = [_Activate(part, y, other) for part in layer.parts]
        self._x = None if below is None else below._h[: layer.size]
        self._x_t = None if self._x is None else self._x.mT
        self._dx = None if below is None else below._dy[: layer.size]
        self._output: _Output | None = None

    def add_output(self, network: Network, logits: Tensor, dlogits: Tensor) -> None:
        """Let the trials whose last hidden layer this is have their logits."""
        last = self._layer.last
        if last.start < last.stop:
            self._output = _Output(network, last, self._h[last], self._dy[last], logits[last], dlogits[last])

    def forward(self, x: Tensor, mask: Tensor | None) -> None:
        torch.baddbmm(self._bias, x if self._x is None else self._x, self._weight, out=self._y)
        for part in self._parts:
            part.forward()
        if mask is not None:
            torch.mul(self._y, mask, out=self._h)
        if self._output is not None:
            self._output.forward()

    def backward(self, x: Tensor, mask: Tensor | None) -> None:
        if self._output is not None:
            self._output.backward()
        if mask is not None:
            self._dy.mul_(mask)
        for part in self._parts:
            part.backward()
        self._weight_grad.write(
            x.mT if self._x_t is None else self._x_t, self._dy
        )  # before `_dx`: it may be x's memory
        torch.sum(self._dy, dim=1, keepdim=True, out=self._bias_grad)
        if self._dx is not None:
            torch.bmm(self._dy, self._weight_t, out=self._dx)


class _Output:
    """The output layer of some trials."""

    def __init__(self, network: Network, trials: slice, h: Tensor, dh: Tensor, logits: Tensor, dlogits: Tensor) -> None:
        rows, grads, block = network.rows[trials], network.grads[trials], network.layout.output
        self._bias = block.biases_of(rows)[:, None]  # (k, 1, C)
        self._weight = block.weights_of(rows)  # (k, width, C)
        self._weight_t = self._weight.mT
        self._bias_grad = block.biases_of(grads)[:, None]
        self._weight_grad = _Product(block.weights_of(grads))
        self._h, self._h_t, self._dh = h, h.mT, dh
        self._logits, self._dlogits = logits, dlogits

    def forward(self) -> None:
        torch.baddbmm(self._bias, self._h, self._weight, out=self._logits)

    def backward(self) -> None:
        self._weight_grad.write(self._h_t, self._dlogits)  # before `_dh`: it may be h's memory
        torch.sum(self._dlogits, dim=1, keepdim=True, out=self._bias_grad)
        torch.bmm(self._dlogits, self._weight_t, out=self._dh)


class _Product:
    """Where a product of stacks is written to: torch takes one call a matrix where the stack has gaps."""

    def __init__(self, out: Tensor) -> None:
        self._out = out
        small = out.shape[1] * out.shape[2] < _DIRECT
        self._scratch = torch.empty_like(out, memory_format=torch.contiguous_format) if small else None

    def write(self, a: Tensor, b: Tensor) -> None:
        if self._scratch is None:
            torch.bmm(a, b, out=self._out)
        else:
            torch.bmm(a, b, out=self._scratch)
            self._out.copy_(self._scratch)


class _Activate:
    """A part's activation on buffers."""

    def __init__(self, part: Part, y: Tensor, dy: Tensor) -> None:
        self._activation, self._mask = part.activation, part.mask
        self._y, self._dy = y[part.trials], dy[part.trials]
        self._graph: tuple[Tensor, Tensor] | None = None

    def forward(self) -> None:
        if (fast := self._activation.fast) is not None:
            fast.forward(self._y)
        else:
            z = self._y.clone().requires_grad_()
            y = self._activation.function(z)
            self._graph = z, y
            self._y.copy_(y.detach())
        if self._mask is not None:
            self._y.mul_(self._mask)

    def backward(self) -> None:
        if self._mask is not None:
            self._dy.mul_(self._mask)
        if (fast := self._activation.fast) is not None:
            fast.backward(self._dy, self._y)
        else:
            assert self._graph is not None
            z, y = self._graph
            self._dy.copy_(torch.autograd.grad(y, z, self._dy)[0])
            self._graph = None


def _parts(settings: Sequence[Settings], number: int, width: int, like: Tensor) -> list[Part]:
    parts = []
    for start, end in runs([each.activations[number - 1] for each in settings]):
        activation = ACTIVATIONS[settings[start].activations[number - 1]]
        widths = torch.tensor([[each.widths[number - 1]] for each in settings[start:end]], device="cpu")  # (k, 1)
        mask = (torch.arange(width, device="cpu") < widths)[:, None].to(like)  # (k, 1, width)
        vanishes = bool(mask.all()) or not activation.function(like.new_zeros(1)).any()
        parts.append(Part(activation, slice(start, end), None if vanishes else mask))
    return parts


def runs(kinds: Sequence[object]) -> list[tuple[int, int]]:
    """Start and end of every run of equal neighbours: [a, a, b] -> [(0, 2), (2, 3)]."""
    starts = [i for i in range(len(kinds)) if i == 0 or kinds[i] != kinds[i - 1]]
    return list(zip(starts, [*starts[1:], len(kinds)], strict=True))
