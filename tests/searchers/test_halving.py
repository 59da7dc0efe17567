"""Successive halving: epochs are counted in the objective that trains, not in the searcher's own ledger."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpo import Choice, Float, Outcome, Space, search
from hpo.errors import MismatchError, UsageError
from hpo.searcher import Result, Searcher
from hpo.trial import State
from searchers.grid import Grid
from searchers.halving import Halving, best, rung_epochs

SPACE = Space({"x": Float(0, 1)})


class Instrumented:
    """A generator objective that notes every epoch it trains."""

    def __init__(self, fails: float = -1.0) -> None:
        self.trained: dict[float, list[int]] = defaultdict(list)
        self.fails = fails

    def __call__(self, params: dict[str, Any]) -> Iterator[float]:
        x, epoch = params["x"], 0
        while True:
            epoch += 1
            self.trained[x].append(epoch)
            if x < self.fails:
                raise ArithmeticError("this configuration fails")
            yield x - 1 / epoch  # ranks are the same at every epoch


def halve(objective: Instrumented, folder: Path, **arguments: Any) -> Any:
    arguments = {"searcher": Halving(), "trials": 3, "epochs": 27, **arguments}
    return search(
        lambda params: (yield from objective(params)),
        arguments.pop("space", SPACE),
        direction="maximize",
        store=folder / "hpo.db",
        progress=False,
        **arguments,
    )


def test_rungs_are_computed_in_integers() -> None:
    assert math.floor(math.log(243, 3)) == 4, "the trap: it is 5"
    assert rung_epochs(243, 3, 1) == [1, 3, 9, 27, 81, 243]
    assert rung_epochs(30, 3, 1) == [1, 3, 10, 30]
    assert rung_epochs(30, 3, 2) == [3, 10, 30]
    assert rung_epochs(1, 3, 1) == [1]
    for most in range(1, 300):
        for eta in (2, 3, 4, 7):
            rungs = rung_epochs(most, eta, 1)
            assert rungs[0] < eta, "one more rung would fit below"
            assert all(lower == upper // eta for lower, upper in itertools.pairwise(rungs))


def test_survivors_train_on_from_where_they_are(tmp_path: Path) -> None:
    objective = Instrumented()
    study = halve(objective, tmp_path)
    assert len(objective.trained) == 27
    for epochs in objective.trained.values():
        assert epochs == list(range(1, len(epochs) + 1)), "an epoch was trained twice or left out"
    reached = Counter(len(epochs) for epochs in objective.trained.values())
    assert reached == {1: 18, 3: 6, 9: 2, 27: 1}
    assert sum(map(len, objective.trained.values())) == 27 + 9 * 2 + 3 * 6 + 1 * 18 == study.epochs_spent == 81


def test_best_third_of_every_rung_survives(tmp_path: Path) -> None:
    objective = Instrumented()
    study = halve(objective, tmp_path)
    ranked = sorted(objective.trained, reverse=True)
    lengths = [len(objective.trained[x]) for x in ranked]
    assert lengths == sorted(lengths, reverse=True)
    assert study.best.params["x"] == ranked[0]
    assert study.best.epochs == 27
    assert len(study.best.curve["value"]) == 27


@pytest.mark.ci
def test_brackets_follow_until_the_budget_is_spent_and_never_beyond(tmp_path: Path) -> None:
    objective = Instrumented()
    study = halve(objective, tmp_path, trials=10)
    spent = sum(map(len, objective.trained.values()))
    assert spent == study.epochs_spent == 10 * 27
    assert len(objective.trained) == 3 * 27 + 27, "three brackets of 81 epochs, then 27 epochs of a first rung"


def test_failed_trials_are_charged_and_never_promoted(tmp_path: Path) -> None:
    objective = Instrumented(fails=0.9)
    study = halve(objective, tmp_path)
    failed = [trial for trial in study.trials if trial.state == State.FAILED]
    assert {len(objective.trained[trial.params["x"]]) for trial in failed} == {1}
    assert study.epochs_spent == sum(map(len, objective.trained.values()))
    promoted = [trial for trial in study.trials if trial.epochs > 1]
    assert promoted
    assert all(trial.params["x"] >= 0.9 for trial in promoted)


def test_a_bracket_where_everything_fails_gives_way_to_the_next(tmp_path: Path) -> None:
    objective = Instrumented(fails=2.0)
    study = halve(objective, tmp_path, trials=2)
    assert len(objective.trained) == study.epochs_spent == 54
    assert study.counts() == {"failed": 54}


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_batch_changes_no_trial(batch: int, tmp_path: Path) -> None:
    rung_wise = halve(Instrumented(), tmp_path)
    other = halve(Instrumented(), tmp_path, batch=batch)
    assert [(t.params, t.value, t.epochs) for t in other.trials] == [
        (t.params, t.value, t.epochs) for t in rung_wise.trials
    ]


def test_a_finite_space_smaller_than_a_rung_is_still_halved_to_the_end(tmp_path: Path) -> None:
    objective = Instrumented()
    study = halve(
        objective, tmp_path, space={"x": Choice([0.1, 0.2, 0.3, 0.4, 0.5])}, searcher=Halving(searcher="grid")
    )
    assert sorted(objective.trained) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert len(objective.trained[0.5]) == 27
    assert study.best.params == {"x": 0.5}
    assert study.epochs_spent < 3 * 27, "exhausted before the budget"


def test_equals_are_ranked_by_number_and_failures_last() -> None:
    def result(number: int, value: float | None) -> Result:
        return Result(number, {}, value, 1, own=True)

    results = [result(3, 1.0), result(1, 1.0), result(2, None), result(0, 0.5)]
    assert best(results, 1) == [1]
    assert best(results, 4) == [1, 3, 0]


def test_proposals_come_from_the_chosen_searcher() -> None:
    space = Space({"x": Float(0, 1), "y": [1, 2, 3]})
    halving = Halving(searcher=Grid(points=3)).bind(space, epochs=9)
    grid = Grid(points=3).bind(space)
    assert [p.params for p in halving.ask(9)] == [p.params for p in grid.ask(9)]
    assert halving.settings()["searcher"] == {"name": "grid", "points": 3}


def test_the_proposing_searcher_is_told_first_rungs_only() -> None:
    told: list[int] = []

    class Spy(Grid):
        def _tell(self, results: Any) -> None:
            told.extend(result.epochs for result in results)

    halving: Searcher = Halving(searcher=Spy(points=27)).bind(SPACE, epochs=27)
    for _ in range(4):
        asked = halving.ask(27)
        numbers = [n if p.continues is None else p.continues for n, p in enumerate(asked)]
        outcomes = [
            Outcome(n, p.params, State.DONE, p.params["x"], p.epochs or 0) for n, p in zip(numbers, asked, strict=True)
        ]
        halving.tell(outcomes)
    assert told == [1] * 27


def test_mismatches_are_refused_when_bound() -> None:
    with pytest.raises(MismatchError, match="needs an objective with epochs"):
        Halving().bind(SPACE)
    with pytest.raises(MismatchError, match="min_epochs is 9, but a trial trains 5"):
        Halving(min_epochs=9).bind(SPACE, epochs=5)
    with pytest.raises(MismatchError, match="stops trials itself"):
        Halving(searcher="halving")
    with pytest.raises(UsageError, match="eta is 1, expected at least 2"):
        Halving(eta=1)
