"""Losses: of one trial against torch's own, and stacked against those of one trial."""

import itertools
import math

import pytest
import torch
from torch.nn import functional

from hpo.training import hyperparameters
from hpo.training.losses import LOSSES, Loss, loss_of

ALL = [pytest.param(task, name, id=f"{task}-{name}") for task, losses in LOSSES.items() for name in losses]
K, C, R = 4, 3, 25
SMOOTHING = torch.tensor([0.0, 0.1, 0.3, 0.9], dtype=torch.float64)[:, None, None]
SHARE = torch.tensor([1.0, 0.7, 0.5, 0.01], dtype=torch.float64)[:, None, None]


def batch(task: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Outputs (K, C, R), targets and other targets (K, 1, R); small and large errors, both signs."""
    count = C if task == "classification" else 1
    z = torch.sin(torch.arange(K * count * R, dtype=torch.float64) * 7).view(K, count, R)
    z = z * torch.tensor([0.1, 1.0, 3.0, 20.0], dtype=torch.float64)[:, None, None]
    if task == "classification":
        y = torch.arange(K * R).view(K, 1, R) % C
        return z, y, (y + torch.arange(R) % 2) % C
    y = torch.cos(torch.arange(K * R, dtype=torch.float64) * 3).view(K, 1, R)
    return z, y, y.flip(2)


def of_one(loss: Loss, z: torch.Tensor, y: torch.Tensor, smoothing: float, mixed: tuple[torch.Tensor, float] | None):
    """Losses and gradients of one trial by autograd, shaped as those of stacked trials: (C, R) -> (1, R), (C, R)."""
    z = z.T.clone().requires_grad_()
    rows = loss.rows(z, y[0], smoothing, mixed)
    (gradient,) = torch.autograd.grad(rows.sum(), z)
    return rows.detach()[None], gradient.T


def test_names_are_those_of_the_hyperparameters() -> None:
    assert {task: tuple(losses) for task, losses in LOSSES.items()} == dict(hyperparameters.LOSSES)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize(("task", "name"), ALL)
def test_stacked_losses_and_gradients_equal_those_of_each_trial(task: str, name: str, mix: bool, smooth: bool) -> None:
    loss, (z, y, other) = loss_of(task, name), batch(task)
    kept = z.clone()
    losses, gradients = loss.stacked(z, y, SMOOTHING if smooth else None, (other, SHARE) if mix else None)
    assert torch.equal(z, kept)
    for k in range(K):
        mixed = (other[k, 0], float(SHARE[k])) if mix else None
        wanted, gradient = of_one(loss, z[k], y[k], float(SMOOTHING[k]) if smooth else 0.0, mixed)
        torch.testing.assert_close(losses[k], wanted, rtol=0, atol=1e-12)
        torch.testing.assert_close(gradients[k], gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("task", "name"), ALL)
def test_losses_of_one_trial_equal_torchs(task: str, name: str) -> None:
    torchs = {
        ("classification", "cross_entropy"): lambda z, y: functional.cross_entropy(z, y, reduction="none"),
        ("classification", "hinge"): lambda z, y: functional.multi_margin_loss(z, y, reduction="none"),
        ("classification", "mse"): lambda z, y: torch.stack(
            [functional.mse_loss(row, functional.one_hot(c, C).double()) for row, c in zip(z, y, strict=True)]
        ),
        ("regression", "mse"): lambda z, y: functional.mse_loss(z[:, 0], y, reduction="none"),
        ("regression", "mae"): lambda z, y: functional.l1_loss(z[:, 0], y, reduction="none"),
        ("regression", "huber"): lambda z, y: functional.huber_loss(z[:, 0], y, reduction="none", delta=1.0),
    }[task, name]
    z, y, _ = batch(task)
    for k in range(K):
        leaf = z[k].T.clone().requires_grad_()
        wanted = torchs(leaf, y[k, 0])
        (gradient,) = torch.autograd.grad(wanted.sum(), leaf)
        rows, ours = of_one(loss_of(task, name), z[k], y[k], 0.0, None)
        torch.testing.assert_close(rows[0], wanted.detach(), rtol=0, atol=1e-13)
        torch.testing.assert_close(ours, gradient.T, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["cross_entropy", "mse"])
def test_smoothed_and_mixed_targets_are_probabilities_given_to_torch(name: str) -> None:
    z, y, other = batch("classification")
    z, y, other = z[1].T, y[1, 0], other[1, 0]
    hot = functional.one_hot(y, C).double() * 0.7 + functional.one_hot(other, C).double() * 0.3
    target = hot * 0.8 + 0.2 / C
    found = loss_of("classification", name).rows(z, y, 0.2, (other, 0.7))
    if name == "cross_entropy":
        wanted = functional.cross_entropy(z, target, reduction="none")
    else:
        wanted = functional.mse_loss(z, target, reduction="none").mean(dim=1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)


def test_mixed_numbers_are_numbers_between() -> None:
    z, y, other = batch("regression")
    z, y, other = z[1].T, y[1, 0], other[1, 0]
    found = loss_of("regression", "mae").rows(z, y, mixed=(other, 0.7))
    torch.testing.assert_close(found, (z[:, 0] - 0.7 * y - 0.3 * other).abs(), rtol=0, atol=1e-13)


def test_hinge_ignores_smoothing() -> None:
    z, y, _ = batch("classification")
    hinge = loss_of("classification", "hinge")
    for ours, wanted in zip(hinge.stacked(z, y, SMOOTHING), hinge.stacked(z, y), strict=True):
        assert torch.equal(ours, wanted)
    assert torch.equal(hinge.rows(z[0].T, y[0, 0], 0.3), hinge.rows(z[0].T, y[0, 0]))


@pytest.mark.parametrize(
    ("task", "name", "z", "y"),
    [
        ("classification", "hinge", [1.0, 2.0, 0.0], 1),  # a margin of exactly 1
        ("classification", "hinge", [1.0, 1.0, 1.0], 0),
        ("regression", "mae", [0.5], 0.5),
        ("regression", "huber", [1.5], 0.5),
        ("regression", "huber", [-0.5], 0.5),
    ],
)
def test_gradients_at_kinks_are_torchs(task: str, name: str, z: list[float], y: float) -> None:
    torchs = {"hinge": functional.multi_margin_loss, "mae": functional.l1_loss, "huber": functional.huber_loss}[name]
    leaf = torch.tensor(z, dtype=torch.float64).requires_grad_()
    target = torch.tensor(y) if task == "classification" else torch.tensor([y], dtype=torch.float64)
    (wanted,) = torch.autograd.grad(torchs(leaf, target), leaf)
    stacked, target = leaf.detach()[None, :, None], target.view(1, 1, 1)
    assert torch.equal(loss_of(task, name).stacked(stacked, target)[1].flatten(), wanted)
    assert torch.equal(of_one(loss_of(task, name), stacked[0], target[0], 0.0, None)[1].flatten(), wanted)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("task", "name"), ALL)
def test_what_is_not_finite_stays_in_its_trial(task: str, name: str, bad: float) -> None:
    loss, (z, y, other) = loss_of(task, name), batch(task)
    broken = z.clone()
    broken[1] = bad
    for smoothing, mixed in itertools.product((None, SMOOTHING), (None, (other, SHARE))):
        for ours, wanted in zip(
            loss.stacked(broken, y, smoothing, mixed), loss.stacked(z, y, smoothing, mixed), strict=True
        ):
            assert torch.equal(ours[[0, 2, 3]], wanted[[0, 2, 3]])


@pytest.mark.parametrize(("task", "name"), ALL)
def test_the_loss_of_nan_is_nan(task: str, name: str) -> None:
    z, y, _ = batch(task)
    z[:] = math.nan
    assert loss_of(task, name).stacked(z, y)[0].isnan().all()
    assert loss_of(task, name).rows(z[0].T, y[0, 0]).isnan().all()
