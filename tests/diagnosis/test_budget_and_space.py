"""A budget too small for its searcher and a space that is used up are told; enough of both is not."""

import pytest

from hpo.domains import Choice, Int
from searchers.grid import Grid
from searchers.halving import Halving
from searchers.optuna import TPE, Optuna

FINITE = {"n": Int(1, 3), "k": Choice(("a", "b"))}


def plain(p):
    return sum(value for value in p.values() if isinstance(value, (int, float)))


def curve(p):
    for _ in range(9):
        yield plain(p)


@pytest.mark.parametrize(
    ("searcher", "trials", "needed", "words"),
    [
        pytest.param(TPE(startup_trials=3), 5, 6, "3 at random before its model begins", marks=pytest.mark.ci),
        (Grid(points=4), 10, 16, "its grid has 16 points"),
        pytest.param(Optuna("CmaEsSampler"), 12, 30, "5 generations of 6", marks=pytest.mark.ci),
        (Halving(), 2, 3, "1 bracket of 9 trials with rungs at 1, 3, 9 epochs"),
        pytest.param(
            Halving(searcher="tpe"),
            6,
            7,
            "3 brackets of 9 trials with rungs at 1, 3, 9 epochs, since tpe needs 20",
            marks=pytest.mark.ci,
        ),
    ],
)
def test_a_budget_too_small_is_told_and_one_that_is_enough_is_not(searcher, trials, needed, words, made, checked):
    how = {"epochs": 9, "objective": curve} if isinstance(searcher, Halving) else {"objective": plain}
    (found,) = checked(made(searcher=searcher, trials=trials, **how), "budget").findings
    assert (found.figures["budget"], found.figures["needed"]) == (trials, needed)
    assert words in found.text
    assert f"--trials {needed}`" in found.advice
    assert checked(made(searcher=searcher, trials=needed, **how), "budget").verdict == "clear"


def test_a_study_without_a_budget_is_beside_it(made, checked):
    assert checked(made(plain, trials=0), "budget").beside == "it was created without trials"


def test_a_space_that_is_used_up_is_told_with_what_is_left(made, checked):
    study = made(plain, FINITE, trials=99)
    (found,) = checked(study, "space").findings
    left = 99 - len(study.trials)
    assert found.figures == {"configurations": 6, "tried": 6, "budget_left": left}
    assert found.text == f"All 6 configurations of the space have been tried, and {left} trials of the budget are left."


def test_a_grid_that_is_used_up_is_told_with_a_finer_one(made, checked):
    (found,) = checked(made(plain, searcher="grid", trials=20), "space").findings
    assert found.figures == {"configurations": 9, "tried": 9, "budget_left": 11}
    assert "`--set searcher.points=5`" in found.advice


@pytest.mark.ci
def test_a_space_that_is_used_up_with_its_budget_is_complete(made, checked):
    assert checked(made(plain, FINITE, trials=6), "space").verdict == "clear"
    assert checked(made(plain, FINITE, trials=5), "space").verdict == "clear"
    assert checked(made(plain, trials=5), "space").verdict == "beside"
