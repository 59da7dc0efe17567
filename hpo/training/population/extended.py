"""The stacked network of trials with norms, skips, prelu or rrelu: the forward pass as formulas, autograd back.

It computes for K trials at once what `hpo.training.model.SimpleNN` computes for one. Trials without any of these
never share a chunk with them, and keep the faster `Network`, whose backward pass is written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hpo.training.activations import ACTIVATIONS, prelu, rrelu
from hpo.training.hyperparameters import Settings
from hpo.training.model import RESPONSE_ALPHA, RESPONSE_BETA, RESPONSE_SIZE, projected
from hpo.training.population.layout import Layout
from hpo.training.population.network import runs
from hpo.training.population.randomness import StackedDraws

_EPS = 1e-5  # of batch and layer normalization, torch's default
_MOMENTUM = 0.1  # of running statistics, torch's default


@dataclass(frozen=True)
class _Part:
    """Neighbouring trials whose hidden layer has the same norm and activation.

    Attributes:
        trials: which.
        normalization: theirs.
        activation: theirs.
        mask: 1 for true units and 0 for padded ones, (k, 1, width).
        widths: true units, (k, 1, 1).
        gain: of the norm, (k, 1, width); requires gradients.
        shift: likewise.
        slope: of prelu, (k, 1, 1); requires gradients.
        statistics: running mean and variance of the units, (k, 1, width) each; None without batch normalization.
    """

    trials: slice
    normalization: str
    activation: str
    mask: Tensor
    widths: Tensor
    gain: Tensor
    shift: Tensor
    slope: Tensor
    statistics: tuple[Tensor, Tensor] | None

    def forward(self, z: Tensor, drawn: StackedDraws | None, number: int) -> Tensor:
        """Norm and activation of (k, R, width); `number` counts hidden layers from 0."""
        z = self._normalized(z, drawn)
        if self.activation == "prelu":
            return prelu(z, self.slope)
        if self.activation == "rrelu":
            slopes = None if drawn is None or drawn.slopes is None else drawn.slopes[number][self.trials]
            return rrelu(z, slopes)
        y = ACTIVATIONS[self.activation].function(z)
        return y * self.mask if self.activation == "sigmoid" else y  # sigmoid(0) is not 0

    def _normalized(self, z: Tensor, drawn: StackedDraws | None) -> Tensor:
        if self.normalization == "batch":
            assert self.statistics is not None
            return _batch_norm(z, self.gain, self.shift, self.statistics, None if drawn is None else drawn.rows)
        if self.normalization == "layer":
            # masked before the sum, too, or the mean's gradient would reach padded units
            centered = (z - (z * self.mask).sum(dim=2, keepdim=True) / self.widths) * self.mask
            variance = (centered * centered).sum(dim=2, keepdim=True) / self.widths
            return torch.addcmul(self.shift, centered * (variance + _EPS).rsqrt(), self.gain)
        if self.normalization == "local_response":
            return _local_response(z)
        return z  # none, or weight, which is in the weights


def _batch_norm(z: Tensor, gain: Tensor, shift: Tensor, statistics: tuple[Tensor, Tensor], rows: int | None) -> Tensor:
    """Batch normalization over the true `rows` of a batch; None: by the running statistics."""
    running_mean, running_variance = statistics
    if rows is None:
        return torch.addcmul(shift, z - running_mean, gain * (running_variance + _EPS).rsqrt())
    true = z[:, :rows]
    mean = true.sum(dim=1, keepdim=True) / rows  # (k, 1, width)
    centered = z - mean
    squares = centered[:, :rows].square().sum(dim=1, keepdim=True)
    if rows > 1:
        with torch.no_grad():
            running_mean.lerp_(mean, _MOMENTUM)
            running_variance.lerp_(squares / (rows - 1), _MOMENTUM)
    return torch.addcmul(shift, centered, gain * (squares / rows + _EPS).rsqrt())


def _local_response(z: Tensor) -> Tensor:
    """Z / (1 + alpha * mean of the squares of the neighbours)^beta, zeros beyond the ends, as torch's own."""
    before = RESPONSE_SIZE // 2
    squares = functional.pad(z * z, (before, RESPONSE_SIZE - 1 - before))
    width = z.shape[2]
    total = sum(squares[..., start : start + width] for start in range(RESPONSE_SIZE))
    return z * (1 + RESPONSE_ALPHA / RESPONSE_SIZE * total) ** -RESPONSE_BETA


