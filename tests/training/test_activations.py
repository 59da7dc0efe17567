"""Activations: in place, stateful, and of more than one trial, against torch's own and autograd."""

import pytest
import torch
from torch.nn import functional

from hpo.training.activations import ACTIVATIONS, FIRST_SLOPE, SLOPES, prelu, rrelu
from hpo.training.hyperparameters import KNOWN, STATEFUL

Z = torch.linspace(-6, 6, 241, dtype=torch.float64)
FAST = [name for name, activation in ACTIVATIONS.items() if activation.fast is not None]


def test_names_are_those_of_the_hyperparameters() -> None:
    assert {*ACTIVATIONS, *STATEFUL} == set(KNOWN["activation"].options)
    assert not set(ACTIVATIONS) & set(STATEFUL)


@pytest.mark.parametrize("name", FAST)
def test_a_fast_activation_equals_autograd(name: str) -> None:
    activation = ACTIVATIONS[name]
    z = Z.clone().requires_grad_()
    wanted = activation.function(z)
    dy = torch.cos(Z)
    (dz,) = torch.autograd.grad(wanted, z, dy)
    y, gradient = Z.clone(), dy.clone()
    activation.fast.forward(y)
    activation.fast.backward(gradient, y)
    assert torch.equal(y, wanted.detach())
    torch.testing.assert_close(gradient, dz, rtol=0, atol=1e-15)


def test_formulas() -> None:
    formulas = {
        "elu": torch.where(Z > 0, Z, torch.expm1(Z)),
        "gelu": Z * torch.special.ndtr(Z),
        "silu": Z / (1 + torch.exp(-Z)),
        "leaky_relu": torch.where(Z > 0, Z, 0.01 * Z),
    }
    for name, wanted in formulas.items():
        torch.testing.assert_close(ACTIVATIONS[name].function(Z), wanted, rtol=0, atol=1e-14)


def test_prelu_of_stacked_trials_equals_torchs_of_each() -> None:
    z = torch.stack([Z, Z.flip(0), 2 * Z])[:, None].requires_grad_()  # (K, 1, R), zeros among them
    slopes = torch.tensor([FIRST_SLOPE, -0.5, 1.5], dtype=torch.float64)[:, None, None].requires_grad_()
    y = prelu(z, slopes)
    dy = torch.cos(3 * z.detach())
    dz, dslope = torch.autograd.grad(y, (z, slopes), dy)
    for k in range(3):
        layer = torch.nn.PReLU(dtype=torch.float64)
        assert layer.weight.item() == FIRST_SLOPE
        layer.weight.data.fill_(slopes[k].item())
        own = z[k].detach().requires_grad_()
        wanted = layer(own)
        wanted.backward(dy[k])
        assert torch.equal(y[k], wanted)
        assert torch.equal(dz[k], own.grad)
        torch.testing.assert_close(dslope[k].flatten(), layer.weight.grad, rtol=0, atol=1e-12)


def test_rrelu_equals_torchs() -> None:
    layer = torch.nn.RReLU().double()
    assert (layer.lower, layer.upper) == SLOPES
    torch.testing.assert_close(rrelu(Z, None), layer.eval()(Z), rtol=0, atol=1e-15)
    slopes = torch.linspace(*SLOPES, len(Z), dtype=torch.float64)
    z = Z.clone().requires_grad_()
    y = rrelu(z, slopes)
    (dz,) = torch.autograd.grad(y.sum(), z)
    for i, slope in enumerate(slopes.tolist()):
        own = Z[i : i + 1].clone().requires_grad_()
        wanted = functional.rrelu(own, slope, slope, training=True)
        wanted.backward()
        torch.testing.assert_close(y[i : i + 1], wanted, rtol=0, atol=1e-15)
        torch.testing.assert_close(dz[i : i + 1], own.grad, rtol=0, atol=1e-15)
