"""The stacked network of trials with norms, skips, prelu or rrelu: the forward pass as formulas, autograd back.

It computes for K trials at once what `hpo.training.model.SimpleNN` computes for one. Trials without any of these
never share a chunk with them, and keep the faster `Network`, whose backward pass is written out.

On small networks the time of a step is the number of calls. So what many want is computed for all of them, norms and
activations for runs of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from hpo.training.activations import ACTIVATIONS, LEAK, prelu, rrelu
from hpo.training.hyperparameters import Settings
from hpo.training.model import projected
from hpo.training.population.layout import Layout
from hpo.training.population.network import runs
from hpo.training.population.norms import EPS, local_response, neighbours, over_rows, over_units
from hpo.training.population.randomness import StackedDraws

_MOMENTUM: Final = 0.1  # of running statistics, torch's default
_BENT: Final = {"relu": 0.0, "leaky_relu": LEAK, "prelu": 0.0}  # linear above and below zero, with a slope a trial


@dataclass(frozen=True)
class _Norm:
    """Neighbours with the same normalization in a layer. What they have no use for is an empty tensor.

    Attributes:
        kind: of the normalization.
        mask: 1 for true units and 0 for padded ones, (k, 1, width).
        widths: true units, (k, 1, 1).
        gain: of batch and layer normalization, (k, 1, width); requires gradients.
        shift: likewise.
        mean: running, of batch normalization, (k, 1, width).
        variance: running, likewise.
        window: of local response, (k, width, width); see `neighbours`.
        scaled: of weight normalization, else None.
    """

    kind: str
    mask: Tensor
    widths: Tensor
    gain: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor
    window: Tensor
    scaled: _Scaled | None

    def forward(self, z: Tensor, rows: int | None) -> Tensor:
        """(k, R, width) -> the same; `rows` are true in training, None in evaluation."""
        if self.kind == "batch":
            return self._batch(z, rows)
        if self.kind == "layer":
            return torch.addcmul(self.shift, over_units(z, self.mask, self.widths), self.gain)
        if self.kind == "local_response":
            return local_response(z, self.window)
        return z if self.scaled is None else self.scaled.forward(z)

    def _batch(self, z: Tensor, rows: int | None) -> Tensor:
        if rows is None:
            return torch.addcmul(self.shift, z - self.mean, self.gain * (self.variance + EPS).rsqrt())
        y, mean, variance = over_rows(z, rows)
        if rows > 1:
            self.mean.lerp_(mean, _MOMENTUM)
            self.variance.lerp_(variance * (rows / (rows - 1)), _MOMENTUM)
        return torch.addcmul(self.shift, y, self.gain)


class _Scaled:
    """Weight normalization of some trials: x (gain * w / |w|) + b of x w + b, |w| being the length of a unit's weights.

    What leads from weights and gains to the scale is taken back by hand: autograd would fill a gradient of all weights
    with zeros for the few that are normalized.

    Args:
        weight: (k, fan_in, width).
        bias: (k, 1, width).
        gain: likewise.
        places: where the gradients of these three go.
        padding: 1 for padded units, which have no length, (k, 1, width).
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, gain: Tensor, places: tuple[Tensor, Tensor, Tensor], padding: Tensor
    ) -> None:
        self._weight, self._bias, self._gain, self._places, self._padding = weight, bias, gain, places, padding
        self._length = gain
        self.leaves: tuple[Tensor, Tensor] = gain, bias  # scale and shift of z, made anew in each pass

    def forward(self, z: Tensor) -> Tensor:
        """(k, R, width) -> the same."""
        with torch.no_grad():
            lengths = torch.linalg.vector_norm(self._weight, dim=1, keepdim=True)
            self._length = lengths + self._padding
            scale = self._gain / self._length
            shift = self._bias - self._bias * scale
        self.leaves = scale.requires_grad_(), shift.requires_grad_()
        return torch.addcmul(self.leaves[1], z, self.leaves[0])

    def backward(self, dscale: Tensor, dshift: Tensor) -> None:
        """Add to the gradients, which have those of x w + b already."""
        scale = self.leaves[0].detach()
        to_weight, to_bias, to_gain = self._places
        to_bias.add_(dshift * (1 - scale))
        dscale = dscale - dshift * self._bias
        to_gain.copy_(dscale / self._length)
        to_weight.sub_(self._weight * (dscale * scale / self._length.square()))


