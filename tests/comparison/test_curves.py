"""Normalised regret, curves and bands against closed forms, scipy and plain loops."""

import math

import numpy as np
import pytest
from made_results import run, task
from scipy import stats

from hpo.comparison.curves import (
    POINTS,
    RESAMPLES,
    RegretCurve,
    Scale,
    band,
    band_by_share,
    band_by_spent,
    band_by_trials,
    grid,
    median_run,
    quantile,
    reach,
    steps,
    target,
)
from hpo.seeding import generator

NAN = math.nan
EVERY = np.ones(1, bool)


# -- normalised regret


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_regret_is_zero_at_the_best_value_seen_and_one_at_the_median_reference(direction):
    s = 1 if direction == "maximize" else -1
    on = task(direction=direction, reference=[s * v for v in (0.5, 0.6, 0.8)])
    runs = [run(on, "a", 0, [s * 0.7, s * 0.9, s * 0.85]), run(on, "b", 0, [NAN, s * 0.6])]
    regret = Scale.of(on, runs).regret([s * 0.9, s * 0.6, s * 0.75, s * 0.3, NAN])
    assert regret == pytest.approx([0, 1, 0.5, 2, (0.9 - 0.5) / 0.3])


def test_the_best_value_may_be_a_reference_trials():
    on = task(reference=[0.2, 0.4, 1.0])
    assert Scale.of(on, [run(on, "a", 0, [0.4])]).regret([1.0, 0.4]) == pytest.approx([0, 1])


@pytest.mark.parametrize("reference", [(), (0.9, 0.9, 0.9)])
def test_without_a_scale_only_runs_without_success_have_regret(reference):
    on = task(reference=reference)
    scale = Scale.of(on, [run(on, "a", 0, [0.1, 0.9]), run(on, "b", 0, [])])
    assert scale.regret([0.1, 0.9, NAN]).tolist() == [0, 0, 1]


def test_a_task_on_which_nothing_ever_succeeded_has_regret_one():
    on = task(reference=())
    assert Scale.of(on, [run(on, "a", 0, [NAN]), run(on, "b", 0, [])]).regret([NAN]).tolist() == [1]


# -- step functions


def test_a_step_function_holds_its_last_value():
    values = steps(np.array([3, 5, 5, 8]), np.array([0.3, 0.2, 0.1, 0.0]), np.array([1, 3, 4, 5, 7, 9]), 1.0)
    assert values.tolist() == [1, 0.3, 0.3, 0.1, 0.1, 0]


@pytest.mark.parametrize("last", [1, 7, POINTS, 1500, 100_003])
def test_a_grid_ascends_to_its_end_in_whole_numbers(last):
    points = grid(last)
    assert points[0] == 1
    assert points[-1] == last
    assert len(points) == min(last, POINTS)
    assert (np.diff(points) > 0).all()


def test_the_grid_of_nothing_is_empty():
    assert grid(0).tolist() == []


# -- bands


@pytest.mark.parametrize(("tasks", "seeds"), [(1, 1), (1, 2), (1, 5), (1, 20), (3, 7), (4, 6)])
def test_median_and_iqm_are_numpys_and_scipys(tasks, seeds):
    values = generator("summaries", tasks, seeds).normal(size=(tasks, seeds, 4))
    found = band(np.arange(4), values, np.ones(4, bool))
    pooled = values.reshape(-1, 4)
    assert found.median == pytest.approx(np.median(pooled, axis=0))
    assert found.iqm == pytest.approx(stats.trim_mean(pooled, 0.25, axis=0))


@pytest.mark.parametrize(("tasks", "seeds"), [(1, 12), (3, 8)])
def test_bands_are_those_of_a_plain_stratified_bootstrap(tasks, seeds):
    values = generator("bands", tasks, seeds).normal(size=(tasks, seeds, 1)).round(1)
    found = band(np.arange(1), values, EVERY)
    rng = generator("plain bootstrap", tasks, seeds)
    drawn = [values[t, rng.integers(seeds, size=(4000, seeds)), 0] for t in range(tasks)]
    pooled = np.concatenate(drawn, axis=1)
    medians, iqms = np.median(pooled, axis=1), stats.trim_mean(pooled, 0.25, axis=1)
    spread = values.std()
    for ends, plain in (((found.low, found.high), medians), ((found.iqm_low, found.iqm_high), iqms)):
        assert np.concatenate(ends) == pytest.approx(np.quantile(plain, (0.025, 0.975)), abs=0.15 * spread)


