"""A trial's outcome does not depend on its neighbours: not on their number, order or fate, to the last bit."""

import functools
import math
from collections import Counter

import pytest
import torch
from population_trials import (
    chunk,
    equal,
    member,
    random_params,
    same_bits,
    shapes,
    small,
    state_of,
    train,
    train_members,
)

from hpo import seeding
from hpo.training.hyperparameters import KNOWN, LOSSES, Preparation
from hpo.training.population.member import shape_of

DATA = small(97)
KINDS = ("plain", "extended", "residual")


def company(shape, count, kind="plain", task="classification"):
    return [(random_params("company", *shape, kind, i, shape=shape, kind=kind, task=task), i) for i in range(count)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", shapes(4))
def test_a_trial_gives_the_same_bits_alone_and_in_any_company(shape, kind):
    rows = small(max(11, 4 * shape[1])) if shape[1] < 9 else DATA
    trials = company(shape, 8, kind)
    alone = [train([trial], rows, 2)[0] for trial in trials]
    chance = seeding.generator("picks", *shape)
    for _ in range(2):
        picked = [int(i) for i in chance.permutation(len(trials))[: int(chance.integers(2, len(trials) + 1))]]
        for i, result in zip(picked, train([trials[i] for i in picked], rows, 2), strict=True):
            assert equal(result, alone[i]), trials[i]


@pytest.mark.parametrize("kind", KINDS)
def test_a_regression_gives_the_same_bits_alone_and_in_company(kind):
    data, trials = small(name="line"), company((20, 7), 8, kind, "regression")
    alone = [train([trial], data, 3)[0] for trial in trials]
    assert all(equal(one, other) for one, other in zip(train(trials, data, 3), alone, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(40))
def test_random_shapes_and_companies_give_the_same_bits(number, kind):
    chance = seeding.generator("storm", number)
    shape = int(chance.integers(1, 400)), int(chance.integers(1, 300))
    trials = [(random_params("storm", number, i, shape=shape, kind=kind), i) for i in range(40)]
    alone = [train([trial], DATA, 2)[0] for trial in trials]
    for _ in range(4):
        picked = [int(i) for i in chance.permutation(40)[: int(chance.integers(2, 41))]]
        for i, result in zip(picked, train([trials[i] for i in picked], DATA, 2), strict=True):
            assert equal(result, alone[i]), trials[i]


SHAPE = {"width": 20, "depth": 2, "batch_size": 25}
TECHNIQUES = [  # what a neighbour may do that a trial does not
    *({"loss": loss} for loss in LOSSES["classification"]),
    {"label_smoothing": 0.2},
    {"class_weights": "balanced"},
    {"augmentation": "mixup"},
    {"augmentation": "gaussian_noise"},
    {"augmentation": "mixup", "class_weights": "balanced", "loss": "hinge"},
    {"clip_norm": 0.01},
    {"clip_value": 0.001},
    {"l1": 0.1},
    {"l2": 0.1},
    {"dropout": 0.5},
    {"weight_decay": 0.1},
    {"early_stopping": True, "patience": 1},
    *({"schedule": name} for name in KNOWN["schedule"].options),
    *({"optimizer": name} for name in KNOWN["optimizer"].options),
    *({"activation": name} for name in KNOWN["activation"].options),
    *({"normalization": name} for name in KNOWN["normalization"].options),
    {"residual": True},
    {"residual": True, "width_2": 24},
]


@pytest.mark.parametrize("mine", [{}, {"loss": "hinge", "normalization": "batch"}, {"loss": "mse", "residual": True}])
def test_no_technique_of_a_neighbour_changes_a_bit(mine):
    data, mine = small(60), {**SHAPE, **mine}
    alone = train([(mine, 1)], data, 2)[0]
    for technique in TECHNIQUES[:13]:
        assert equal(train([({**mine, **technique}, 2), (mine, 1)], data, 2)[1], alone), technique
    everyone = train([*(({**mine, **technique}, 2) for technique in TECHNIQUES), (mine, 1)], data, 2)
    assert equal(everyone[-1], alone)


RUINS = [
    {"optimizer": "sgd", "learning_rate": 1e6},
    {"optimizer": "nesterov", "learning_rate": 1e3, "momentum": 0.99},
    {"optimizer": "adam", "learning_rate": 1e6, "beta1": 0.0},
    {"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 1e4},
]


@functools.cache
def six_alone():
    """What six trials are, each alone."""
    return [train([trial], DATA, 12)[0] for trial in company((40, 25), 6)]


@pytest.mark.parametrize("ruin", RUINS)
def test_a_neighbour_that_diverges_changes_no_bit(ruin):
    trials = company((40, 25), 6)
    bad = {"width": 40, "depth": 6, "batch_size": 25, "activation": "relu", **ruin}
    *healthy, (steps, tensors) = train([*trials, (bad, 99)], DATA, 12)
    assert math.isnan(steps[-1].value)
    assert not tensors[0].isfinite().all()
    assert all(equal(result, wanted) for result, wanted in zip(healthy, six_alone(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["none", "weight"])
def test_a_trial_that_diverges_does_so_alike_in_any_company(kind, norm):
    """What is infinite must not turn into NaN by a technique that only others have."""
    shared = {"width": 40, "depth": 3, "batch_size": 25, "optimizer": "sgd", "learning_rate": 1e6}
    if kind != "plain":
        shared |= {"residual": kind == "residual", "activation": "prelu", "normalization": norm}
    others = [({**shared, "learning_rate": 0.01, **each}, 5) for each in TECHNIQUES[:9]]
    bad = [({**shared, "loss": loss}, 99) for loss in LOSSES["classification"]]
    for trial, together in zip(bad, train([*others, *bad], DATA, 6)[len(others) :], strict=True):
        alone = train([trial], DATA, 6)[0]
        assert math.isnan(alone[0][-1].value)
        assert equal(together, alone), trial


@pytest.mark.parametrize("kind", KINDS)
def test_infinite_and_nan_parameters_of_a_neighbour_change_no_bit(kind):
    trials = company((40, 25), 6, kind)
    alone = [train([trial], DATA, 3)[0] for trial in trials]
    members = [member(*trial, DATA) for trial in [*trials, (trials[0][0], 77), (trials[1][0], 78)]]
    together = chunk(members)
    members[-1].tensors[0].fill_(math.nan)
    members[-2].tensors[0].fill_(math.inf)
    for _ in range(3):
        together.train_epoch(lambda: False)
    assert all(same_bits(state_of(each), state) for each, (_, state) in zip(members[:-2], alone, strict=True))
    assert [math.isnan(each.last.value) for each in members] == [False] * 6 + [True] * 2


@pytest.mark.parametrize("kind", KINDS)
def test_trials_that_join_late_and_leave_early_change_no_bit(kind):
    trials = company((33, 10), 8, kind)
    members = [member(*trial, DATA) for trial in trials]
    chunk(members[:4]).train_epoch(lambda: False)
    together = chunk(members[7:3:-1] + members[1:3])  # two leave, four join
    for _ in range(2):
        together.train_epoch(lambda: False)
    chunk([members[i] for i in (5, 1, 0, 7)]).train_epoch(lambda: False)
    for i, epochs in ((1, 4), (5, 3), (7, 3), (0, 2)):
        assert members[i].epoch == epochs
        assert same_bits(state_of(members[i]), train([trials[i]], DATA, epochs)[0][1])


PREPARATIONS = [Preparation(name) for name in KNOWN["preprocessing"].options] + [Preparation("none", True)]


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_with_other_preparations_and_folds_change_no_bit(kind):
    tables = [small(97, how=how) for how in PREPARATIONS]
    tables += [small(97, how=PREPARATIONS[1], part=fold, folds=3) for fold in range(3)]
    trials = company((33, 10), len(tables), kind)

    def members():
        return [member(*trial, table) for trial, table in zip(trials, tables, strict=True)]

    together = train_members(members(), 2)
    counts = Counter(shape_of(each.settings, each.data) for each in members())
    assert max(counts.values()) >= 4  # tables in one chunk
    for result, single in zip(together, members(), strict=True):
        assert equal(result, train_members([single], 2)[0])


def test_a_stop_between_steps_leaves_without_metrics():
    together = chunk([member({"batch_size": 10}, 1)])
    asked = iter([False, False, True])
    assert together.train_epoch(lambda: next(asked)) is None


def test_a_copy_of_a_trial_gives_the_bits_of_the_trial():
    params = company((33, 10), 1, "extended")[0]
    first, second, alone = *train([params, params], DATA, 2), train([params], DATA, 2)[0]
    assert equal(first, alone)
    assert equal(second, alone)
    assert torch.equal(first[1][0], second[1][0])
