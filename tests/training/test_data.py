"""Data sets and their splits are functions of their name and seed."""

import random

import numpy as np
import pytest
import torch
from scipy import stats

from hpo.errors import UsageError
from hpo.training.data import DATA_SETS, Data, _spirals, load_data

NAMES = sorted(DATA_SETS)


def rows(data: Data) -> list[tuple[float, ...]]:
    return [tuple(row) for part in (data.train, data.validation, data.test) for row in part.x.tolist()]


@pytest.mark.parametrize("name", NAMES)
def test_parts_have_the_shapes_and_types_that_are_documented(name: str) -> None:
    data = load_data(name, 0)
    for part, count in ((data.train, 800), (data.validation, 600), (data.test, 600)):
        assert part.x.shape == (count, data.n_inputs)
        assert part.y.shape == (count,)
        assert part.x.dtype == torch.float32
        assert part.y.dtype == torch.int64
        assert set(part.y.tolist()) == set(range(data.n_outputs))
        assert part.x.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_no_row_is_in_two_parts(name: str) -> None:
    assert len(set(rows(load_data(name, 0)))) == 2000


@pytest.mark.parametrize("name", NAMES)
def test_every_part_has_the_same_shares_of_classes(name: str) -> None:
    data = load_data(name, 3)
    parts = (data.train.y, data.validation.y, data.test.y)
    overall = torch.cat(parts).bincount() / 2000
    for y in parts:
        assert (y.bincount() - overall * len(y)).abs().max() <= 1.5  # rows


@pytest.mark.parametrize("name", NAMES)
def test_the_data_seed_fixes_rows_and_split(name: str) -> None:
    load_data.cache_clear()
    before = rows(load_data(name, 1))
    load_data.cache_clear()
    assert rows(load_data(name, 1)) == before
    assert set(rows(load_data(name, 2))).isdisjoint(before)


@pytest.mark.parametrize("name", NAMES)
def test_no_global_generator_is_used(name: str) -> None:
    load_data.cache_clear()
    states = torch.random.get_rng_state(), np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    load_data(name, 4)
    assert torch.equal(torch.random.get_rng_state(), states[0])
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(after) == str(states[1])
    assert random.getstate() == states[2]


def test_spiral_arms_are_one_curve_turned_by_a_third() -> None:
    x, y = _spirals(seed=0, noise=0.0)
    radius = np.hypot(*x.T)
    # turned back by its arm's angle and by 2 pi times its place along the arm, a point is on the positive axis
    angle = np.arctan2(x[:, 1], x[:, 0]) - 2 * np.pi * (y / 3 + radius / 2)
    np.testing.assert_allclose(radius * np.sin(angle), 0, atol=1e-9)
    np.testing.assert_allclose(np.cos(angle), 1)
    assert set(y) == {0, 1, 2}


def test_spiral_noise_is_normal_with_its_standard_deviation() -> None:
    noise = _spirals(seed=0, noise=0.2)[0] - _spirals(seed=0, noise=0.0)[0]
    assert stats.kstest(noise.flatten(), stats.norm(scale=0.2).cdf).pvalue > 0.01


def test_an_unknown_data_set_names_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="no data set 'moon': did you mean 'moons'"):
        load_data("moon", 0)