def test_resampling_keeps_the_tasks_apart():
    found = band(np.arange(1), np.array([[0.0] * 5, [1.0] * 5, [2.0] * 5])[:, :, None], EVERY)
    assert found.low == found.median == found.high == 1  # no task is ever drawn more often than another


def test_a_band_does_not_depend_on_the_order_of_seeds_and_is_the_same_every_time():
    values = generator("order").normal(size=(2, 9, 5))
    shuffled = values[:, generator("shuffle").permutation(9)]
    first, *others = (band(np.arange(5), each, np.ones(5, bool)) for each in (values, values, shuffled))
    for other in others:
        for name, of in vars(first).items():
            assert vars(other)[name].tolist() == of.tolist()


def test_a_band_covers_the_true_median_about_as_often_as_it_says():
    samples = generator("coverage").normal(size=(1, 25, 600))
    found = band(np.arange(600), samples, np.ones(600, bool))
    covered = np.mean((found.low <= 0) & (found.high >= 0))
    assert 0.90 < covered < 0.99  # of 600 samples; the percentile bootstrap is approximate
    assert RESAMPLES == 1000


def paths(on, runs):
    scale = Scale.of(on, runs)
    return [RegretCurve.of(each, scale) for each in runs]


def test_a_band_begins_with_the_first_run_that_has_an_entry():
    on = task(reference=[0.0, 1.0, 2.0], budget=10)
    runs = [run(on, "a", seed, [1.5, 3.0], spent=spent) for seed, spent in enumerate([(4, 8), (5, 9), (6, 10)])]
    found = band_by_spent(paths(on, runs), on.budget)
    assert found.x.tolist() == list(range(1, 11))
    # one is without success yet at 5, the regret of the worst reference trial is 1.5
    assert found.median.tolist()[3:] == [1.5, 0.75, 0.75, 0.75, 0.75, 0, 0]
    for name in ("median", "low", "high", "iqm", "iqm_low", "iqm_high"):
        assert np.isnan(getattr(found, name)).tolist() == [True] * 3 + [False] * 7


def test_a_run_that_ended_early_keeps_its_last_value():
    on = task(reference=[0.0, 1.0, 2.0], budget=10)
    runs = [run(on, "a", 0, [1.0, 2.0]), run(on, "a", 1, [1.0, 1.5, 2.0, 2.0, 3.0])]
    found = band_by_trials(paths(on, runs))
    assert found.x.tolist() == [1, 2, 3, 4, 5]
    assert found.median == pytest.approx([1, 0.625, 0.5, 0.5, 0.25])


def test_runs_without_entries_have_empty_bands_by_trials_and_nan_by_budget():
    on = task(budget=3)
    assert band_by_trials(paths(on, [run(on, "a", 0, [])])).x.tolist() == []
    assert np.isnan(band_by_spent(paths(on, [run(on, "a", 0, [])]), 3).median).all()


def test_the_share_of_the_budget_puts_tasks_of_different_size_on_one_axis():
    small, large = task("small", reference=[0.0, 1.0, 2.0], budget=7), task("large", reference=[0, 1, 2], budget=1000)
    runs = [[run(small, "a", 0, [1.0, 2.0], spent=(1, 7))], [run(large, "a", 0, [2.0, 3.0], spent=(290, 500))]]
    of = [paths(on, each) for on, each in zip((small, large), runs, strict=True)]
    found = band_by_share(of, [7, 1000])
    assert found.x == pytest.approx(np.arange(1, 101) / 100)
    assert np.isnan(found.median[:14]).all()  # 1 of 7 is reached at 15 %
    assert found.median[14] == pytest.approx((1 + 1.5) / 2)
    assert found.median[28] == pytest.approx((1 + 0.5) / 2)  # 290 of 1,000 at 29 %
    assert found.median[98:] == pytest.approx([0.5, 0])


