"""Penalties and clipping of gradients against autograd and torch.nn.utils."""

import itertools
import math

import pytest
import torch
from torch import nn

from hpo.training.gradients import clip, clip_gradients, gradient_columns, penalize, penalize_gradients
from hpo.training.hyperparameters import complete
from hpo.training.optimizers import setting_columns

P = 60  # parameters of a trial: 40 weights, then 20 biases
WEIGHTS = (torch.arange(P) < 40).double()
PENALTIES = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.2), (0.1, 0.7)]  # l1, l2
CLIPS = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.3), (1.0, 0.2), (1e6, 0.0)]  # norm, value


def parameters(row: torch.Tensor) -> list[nn.Parameter]:
    return [nn.Parameter(part.clone()) for part in row.split([40, 20])]


def rows(trials: int) -> torch.Tensor:
    found = torch.sin(torch.arange(trials * P, dtype=torch.float64) * 5).view(trials, P)
    found[:, ::7] = 0  # padding
    return found


@pytest.mark.parametrize("every", [False, True])
def test_penalties_are_the_gradients_of_what_they_add_to_the_loss(every: bool) -> None:
    chosen = PENALTIES if every else PENALTIES[:1] + PENALTIES[2:3]  # of the latter no trial has l1
    settings = [complete({"l1": l1, "l2": l2}) for l1, l2 in chosen]
    p, own = rows(len(settings)), torch.cos(rows(len(settings)))
    g, columns = own.clone(), gradient_columns(setting_columns(settings))
    assert set(columns) == ({"l1", "l2"} if every else {"l2"})
    penalize(g, p, WEIGHTS, columns.get("l1"), columns.get("l2"))
    for k, each in enumerate(settings):
        weight, bias = parameters(p[k])
        loss = (torch.cat([weight, bias]) * own[k]).sum()
        (loss + each.l1 * weight.abs().sum() + each.l2 / 2 * weight.square().sum()).backward()
        wanted = torch.cat([weight.grad, bias.grad])
        torch.testing.assert_close(g[k], wanted, rtol=0, atol=1e-14)
        weight.grad = own[k, :40].clone()
        penalize_gradients([weight], each)
        torch.testing.assert_close(weight.grad, wanted[:40], rtol=0, atol=1e-14)


def test_clipping_stacked_trials_equals_torchs_of_each() -> None:
    settings = [complete({"clip_norm": norm, "clip_value": value}) for norm, value in CLIPS]
    own = rows(len(settings))
    g, columns = own.clone(), gradient_columns(setting_columns(settings))
    clip(g, columns["clip_norm"], columns["clip_value"])
    for k, each in enumerate(settings):
        alone = parameters(torch.zeros(P, dtype=torch.float64))
        for parameter, gradient in zip(alone, own[k].split([40, 20]), strict=True):
            parameter.grad = gradient.clone()
        clip_gradients(alone, each)
        torch.testing.assert_close(g[k], torch.cat([each.grad for each in alone]), rtol=0, atol=1e-12)
    assert torch.equal(g[0], own[0])
    assert torch.equal(g[-1], own[-1])


def test_the_norm_is_that_of_what_clipping_by_value_leaves() -> None:
    g = torch.tensor([[300.0, 0.4, 0.0]], dtype=torch.float64)
    clip(g, torch.tensor([[0.25]]), torch.tensor([[0.3]]))
    torch.testing.assert_close(g, torch.tensor([[0.3, 0.3, 0.0]]).double() * 0.25 / (0.3 * 2**0.5 + 1e-6))


def test_a_clipped_gradient_is_no_longer_and_no_larger_than_asked_for() -> None:
    g = rows(3) * torch.tensor([[1e-3], [1.0], [1e6]])
    clip(g, torch.full((3, 1), 0.5), torch.full((3, 1), 0.1))
    assert (torch.linalg.vector_norm(g, dim=1) <= 0.5).all()
    assert (g.abs() <= 0.1).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite_stay_as_they_are_without_clipping(bad: float) -> None:
    own = rows(3)
    own[0, 1:4] = torch.tensor([bad, -bad, -0.0])
    own[1, 1:4] = torch.tensor([bad, -bad, -0.0])
    off = torch.tensor([[0.0], [0.5], [0.5]])
    for norm, value in itertools.product((None, off), (None, off)):
        g = own.clone()
        clip(g, norm, value)
        assert torch.equal(g[0].view(torch.int64), own[0].view(torch.int64))
        assert g[2].isfinite().all()
        if norm is not None or value is not None:
            assert not torch.equal(g[2], own[2])
    g = own.clone()
    clip(g, None, None)
    assert torch.equal(g.view(torch.int64), own.view(torch.int64))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_clipping_by_norm_makes_of_a_gradient_that_is_not_finite_what_torch_makes_of_it(bad: float) -> None:
    own = rows(1)
    own[0, 3] = bad
    g = own.clone()
    clip(g, torch.ones(1, 1), None)
    alone = nn.Parameter(torch.zeros(P, dtype=torch.float64))
    alone.grad = own[0].clone()
    clip_gradients([alone], complete({"clip_norm": 1.0}))
    assert torch.equal(g[0].isnan(), alone.grad.isnan())


def test_a_parameter_that_is_not_finite_stays_in_its_trial() -> None:
    p, g = rows(2), torch.zeros(2, P, dtype=torch.float64)
    p[0, 1] = math.inf
    penalize(g, p, WEIGHTS, torch.ones(2, 1), torch.ones(2, 1))
    assert g[1].isfinite().all()
