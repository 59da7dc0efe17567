"""The engine computes what `torch.nn` and `torch.optim` compute, which the one-trial path is made of."""

import functools
import itertools
import math

import pytest
import torch
from population_trials import CPU, EPOCHS, member, metric_of, random_params, small, train, train_members
from torch.nn import functional

from hpo.training.activations import ACTIVATIONS, Activation
from hpo.training.data import Data
from hpo.training.hyperparameters import KNOWN, LOSSES, complete
from hpo.training.metrics import METRICS
from hpo.training.optimizers import OPTIMIZERS
from hpo.training.population.member import Member
from hpo.training.population.retrain import retrain
from hpo.training.solo import SoloRun

double = functools.partial(small, dtype=torch.float64)
DATA = double()


def check(each: Member, seed, result, epochs, metric=None):
    """`result` of the engine equals the one-trial path's to 1e-9: metrics, health, every parameter and statistic."""
    name = metric or metric_of(each.data)
    solo = SoloRun(each.settings, each.data, seed, each.epochs, METRICS[name])
    wanted, (found, _) = list(solo.advance(epochs)), result
    for step, mine in zip(wanted, found, strict=True):
        assert (mine.epoch, mine.ended) == (step.epoch, step.ended)
        assert mine.value == pytest.approx(step.value, rel=0, abs=1e-9)
        assert mine.metrics == pytest.approx(step.metrics, rel=0, abs=1e-9)
        assert mine.health == pytest.approx(step.health, rel=1e-9, abs=1e-9)
    assert found[-1].health
    assert found[-1].value == found[-1].value  # none has diverged
    theirs = solo.best_model().state_dict()
    for name, tensor in each.model().state_dict().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-9)


def prepared(params, **which) -> Data:
    return double(**which, how=complete(params | {"loss": "mse", "class_weights": "none"}).preparation)


# -- every hyperparameter

# An adaptive optimizer scales a gradient that is truly zero, of a bias before batch normalization, say, up by 1 / eps:
# with this eps its rounding errors stay rounding errors.
BASE = {"batch_size": 30, "width": 24, "learning_rate": 0.01, "step_size": 1, "warmup_epochs": 2, "eps": 1e-4}
NUMBERS = {  # values of what has no options, and what they need to matter
    "pca_components": [{"pca_components": 5}],
    "noise_std": [{"noise_std": 0.5, "augmentation": "gaussian_noise"}],
    "mixup_alpha": [{"mixup_alpha": alpha, "augmentation": "mixup"} for alpha in (0.05, 3.0)],
    "depth": [{"depth": depth} for depth in (1, 3, 6)],
    "width": [{"width": width} for width in (1, 17, 32)],
    "init_scale": [{"init_scale": 0.2, "initialization": name} for name in ("normal", "uniform", "truncated_normal")],
    "dropout": [{"dropout": 0.4}, {"dropout": 0.8, "normalization": "batch"}],
    "label_smoothing": [{"label_smoothing": 0.3, "loss": loss} for loss in ("cross_entropy", "mse")],
    "l1": [{"l1": 0.01}, {"l1": 0.01, "normalization": "weight"}],
    "l2": [{"l2": 0.02}, {"l2": 0.02, "residual": True}],
    "learning_rate": [{"learning_rate": 0.1, "optimizer": "sgd"}, {"learning_rate": 1e-300}],
    "momentum": [{"momentum": 0.5, "optimizer": name} for name in ("momentum", "nesterov")],
    "beta1": [{"beta1": 0.5, "optimizer": name} for name in ("adam", "adamw")],
    "beta2": [{"beta2": 0.9, "optimizer": name} for name in ("adam", "adamw")],
    "alpha": [{"alpha": 0.8, "optimizer": "rmsprop"}],
    "rho": [{"rho": 0.6, "optimizer": "adadelta", "learning_rate": 1.0}],
    "eps": [{"eps": 1e-3, "optimizer": name} for name in ("adam", "adamw", "rmsprop", "adagrad", "adadelta")],
    "weight_decay": [{"weight_decay": 0.01, "optimizer": name} for name in KNOWN["optimizer"].options],
    "step_size": [{"step_size": 2, "schedule": "step"}, {"step_size": 2, "schedule": "plateau"}],
    "gamma": [{"gamma": 0.3, "schedule": name} for name in ("step", "exponential", "plateau")],
    "warmup_epochs": [{"warmup_epochs": count, "schedule": "warmup_cosine"} for count in (0, 3, 9)],
    "clip_norm": [{"clip_norm": 0.05}],
    "clip_value": [{"clip_value": 0.001}, {"clip_value": 0.001, "clip_norm": 0.01}],
    "batch_size": [{"batch_size": size} for size in (7, 73, 1000)],
    "patience": [{"patience": 2, "early_stopping": True, "learning_rate": 0.1}],
}
NUMBERS |= {f"width_{i}": [{f"width_{i}": 31, "depth": i}, {f"width_{i}": 9, "depth": i}] for i in range(1, 7)}
TOGETHER = [
    {"residual": True, "width": 20},  # as wide as the input: no projection
    {"residual": True, "width_2": 30, "normalization": "batch", "dropout": 0.3},
    {"augmentation": "mixup", "class_weights": "balanced", "loss": "hinge"},
    {"augmentation": "mixup", "label_smoothing": 0.2, "batch_size": 16},
    {"early_stopping": True, "normalization": "batch", "patience": 1, "learning_rate": 0.3},
    {"normalization": "batch", "batch_size": 24},  # the last batch has one row
    {"normalization": "layer", "weight_decay": 0.1, "clip_norm": 0.05},  # what has no prelu has no slopes to clip
]
ACTIVATION_OPTIONS = KNOWN["activation_1"].options
EACH_LAYERS = [  # every option in every layer
    {f"activation_{layer}": ACTIVATION_OPTIONS[(i + layer) % len(ACTIVATION_OPTIONS)] for layer in range(1, 7)}
    | {"depth": 6, "width": 16}
    for i in range(len(ACTIVATION_OPTIONS))
]
CASES = [
    *({name: option} for name in KNOWN if not name[-1].isdigit() for option in KNOWN[name].options),
    *itertools.chain.from_iterable(NUMBERS.values()),
    *EACH_LAYERS,
    *TOGETHER,
]