# -- reaching a value


def slowly(on, r, value):
    s = 1 if on.direction == "maximize" else -1
    return next((at for at, y in zip(r.spent, r.incumbent, strict=True) if s * y >= s * value), math.inf)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_costs_are_those_at_the_first_entry_that_is_good_enough(direction):
    on, rng = task(direction=direction), generator("costs")
    runs = [run(on, "a", seed, np.where(rng.random(9) < 0.2, NAN, rng.normal(size=9).round(1))) for seed in range(6)]
    values = [-2.0, -0.5, 0.0, 0.5, 5.0, NAN]
    for found, value in zip(reach(on, runs, values), values, strict=True):
        costs = [slowly(on, r, value) for r in runs]
        assert found.costs == tuple(costs)
        assert found.median == sorted(costs)[2]
        assert found.reached == sum(map(math.isfinite, costs))


def test_a_value_that_a_worse_incumbent_followed_was_reached():
    on = task(budget=30)
    assert reach(on, [run(on, "a", 0, [0.9, 0.5, 0.6])], [0.8])[0].costs == (10,)


@pytest.mark.parametrize(("direction", "expected"), [("maximize", 0.2), ("minimize", 0.3)])
def test_half_of_a_searchers_runs_reach_its_own_target(direction, expected):
    on = task(direction=direction)
    runs = [run(on, "a", seed, [value]) for seed, value in enumerate([0.1, 0.2, 0.3, 0.4])]
    value = target(on, runs)
    assert value == expected
    assert reach(on, runs, [value])[0].reached == 3


def test_without_enough_successes_there_is_no_target_and_none_reaches_it():
    on = task()
    runs = [run(on, "a", seed, [value]) for seed, value in enumerate([NAN, 0.2, NAN, 0.4])]
    assert math.isnan(target(on, runs))
    assert math.isinf(reach(on, runs, [target(on, runs)])[0].median)
    assert target(on, [*runs, run(on, "a", 4, [0.3])]) == 0.2


# -- final values


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_quantile_counts_failures_as_worst_and_is_none_beside_one(direction):
    on = task(direction=direction)
    s = on.sign
    failed = [math.nan, s * 0.3, math.nan, s * 0.5, s * 0.4]
    assert quantile(on, failed, 0.5) == s * 0.3
    assert math.isnan(quantile(on, [math.nan, s * 0.3], 0.5))
    assert math.isnan(quantile(on, [math.nan] * 4, 0.5))
    assert quantile(on, [s * 0.2, s * 0.4, math.nan, s * 0.6], 0.5) == pytest.approx(s * 0.3)
    values = np.random.default_rng(0).normal(size=12)
    for q in (0, 0.25, 0.5, 0.75, 1):
        assert quantile(on, values, q) == pytest.approx(np.quantile(values, q))


def test_the_run_in_the_middle_is_one_that_ran_and_of_two_the_worse():
    on = task()
    finals = [0.9, math.nan, 0.5, 0.7]
    runs = [run(on, "a", seed, [value]) for seed, value in enumerate(finals)]
    assert median_run(on, runs).seed == 2
    assert target(on, runs) == 0.5
    assert median_run(on, [runs[1]]).seed == 1


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1.0, 1e307])
def test_regret_is_the_same_at_any_magnitude(size):
    values = [size * k for k in (0, 1, 2, 4, 8, 16)]
    on = task(reference=values)
    scale = Scale.of(on, [run(on, "a", 0, [values[-1]])])
    assert scale.regret(values) == pytest.approx([16 / 13, 15 / 13, 14 / 13, 12 / 13, 8 / 13, 0])
    low = task(reference=[-1.7e308, 1.7e308])
    assert Scale.of(low, [run(low, "a", 0, [1.7e308])]).regret([-1.7e308, 0]).tolist() == [2, 1]
