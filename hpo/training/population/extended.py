"""The stacked network of trials with norms, skips, prelu or rrelu: the forward pass as formulas, autograd back.

It computes for K trials at once what `hpo.training.model.SimpleNN` computes for one. Trials without any of these
never share a chunk with them, and keep the faster `Network`, whose backward pass is written out.

On small networks the time of a step is the number of calls. So trials that want the same norm, or the same kind of
activation, are brought together by a permutation, and where a formula has a neutral element for those that want
nothing, it serves all.
"""

from __future__ import annotations

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
from hpo.training.population.norms import EPS, local_response, over_rows, over_units
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

    Attributes:
        members: each kind with the numbers of its trials, in the order of `gather`.
    """

    def __init__(self, kinds: Sequence[str], device: torch.device) -> None:
        names = sorted(set(kinds))
        self.members = {name: [k for k, kind in enumerate(kinds) if kind == name] for name in names}
        order = [k for members in self.members.values() for k in members]
        self._sizes = [len(members) for members in self.members.values()]
        self._orders: tuple[Tensor, Tensor] | None = None
        if order != list(range(len(kinds))):
            there = torch.tensor(order, device=device)
            self._orders = there, there.argsort()

    def apply(self, x: Tensor, functions: Mapping[str, Callable[[Tensor], Tensor]]) -> Tensor:
        """Each kind's function on its trials: (k, R, n) -> (k, R, n)."""
        if self._orders is not None:
            x = _Permute.apply(x, *self._orders)  # type: ignore[no-untyped-call]
        parts = torch.split(x, self._sizes) if len(self._sizes) > 1 else (x,)
        done = [functions[name](part) for name, part in zip(self.members, parts, strict=True)]
        x = torch.cat(done) if len(done) > 1 else done[0]
        if self._orders is not None:
            x = _Permute.apply(x, *reversed(self._orders))  # type: ignore[no-untyped-call]
        return x


@dataclass(frozen=True)
class _Layer:
    """A hidden layer of the first k trials, and the output layer of the trials in `last`.

    Learnt tensors require gradients. What a layer has no use for is None.

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
        statistics: of batch normalization, running mean and variance, (k, 1, width) each.
        slope: learnt ones (k, 1, 1); of the "bent" trials those that are fixed (b, 1, 1), and which are learnt.
        skips: 1 for trials whose skip is the input itself, (k, 1, 1).
        projection: of skips, (k, fan_in, width), and 1 for trials that have it, (k, 1, 1).
        outputs: biases and weights of the output layer of `last`.
    """

    size: int
    last: slice
    weight: Tensor
    bias: Tensor
    mask: Tensor
    widths: Tensor
    norms: _Groups
    bends: _Groups
    gain: Tensor | None
    shift: Tensor | None
    statistics: tuple[Tensor, Tensor] | None
    slope: tuple[Tensor, Tensor, Tensor] | None
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
        def part(name: str) -> tuple[Tensor, Tensor]:
            """Gain and shift of a kind's trials."""
            assert self.gain is not None
            assert self.shift is not None
            some = self.norms.members[name]
            return self.gain[some], self.shift[some]

        def batch(z: Tensor) -> Tensor:
            return self._batch_norm(z, *part("batch"), None if drawn is None else drawn.rows)

        def layer(z: Tensor) -> Tensor:
            some, (gain, shift) = self.norms.members["layer"], part("layer")
            return torch.addcmul(shift, over_units(z, self.mask[some], self.widths[some]), gain)

        return {
            "none": _same,
            "batch": batch,
            "layer": layer,
            "weight": self._weight_norm,
            "local_response": local_response,
        }

    def _batch_norm(self, z: Tensor, gain: Tensor, shift: Tensor, rows: int | None) -> Tensor:
        """Batch normalization over the true `rows` of a batch; None: by the running statistics."""
        assert self.statistics is not None
        some = self.norms.members["batch"]
        running_mean, running_variance = self.statistics
        if rows is None:
            scale = gain * (running_variance[some] + EPS).rsqrt()
            return torch.addcmul(shift, z - running_mean[some], scale)
        y, mean, variance = over_rows(z, rows)
        if rows > 1:
            with torch.no_grad():
                running_mean[some] = running_mean[some].lerp_(mean, _MOMENTUM)
                running_variance[some] = running_variance[some].lerp_(variance * (rows / (rows - 1)), _MOMENTUM)
        return torch.addcmul(shift, y, gain)

    def _weight_norm(self, z: Tensor) -> Tensor:
        """With x w + b given, x (gain * w / |w|) + b, the length being that of a unit's weights."""
        assert self.gain is not None
        some = self.norms.members["weight"]
        padding = 1 - self.mask[some]  # padded units have no length
        length = (self.weight[some].square().sum(dim=1, keepdim=True) + padding).sqrt()
        scale, bias = self.gain[some] / length, self.bias[some]
        return torch.addcmul(bias - bias * scale, z, scale)

    def _activations(self, number: int, drawn: StackedDraws | None) -> Mapping[str, Callable[[Tensor], Tensor]]:
        def bent(z: Tensor) -> Tensor:
            assert self.slope is not None
            learnt, fixed, is_learnt = self.slope
            return prelu(z, torch.where(is_learnt, learnt[self.bends.members["bent"]], fixed))

        def random(z: Tensor) -> Tensor:
            drawn_slopes = None if drawn is None or drawn.slopes is None else drawn.slopes[number]
            return rrelu(z, None if drawn_slopes is None else drawn_slopes[self.bends.members["rrelu"]])

        def sigmoid(z: Tensor) -> Tensor:
            return torch.sigmoid(z) * self.mask[self.bends.members["sigmoid"]]  # sigmoid(0) is not 0

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
        gain = self._leaf(block.gains_of, every) if affine or "weight" in norms else None
        projects = [number in projected(each, self.layout.n_inputs) for each in settings]
        skips = [each.residual and not projecting for each, projecting in zip(settings, projects, strict=True)]
        running = None
        if "batch" in norms:
            here = statistics[every, 2 * width * (number - 1) : 2 * width * number][:, None]
            running = here[..., :width], here[..., width:]
        slope, bent = None, [k for k, name in enumerate(names) if name in _BENT]
        if bent:
            learnt = self._leaf(block.slopes_of, every) if "prelu" in names else column([0.0] * len(names))
            fixed = column([_BENT[names[k]] for k in bent])
            slope = learnt, fixed, column([names[k] == "prelu" for k in bent]).bool()
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
            gain=gain,
            shift=self._leaf(block.shifts_of, every) if affine else None,
            statistics=running,
            slope=slope,
            skips=column(skips) if any(skips) else None,
            projection=(self._leaf(block.projections_of, every), column(projects)) if any(projects) else None,
            outputs=outputs,
        )
