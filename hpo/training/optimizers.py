"""Optimizers, each in two forms that mean the same: torch's own for one trial, and a step of stacked trials.

The stacked form works on rows: all parameters of trial k are row k of `p` (K, P), their gradients row k of `g`, and
every coefficient is a column (K, 1), so that each trial has its own. It works in place, row by row, and so one
trial's infinities stay its own.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import torch
from torch import Tensor, nn

from hpo.training.hyperparameters import Settings

Columns = Mapping[str, Tensor]

_TINY: Final = 2.0**-100
_REALS: Final = tuple(field.name for field in fields(Settings) if field.type is float)
_reals: Final = operator.attrgetter(*_REALS)


@dataclass(frozen=True)
class Optimizer:
    """One optimizer.

    Attributes:
        solo: makes torch's own optimizer of one trial's parameters.
        columns: the coefficients of `step` for S steps: from the settings, a column (K, 1) each, and the numbers of
            the steps t (S, K, 1), counted from 1, to (K, 1) or (S, K, 1) each; in float64.
        step: one step of stacked trials, in place: (p, g, slots, c); `g` may be overwritten. None: trials with this
            optimizer train one after another.
        slots: how many tensors shaped as `p` it keeps, all zero at first.
        decoupled: whether weight decay shrinks the weights; else it is added to the gradient.
    """

    solo: Callable[[Iterable[nn.Parameter], Settings], torch.optim.Optimizer]
    columns: Callable[[Columns, Tensor], dict[str, Tensor]]
    step: Callable[[Tensor, Tensor, Sequence[Tensor], Columns], None] | None
    slots: int = 0
    decoupled: bool = False


def make_optimizer(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """Torch's own optimizer, as the settings name it."""
    return OPTIMIZERS[settings.optimizer].solo(parameters, settings)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let torch's optimizer go on with another learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def setting_columns(settings: Sequence[Settings]) -> dict[str, Tensor]:
    """Every real setting of K trials, (K, 1) float64 each."""
    table = torch.tensor([_reals(each) for each in settings], dtype=torch.float64, device="cpu")  # (K, names)
    return dict(zip(_REALS, torch.split(table, 1, dim=1), strict=True))


def step_columns(optimizer: Optimizer, s: Columns, t: Tensor) -> dict[str, Tensor]:
    """The coefficients of `stacked_step`.

    Args:
        optimizer: of all K trials.
        s: their `setting_columns`, with the learning rates of these steps; weight decay is 0 for all of them or for
            none.
        t: numbers of the steps, (S, K, 1), counted from 1.

    Returns:
        (K, 1) each, or (S, K, 1) where they change from step to step; float64.
    """
    found = optimizer.columns(s, t.double())
    if s["weight_decay"].any():
        if optimizer.decoupled:
            found["shrink"] = 1 - s["learning_rate"] * s["weight_decay"]
        else:
            found["weight_decay"] = s["weight_decay"]
    return found


def stacked_step(optimizer: Optimizer, p: Tensor, g: Tensor, slots: Sequence[Tensor], c: Columns) -> None:
    """One step of trials that share an optimizer.

    Args:
        optimizer: theirs.
        p: their parameters, (K, P); changed in place.
        g: the gradients, (K, P); overwritten.
        slots: the optimizer's state, (K, P) each; changed in place.
        c: coefficients, (K, 1) each.
    """
    if "shrink" in c:
        p.mul_(c["shrink"])
    if "weight_decay" in c:
        g.addcmul_(p, c["weight_decay"])
    assert optimizer.step is not None  # or the trials would not be stacked
    optimizer.step(p, g, slots, c)


def _common(settings: Settings) -> dict[str, Any]:
    return {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}


def _solo_sgd(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, **_common(settings), fused=True)  # one kernel a step


def _rate(s: Columns, t: Tensor) -> dict[str, Tensor]:
    return {"rate": s["learning_rate"]}


def _sgd(p: Tensor, g: Tensor, slots: Sequence[Tensor], c: Columns) -> None:
    p.addcmul_(g, c["rate"], value=-1)


def _solo_momentum(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, **_common(settings), momentum=settings.momentum, fused=True)


def _rate_and_momentum(s: Columns, t: Tensor) -> dict[str, Tensor]:
    return {"rate": s["learning_rate"], "momentum": s["momentum"]}


def _momentum(p: Tensor, g: Tensor, slots: Sequence[Tensor], c: Columns) -> None:
    (buffer,) = slots
    buffer.mul_(c["momentum"]).add_(g)
    p.addcmul_(buffer, c["rate"], value=-1)


