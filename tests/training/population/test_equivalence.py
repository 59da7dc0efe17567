"""The engine computes what `torch.nn` and `torch.optim` compute, which the one-trial path is made of."""

import dataclasses
import itertools

import pytest
import torch
from population_trials import CPU, member, random_params, small, train
from torch.nn import functional

from hpo.training.activations import ACTIVATIONS, Activation
from hpo.training.hyperparameters import complete
from hpo.training.optimizers import OPTIMIZERS
from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import Inputs
from hpo.training.population.layout import layout_of
from hpo.training.population.retrain import retrain
from hpo.training.solo import SoloRun, train_and_evaluate

DATA = small(dtype=torch.float64)


def check(params, seed, result, data, epochs):
    """`result` of the engine equals the one-trial path's to 1e-9, metrics and every parameter."""
    mine, row = result
    model, steps = train_and_evaluate(params, data, seed, epochs)
    for step, found in zip(steps, mine, strict=True):
        assert step.metrics == pytest.approx(found.metrics, rel=0, abs=1e-9)
    settings = complete(params)
    ours = layout_of(settings, data).to_model(settings, row)
    for one, other in zip(ours.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_every_optimizer_and_activation_equals_torch_after_50_steps():
    combinations = list(itertools.product(OPTIMIZERS, ACTIVATIONS))
    trials = [
        (
            {
                "optimizer": optimizer,
                "activation": activation,
                "depth": 1 + i % 3,
                "width": 17 + i % 16,
                "dropout": 0.1 * (i % 5),
                "weight_decay": 0.01 * (i // 4 % 2 == i % 3 % 2),
                "learning_rate": 0.01,
                "batch_size": 20,
            },
            i,
        )
        for i, (optimizer, activation) in enumerate(combinations)
    ]
    assert len(DATA.train.y) == 200  # 5 epochs of 10 steps
    for (params, seed), result in zip(trials, train(trials, DATA, 5), strict=True):
        check(params, seed, result, DATA, 5)


@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (33, 32), (70, 199), (129, 500)])
def test_random_configurations_equal_torch_at_any_width_and_batch_size(shape):
    trials = [(random_params("equivalence", *shape, i, shape=shape), i) for i in range(6)]
    rows = 30 if shape[1] == 1 else 200
    data = small(rows, torch.float64)
    for (params, seed), result in zip(trials, train(trials, data, 2), strict=True):
        check(params, seed, result, data, 2)


@pytest.mark.parametrize("name", ["moons", "spirals"])
def test_other_numbers_of_inputs_and_classes_equal_torch(name):
    data = small(dtype=torch.float64, name=name)
    params = {"width": 24, "dropout": 0.2, "batch_size": 30}
    [result] = train([(params, 3)], data, 3)
    check(params, 3, result, data, 3)


def test_an_activation_without_a_fast_form_goes_through_autograd(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "silu", Activation(functional.silu))
    mine = dataclasses.replace(complete({"width": 32, "depth": 2, "dropout": 0.3}), activations=("silu", "tanh"))
    solo = SoloRun(mine, DATA, 5)
    wanted = [step.metrics for step in solo.advance(3)]
    new = member({"width": 32}, 5)
    new.settings = mine
    others = [member({"width": 20, "activation": "sigmoid"}, 6), member({"width": 30, "depth": 3}, 7)]
    chunk = Chunk([*others, new], Inputs.of(DATA, CPU))
    for expected in wanted:
        chunk.train_epoch(lambda: False)
        assert new.last.metrics == pytest.approx(expected, rel=0, abs=1e-9)


def test_padding_stays_zero():
    params = {"width": 19, "depth": 3, "activation": "sigmoid", "dropout": 0.3, "optimizer": "rmsprop"}
    [(_, row)] = train([(params, 1)], DATA, 3)
    settings = complete(params)
    layout = layout_of(settings, DATA)
    model = layout.to_model(settings, row)
    kept = sum(int((parameter != 0).sum()) for parameter in model.parameters())
    assert int((row != 0).sum()) == kept


def test_one_trial_trained_again_is_the_trial_of_the_population():
    data = small()
    trials = [(random_params("again", i, shape=(40, 25)), i) for i in range(5)]
    for (params, seed), (_, row) in zip(trials, train(trials, data, 3), strict=True):
        settings = complete(params)
        wanted = layout_of(settings, data).to_model(settings, row)
        model = retrain(params, data, seed, 3, CPU)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), wanted.parameters(), strict=True))


def test_a_diverged_trial_has_no_network():
    assert retrain({"optimizer": "sgd", "learning_rate": 1e6}, small(), 1, 20, CPU) is None