def fits(params, task) -> bool:
    return params.get("loss") in (None, *LOSSES[task]) and (
        task == "classification" or params.get("class_weights", "none") == "none"
    )


def cases(task):
    return [{**BASE, **each} for each in CASES if fits(each, task)]


TASKS = {"classification": {"rows": 73}, "regression": {"name": "line"}}


@functools.cache
def trained(task):
    """All cases of a task, trained in one company."""
    members = [member(params, seed, prepared(params, **TASKS[task])) for seed, params in enumerate(cases(task))]
    return list(zip(members, train_members(members, 3), strict=True))


def test_every_option_and_every_number_has_a_case():
    covered = {(name, value) for each in CASES for name, value in each.items()}
    assert covered >= {(name, option) for name, known in KNOWN.items() for option in known.options}
    assert {name for name, known in KNOWN.items() if not known.options} == set(NUMBERS)


@pytest.mark.parametrize(
    ("task", "seed"),
    [pytest.param(task, i, id=f"{task}-{i}") for task in TASKS for i in range(len(cases(task)))],
)
def test_every_value_of_every_hyperparameter_equals_torch(task, seed):
    each, result = trained(task)[seed]
    check(each, seed, result, 3)


# -- many at once


def company(*key, count, shape, kind, **which):
    """Random trials of one shape and kind."""
    found = []
    for i in range(count):
        params = random_params("equivalence", *key, i, shape=shape, kind=kind, task=double(**which).task)
        params |= {"preprocessing": "standardize", "pca_components": 0}
        if params["initialization"] == "zeros":  # weight normalization has nothing to divide by, relu no side to be on
            params["initialization"] = "orthogonal"
        found.append(member(params, i, prepared(params, **which)))
    return found


@pytest.mark.parametrize("kind", ["plain", "extended", "residual"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (33, 32), (70, 199), (129, 500)])
def test_random_configurations_equal_torch_at_any_width_and_batch_size(shape, kind):
    members = company(*shape, kind, count=4, shape=shape, kind=kind, rows=30 if shape[1] == 1 else 90)
    for seed, (each, result) in enumerate(zip(members, train_members(members, 2), strict=True)):
        check(each, seed, result, 2)