def _solo_nesterov(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    # without momentum there is nothing to look ahead by, and torch refuses the combination
    ahead = settings.momentum > 0
    return torch.optim.SGD(parameters, **_common(settings), momentum=settings.momentum, nesterov=ahead, fused=True)


def _nesterov(p: Tensor, g: Tensor, slots: Sequence[Tensor], c: Columns) -> None:
    (buffer,) = slots
    buffer.mul_(c["momentum"]).add_(g)
    g.addcmul_(buffer, c["momentum"])
    p.addcmul_(g, c["rate"], value=-1)


def _solo_adam(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    betas = (settings.beta1, settings.beta2)
    return torch.optim.Adam(parameters, **_common(settings), betas=betas, eps=settings.eps, fused=True)


def _solo_adamw(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(parameters, **_common(settings), betas=betas, eps=settings.eps, fused=True)


def _adam_columns(s: Columns, t: Tensor) -> dict[str, Tensor]:
    """Of lr/(1 - beta1^t) m / (sqrt(v/(1 - beta2^t)) + eps), with the root's factor taken out of the fraction."""
    root = ((1 - s["beta2"] ** t) / (1 - s["beta2"])).sqrt()  # (S, K, 1); the slot is v/(1 - beta2)
    return {
        "rate": s["learning_rate"] / (1 - s["beta1"] ** t) * root,
        "floor": s["eps"] * root,
        "tiny": _TINY * root**2,
        "new": 1 - s["beta1"],
        "kept": s["beta2"],
    }


def _update_square(square: Tensor, g: Tensor, c: Columns, out: Tensor | None = None) -> Tensor:
    """Let the sum of squares decay and add g^2; returns its root plus the floor, in the memory of `out`.

    The sum is the mean square divided by what a new gradient weighs in it: this factor is in the coefficients.
    """
    return _root(square.mul_(c["kept"]).addcmul_(g, g), c, out)


def _root(square: Tensor, c: Columns, out: Tensor | None = None) -> Tensor:
    """The root plus the floor, in the memory of `out`.

    NOTE: The root is that of the sum + `tiny`, which differs only far below the floor (eps is at least 1e-12). MKL's
    square root takes many times as long for zero, which is what dead and padded units have.
    """
    return torch.add(square, c["tiny"], out=out).sqrt_().add_(c["floor"])


def _adam(p: Tensor, g: Tensor, slots: Sequence[Tensor], c: Columns) -> None:
    mean, square = slots
    mean.lerp_(g, c["new"])
    torch.div(mean, _update_square(square, g, c, out=g), out=g)
    p.addcmul_(g, c["rate"], value=-1)


def _solo_rmsprop(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(parameters, **_common(settings), alpha=settings.alpha, eps=settings.eps)


def _rmsprop_columns(s: Columns, t: Tensor) -> dict[str, Tensor]:
    """Of lr g / (sqrt(v) + eps), where the slot is v/(1 - alpha)."""
    root = (1 - s["alpha"]) ** -0.5
    tiny = torch.full_like(root, _TINY)
    return {"rate": s["learning_rate"] * root, "floor": s["eps"] * root, "tiny": tiny, "kept": s["alpha"]}


def _rmsprop(p: Tensor, g: Tensor, slots: Sequence[Tensor], c: Columns) -> None:
    (square,) = slots
    g.div_(_update_square(square, g, c))
    p.addcmul_(g, c["rate"], value=-1)


def _solo_adagrad(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(parameters, **_common(settings), eps=settings.eps, fused=True)


def _adagrad_columns(s: Columns, t: Tensor) -> dict[str, Tensor]:
    """Of lr g / (sqrt(v) + eps)."""
    return {"rate": s["learning_rate"], "floor": s["eps"], "tiny": torch.full_like(s["eps"], _TINY)}


def _adagrad(p: Tensor, g: Tensor, slots: Sequence[Tensor], c: Columns) -> None:
    (square,) = slots
    g.div_(_root(square.addcmul_(g, g), c))
    p.addcmul_(g, c["rate"], value=-1)


def _solo_adadelta(parameters: Iterable[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    return torch.optim.Adadelta(parameters, **_common(settings), rho=settings.rho, eps=settings.eps)


def _adadelta_columns(s: Columns, t: Tensor) -> dict[str, Tensor]:
    """Of lr sqrt(u + eps) / sqrt(v + eps) g; the slots are u/(1 - rho) and v/(1 - rho), and the factor cancels."""
    return {"rate": s["learning_rate"], "kept": s["rho"], "eps": s["eps"] / (1 - s["rho"])}


def _adadelta(p: Tensor, g: Tensor, slots: Sequence[Tensor], c: Columns) -> None:
    square, moved = slots
    square.mul_(c["kept"]).addcmul_(g, g)
    roots = torch.add(square, c["eps"])
    g.mul_(roots.rsqrt_())
    g.mul_(torch.add(moved, c["eps"], out=roots).sqrt_())
    moved.mul_(c["kept"]).addcmul_(g, g)
    p.addcmul_(g, c["rate"], value=-1)


OPTIMIZERS: Final[Mapping[str, Optimizer]] = {
    "sgd": Optimizer(_solo_sgd, _rate, _sgd),
    "momentum": Optimizer(_solo_momentum, _rate_and_momentum, _momentum, slots=1),
    "nesterov": Optimizer(_solo_nesterov, _rate_and_momentum, _nesterov, slots=1),
    "adam": Optimizer(_solo_adam, _adam_columns, _adam, slots=2),
    "adamw": Optimizer(_solo_adamw, _adam_columns, _adam, slots=2, decoupled=True),
    "adagrad": Optimizer(_solo_adagrad, _adagrad_columns, _adagrad, slots=1),
    "adadelta": Optimizer(_solo_adadelta, _adadelta_columns, _adadelta, slots=2),
    "rmsprop": Optimizer(_solo_rmsprop, _rmsprop_columns, _rmsprop, slots=1),
}


def unfused(settings: Settings) -> list[str]:
    """What of a trial's hyperparameters cannot be trained in company: `optimizer 'lion'`."""
    return [] if OPTIMIZERS[settings.optimizer].step is not None else [f"optimizer {settings.optimizer!r}"]
