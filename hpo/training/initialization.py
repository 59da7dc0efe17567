"""First weights: every distribution is a transform of the same uniform draws.

So a trial's weights depend on its own draws, whatever else is drawn, and two trials that differ in the distribution
alone start from the same quantiles.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

_CUT: Final = 2.0  # standard deviations at which truncated_normal ends
_INSIDE: Final = math.erf(_CUT / math.sqrt(2)) / 2  # probability of a normal deviate between 0 and the cut


def _keep(u: Tensor) -> None:
    """U(-1, 1) as drawn."""


def _zero(u: Tensor) -> None:
    u.zero_()


def _normal(u: Tensor) -> None:
    """To standard normal deviates, by inversion."""
    torch.special.ndtri(u.add_(1).div_(2), out=u)


def _truncated_normal(u: Tensor) -> None:
    """To standard normal deviates given that they are within the cut, by inversion."""
    torch.special.ndtri(u.mul_(_INSIDE).add_(0.5), out=u).clamp_(-_CUT, _CUT)


@dataclass(frozen=True)
class Initialization:
    """A distribution of first weights.

    Attributes:
        transform: of draws from U(-1, 1), in place, element by element.
        scale: (fan_in, fan_out, init_scale): what the outcome is multiplied by.
        orthogonal: whether the matrix then becomes one with orthonormal rows, or columns if it has more rows.
    """

    transform: Callable[[Tensor], None]
    scale: Callable[[int, int, float], float]
    orthogonal: bool = False


INITIALIZATIONS: Final[Mapping[str, Initialization]] = {
    "normal": Initialization(_normal, lambda fan_in, fan_out, scale: scale),
    "uniform": Initialization(_keep, lambda fan_in, fan_out, scale: scale),
    "truncated_normal": Initialization(_truncated_normal, lambda fan_in, fan_out, scale: scale),
    "xavier_uniform": Initialization(_keep, lambda fan_in, fan_out, scale: math.sqrt(6 / (fan_in + fan_out))),
    "xavier_normal": Initialization(_normal, lambda fan_in, fan_out, scale: math.sqrt(2 / (fan_in + fan_out))),
    "he_uniform": Initialization(_keep, lambda fan_in, fan_out, scale: math.sqrt(6 / fan_in)),
    "he_normal": Initialization(_normal, lambda fan_in, fan_out, scale: math.sqrt(2 / fan_in)),
    "orthogonal": Initialization(_normal, lambda fan_in, fan_out, scale: 1.0, orthogonal=True),
    "zeros": Initialization(_zero, lambda fan_in, fan_out, scale: 1.0),
}


def first_weights(
    names: Sequence[str], scales: Sequence[float], u: Tensor, fan_ins: Sequence[int], fan_outs: Sequence[int]
) -> Tensor:
    """First weights of a layer of K trials.

    Args:
        names: K of INITIALIZATIONS.
        scales: their init_scale.
        u: draws from U(-1, 1), without the ends, (K, padded fan_in, padded fan_out) float64 on the CPU; overwritten.
        fan_ins: true inputs of the layer, K of them.
        fan_outs: true outputs of the layer, K of them.

    Returns:
        `u`, now the weights, with zeros outside the true part; row k depends on the draws of trial k in its true
        part alone.
    """
    kinds = [INITIALIZATIONS[name] for name in names]
    factors = [kind.scale(*of) for kind, of in zip(kinds, zip(fan_ins, fan_outs, scales, strict=True), strict=True)]
    for transform in dict.fromkeys(kind.transform for kind in kinds):
        own = [k for k, kind in enumerate(kinds) if kind.transform is transform]
        if len(own) == len(kinds):
            transform(u)  # in most searches all are of a kind, which saves two copies
        else:
            some = u[own]
            transform(some)
            u[own] = some
    u.mul_(torch.tensor(factors, dtype=u.dtype, device="cpu")[:, None, None])
    for weights, kind, fan_in, fan_out in zip(u, kinds, fan_ins, fan_outs, strict=True):
        weights[fan_in:] = 0
        weights[:, fan_out:] = 0
        if kind.orthogonal:
            weights[:fan_in, :fan_out] = _orthogonal(weights[:fan_in, :fan_out])
    return u


def _orthogonal(normal: Tensor) -> Tensor:
    """The orthonormal factor of a matrix with independent normal elements, uniform over all such matrices.

    The signs make the triangular factor's diagonal positive, without which it would not be uniform:
    Mezzadri, "How to Generate Random Matrices from the Classical Compact Groups", Notices of the AMS 54 (2007),
    https://arxiv.org/abs/math-ph/0609050, section 5.
    """
    tall = normal if normal.shape[0] >= normal.shape[1] else normal.T
    q, r = torch.linalg.qr(tall.contiguous())
    signed: Tensor = q * r.diagonal().sign()
    return signed if tall is normal else signed.T
