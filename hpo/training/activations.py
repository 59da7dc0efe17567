"""What follows a linear layer: each activation for one trial, and the fast form for stacked trials where it has one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_aten = torch.ops.aten
LEAK: Final = 0.01  # slope of leaky_relu below zero
FIRST_SLOPE: Final = 0.25  # of prelu below zero, before it has learnt
SLOPES: Final = (1 / 8, 1 / 3)  # range of the slopes of rrelu below zero


@dataclass(frozen=True)
class InPlace:
    """An activation that overwrites its argument.

    Attributes:
        forward: turns z into y.
        backward: (dy, y): turns the gradient dy of the result y into that of the argument.
    """

    forward: Callable[[Tensor], object]
    backward: Callable[[Tensor, Tensor], object]


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes:
        function: works on tensors of any shape, element by element; differentiable.
        fast: the same in place, which the population engine prefers; None: it calls `function`, and autograd goes
            back through it.
    """

    function: Callable[[Tensor], Tensor]
    fast: InPlace | None = None


ACTIVATIONS: Final[Mapping[str, Activation]] = {
    "relu": Activation(
        torch.relu,
        InPlace(torch.relu_, lambda dy, y: _aten.threshold_backward.grad_input(dy, y, 0, grad_input=dy)),
    ),
    "tanh": Activation(
        torch.tanh, InPlace(torch.tanh_, lambda dy, y: _aten.tanh_backward.grad_input(dy, y, grad_input=dy))
    ),
    "sigmoid": Activation(
        torch.sigmoid, InPlace(torch.sigmoid_, lambda dy, y: _aten.sigmoid_backward.grad_input(dy, y, grad_input=dy))
    ),
    "leaky_relu": Activation(
        partial(functional.leaky_relu, negative_slope=LEAK),
        InPlace(
            partial(functional.leaky_relu_, negative_slope=LEAK),
            lambda dy, y: _aten.leaky_relu_backward.grad_input(dy, y, LEAK, True, grad_input=dy),
        ),
    ),
    "elu": Activation(
        functional.elu,
        InPlace(functional.elu_, lambda dy, y: _aten.elu_backward.grad_input(dy, 1.0, 1, 1, True, y, grad_input=dy)),
    ),
    "gelu": Activation(functional.gelu),
    "silu": Activation(functional.silu),
}


def prelu(z: Tensor, slope: Tensor) -> Tensor:
    """`z` above zero, and times `slope` elsewhere.

    Args:
        z: any shape.
        slope: learnable, one a layer: a shape that broadcasts to that of `z`, (K, 1, 1) for K trials.
    """
    return _aten._prelu_kernel(z, slope.expand_as(z))  # type: ignore[no-any-return]


def rrelu(z: Tensor, slopes: Tensor | None) -> Tensor:
    """`z` above zero, and times a slope elsewhere.

    Args:
        z: any shape.
        slopes: in training, drawn uniformly from SLOPES for every element, shaped as `z`; None in evaluation, where
            the slope is the mean.
    """
    return functional.leaky_relu(z, sum(SLOPES) / 2) if slopes is None else prelu(z, slopes)
