"""What is done to gradients before the optimizer's step: penalties on weights, then clipping, by element, then by norm.

Each in two forms that mean the same. The stacked one works in place on rows as `optimizers` does: all parameters of
trial k are row k of `p` (K, P), their gradients row k of `g`, coefficients columns (K, 1). A coefficient of 0 means
that a trial has none of it, and None that no trial has.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from hpo.training.hyperparameters import Settings

_ROUND_OFF: Final = 1e-6  # added to norms by torch's clip_grad_norm_


def penalize_gradients(weights: Iterable[nn.Parameter], settings: Settings) -> None:
    """Add to the weights' gradients those of l1 * sum |w| + l2 / 2 * sum w^2.

    Args:
        weights: what penalties are for: no biases, nothing of normalizations; with gradients.
        settings: l1 and l2.
    """
    for weight in weights if settings.l1 or settings.l2 else ():
        assert weight.grad is not None
        if settings.l2:
            weight.grad.add_(weight.detach(), alpha=settings.l2)
        if settings.l1:
            weight.grad.add_(weight.detach().sign(), alpha=settings.l1)


def clip_gradients(parameters: Sequence[nn.Parameter], settings: Settings) -> None:
    """Cut every element at clip_value, then scale all of them down to a norm of clip_norm.

    Args:
        parameters: all of a trial, with gradients.
        settings: clip_value and clip_norm; 0: any.
    """
    if settings.clip_value:
        nn.utils.clip_grad_value_(parameters, settings.clip_value)
    if settings.clip_norm:
        nn.utils.clip_grad_norm_(parameters, settings.clip_norm)


def gradient_columns(s: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The coefficients of `penalize` and `clip` by name, from `setting_columns`, without those that no trial has."""
    return {name: s[name] for name in ("l1", "l2", "clip_norm", "clip_value") if s[name].any()}


def penalize(g: Tensor, p: Tensor, weights: Tensor, l1: Tensor | None, l2: Tensor | None) -> None:
    """Add the gradients of l1 * sum |w| + l2 / 2 * sum w^2.

    Args:
        g: gradients, (K, P); changed in place.
        p: parameters, (K, P).
        weights: 1 for weights and 0 for all else, (P,).
        l1: (K, 1) or None.
        l2: (K, 1) or None.
    """
    if l1 is None and l2 is None:
        return
    w = p * weights
    if l2 is not None:
        g.addcmul_(w, l2)
    if l1 is not None:
        g.addcmul_(w.sign_(), l1)


def clip(g: Tensor, norm: Tensor | None, value: Tensor | None) -> None:
    """Cut every element at `value`, then scale each trial's gradient down to a norm of `norm`.

    Gradients of a trial without clipping keep their bits, also if they are not finite.

    Args:
        g: gradients, (K, P); changed in place.
        norm: (K, 1) or None.
        value: (K, 1) or None.
    """
    if value is not None:
        bound = value.masked_fill(value == 0, math.inf)
        g.clamp_(-bound, bound)
    if norm is not None:
        found = torch.linalg.vector_norm(g, dim=1, keepdim=True)  # (K, 1)
        factor = norm.div(found.add_(_ROUND_OFF)).clamp_(max=1)
        g.mul_(factor.masked_fill_(norm == 0, 1))
