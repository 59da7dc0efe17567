"""The stacked network of trials with norms, skips, prelu or rrelu: the forward pass as formulas, autograd back.

It computes for K trials at once what `hpo.training.model.SimpleNN` computes for one. Trials without any of these
never share a chunk with them, and keep the faster `Network`, whose backward pass is written out.

On small networks the time of a step is the number of calls. So what many want is computed for all of them, norms and
activations for runs of neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


class _Runs:
    """Neighbours that want the same.

    Args:
        kinds: what each of k trials wants.
    """

    def __init__(self, kinds: Sequence[str]) -> None:
        self._runs = [(kinds[start], slice(start, end)) for start, end in runs(kinds)]
        self._sizes = [some.stop - some.start for _, some in self._runs]

    def apply(self, x: Tensor, functions: Mapping[str, Callable[[Tensor, slice], Tensor]]) -> Tensor:
        """Each kind's function on its runs, given which trials they are: (k, R, n) -> (k, R, n)."""
        parts = torch.split(x, self._sizes) if len(self._sizes) > 1 else (x,)
        done = [functions[name](part, some) for part, (name, some) in zip(parts, self._runs, strict=True)]
        return torch.cat(done) if len(done) > 1 else done[0]


@dataclass(frozen=True)
class _Layer:
    """A hidden layer of the first k trials, and the output layer of the trials in `last`.

    Learnt tensors require gradients. What no trial has a use for is an empty tensor.

    Attributes:
        size: k.
        last: the trials whose last hidden layer it is.
        weight: (k, fan_in, width).
        bias: (k, 1, width).
        mask: 1 for true units and 0 for padded ones, (k, 1, width).
        widths: true units, (k, 1, 1).
        norms: runs of a normalization.
        bends: runs of an activation; those of _BENT are one kind, "bent".
        gain: of batch, layer and weight normalization, (k, 1, width).
        shift: of batch and layer normalization, likewise.
        mean: running, of batch normalization, likewise.
        variance: running, likewise.
        neighbours: of local response, 1 / size for units in each other's window, (width, width).
        slope: of prelu below zero, (k, 1, 1).
        fixed_slope: of "bent" trials without prelu, (k, 1, 1), else 0.
        learns_slope: 1 for those with prelu, likewise.
        skips: whether a trial's skip is the input itself, (k, 1, 1); None without.
        projection: of skips, (k, fan_in, width), and which trials have it, (k, 1, 1); None without.
        outputs: biases and weights of the output layer of `last`; None if there are none.
    """

    size: int
    last: slice
    weight: Tensor
    bias: Tensor
    mask: Tensor
    widths: Tensor
    norms: _Runs
    bends: _Runs
    gain: Tensor
    shift: Tensor
    mean: Tensor
    variance: Tensor
    neighbours: Tensor
    slope: Tensor
    fixed_slope: Tensor
    learns_slope: Tensor
    skips: Tensor | None
    projection: tuple[Tensor, Tensor] | None
    outputs: tuple[Tensor, Tensor] | None

    def forward(self, number: int, x: Tensor, drawn: StackedDraws | None) -> tuple[Tensor, Tensor]:
        """Inputs (k, R, fan_in) -> what the activations give and the output, (k, R, width); layers count from 0."""
        z = torch.baddbmm(self.bias, x, self.weight)
        y = self.norms.apply(z, self._normalizers(drawn))
        y = activated = self.bends.apply(y, self._activations(number, drawn))
        if drawn is not None and drawn.masks is not None:
            y = y * drawn.masks[number]
        if self.skips is not None:  # chosen, not multiplied by 0 or 1: 0 * inf would be NaN
            y = torch.where(self.skips, y + _fit(x, y.shape[2]), y)
        if self.projection is not None:
            weight, there = self.projection
            y = torch.where(there, y + torch.bmm(x, weight), y)
        return activated.detach(), y

    def _normalizers(self, drawn: StackedDraws | None) -> Mapping[str, Callable[[Tensor, slice], Tensor]]:
        def batch(z: Tensor, some: slice) -> Tensor:
            return self._batch_norm(z, some, None if drawn is None else drawn.rows)

        def layer(z: Tensor, some: slice) -> Tensor:
            return torch.addcmul(self.shift[some], over_units(z, self.mask[some], self.widths[some]), self.gain[some])

        def response(z: Tensor, some: slice) -> Tensor:
            return local_response(z, self.neighbours.expand(len(z), -1, -1))

        return {
            "none": _same,
            "batch": batch,
            "layer": layer,
            "weight": self._weight_norm,
            "local_response": response,
        }

    def _batch_norm(self, z: Tensor, some: slice, rows: int | None) -> Tensor:
        """Batch normalization over the true `rows` of a batch; None: by the running statistics."""
        gain, shift, running_mean, running_variance = (
            each[some] for each in (self.gain, self.shift, self.mean, self.variance)
        )
        if rows is None:
            return torch.addcmul(shift, z - running_mean, gain * (running_variance + EPS).rsqrt())
        y, mean, variance = over_rows(z, rows)
        if rows > 1:
            running_mean.lerp_(mean, _MOMENTUM)
            running_variance.lerp_(variance * (rows / (rows - 1)), _MOMENTUM)
        return torch.addcmul(shift, y, gain)

    def _weight_norm(self, z: Tensor, some: slice) -> Tensor:
        """With x w + b given, x (gain * w / |w|) + b, the length being that of a unit's weights."""
        padding = 1 - self.mask[some]  # padded units have no length
        length = (self.weight[some].square().sum(dim=1, keepdim=True) + padding).sqrt()
        scale, bias = self.gain[some] / length, self.bias[some]
        return torch.addcmul(bias - bias * scale, z, scale)

    def _activations(self, number: int, drawn: StackedDraws | None) -> Mapping[str, Callable[[Tensor, slice], Tensor]]:
        slopes = None if drawn is None or drawn.slopes is None else drawn.slopes[number]

        def bent(z: Tensor, some: slice) -> Tensor:
            return prelu(z, self.fixed_slope[some] + self.slope[some] * self.learns_slope[some])

        def random(z: Tensor, some: slice) -> Tensor:
            return rrelu(z, None if slopes is None else slopes[some])

        def sigmoid(z: Tensor, some: slice) -> Tensor:
            return torch.sigmoid(z) * self.mask[some]  # sigmoid(0) is not 0

        return _SMOOTH | {"bent": bent, "rrelu": random, "sigmoid": sigmoid}


