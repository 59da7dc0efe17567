"""What `hpo run`, `resume` and `best` tell about the winner of an objective with test data."""

import re

import pytest

from hpo import load_study

FAKES = """
import os, signal
from hpo import Int, Space
from hpo.objective import Objective, Run, Step, TestScore
from hpo.seeding import generator

trained = 0

class Fake(Objective):
    name, direction = "fake", "maximize"

    def describe(self):
        return {"name": "fake"}

    def space(self, name="default"):
        return Space({"x": Int(0, 9, default=4)})

    def start(self, job):
        return FakeRun(job)

    def test_data(self):
        return "fake data"

    def test(self, job):
        value = job.params["x"] / 10
        return TestScore({"score": value, "loss": float("inf")}, value - 0.05, value + 0.05)

class FakeRun(Run):
    def __init__(self, job):
        self.job = job

    def advance(self, target):
        global trained
        trained += 1
        for name in ("SIGINT", "SIGKILL"):
            if trained == 18 and os.path.exists(name):
                os.kill(os.getpid(), getattr(signal, name))
        yield Step(1, self.job.params["x"] / 10 + 0.1 * generator(self.job.seed).normal(), {})
"""
RUN = ("run", "fakes:Fake", "--searcher", "random", "--trials", 12, "--name", "mine")


@pytest.fixture(autouse=True)
def _fakes(home, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "fakes", raising=False)
    (home / "fakes.py").write_text(FAKES)


def test_a_run_ends_with_the_winner_its_luck_and_its_test_score(hpo):
    found = hpo(*RUN)
    assert found.code == 0, found.err
    winner = load_study().known_winner()
    won = winner.candidate
    luck = f"{'lucky' if winner.optimism > 0 else 'unlucky'} by {abs(winner.optimism):.2g}"
    assert found.out.startswith(f"best of 12 trials in study mine: trial {winner.number}\n")
    assert f"\nvalidation score      {won.first:.6g}  ({luck})\n" in found.out
    spread = f"({min(won.fresh):.4g} to {max(won.fresh):.4g})"
    assert f"\n  over 5 fresh seeds  {won.mean:.6g}  {spread}\n" in found.out
    score = won.params["x"] / 10
    assert (
        f"\ntest score            {score:.6g}  (95 % interval {score - 0.05:.4g} to {score + 0.05:.4g})\n" in found.out
    )
    assert "\ntest loss             inf\n" in found.out
    assert "\ntest data             seen by no trial; used once in this store\n" in found.out
    for sentence in winner.sentences:
        assert f"{sentence}\n" in found.out
    trained = len({c.number for c in (*winner.candidates, winner.default)})  # the default may be one of the others
    assert f"study mine: {trained} configurations train again with 5 fresh seeds each" in found.err.splitlines()[-1]
    assert hpo("best").out == found.out
    assert hpo(*RUN).out == found.out


def test_lines_but_sentences_fit_into_80_columns(hpo):
    lines = hpo(*RUN).out.splitlines()
    assert max(len(line) for line in lines if not line.endswith(".")) <= 80


def test_quiet_says_nothing_of_the_check(hpo):
    assert hpo(*RUN, "--quiet").err == ""


def test_json_has_all_of_it(hpo):
    data = hpo(*RUN, "--json", "--quiet").json()
    winner = load_study().known_winner()
    assert data == hpo("best", "--json").json()
    assert data["best"]["number"] == data["winner"]["number"] == winner.number
    assert data["best"]["test"] == {"score": winner.candidate.params["x"] / 10, "loss": "inf"}
    assert data["test_uses"] == 1
    assert data["winner"]["optimism"] == winner.optimism
    assert data["winner"]["sentences"] == winner.sentences
    assert data["winner"]["against_default"] == {
        "difference": winner.against_default.difference,
        "p": winner.against_default.p,
    }
    assert [c["fresh"] for c in data["winner"]["candidates"]] == [list(c.fresh) for c in winner.candidates]


def test_uses_of_the_test_data_by_all_studies_are_shown(hpo):
    hpo(*RUN, "--quiet")
    assert "used 2 times in this store" in hpo(*RUN[:-1], "other", "--seed", 1, "--quiet").out
    assert "used 2 times in this store" in hpo("best", "mine").out


def test_an_objective_without_test_data_is_told_as_before(hpo):
    found = hpo("run", "objectives:square", "--direction", "minimize", "--searcher", "random", "--trials", 3)
    assert "winner" not in found.out + found.err
    data = hpo("best", "--json").json()
    assert (data["winner"], data["test_uses"]) == (None, None)


def test_ctrl_c_in_the_check_keeps_the_search_and_says_how_to_get_the_winner(hpo, home):
    (home / "SIGINT").touch()
    found = hpo(*RUN)
    assert (found.code, found.out) == (130, "")
    assert found.err.rstrip().endswith("study mine: the winner is not known yet; `hpo resume mine` finds it")
    best = hpo("best").out
    assert best.startswith(f"best of 12 trials in study mine: trial {load_study().best.number}\n")
    assert best.endswith("The winner is not known yet: `hpo resume mine` finds it.\n")
    assert load_study().test_uses == 0
    (home / "SIGINT").unlink()
    assert "used once in this store" in hpo(*RUN).out


def test_a_check_that_was_killed_is_made_again_with_the_same_answer(call, hpo, home):
    (home / "SIGKILL").touch()
    assert call(*RUN, "--store", "killed.db").code == -9
    study = load_study("mine", home / "killed.db")
    assert (study.counts(), study.known_winner(), study.test_uses) == ({"done": 12}, None, 0)
    (home / "SIGKILL").unlink()
    killed, whole = hpo(*RUN, "--store", "killed.db"), hpo(*RUN, "--store", "whole.db")
    assert killed.code == whole.code == 0, killed.err
    assert re.sub("killed", "whole", killed.out) == whole.out
