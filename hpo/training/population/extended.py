"""The stacked network of trials with norms, skips, prelu or rrelu: the forward pass as formulas, autograd back.

It computes for K trials at once what `hpo.training.model.SimpleNN` computes for one. Trials without any of these
never share a chunk with them, and keep the faster `Network`, whose backward pass is written out.

On small networks the time of a step is the number of calls. So trials that want the same norm, or the same kind of
activation, are brought together by a permutation, and where a formula has a neutral element for those that want
nothing, it serves all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from hpo.training.activations import ACTIVATIONS, LEAK, prelu, rrelu
from hpo.training.hyperparameters import Settings
from hpo.training.model import projected
from hpo.training.population.layout import Layout
from hpo.training.population.norms import EPS, local_response, neighbours, over_rows, over_units
from hpo.training.population.randomness import StackedDraws

_MOMENTUM: Final = 0.1  # of running statistics, torch's default
_BENT: Final = {"relu": 0.0, "leaky_relu": LEAK, "prelu": 0.0}  # linear above and below zero, with a slope a trial


class _Permute(torch.autograd.Function):
    """Trials in another order; on the way back, in the old one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.back = back
        return x.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0].index_select(0, ctx.back), None, None


class _Groups:
    """Trials brought together by what they want.

    Args:
        kinds: what each of k trials wants.
        device: of the trials.

    """

    def __init__(self, kinds: Sequence[str], device: torch.device) -> None:
        names = sorted(set(kinds))
        members = {name: [k for k, kind in enumerate(kinds) if kind == name] for name in names}
        order = [k for some in members.values() for k in some]
        self._sizes = [len(some) for some in members.values()]
        self._places: dict[str, slice | Tensor] = {}
        for name, some in members.items():
            together = some[-1] - some[0] + 1 == len(some)
            self._places[name] = slice(some[0], some[-1] + 1) if together else torch.tensor(some, device=device)
        self._orders: tuple[Tensor, Tensor] | None = None
        if order != list(range(len(kinds))):
            there = torch.tensor(order, device=device)
            self._orders = there, there.argsort()

    def of(self, name: str, x: Tensor) -> Tensor:
        """The part of a kind's trials: (k, ...) -> (b, ...); a view where they are neighbours."""
        place = self._places[name]
        return x[place] if isinstance(place, slice) else x.index_select(0, place)

    def lerp(self, name: str, x: Tensor, new: Tensor, share: float) -> None:
        """Move a kind's trials by a share towards new values, in place."""
        place = self._places[name]
        if isinstance(place, slice):
            x[place].lerp_(new, share)
        else:
            x.index_copy_(0, place, x.index_select(0, place).lerp_(new, share))

    def apply(self, x: Tensor, functions: Mapping[str, Callable[[Tensor], Tensor]]) -> Tensor:
        """Each kind's function on its trials: (k, R, n) -> (k, R, n)."""
        if self._orders is not None:
            x = _Permute.apply(x, *self._orders)  # type: ignore[no-untyped-call]
        parts = torch.split(x, self._sizes) if len(self._sizes) > 1 else (x,)
        done = [functions[name](part) for name, part in zip(self._places, parts, strict=True)]
        x = torch.cat(done) if len(done) > 1 else done[0]
        if self._orders is not None:
            x = _Permute.apply(x, *reversed(self._orders))  # type: ignore[no-untyped-call]
        return x


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
        norms: trials by normalization.
        bends: trials by activation; those of _BENT are one kind, "bent".
        gain: of batch, layer and weight normalization, (k, 1, width).
        shift: of batch and layer normalization, likewise.
        mean: running, of batch normalization, likewise.
        variance: running, likewise.
        neighbours: of local response, 1 / size for units in each other's window, (width, width).
        slope: of prelu below zero, (k, 1, 1).
        fixed_slope: of the "bent" trials without prelu, (b, 1, 1), else 0.
        learns_slope: 1 for those with prelu, likewise.
        skips: 1 for trials whose skip is the input itself, (k, 1, 1); None without.
        projection: of skips, (k, fan_in, width), and 1 for trials that have it, (k, 1, 1); None without.
        outputs: biases and weights of the output layer of `last`; None if there are none.
    """

    size: int
    last: slice
    weight: Tensor
    bias: Tensor
    mask: Tensor
    widths: Tensor
    norms: _Groups
    bends: _Groups
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
        if self.skips is not None:
            y = torch.addcmul(y, _fit(x, y.shape[2]), self.skips)
        if self.projection is not None:
            weight, there = self.projection
            y = torch.addcmul(y, torch.bmm(x, weight), there)
        return activated.detach(), y

    def _normalizers(self, drawn: StackedDraws | None) -> Mapping[str, Callable[[Tensor], Tensor]]:
        def batch(z: Tensor) -> Tensor:
            return self._batch_norm(z, None if drawn is None else drawn.rows)

        def layer(z: Tensor) -> Tensor:
            of = functools.partial(self.norms.of, "layer")
            return torch.addcmul(of(self.shift), over_units(z, of(self.mask), of(self.widths)), of(self.gain))

        return {
            "none": _same,
            "batch": batch,
            "layer": layer,
            "weight": self._weight_norm,
            "local_response": self._local_response,
        }

    def _batch_norm(self, z: Tensor, rows: int | None) -> Tensor:
        """Batch normalization over the true `rows` of a batch; None: by the running statistics."""
        of = functools.partial(self.norms.of, "batch")
        if rows is None:
            scale = of(self.gain) * (of(self.variance) + EPS).rsqrt()
            return torch.addcmul(of(self.shift), z - of(self.mean), scale)
        y, mean, variance = over_rows(z, rows)
        if rows > 1:
            self.norms.lerp("batch", self.mean, mean, _MOMENTUM)
            self.norms.lerp("batch", self.variance, variance * (rows / (rows - 1)), _MOMENTUM)
        return torch.addcmul(of(self.shift), y, of(self.gain))

    def _weight_norm(self, z: Tensor) -> Tensor:
        """With x w + b given, x (gain * w / |w|) + b, the length being that of a unit's weights."""
        of = functools.partial(self.norms.of, "weight")
        padding = 1 - of(self.mask)  # padded units have no length
        length = (of(self.weight).square().sum(dim=1, keepdim=True) + padding).sqrt()
        scale, bias = of(self.gain) / length, of(self.bias)
        return torch.addcmul(bias - bias * scale, z, scale)

    def _local_response(self, z: Tensor) -> Tensor:
        return local_response(z, self.neighbours.expand(len(z), -1, -1))

    def _activations(self, number: int, drawn: StackedDraws | None) -> Mapping[str, Callable[[Tensor], Tensor]]:
        def bent(z: Tensor) -> Tensor:
            return prelu(z, self.fixed_slope + self.bends.of("bent", self.slope) * self.learns_slope)

        def random(z: Tensor) -> Tensor:
            drawn_slopes = None if drawn is None or drawn.slopes is None else drawn.slopes[number]
            return rrelu(z, None if drawn_slopes is None else self.bends.of("rrelu", drawn_slopes))

        def sigmoid(z: Tensor) -> Tensor:
            return torch.sigmoid(z) * self.bends.of("sigmoid", self.mask)  # sigmoid(0) is not 0

        own = {"bent": bent, "rrelu": random, "sigmoid": sigmoid}
        return {name: activation.function for name, activation in ACTIVATIONS.items()} | own