@dataclass(frozen=True)
class _Bend:
    """Neighbours with the same kind of activation in a layer.

    Attributes:
        kind: an activation; "bent" for those of _BENT.
        trials: which.
        mask: 1 for true units and 0 for padded ones, (k, 1, width).
        fixed: slope below zero of "bent" trials without prelu, (k, 1, 1), else 0.
        learnt: of those with prelu, likewise; requires gradients; None where there are none.
        learns: 1 for those with prelu, likewise.
    """

    kind: str
    trials: slice
    mask: Tensor
    fixed: Tensor
    learnt: Tensor | None
    learns: Tensor

    def forward(self, z: Tensor, slopes: Tensor | None) -> Tensor:
        """(k, R, width) -> the same; `slopes` are those of rrelu in training, of all trials of the layer."""
        if self.kind == "bent":
            return prelu(z, self.fixed if self.learnt is None else self.fixed + self.learnt * self.learns)
        if self.kind == "rrelu":
            return rrelu(z, None if slopes is None else slopes[self.trials])
        y = ACTIVATIONS[self.kind].function(z)
        return y * self.mask if self.kind == "sigmoid" else y  # sigmoid(0) is not 0


@dataclass(frozen=True)
class _Layer:
    """A hidden layer of the first k trials, and the output layer of those whose last one it is.

    Attributes:
        last: how many trials have more layers, and for how many it is the last one.
        weight: (k, fan_in, width); requires gradients, as do all that are learnt.
        bias: (k, 1, width).
        norms: with how many trials each has.
        bends: likewise.
        skips: whether a trial's skip is the input itself, (k, 1, 1); None without.
        projection: of skips, (k, fan_in, width), and which trials have it, (k, 1, 1); None without.
        outputs: biases and weights of the output layer; None if there are none.
    """

    last: tuple[int, int]
    weight: Tensor
    bias: Tensor
    norms: tuple[list[_Norm], list[int]]
    bends: tuple[list[_Bend], list[int]]
    skips: Tensor | None
    projection: tuple[Tensor, Tensor] | None
    outputs: tuple[Tensor, Tensor] | None

    def forward(self, number: int, x: Tensor, drawn: StackedDraws | None) -> tuple[Tensor, Tensor]:
        """Inputs (k, R, fan_in) -> what the activations give and the output, (k, R, width); layers count from 0."""
        rows = None if drawn is None else drawn.rows
        slopes = None if drawn is None or drawn.slopes is None else drawn.slopes[number]
        z = torch.baddbmm(self.bias, x, self.weight)
        norms, bends = self.norms[0], self.bends[0]
        z = _cat([norm.forward(part, rows) for norm, part in zip(norms, _split(z, self.norms[1]), strict=True)])
        y = _cat([bend.forward(part, slopes) for bend, part in zip(bends, _split(z, self.bends[1]), strict=True)])
        activated = y.detach()
        if drawn is not None and drawn.masks is not None:
            y = y * drawn.masks[number]
        if self.skips is not None:  # chosen, not multiplied by 0 or 1: 0 * inf would be NaN
            y = torch.where(self.skips, y + _fit(x, y.shape[2]), y)
        if self.projection is not None:
            weight, there = self.projection
            y = torch.where(there, y + torch.bmm(x, weight), y)
        return activated, y


def _split(x: Tensor, sizes: list[int]) -> Sequence[Tensor]:
    return torch.split(x, sizes) if len(sizes) > 1 else (x,)


def _cat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)) if len(parts) > 1 else parts[0]


