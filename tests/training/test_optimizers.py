"""Stacked steps of optimizers against torch's own, a trial at a time."""

import pytest
import torch

from hpo.training.hyperparameters import KNOWN, Settings, complete
from hpo.training.optimizers import OPTIMIZERS, make_optimizer, set_rate, setting_columns, stacked_step, step_columns


def settings_of_three(name: str, weight_decay: float) -> list[Settings]:
    return [
        complete(
            {
                "optimizer": name,
                "learning_rate": 0.01 * (k + 1),
                "momentum": 0.3 * k,
                "beta1": 0.4 * k,
                "beta2": 0.9 + 0.04 * k,
                "alpha": 0.8 + 0.09 * k,
                "rho": 0.45 * k,
                "eps": 10.0 ** (-3 - k),
                "weight_decay": weight_decay * (k + 1),
            }
        )
        for k in range(3)
    ]


def test_names_are_those_of_the_hyperparameters() -> None:
    assert set(OPTIMIZERS) == set(KNOWN["optimizer"].options)


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_stacked_step_equals_torchs_optimizer_for_each_trial(name: str, weight_decay: float, falling: bool) -> None:
    settings = settings_of_three(name, weight_decay)
    start = torch.cos(torch.arange(3 * 40, dtype=torch.float64)).view(3, 40)
    optimizer, p, s = OPTIMIZERS[name], start.clone(), setting_columns(settings)
    slots = [torch.zeros_like(p) for _ in range(optimizer.slots)]
    theirs = [torch.nn.Parameter(row.clone()) for row in start]
    torchs = [make_optimizer([parameter], each) for parameter, each in zip(theirs, settings, strict=True)]
    for t in range(1, 16):
        gradient = torch.sin(start * t) * 10.0 ** (t % 3 - 3)
        gradient[:, :5] = 0  # dead units
        rates = s["learning_rate"] * (0.7**t if falling else 1.0)  # (K, 1)
        columns = step_columns(optimizer, s | {"learning_rate": rates}, torch.full((1, 3, 1), t))
        stacked_step(
            optimizer, p, gradient.clone(), slots, {n: c[0] if c.dim() == 3 else c for n, c in columns.items()}
        )
        for parameter, each, row, rate in zip(theirs, torchs, gradient, rates.flatten().tolist(), strict=True):
            set_rate(each, rate)
            parameter.grad = row.clone()
            each.step()
        torch.testing.assert_close(p, torch.stack([each.detach() for each in theirs]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "adagrad", "adadelta"])
def test_a_square_beyond_float32_stops_a_weight_as_torch_does(name: str) -> None:
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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_in_float32_a_stacked_step_stays_close_to_torchs_over_sixteen_orders_of_magnitude(name: str) -> None:
    settings = complete({"optimizer": name, "learning_rate": 1e-6 if name in ("sgd", "momentum", "nesterov") else 0.1})
    optimizer, p = OPTIMIZERS[name], torch.ones(1, 17)
    slots = [torch.zeros_like(p) for _ in range(optimizer.slots)]
    theirs = torch.nn.Parameter(p[0].clone())
    torchs = make_optimizer([theirs], settings)
    for t in range(1, 21):
        gradient = torch.logspace(-8, 8, 17) * (-1 if t % 3 == 0 else 1)
        columns = step_columns(optimizer, setting_columns([settings]), torch.full((1, 1, 1), t))
        stacked_step(optimizer, p, gradient.clone()[None], slots, {n: c.float().view(1, 1) for n, c in columns.items()})
        theirs.grad = gradient
        torchs.step()
    torch.testing.assert_close(p[0] - 1, theirs.detach() - 1, rtol=1e-5, atol=2e-6)


def test_a_mean_square_with_a_long_memory_equals_torchs() -> None:
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