def _same(z: Tensor) -> Tensor:
    return z


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
            return torch.tensor(flags, device="cpu").to(like)[:, None, None]  # (k, 1, 1)

        norms = [each.normalization for each in settings]
        names = [each.activations[number - 1] for each in settings]
        widths = torch.tensor([[[each.widths[number - 1]]] for each in settings], device="cpu")  # (k, 1, 1)
        mask = (torch.arange(width, device="cpu") < widths).to(like)  # (k, 1, width)
        affine = "batch" in norms or "layer" in norms
        projects = [number in projected(each, self.layout.n_inputs) for each in settings]
        skips = [each.residual and not projecting for each, projecting in zip(settings, projects, strict=True)]
        bent, nothing = [name for name in names if name in _BENT], like.new_empty(0)
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
            norms=_Groups(norms, like.device),
            bends=_Groups(["bent" if name in _BENT else name for name in names], like.device),
            gain=self._leaf(block.gains_of, every) if affine or "weight" in norms else nothing,
            shift=self._leaf(block.shifts_of, every) if affine else nothing,
            mean=mean,
            variance=variance,
            neighbours=neighbours(width).to(like) if "local_response" in norms else nothing,
            slope=self._leaf(block.slopes_of, every) if "prelu" in names else column([0.0] * len(names)),
            fixed_slope=column([_BENT[name] for name in bent]),
            learns_slope=column([name == "prelu" for name in bent]),
            skips=column(skips) if any(skips) else None,
            projection=(self._leaf(block.projections_of, every), column(projects)) if any(projects) else None,
            outputs=outputs,
        )
