"""A searcher that does not learn from results is told from one that does."""

import math

import pytest
from diagnosed_searchers import Blind, Broken, Deaf, Keen, Mute
from scipy.stats import mannwhitneyu

from hpo.diagnosis.randomness import HEALTHY, chance_if_well, superiority
from hpo.domains import Choice, Float, Int
from hpo.seeding import generator


def bowl(p):
    return (p["x"] - 0.4) ** 2 + (p["y"] - 0.6) ** 2


def test_superiority_is_scipys_u_as_a_share_of_pairs():
    rng = generator(0, "superiority")
    first, later = rng.integers(0, 9, 12).tolist(), rng.integers(2, 11, 30).tolist()
    assert superiority(first, later) == pytest.approx(mannwhitneyu(later, first).statistic / (12 * 30))
    assert superiority([-math.inf, 1.0], [-math.inf, 2.0]) == (0.5 + 0 + 1 + 1) / 4


def test_p_is_a_half_at_the_margin_and_falls_with_what_is_seen_and_with_more_trials():
    assert chance_if_well(HEALTHY, 16, 84) == 0.5
    assert chance_if_well(0.4, 16, 84) < chance_if_well(0.5, 16, 84) < chance_if_well(0.5, 10, 30) < 0.5


def test_p_is_no_greater_than_its_level_for_a_searcher_at_the_margin():
    shift = math.sqrt(2) * 0.5244005127080407  # of normal values, by which P(later > first) is 0.7
    rng = generator(1, "level")
    told = sum(
        chance_if_well(superiority(rng.standard_normal(16), rng.standard_normal(84) + shift), 16, 84) <= 0.05
        for _ in range(400)
    )
    assert told <= 31  # 0.05 of 400 are 20; more than 31 have a chance of 1 %


def test_a_searcher_whose_proposals_stay_random_is_told_with_its_figures(made, checked):
    (found,) = checked(made(bowl, searcher=Deaf(), trials=160), "random").findings
    assert found.figures["superiority"] < 0.56
    assert (found.figures["first"], found.figures["later"]) == (16, 144)
    assert found.figures["spread_p"] > 0.01
    assert "still spread over the space as random ones" in found.text
    assert "--trials 320" in found.advice


def test_a_searcher_that_learns_and_one_that_is_not_meant_to_are_silent(made, checked):
    assert checked(made(bowl, searcher=Keen(), trials=64, batch=16), "random").verdict == "clear"
    assert checked(made(bowl, trials=8), "random").verdict == "beside"


@pytest.mark.ci
def test_noise_is_told_from_a_searcher_that_does_not_move(made, checked):
    rng = generator(4, "noise")
    (found,) = checked(made(lambda p: float(rng.random()), searcher=Keen(), trials=200), "random").findings
    assert found.figures["spread_p"] < 0.01
    assert "values look like noise" in found.text


@pytest.mark.ci
def test_values_that_are_all_the_same_are_named(made, checked):
    (found,) = checked(made(lambda p: 1.0, searcher=Deaf(), trials=120), "random").findings
    assert found.figures["superiority"] == 0.5
    assert "All values are the same." in found.text


def test_rounds_as_large_as_the_budget_are_told(made, checked):
    (found,) = checked(made(bowl, searcher=Keen(), trials=40, batch=64), "random").findings
    assert found.text == (
        "All 40 trials were proposed before keen had the 10 results that it begins with: a round has 64."
    ).replace("keen", found.figures["searcher"])
    assert "`--batch 5`" in found.advice


def test_too_few_trials_cannot_be_judged(made, checked):
    check = checked(made(bowl, searcher=Keen(), trials=24), "random")
    assert check.findings == ()
    assert check.missing == "16 random and 8 later trials are too few to tell learning from luck"
    assert (
        "all proposed before there were 10 results" in checked(made(bowl, searcher=Deaf(), trials=8), "random").missing
    )


@pytest.mark.ci
def test_a_space_that_is_nearly_used_up_cannot_be_judged(made, checked):
    space = {"x": Int(0, 9), "y": Int(0, 9)}
    assert checked(made(bowl, space, Deaf(), 60), "random").missing.endswith("few are left to choose from")


@pytest.mark.ci
@pytest.mark.parametrize(("searcher", "why"), [(Mute(), "does not say what it needs"), (Broken(), "no needs")])
def test_a_searcher_that_does_not_say_what_it_needs_cannot_be_judged(searcher, why, made, checked):
    study = made(bowl, searcher=searcher, trials=8)
    assert why in checked(study, "random").missing
    assert why in checked(study, "budget").missing


def test_a_searcher_that_says_it_is_blind_is_believed(made, checked):
    (found,) = checked(made(bowl, searcher=Blind(), trials=1), "random").findings
    assert found.text == "Results have no effect: its eyes are shut."


@pytest.mark.ci
def test_tpe_on_noise_is_told_and_on_a_function_is_silent(made, checked):
    space = {"x": Float(0, 1), "y": Float(1e-3, 1, log=True), "k": Choice(("a", "b", "c")), "n": Int(1, 9)}
    rng = generator(2, "noise")
    told = [
        checked(made(lambda p: float(rng.random()), space, "tpe", 160, seed=seed), "random").verdict
        for seed in range(4)
    ]
    assert told.count("found") >= 2
    well = [
        checked(made(lambda p: (p["x"] - 0.4) ** 2 + p["n"] / 9, space, "tpe", 120, seed=seed), "random").verdict
        for seed in range(6)
    ]
    assert well == ["clear"] * 6


@pytest.mark.ci
def test_nas_whose_learning_rate_is_too_small_is_told(made, checked):
    from searchers.nas import NAS

    space = {"x": Float(0, 1), "y": Float(0, 1), "n": Int(1, 9)}
    (found,) = checked(made(bowl, space, NAS(learning_rate=1e-5), 272), "random").findings
    assert "`searcher.learning_rate`" in found.advice
    assert checked(made(bowl, space, "nas", 400), "random").verdict == "clear"
    (blind,) = checked(made(bowl, space, NAS(learning_rate=0.0), 16), "random").findings
    assert "the controller never changes" in blind.text
