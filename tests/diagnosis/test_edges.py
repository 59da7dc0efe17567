"""Best trials that pile up at the end of a range are told, with a bound to try."""

import math

import pytest
from diagnosed_searchers import Keen

from hpo.diagnosis.edges import natural, wider
from hpo.domains import Choice, Float, Int

RATE = {"learning_rate": Float(1e-4, 0.1, log=True), "b": Float(0.0, 1.0)}


def falling(p):
    return -math.log10(p["learning_rate"]) + (p["b"] - 0.5) ** 2


def centred(p):
    return (math.log10(p["learning_rate"]) + 2.5) ** 2 + (p["b"] - 0.5) ** 2


@pytest.mark.parametrize("searcher", ["random", pytest.param(Keen(), marks=pytest.mark.ci)])
def test_a_range_that_ends_too_early_is_told_with_a_wider_bound(searcher, made, checked):
    study = made(falling, RATE, searcher, 100)
    (found,) = checked(study, "edges").findings
    assert found.figures["hyperparameter"] == "learning_rate"
    assert found.figures["best_inside"] >= 8
    assert found.figures["best"] == 10
    assert found.figures["trials"] == 100
    assert found.figures["widen_to"] == 1.0
    assert found.advice == "Widen learning_rate above 0.1: begin a new study with high = 1."
    inside = [trial for trial in study.trials if trial.params["learning_rate"] >= found.figures["edge"]]
    assert found.figures["inside"] == len(inside)


@pytest.mark.parametrize("searcher", ["random", pytest.param(Keen(), marks=pytest.mark.ci)])
def test_an_optimum_inside_is_silent(searcher, made, checked):
    assert checked(made(centred, RATE, searcher, 100), "edges").verdict == "clear"


@pytest.mark.ci
def test_the_end_of_a_conditional_range_is_seen_among_the_trials_that_have_it(made, checked):
    space = {"k": Choice(("a", "b")), "n": Int(1, 64, log=True, when={"k": ["b"]})}
    study = made(lambda p: 1 / p.get("n", 8), space, "random", 200)
    (found,) = checked(study, "edges").findings
    assert found.figures["trials"] == sum("n" in trial.params for trial in study.trials)
    assert found.figures["widen_to"] == 256


@pytest.mark.ci
def test_a_natural_end_is_told_with_other_advice(made, checked):
    space = {"dropout": Float(0.0, 0.6), "depth": Int(1, 4)}
    found = checked(made(lambda p: p["dropout"] + 0.01 * p["depth"], space, "random", 100), "edges").findings
    assert [finding.figures["hyperparameter"] for finding in found] == ["dropout"]
    assert found[0].advice.startswith("dropout cannot be less: leave it at 0")
    assert "widen_to" not in found[0].figures


def test_ends_of_nature_are_zero_one_of_a_share_and_one_of_a_count():
    assert natural(Float(0.0, 0.5), upper=False)
    assert natural(Int(1, 8), upper=False)
    assert natural(Float(0.5, 1.0), upper=True)
    assert not natural(Float(1e-4, 1.0, log=True), upper=True)
    assert not natural(Int(0, 1), upper=True)
    assert not natural(Float(-1.0, 1.0), upper=True)


@pytest.mark.parametrize(
    ("domain", "low", "high"),
    [
        (Float(1e-4, 0.1, log=True), 1e-5, 1.0),
        (Float(-1.0, 1.0), -2.0, 2.0),
        (Float(0.5, 2.5), 0.25, 3.5),
        (Float(1.0, 2.0, step=0.25), 0.5, 2.5),
        (Int(8, 256, log=True), 2, 1024),
        (Int(2, 8), 1, 11),
        (Int(-3, 3), -6, 6),
    ],
)
def test_wider_bounds_are_legal_and_further_out(domain, low, high):
    assert (wider(domain, upper=False), wider(domain, upper=True)) == (low, high)
    beyond = type(domain)(low, high, log=domain.log, step=domain.step)
    assert beyond.problem() is None


@pytest.mark.ci
def test_too_few_trials_and_equal_values_cannot_be_judged(made, checked):
    assert checked(made(falling, RATE, trials=39), "edges").missing == "39 trials with a value, and it takes 40"
    assert checked(made(lambda p: 0.0, RATE, trials=60), "edges").missing == "all values are the same"
    assert (
        checked(made(lambda p: 0.0, {"k": Choice(("a", "b"))}, trials=2), "edges").beside == "the space has no ranges"
    )
