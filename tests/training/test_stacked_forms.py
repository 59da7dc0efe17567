"""The stacked form of each technique against its one-trial form, by itself."""

import pytest
import torch
from torch.nn import functional

from hpo.training import hyperparameters
from hpo.training.activations import ACTIVATIONS
from hpo.training.hyperparameters import complete
from hpo.training.losses import stacked_cross_entropy
from hpo.training.optimizers import OPTIMIZERS, make_optimizer, setting_columns, stacked_step, step_columns

Z = torch.linspace(-6, 6, 241, dtype=torch.float64)


def test_names_and_tables_agree():
    assert set(OPTIMIZERS) == set(hyperparameters.OPTIMIZERS)
    assert set(ACTIVATIONS) == set(hyperparameters.ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_fast_activation_equals_autograd(name):
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


def test_stacked_cross_entropy_and_its_gradient_equal_torchs():
    logits = torch.sin(torch.arange(4 * 3 * 5, dtype=torch.float64) * 7).view(4, 3, 5).mul(20).requires_grad_()
    y = torch.arange(20).view(4, 1, 5) % 3
    wanted = functional.cross_entropy(logits, y[:, 0], reduction="none")  # (4, 5)
    (gradient,) = torch.autograd.grad(wanted.sum(), logits)
    loss, ours = stacked_cross_entropy(logits.detach(), y)
    torch.testing.assert_close(loss[:, 0], wanted.detach(), rtol=0, atol=1e-13)
    torch.testing.assert_close(ours, gradient, rtol=0, atol=1e-14)


@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_stacked_step_equals_torchs_optimizer_for_each_trial(name, weight_decay):
    settings = [
        complete(
            {
                "optimizer": name,
                "learning_rate": 0.01 * (k + 1),
                "momentum": 0.3 * k,
                "beta1": 0.4 * k,
                "beta2": 0.9 + 0.04 * k,
                "alpha": 0.8 + 0.09 * k,
                "eps": 10.0 ** (-3 - k),
                "weight_decay": weight_decay * (k + 1),
            }
        )
        for k in range(3)
    ]
    start = torch.cos(torch.arange(3 * 40, dtype=torch.float64)).view(3, 40)
    optimizer, p = OPTIMIZERS[name], start.clone()
    slots = [torch.zeros_like(p) for _ in range(optimizer.slots)]
    theirs = [torch.nn.Parameter(row.clone()) for row in start]
    torchs = [make_optimizer([parameter], each) for parameter, each in zip(theirs, settings, strict=True)]
    for t in range(1, 30):
        gradient = torch.sin(start * t) * 10.0 ** (t % 3 - 3)
        gradient[:, :5] = 0  # dead units
        columns = step_columns(optimizer, setting_columns(settings), torch.full((1, 3, 1), t))
        stacked_step(
            optimizer, p, gradient.clone(), slots, {n: c[0] if c.dim() == 3 else c for n, c in columns.items()}
        )
        for parameter, each, row in zip(theirs, torchs, gradient, strict=True):
            parameter.grad = row.clone()
            each.step()
        torch.testing.assert_close(p, torch.stack([each.detach() for each in theirs]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop"])
def test_a_square_beyond_float32_stops_a_weight_as_torch_does(name):
    settings = complete({"optimizer": name})
    optimizer, p = OPTIMIZERS[name], torch.ones(1, 8)
    slots = [torch.zeros_like(p) for _ in range(optimizer.slots)]
    theirs = torch.nn.Parameter(torch.ones(8))
    torchs = make_optimizer([theirs], settings)
    for t, size in enumerate((1e25, 1e25, 1.0), start=1):
        columns = step_columns(optimizer, setting_columns([settings]), torch.full((1, 1, 1), t))
        stacked_step(
            optimizer, p, torch.full((1, 8), size), slots, {n: c.float().view(1, 1) for n, c in columns.items()}
        )
        theirs.grad = torch.full((8,), size)
        torchs.step()
    assert torch.equal(p[0], theirs.detach())


def test_a_mean_square_with_a_long_memory_equals_torchs():
    settings = complete({"optimizer": "adam", "beta2": 1 - 1e-12, "eps": 1e-12})
    optimizer, p = OPTIMIZERS["adam"], torch.ones(1, 8, dtype=torch.float64)
    slots = [torch.zeros_like(p) for _ in range(2)]
    theirs = torch.nn.Parameter(p[0].clone())
    torchs = make_optimizer([theirs], settings)
    for t in range(1, 11):
        gradient = torch.logspace(-9, 0, 8, dtype=torch.float64) * (-1) ** t
        columns = step_columns(optimizer, setting_columns([settings]), torch.full((1, 1, 1), t))
        stacked_step(optimizer, p, gradient.clone()[None], slots, {n: c.view(1, 1) for n, c in columns.items()})
        theirs.grad = gradient
        torchs.step()
    torch.testing.assert_close(p[0], theirs.detach(), rtol=0, atol=1e-9)