def _fit(x: Tensor, width: int) -> Tensor:
    """(k, R, d) -> (k, R, width): more or fewer padded units; of the first layer, whose input has its own padding."""
    d = x.shape[2]
    return x if d == width else functional.pad(x, (0, width - d)) if d < width else x[..., :width]


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
        self._scaled: list[_Scaled] = []
        self._logits: Tensor | None = None
        self._hidden: list[Tensor] = []
        depths = [len(each.widths) for each in settings]
        self._layers = []
        for number in range(1, depths[0] + 1):
            size, deeper = sum(depth >= number for depth in depths), sum(depth > number for depth in depths)
            self._layers.append(self._layer(settings[:size], number, statistics, slice(deeper, size)))

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
        for number, layer in enumerate(self._layers):
            activated, y = layer.forward(number, x, drawn)
            self._hidden.append(activated)
            x = y
            if layer.outputs is not None:
                bias, weight = layer.outputs
                if layer.last[0]:
                    x, y = torch.split(y, list(layer.last))
                logits.append(torch.baddbmm(bias, y, weight))
        return _cat(logits[::-1])  # (K, R, padded C)

    def backward(self, gradient: Tensor, weights: Tensor) -> None:
        """Write the gradients of all parameters; see `Network.backward`."""
        assert self._logits is not None
        dlogits = torch.zeros_like(self._logits)
        torch.mul(gradient, weights, out=dlogits[..., : self.layout.n_outputs].mT)
        scaled = [leaf for each in self._scaled for leaf in each.leaves]
        found = torch.autograd.grad(self._logits, [*self._leaves, *scaled], dlogits)
        self._logits = None
        torch._foreach_copy_(self._places, list(found[: len(self._leaves)]))
        of_scaled = found[len(self._leaves) :]
        for i, each in enumerate(self._scaled):
            each.backward(*of_scaled[2 * i : 2 * i + 2])

    def hidden(self) -> list[Tensor]:
        """See `Network.hidden`."""
        return self._hidden

    def _views(self, view: Callable[[Tensor], Tensor], trials: slice) -> tuple[Tensor, Tensor]:
        """Some trials' parameters of one kind and the place of their gradients: (k, 1, n), or (k, fan_in, fan_out)."""
        here, there = view(self._rows[trials]), view(self._grads[trials])
        return (here[:, None], there[:, None]) if here.dim() == 2 else (here, there)

    def _leaf(self, view: Callable[[Tensor], Tensor], trials: slice) -> Tensor:
        """Such parameters as autograd wants them."""
        here, there = self._views(view, trials)
        self._leaves.append(here.detach().requires_grad_())
        self._places.append(there)
        return self._leaves[-1]

    def _layer(self, settings: Sequence[Settings], number: int, statistics: Tensor, last: slice) -> _Layer:
        block, width, every = self.layout.hidden(number), self.layout.width, slice(0, len(settings))
        widths = torch.tensor([[[each.widths[number - 1]]] for each in settings], device="cpu")  # (k, 1, 1)
        mask = (torch.arange(width, device="cpu") < widths).to(self._rows)  # (k, 1, width)
        norms = runs([each.normalization for each in settings])
        bends = runs([_kind(each, number) for each in settings])
        projects = [number in projected(each, self.layout.n_inputs) for each in settings]
        skips = [each.residual and not projecting for each, projecting in zip(settings, projects, strict=True)]
        outputs = None
        if last.start < last.stop:
            outputs = self._leaf(self.layout.output.biases_of, last), self._leaf(self.layout.output.weights_of, last)
        projection = None
        if any(projects):
            projection = self._leaf(block.projections_of, every), self._column(projects).bool()
        return _Layer(
            last=(last.start, last.stop - last.start),
            weight=self._leaf(block.weights_of, every),
            bias=self._leaf(block.biases_of, every),
            norms=(
                [self._norm(settings, number, slice(*ends), mask, widths, statistics) for ends in norms],
                [end - start for start, end in norms],
            ),
            bends=(
                [self._bend(settings, number, slice(*ends), mask) for ends in bends],
                [end - start for start, end in bends],
            ),
            skips=self._column(skips).bool() if any(skips) else None,
            projection=projection,
            outputs=outputs,
        )

    def _norm(
        self, settings: Sequence[Settings], number: int, some: slice, mask: Tensor, widths: Tensor, statistics: Tensor
    ) -> _Norm:
        kind, block, width = settings[some.start].normalization, self.layout.hidden(number), self.layout.width
        nothing, affine = self._rows.new_empty(0), kind in ("batch", "layer")
        mean = variance = nothing
        if kind == "batch":
            running = statistics[some, 2 * width * (number - 1) : 2 * width * number][:, None]
            mean, variance = running[..., :width], running[..., width:]
        scaled = None
        if kind == "weight":
            views = [self._views(view, some) for view in (block.weights_of, block.biases_of, block.gains_of)]
            (weight, bias, gain), (to_weight, to_bias, to_gain) = zip(*views, strict=True)
            scaled = _Scaled(weight, bias, gain, (to_weight, to_bias, to_gain), 1 - mask[some])
            self._scaled.append(scaled)
        window = nothing
        if kind == "local_response":
            window = neighbours(width).to(self._rows).expand(some.stop - some.start, -1, -1)
        return _Norm(
            kind,
            mask[some],
            widths[some].to(self._rows),
            self._leaf(block.gains_of, some) if affine else nothing,
            self._leaf(block.shifts_of, some) if affine else nothing,
            mean,
            variance,
            window,
            scaled,
        )

    def _bend(self, settings: Sequence[Settings], number: int, some: slice, mask: Tensor) -> _Bend:
        names = [each.activations[number - 1] for each in settings[some]]
        return _Bend(
            _kind(settings[some.start], number),
            some,
            mask[some],
            self._column([_BENT.get(name, 0.0) for name in names]),
            self._leaf(self.layout.hidden(number).slopes_of, some) if "prelu" in names else None,
            self._column([name == "prelu" for name in names]),
        )

    def _column(self, values: Sequence[float]) -> Tensor:
        """(k, 1, 1)."""
        return torch.tensor(values, dtype=torch.float64, device="cpu").to(self._rows)[:, None, None]


def _kind(settings: Settings, number: int) -> str:
    """The kind of a hidden layer's activation: all that are linear above and below zero are one."""
    name = settings.activations[number - 1]
    return "bent" if name in _BENT else name
