"""Failures that cluster in one corner of the space are told, and scattered ones are not."""

import math

import pytest
from scipy.stats import hypergeom

from hpo.comparison.health import divergence
from hpo.domains import Choice, Float
from hpo.seeding import generator
from hpo.trial import State, Trial

RATE = {"learning_rate": Float(1e-3, 1.0, log=True), "optimizer": Choice(("sgd", "adam", "rmsprop"))}


def above(p):
    if p["learning_rate"] > 0.3:
        raise ValueError("too fast")
    return p["learning_rate"]


def of_one(p):
    return math.nan if p["optimizer"] == "adam" else p["learning_rate"]


def scattered(rng):
    def objective(p):
        if rng.random() < 0.15:
            raise ValueError("now and then")
        return p["learning_rate"]

    return objective


def test_failures_above_a_value_are_told_with_their_exact_figures(made, checked):
    study = made(above, RATE)
    (found,) = checked(study, "failures").findings
    failed = [trial for trial in study.trials if trial.state == State.FAILED]
    n = len(failed)
    assert found.text.startswith(f"{n} of {n} failed trials have learning_rate > 0.3, where {n} of 80 trials lie (p = ")
    assert found.figures["p"] == pytest.approx(hypergeom.sf(n - 1, 80, n, n) * (2 * 79 + 3))
    assert found.advice.endswith("If it is the configuration, keep `high` of learning_rate at 0.3 in a new study.")
    assert f" {failed[0].number}`" in found.advice


@pytest.mark.ci
def test_failures_of_one_option_are_told(made, checked):
    (found,) = checked(made(of_one, RATE), "failures").findings
    assert found.figures["hyperparameter"] == "optimizer"
    assert found.figures["reasons"] == {"non_finite": found.figures["failed"]}
    assert "leave adam out of optimizer in a new study" in found.advice


def test_scattered_failures_and_none_are_silent(made, checked):
    assert checked(made(scattered(generator(3, "scattered")), RATE), "failures").verdict == "clear"
    assert checked(made(lambda p: p["learning_rate"], RATE, trials=2), "failures").verdict == "clear"


@pytest.mark.ci
def test_two_failures_cannot_be_judged(made, checked):
    failing = iter([True, True])

    def twice(p):
        if next(failing, False):
            raise ValueError
        return 1.0

    assert checked(made(twice, RATE, trials=20), "failures").missing.startswith("2 trials failed")


def test_where_all_fail_it_is_no_corner(made, checked):
    (found,) = checked(made(lambda p: math.nan, RATE, trials=5), "failures").findings
    assert found.text == "All 5 trials that ended failed, 5 of them with: non_finite."
    assert found.advice.startswith("It is the objective rather than a corner of the space")


def test_the_corner_of_many_trials_is_found_in_few_cuts():
    trials = [Trial(i, {"x": i / 20_000}, 0, State.DONE, 0.0) for i in range(20_000)]
    (region,) = divergence(trials, [trial.params["x"] > 0.9 for trial in trials])
    assert region.relation == ">"
    assert 0.89 < region.value < 0.91
    assert region.inside.rate > 0.95