def _same(z: Tensor, _: slice) -> Tensor:
    return z


def _smooth(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, slice], Tensor]:
    return lambda z, _: function(z)


_SMOOTH: Final = {name: _smooth(activation.function) for name, activation in ACTIVATIONS.items()}


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
            activated, x = layer.forward(number, x if len(x) == layer.size else x[: layer.size], drawn)
            self._hidden.append(activated)
            if layer.outputs is not None:
                bias, weight = layer.outputs
                logits.append(torch.baddbmm(bias, x[layer.last], weight))
        return torch.cat(logits[::-1])  # (K, R, padded C)

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
        block, width, like, every = self.layout.hidden(number), self.layout.width, self._rows, slice(0, len(settings))

        def column(flags: Sequence[float]) -> Tensor:
            return torch.tensor(flags, dtype=torch.float64, device="cpu").to(like)[:, None, None]  # (k, 1, 1)

        norms = [each.normalization for each in settings]
        names = [each.activations[number - 1] for each in settings]
        widths = torch.tensor([[[each.widths[number - 1]]] for each in settings], device="cpu")  # (k, 1, 1)
        mask = (torch.arange(width, device="cpu") < widths).to(like)  # (k, 1, width)
        affine = "batch" in norms or "layer" in norms
        projects = [number in projected(each, self.layout.n_inputs) for each in settings]
        skips = [each.residual and not projecting for each, projecting in zip(settings, projects, strict=True)]
        nothing = like.new_empty(0)
        mean = variance = nothing
        if "batch" in norms:
            running = statistics[every, 2 * width * (number - 1) : 2 * width * number][:, None]
            mean, variance = running[..., :width], running[..., width:]
        outputs = None
        if last.start < last.stop:
            outputs = self._leaf(self.layout.output.biases_of, last), self._leaf(self.layout.output.weights_of, last)
        return _Layer(
            size=len(settings),
            last=last,
            weight=self._leaf(block.weights_of, every),
            bias=self._leaf(block.biases_of, every),
            mask=mask,
            widths=widths.to(like),
            norms=_Runs(norms),
            bends=_Runs(["bent" if name in _BENT else name for name in names]),
            gain=self._leaf(block.gains_of, every) if affine or "weight" in norms else nothing,
            shift=self._leaf(block.shifts_of, every) if affine else nothing,
            mean=mean,
            variance=variance,
            neighbours=neighbours(width).to(like) if "local_response" in norms else nothing,
            slope=self._leaf(block.slopes_of, every) if "prelu" in names else column([0.0] * len(names)),
            fixed_slope=column([_BENT.get(name, 0.0) for name in names]),
            learns_slope=column([name == "prelu" for name in names]),
            skips=column(skips).bool() if any(skips) else None,
            projection=(self._leaf(block.projections_of, every), column(projects).bool()) if any(projects) else None,
            outputs=outputs,
        )
