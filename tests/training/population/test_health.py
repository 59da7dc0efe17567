"""Health of trials in the engine equals closed forms on tiny networks."""

import math

import pytest
import torch
from population_trials import chunk, member, small
from torch.nn import functional

from hpo.training.data import Data, Part
from hpo.training.health import GRADIENT_ROWS, HEALTH_ROWS, health_of
from hpo.training.solo import SoloRun


def tiny(rows=40, outputs=2, task="classification", seed=0):
    """Two inputs; the class is the sign of the first one."""
    x = torch.linspace(-1, 1, 2 * rows, dtype=torch.float64).view(rows, 2).sin() * (1 + seed)
    y = (x[:, 0] > 0).long() if task == "classification" else x[:, 0] * 2
    part = Part(x, y)
    return Data(part, part, part, 2, outputs, task)


def health_after(each, metric=None):
    """After an epoch that changed nothing: with a learning rate next to zero."""
    together = chunk([each], metric)
    together.train_epoch(lambda: False, lambda _: True)
    return each.last.health


FROZEN = {"learning_rate": 1e-300, "optimizer": "sgd", "batch_size": 8}


def with_weights(params, data, change):
    """A trial whose first weights were changed by hand."""
    network = SoloRun(member(params, 1, data).settings, data, 1, 9).model
    with torch.no_grad():
        change(network)
    each = member(params, 1, data)
    each.start = network
    return each, network


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_dead_units_are_those_that_are_zero_for_every_row(norm):
    data = tiny()

    def change(network):
        first, second = (hidden.linear for hidden in network.hidden)
        first.bias[:3] = -100  # dead whatever comes
        second.weight.zero_()
        second.bias[:] = torch.tensor([1.0, -1.0, 1.0, 1.0])
        if norm == "layer":
            network.hidden[0].norm.weight.zero_()
            network.hidden[0].norm.bias[:] = torch.tensor([-1.0, -1.0, -1.0, 1.0, 1.0])

    params = {**FROZEN, "depth": 2, "width_1": 5, "width_2": 4, "normalization": norm}
    if norm == "none":
        each, _ = with_weights(params, data, change)
        assert health_after(each)["dead_relu"] == (3 + 1) / (5 + 4)
    else:
        each, network = with_weights(params, data, change)
        network(data.train.x)
        dead = [int((hidden.activated == 0).all(dim=0).sum()) for hidden in network.hidden]
        assert dead[0] == 3
        assert health_after(each)["dead_relu"] == sum(dead) / 9


def test_only_relu_units_count_and_without_any_there_is_no_share():
    each, _ = with_weights(
        {**FROZEN, "depth": 2, "width_1": 5, "width_2": 4, "activation_2": "tanh"},
        tiny(),
        lambda network: network.hidden[0].linear.bias[:1].fill_(-100),
    )
    assert health_after(each)["dead_relu"] == 1 / 5
    assert "dead_relu" not in health_after(member({**FROZEN, "activation": "elu"}, 1, tiny()))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "hinge"])
def test_gradients_are_those_of_the_mean_loss_by_autograd(loss):
    data = tiny(300)
    params = {**FROZEN, "depth": 2, "width": 5, "activation": "tanh", "loss": loss, "batch_size": 300}
    params |= {"dropout": 0.5, "label_smoothing": 0.1, "l2": 0.1}  # none of which counts
    each, network = with_weights(params, data, lambda _: None)
    found = health_after(each)
    logits, y = network.eval()(data.train.x[:GRADIENT_ROWS]), data.train.y[:GRADIENT_ROWS]
    losses = {
        "cross_entropy": lambda: functional.cross_entropy(logits, y),
        "mse": lambda: (logits - functional.one_hot(y, 2)).square().sum(dim=1).mean(),
        "hinge": lambda: functional.multi_margin_loss(logits, y),
    }
    value = losses[loss]()
    weights = [network.hidden[0].linear.weight, network.output.weight]
    first, last = (gradient.norm().item() for gradient in torch.autograd.grad(value, weights))
    ratio = found["gradient_first"] / first
    assert ratio == pytest.approx(found["gradient_last"] / last, rel=1e-9)
    assert ratio == pytest.approx(1 if loss != "mse" else ratio, rel=1e-9)
    if loss == "mse":
        assert ratio in (pytest.approx(1, rel=1e-9), pytest.approx(0.5, rel=1e-9))  # the mean over classes, or the sum


def test_the_gap_is_positive_where_training_rows_are_better():
    assert health_of("accuracy", "maximize", 0.9, 0.7, (1, 1), None)["gap"] == pytest.approx(0.2)
    assert health_of("rmse", "minimize", 0.2, 0.5, (1, 1), None)["gap"] == pytest.approx(0.3)
    assert health_of("rmse", "minimize", 0.5, 0.2, (1, 1), 0.1) == {
        "train_rmse": 0.5,
        "gap": pytest.approx(-0.3),
        "gradient_first": 1,
        "gradient_last": 1,
        "dead_relu": 0.1,
    }


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_training_metric_is_of_the_first_rows_in_evaluation(metric):
    train, held = tiny(HEALTH_ROWS + 88), tiny(50, seed=1)
    data = Data(train.train, held.train, held.train, 2, 2)
    each, network = with_weights({**FROZEN, "width": 5, "dropout": 0.5}, data, lambda _: None)
    found = health_after(each, metric)
    with torch.no_grad():
        logits = network.eval()(data.train.x[:HEALTH_ROWS])
    y = data.train.y[:HEALTH_ROWS]
    wanted = {
        "accuracy": float((logits.argmax(dim=1) == y).double().mean()),
        "log_loss": float(functional.cross_entropy(logits, y)),
    }[metric]
    assert found[f"train_{metric}"] == pytest.approx(wanted, rel=1e-9)
    gap = wanted - each.last.value
    assert found["gap"] == pytest.approx(gap if metric == "accuracy" else -gap, abs=1e-9)


def test_health_of_a_regression_is_in_the_units_of_the_target():
    data = small(name="line", dtype=torch.float64)
    each, network = with_weights({**FROZEN, "width": 5}, data, lambda _: None)
    found = health_after(each, "rmse")
    with torch.no_grad():
        errors = (network.eval()(data.train.x)[:, 0] - data.train.y) * data.target_scale
    assert found["train_rmse"] == pytest.approx(math.sqrt(float(errors.square().mean())), rel=1e-9)
    assert found["gap"] == pytest.approx(each.last.value - found["train_rmse"], abs=1e-9)


def test_measuring_health_changes_nothing_of_the_training():
    params = {"width": 9, "batch_size": 20, "normalization": "batch", "dropout": 0.3}
    looked, left = member(params, 1, small(97)), member(params, 1, small(97))
    for each, ends in ((looked, True), (left, False)):
        together = chunk([each])
        for _ in range(3):
            together.train_epoch(lambda: False, lambda _, ends=ends: ends)
    assert looked.last.health
    assert not left.last.health
    assert looked.last.metrics == left.last.metrics
    assert all(torch.equal(a, b) for a, b in zip(looked.tensors, left.tensors, strict=True))