@pytest.mark.parametrize("kind", ["plain", "extended", "residual"])
@pytest.mark.parametrize("name", ["moons", "spirals", "wine", "line"])
def test_other_numbers_of_inputs_and_classes_equal_torch(name, kind):
    members = company(name, kind, count=5, shape=(24, 17), kind=kind, name=name, rows=60)
    for seed, (each, result) in enumerate(zip(members, train_members(members, 3), strict=True)):
        check(each, seed, result, 3)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_equals_the_one_of_the_single_path(metric):
    name = "wine" if METRICS[metric].task == "classification" else "line"
    members = company("metric", count=3, shape=(20, 9), kind="extended", name=name, rows=40)
    for seed, (each, result) in enumerate(zip(members, train_members(members, 2, metric), strict=True)):
        check(each, seed, result, 2, metric)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(60))
def test_random_companies_equal_torch(number):
    name = ("classification", "wine", "line", "spirals")[number % 4]
    kind = ("plain", "extended", "residual")[number % 3]
    shape = (1 + 17 * number % 140, 1 + 7 * number % 100)
    members = company("storm", number, count=12, shape=shape, kind=kind, name=name, rows=60)
    for seed, (each, result) in enumerate(zip(members, train_members(members, 4), strict=True)):
        check(each, seed, result, 4)


@pytest.mark.slow
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
    members = [member(params, seed, DATA) for params, seed in trials]
    for seed, (each, result) in enumerate(zip(members, train_members(members, 5), strict=True)):
        check(each, seed, result, 5)


def test_an_activation_without_a_fast_form_goes_through_autograd(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "tanh", Activation(functional.tanh))
    params = {"width": 32, "depth": 2, "dropout": 0.3, "activation": "tanh", "activation_1": "silu"}
    members = [
        member({"width": 20, "activation": "sigmoid"}, 0, DATA),
        member({"width": 30, "depth": 3}, 1, DATA),
        member(params, 2, DATA),
    ]
    for seed, (each, result) in enumerate(zip(members, train_members(members, 3), strict=True)):
        check(each, seed, result, 3)


@pytest.mark.parametrize(
    "params",
    [
        {"activation": "sigmoid", "optimizer": "rmsprop"},
        {"activation": "sigmoid", "normalization": "batch", "l1": 0.01},
        {"normalization": "layer", "residual": True, "width_2": 25, "optimizer": "adadelta"},
        {"normalization": "weight", "activation": "rrelu", "weight_decay": 0.1},
        {"normalization": "local_response", "activation": "prelu", "augmentation": "gaussian_noise"},
    ],
)
def test_padding_stays_zero(params):
    [each] = members = [member({"width": 19, "depth": 3, "dropout": 0.3, **params}, 1, small(rows=97))]
    train_members(members, 3)
    row = each.tensors[0]
    kept = sum(int((parameter != 0).sum()) for parameter in each.model().parameters())
    assert int((row != 0).sum()) == kept


def test_one_trial_trained_again_is_the_trial_of_the_population():
    data = small()
    for kind in ("plain", "extended"):
        trials = [(random_params("again", i, shape=(40, 25), kind=kind), i) for i in range(4)]
        for (params, seed), (steps, tensors) in zip(trials, train(trials, data, 3), strict=True):
            again = member(params, seed, data)
            told = retrain(again, 3, METRICS["accuracy"], CPU)
            assert [step.metrics for step in told] == [step.metrics for step in steps]
            assert told[-1].health == steps[-1].health
            assert all(torch.equal(a, b) for a, b in zip(again.tensors, tensors, strict=True))


def test_training_again_ends_where_it_diverges():
    steps = retrain(member({"optimizer": "sgd", "learning_rate": 1e6}, 1), EPOCHS, METRICS["accuracy"], CPU)
    assert len(steps) < EPOCHS
    assert [math.isnan(step.value) for step in steps] == [False] * (len(steps) - 1) + [True]