@dataclass(frozen=True)
class _Product:
    """Neighbouring trials whose products of one kind are computed together.

    Attributes:
        trials: which.
        weight: (k, fan_in, fan_out), requires gradients; None for a skip without a projection.
        gain: with weight normalization, (k, 1, fan_out); else None.
        padding: 1 for padded units, whose weights have no length, (k, 1, fan_out); likewise.
    """

    trials: slice
    weight: Tensor | None
    gain: Tensor | None = None
    padding: Tensor | None = None

    def effective(self) -> Tensor:
        """The weights that inputs are multiplied by."""
        assert self.weight is not None
        if self.gain is None:
            return self.weight
        assert self.padding is not None
        length = (self.weight.square().sum(dim=1, keepdim=True) + self.padding).sqrt()
        return self.weight * (self.gain / length)


@dataclass(frozen=True)
class _Layer:
    """A hidden layer of the first `size` trials, and the output layer of the trials in `last`."""

    size: int
    bias: Tensor  # (k, 1, width)
    products: list[_Product]
    parts: list[_Part]
    skips: list[_Product]  # without weights: the input itself; empty without residual
    last: slice


class ExtendedNetwork:
    """The networks of K trials, the deepest first; see `hpo.training.population.network.Network`.

    Args:
        layout: of their rows.
        settings: K of them.
        rows: their parameters, (K, P).
        grads: where the backward pass writes, (K, P).
        statistics: running ones, (K, S); changed in training.
    """

    def __init__(
        self, layout: Layout, settings: Sequence[Settings], rows: Tensor, grads: Tensor, statistics: Tensor
    ) -> None:
        self.layout = layout
        self._rows, self._grads = rows, grads
        self._leaves: list[Tensor] = []
        self._places: list[Tensor] = []  # where the gradients of the leaves go
        self._logits: Tensor | None = None
        self._hidden: list[Tensor] = []
        depths = [len(each.widths) for each in settings]
        self._layers: list[_Layer] = []
        for number in range(1, depths[0] + 1):
            size, deeper = sum(depth >= number for depth in depths), sum(depth > number for depth in depths)
            self._layers.append(self._layer(settings[:size], number, statistics, slice(deeper, size)))
        output = layout.output
        self._outputs = [
            None
            if layer.last.start == layer.last.stop
            else (self._leaf(output.biases_of, layer.last), self._leaf(output.weights_of, layer.last))
            for layer in self._layers
        ]

    def forward(self, x: Tensor, drawn: StackedDraws | None = None) -> Tensor:
        """Inputs (K, R, d) -> logits (K, C, R); see `Network.forward`."""
        with torch.enable_grad():
            self._logits = self._pass(x, drawn)
        return self._logits.detach()[..., : self.layout.n_outputs].mT

    @torch.no_grad()
    def evaluate(self, x: Tensor) -> Tensor:
        """See `Network.evaluate`."""
        return self._pass(x, None)[..., : self.layout.n_outputs].mT

    def _pass(self, x: Tensor, drawn: StackedDraws | None) -> Tensor:
        self._hidden = []
        logits: list[Tensor] = []
        for number, (layer, output) in enumerate(zip(self._layers, self._outputs, strict=True)):
            x = self._layer_pass(layer, number, x[: layer.size], drawn)
            if output is not None:
                bias, weight = output
                logits.append(torch.baddbmm(bias, x[layer.last], weight))
        return _cat(logits[::-1])  # (K, R, padded C)

    def _layer_pass(self, layer: _Layer, number: int, x: Tensor, drawn: StackedDraws | None) -> Tensor:
        z = _cat([torch.baddbmm(layer.bias[part.trials], x[part.trials], part.effective()) for part in layer.products])
        y = _cat([part.forward(z[part.trials], drawn, number) for part in layer.parts])
        self._hidden.append(y.detach())
        if drawn is not None and drawn.masks is not None:
            y = y * drawn.masks[number]
        if layer.skips:
            y = y + _cat(
                [
                    _fit(x[skip.trials], y.shape[2]) if skip.weight is None else x[skip.trials] @ skip.weight
                    for skip in layer.skips
                ]
            )
        return y

    def backward(self, gradient: Tensor, weights: Tensor) -> None:
        """Write the gradients of all parameters; see `Network.backward`."""
        assert self._logits is not None
        dlogits = torch.zeros_like(self._logits)
        torch.mul(gradient, weights, out=dlogits[..., : self.layout.n_outputs].mT)
        found = torch.autograd.grad(self._logits, self._leaves, dlogits)
        self._logits = None
        torch._foreach_copy_(self._places, list(found))

    def hidden(self) -> list[Tensor]:
        """See `Network.hidden`."""
        return self._hidden

    def _leaf(self, view: Callable[[Tensor], Tensor], trials: slice) -> Tensor:
        """Some trials' parameters of one kind as autograd wants them: (k, 1, n), or (k, fan_in, fan_out)."""
        here, there = view(self._rows[trials]), view(self._grads[trials])
        if here.dim() == 2:
            here, there = here[:, None], there[:, None]
        self._leaves.append(here.detach().requires_grad_())
        self._places.append(there)
        return self._leaves[-1]

    def _layer(self, settings: Sequence[Settings], number: int, statistics: Tensor, last: slice) -> _Layer:
        block, width, like = self.layout.hidden(number), self.layout.width, self._rows
        widths = torch.tensor([[[each.widths[number - 1]]] for each in settings], device="cpu")  # (k, 1, 1)
        mask = (torch.arange(width, device="cpu") < widths).to(like)  # (k, 1, width)
        products = []
        for start, end in runs([each.normalization == "weight" for each in settings]):
            some, weight = slice(start, end), self._leaf(block.weights_of, slice(start, end))
            if settings[start].normalization == "weight":
                products.append(_Product(some, weight, self._leaf(block.gains_of, some), 1 - mask[some]))
            else:
                products.append(_Product(some, weight))
        parts = []
        for start, end in runs([(each.normalization, each.activations[number - 1]) for each in settings]):
            some, norm = slice(start, end), settings[start].normalization
            activation = settings[start].activations[number - 1]
            affine = norm in ("batch", "layer")
            running = (
                statistics[some, 2 * width * (number - 1) : 2 * width * number][:, None] if norm == "batch" else None
            )
            nothing = like.new_zeros(())
            parts.append(
                _Part(
                    some,
                    norm,
                    activation,
                    mask[some],
                    widths[some].to(like),
                    self._leaf(block.gains_of, some) if affine else nothing,
                    self._leaf(block.shifts_of, some) if affine else nothing,
                    self._leaf(block.slopes_of, some) if activation == "prelu" else nothing,
                    None if running is None else (running[..., :width], running[..., width:]),
                )
            )
        skips = []
        if settings[0].residual:
            projects = [number in projected(each, self.layout.n_inputs) for each in settings]
            for start, end in runs(projects):
                some = slice(start, end)
                skips.append(_Product(some, self._leaf(block.projections_of, some) if projects[start] else None))
        return _Layer(len(settings), self._leaf(block.biases_of, slice(0, len(settings))), products, parts, skips, last)


def _cat(pieces: list[Tensor]) -> Tensor:
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


def _fit(x: Tensor, width: int) -> Tensor:
    """(k, R, d) -> (k, R, width): more or fewer padded units; of the first layer, whose input has its own padding."""
    return x if x.shape[2] == width else functional.pad(x, (0, width - x.shape[2]))
