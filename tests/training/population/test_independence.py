"""A trial's outcome does not depend on its neighbours: not on their number, order or fate, to the last bit."""

import math

import pytest
import torch
from population_trials import CPU, equal, member, random_params, row_of, shapes, small, train

from hpo import seeding
from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import Inputs

DATA = small(97)


def company(shape, count):
    return [(random_params("company", *shape, i, shape=shape), i) for i in range(count)]


@pytest.mark.parametrize("shape", shapes(7))
def test_a_trial_gives_the_same_bits_alone_and_in_any_company(shape):
    trials = company(shape, 12)
    alone = [train([trial], DATA, 2)[0] for trial in trials]
    chance = seeding.generator("picks", *shape)
    for _ in range(3):
        picked = [int(i) for i in chance.permutation(len(trials))[: int(chance.integers(2, len(trials) + 1))]]
        for i, result in zip(picked, train([trials[i] for i in picked], DATA, 2), strict=True):
            assert equal(result, alone[i]), trials[i]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(40))
def test_random_shapes_and_companies_give_the_same_bits(number):
    chance = seeding.generator("storm", number)
    shape = int(chance.integers(1, 400)), int(chance.integers(1, 300))
    trials = [(random_params("storm", number, i, shape=shape), i) for i in range(40)]
    alone = [train([trial], DATA, 2)[0] for trial in trials]
    for _ in range(4):
        picked = [int(i) for i in chance.permutation(40)[: int(chance.integers(2, 41))]]
        for i, result in zip(picked, train([trials[i] for i in picked], DATA, 2), strict=True):
            assert equal(result, alone[i]), trials[i]


@pytest.mark.parametrize(
    "ruin",
    [
        {"optimizer": "sgd", "learning_rate": 1e6},
        {"optimizer": "nesterov", "learning_rate": 1e3, "momentum": 0.99},
        {"optimizer": "adam", "learning_rate": 1e6, "beta1": 0.0},
        {"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 1e4},
    ],
)
def test_a_neighbour_that_diverges_changes_no_bit(ruin):
    trials = company((40, 25), 6)
    alone = [train([trial], DATA, 12)[0] for trial in trials]
    bad = {"width": 40, "depth": 6, "batch_size": 25, "activation": "relu", **ruin}
    *healthy, (steps, row) = train([*trials, (bad, 99)], DATA, 12)
    assert math.isnan(steps[-1].value)
    assert not row.isfinite().all()
    assert all(equal(result, wanted) for result, wanted in zip(healthy, alone, strict=True))


def test_infinite_and_nan_parameters_of_a_neighbour_change_no_bit():
    trials = company((40, 25), 6)
    alone = [train([trial], DATA, 3)[0] for trial in trials]
    members = [member(*trial) for trial in [*trials, (trials[0][0], 77), (trials[1][0], 78)]]
    chunk = Chunk(members, Inputs.of(DATA, CPU))
    members[-1].tensors[0].fill_(math.nan)
    members[-2].tensors[0].fill_(math.inf)
    for _ in range(3):
        chunk.train_epoch(lambda: False)
    assert all(torch.equal(row_of(each), row) for each, (_, row) in zip(members[:-2], alone, strict=True))
    assert [math.isnan(each.last.value) for each in members] == [False] * 6 + [True] * 2


def test_trials_that_join_late_and_leave_early_change_no_bit():
    trials = company((33, 10), 8)
    alone = [train([trial], DATA, 4)[0] for trial in trials]
    inputs = Inputs.of(DATA, CPU)
    members = [member(*trial) for trial in trials]
    first = Chunk(members[:4], inputs)
    first.train_epoch(lambda: False)
    together = Chunk(members[7:3:-1] + members[1:3], inputs)  # two leave, four join
    for _ in range(2):
        together.train_epoch(lambda: False)
    last = Chunk([members[i] for i in (5, 1, 0, 7)], inputs)
    last.train_epoch(lambda: False)
    for i, epochs in ((1, 4), (5, 3), (7, 3), (0, 2)):
        assert members[i].epoch == epochs
        if epochs == 4:
            assert torch.equal(row_of(members[i]), alone[i][1])
        assert torch.equal(row_of(members[i]), train([trials[i]], DATA, epochs)[0][1])


def test_a_stop_between_steps_leaves_without_metrics():
    chunk = Chunk([member({"batch_size": 10}, 1)], Inputs.of(DATA, CPU))
    asked = iter([False, False, True])
    assert chunk.train_epoch(lambda: next(asked)) is None
