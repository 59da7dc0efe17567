"""Rungs whose ranks do not foretell the next are told, with the range restriction of survivors taken into account."""

import math

import numpy as np
import pytest

from hpo.diagnosis import rungs
from hpo.diagnosis.rungs import Step, chance, correlation, null
from hpo.seeding import generator


def crossing(p):
    """What is best at epoch 1 is worst from epoch 3 on."""
    for epoch in range(1, 10):
        yield p["x"] if epoch < 3 else 1 - p["x"] + 0.1 * p["y"]


def steady(p):
    for epoch in range(1, 10):
        yield p["x"] + p["y"] / epoch


def test_without_selection_the_null_has_the_correlation_of_normal_pairs():
    values = tuple(range(200))
    drawn = null(Step(1, 3, (200,), (200,), values, values), seed=0)
    expected = 6 / math.pi * math.asin(rungs.HEALTHY / 2)  # Spearman's of a bivariate normal distribution
    assert drawn.mean() == pytest.approx(expected, abs=0.01)


@pytest.mark.ci
def test_the_null_of_survivors_is_that_of_the_same_selection_drawn_again():
    drawn = null(Step(1, 3, (9,) * 12, (3,) * 12, tuple(range(36)), tuple(range(36))), seed=0)
    rng = generator(0, "again")
    again = []
    for _ in range(400):
        kept = []
        for _ in range(12):
            x = rng.standard_normal(9)
            y = 0.5 * x + math.sqrt(0.75) * rng.standard_normal(9)
            kept += [(x[i], y[i]) for i in np.argsort(-x)[:3]]
        again.append(correlation(*zip(*kept, strict=True)))
    assert drawn.mean() == pytest.approx(np.mean(again), abs=0.03)
    assert drawn.std() == pytest.approx(np.std(again), rel=0.12)
    assert drawn.mean() < 0.4  # less than among all


def test_ties_are_in_the_null_as_in_the_study():
    here, later = (1.0,) * 20 + (2.0,) * 16, tuple(float(i % 3) for i in range(36))
    drawn = null(Step(1, 3, (9,) * 12, (3,) * 12, here, later), seed=0)
    assert len(set(drawn.round(9).tolist())) < 200


def test_p_counts_the_draws_at_or_below():
    drawn = np.array([0.1, 0.2, 0.3, 0.4])
    assert (chance(0.0, drawn), chance(0.2, drawn), chance(1.0, drawn)) == (1 / 5, 3 / 5, 1.0)


def test_ranks_that_turn_over_are_told_with_the_rung(made, checked):
    (found,) = checked(made(crossing, searcher="halving", trials=12, epochs=9), "rungs").findings
    assert (found.figures["epochs"], found.figures["next"]) == (1, 3)
    assert found.figures["correlation"] < -0.5 < 0.1 < found.figures["expected"]
    assert found.figures["trials"] == sum(trial.epochs >= 3 for trial in made.opened[-1].trials)
    assert "`--set searcher.min_epochs=3`" in found.advice
    assert "`--set searcher.eta=4`" in found.advice


def test_ranks_that_last_are_silent(made, checked):
    assert checked(made(steady, searcher="halving", trials=9, epochs=9), "rungs").findings == ()


@pytest.mark.ci
def test_many_ranks_that_last_are_called_well(made, checked):
    assert checked(made(steady, searcher="halving", trials=120, epochs=9), "rungs").verdict == "clear"


@pytest.mark.ci
def test_few_survivors_cannot_be_judged_and_studies_without_rungs_are_beside_it(made, checked):
    few = checked(made(crossing, searcher="halving", trials=3, epochs=9), "rungs")
    assert few.missing == "3 trials went on from a rung at most, too few to compare ranks"
    assert checked(made(steady, trials=3, epochs=2), "rungs").verdict == "beside"
