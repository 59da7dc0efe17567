"""Who wins among candidates with fresh seeds, and what is said about it."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from hpo.comparison.winner import Candidate, Comparison, Winner, judge, welch
from hpo.objective import TestScore
from hpo.seeding import generator

FIVE = (0.9, 0.92, 0.91, 0.93, 0.89)


def candidate(number, fresh, first=0.95, **more):
    return Candidate(number, {"x": number}, first, tuple(fresh), **more)


def shifted(values, by):
    return tuple(value + by for value in values)


# -- the test


@pytest.mark.parametrize("case", range(20))
def test_welch_is_scipys_own_test_of_the_samples(case):
    rng = generator("welch", case)
    a = rng.normal(0, 1, rng.integers(2, 9))
    b = rng.normal(rng.normal(), 10 ** rng.uniform(-3, 1), rng.integers(2, 9))
    expected = stats.ttest_ind(a, b, equal_var=False).pvalue
    assert welch(a.tolist(), b.tolist()) == pytest.approx(expected, rel=1e-9)
    assert welch(b.tolist(), a.tolist()) == pytest.approx(expected, rel=1e-9)


def test_samples_that_do_not_vary_are_alike_or_told_apart_for_certain():
    assert welch([0.1] * 5, [0.1] * 5) == 1
    assert welch([0.1] * 5, [0.1 + 1e-15] * 5) == 0
    one_sided = stats.ttest_1samp(FIVE, 0.9).pvalue  # all the variance is on one side
    assert welch(FIVE, [0.9] * 5) == pytest.approx(one_sided)


def test_two_alike_are_told_apart_in_at_most_one_of_twenty_comparisons():
    draws = generator("alike").normal(size=(2000, 2, 5))
    told = sum(Comparison(0, welch(a, b)).told for a, b in draws.tolist())
    assert 0.03 < told / 2000 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)  # with so few seeds Welch is cautious


# -- who wins


@pytest.mark.parametrize(("direction", "number"), [("maximize", 7), ("minimize", 3)])
def test_the_best_mean_wins_whatever_came_first(direction, number):
    winner = judge([candidate(3, FIVE), candidate(7, shifted(FIVE, 0.1))], None, direction, 9)
    assert (winner.number, winner.runner_up, winner.epochs) == (number, 10 - number, 9)
    assert winner.against_runner_up.difference == pytest.approx(0.1)
    assert winner.against_runner_up.p == pytest.approx(stats.ttest_ind(FIVE, shifted(FIVE, 0.1)).pvalue)


def test_of_equals_the_earliest_trial_wins():
    assert judge([candidate(n, FIVE) for n in (5, 2, 8)], None, "maximize", 1).number == 2


@pytest.mark.parametrize(("direction", "optimism"), [("maximize", 0.04), ("minimize", -0.04)])
def test_a_first_score_better_than_the_mean_is_positive_optimism(direction, optimism):
    assert judge([candidate(0, FIVE)], None, direction, 1).optimism == pytest.approx(optimism)


def test_a_candidate_with_a_failed_seed_is_out_of_the_race_and_named():
    failing = candidate(4, (0.99, math.nan, 0.99, 0.99, math.nan), failure="ValueError: no")
    winner = judge([failing, candidate(1, FIVE)], None, "maximize", 1)
    assert (winner.number, winner.runner_up) == (1, None)
    assert winner.sentences == [
        "There is no runner-up to compare the winner with.",
        "The space gives no defaults: there is no default configuration to compare the winner with.",
        "Trial 4 is out: 2 of its 5 fresh seeds failed (ValueError: no).",
    ]


def test_where_all_fail_nobody_wins():
    winner = judge([candidate(4, [math.nan] * 5, failure="oom")], None, "maximize", 1)
    assert (winner.number, winner.candidate, winner.seed) == (None, None, None)
    assert math.isnan(winner.optimism)
    assert "No trial wins, and the test data was not used" in winner.sentences[0]


def test_the_model_is_the_first_of_the_best_fresh_ones():
    found = candidate(0, (0.2, 0.9, 0.1, 0.9, 0.1))
    assert (found.best_run("maximize"), found.best_run("minimize")) == (1, 2)


# -- what is said


def sentences(direction="maximize", default=None, runner_up=None):
    others = [] if runner_up is None else [candidate(12, runner_up, first=0.8)]
    return judge([candidate(3, FIVE), *others], default, direction, 1).sentences


def test_what_cannot_be_told_apart_is_said_with_its_figures():
    p = stats.ttest_ind(FIVE, shifted(FIVE, -0.002)).pvalue
    assert sentences(runner_up=shifted(FIVE, -0.002))[0] == (
        "The winner cannot be told from the runner-up, trial 12: mean 0.91 against 0.908 over 5 fresh seeds "
        f"(p = {p:.2g})."
    )


def test_what_can_be_told_apart_is_said_with_the_difference():
    beaten = Candidate(None, {}, None, shifted(FIVE, -0.04))
    p = stats.ttest_ind(FIVE, beaten.fresh).pvalue
    assert (
        sentences(default=beaten)[1] == f"The winner is better than the default configuration, by 0.04 (p = {p:.2g})."
    )
    assert sentences("minimize", beaten)[1] == (
        f"The default configuration is better than the winner, by 0.04 (p = {p:.2g})."
    )
    assert sentences(runner_up=[0.5] * 5)[0].endswith("the runner-up, trial 12, by 0.41 (p < 0.0001).")


def test_a_winner_that_is_the_default_configuration_says_so():
    assert sentences(default=candidate(3, FIVE))[1] == "The winner is the default configuration."


def test_a_default_configuration_that_fails_cannot_be_compared_with():
    broken = Candidate(None, {}, None, (math.nan, *FIVE[1:]), "ValueError: no")
    assert sentences(default=broken)[1] == (
        "The default configuration cannot be compared with: 1 of its 5 fresh seeds failed (ValueError: no)."
    )


def test_a_lucky_first_that_loses_is_named():
    winner = judge([candidate(9, FIVE, first=0.99), candidate(2, shifted(FIVE, 0.01))], None, "maximize", 1)
    assert winner.sentences[0] == (
        "Trial 9 has the best value of the search, 0.99, but its mean over 5 fresh seeds is 0.91, the winner's 0.92."
    )


# -- stored


@pytest.mark.parametrize("failed", [False, True])
def test_a_winner_comes_back_from_strict_json(failed):
    default = Candidate(None, {"x": (1, [2])}, None, FIVE)
    other = candidate(1, (math.nan, *FIVE[1:]) if failed else FIVE, failure="oom" if failed else None)
    winner = judge([candidate(0, FIVE), other], default, "minimize", 3)
    tested = Winner(**(vars(winner) | {"seed": 2**62, "test": TestScore({"accuracy": 0.5, "loss": 1.5}, 0.4, 0.6)}))
    for found in (winner, tested):
        text = json.dumps(found.to_json(), allow_nan=False)
        back = Winner.from_json(json.loads(text))
        assert repr(back) == repr(found)  # which NaN equals, too
        assert back.sentences == found.sentences


def test_the_mean_over_fresh_seeds_is_unbiased_and_the_first_score_is_not():
    """The truth is known: 30 trials of quality N(0, 1), each seen through noise N(0, 1)."""
    rng = generator("simulation")
    optimism, flattered, errors, winner_errors = [], [], [], []
    for _ in range(400):
        truth = rng.normal(size=30)
        first = truth + rng.normal(size=30)
        best = np.argsort(-first)[:5]
        fresh = truth[best, None] + rng.normal(size=(5, 5))  # (trial, seed)
        entries = [
            Candidate(int(n), {}, float(first[n]), tuple(map(float, row))) for n, row in zip(best, fresh, strict=True)
        ]
        winner = judge(entries, None, "maximize", 1)
        optimism.append(winner.optimism)
        flattered.append(winner.candidate.first - truth[winner.number])
        errors.extend(entry.mean - truth[entry.number] for entry in entries)
        winner_errors.append(winner.candidate.mean - truth[winner.number])
    error = 1 / math.sqrt(5 * len(errors))  # standard error of the mean of `errors`, each of variance 1/5
    assert abs(np.mean(errors)) < 3 * error
    assert np.mean(optimism) > 10 * error
    assert 0 < np.mean(winner_errors) < 0.5 * np.mean(flattered)  # the best of five means is a little lucky, too
