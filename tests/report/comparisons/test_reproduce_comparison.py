"""What stands under "how to make this comparison again" makes it again."""

import shlex
import sys
from functools import partial

import pytest

import hpo
from hpo import Float, Int, load_comparison, load_study
from hpo.cli import cli
from hpo.report.comparisons.reproduce import figure
from hpo.study_file import read_question
from searchers.halving import Halving

LEARNER = """
def learn(params):
    for epoch in range(4):
        yield params["x"] * (1 + epoch) + params["n"]
"""
STUDY = """
objective = "compared:learn"
direction = "maximize"
epochs = 4
[space]
x = {type = "float", low = 0.0, high = 1.0}
n = 3
[override.grid.space]
x = {type = "choice", options = [0.25, 0.5]}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module that objectives are imported from."""
    (tmp_path / "compared.py").write_text(LEARNER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("compared", None)


def shown(comparison):
    found = figure(comparison.results, partial(load_study, store=comparison.path))
    return found, dict(found.table.rows)


def test_the_command_and_its_files_make_the_same_runs_again(folder):
    (folder / "learn.toml").write_text(STUDY)
    asked = ["compare", "learn.toml", "--searchers", "grid,random,halving:eta=2", "--seeds", "2", "--trials", "3"]
    assert cli(standalone_mode=False, args=[*asked, "--seed", "5", "--name", "first", "--quiet"]) in (0, None)
    first = load_comparison("first")
    found, rows = shown(first)
    assert "in a store of its own" in found.text
    (folder / "learn.toml").write_text(rows["learn.toml"])
    question = read_question("learn.toml", changes=[], flags={})
    assert set(question.spaces) == {"grid"}
    words = shlex.split(rows["command"])
    assert words[0] == "hpo"
    assert cli(standalone_mode=False, args=[*words[1:], "--quiet"]) in (0, None)
    again = load_comparison(store="again.db")
    assert again.results.searchers == first.results.searchers
    assert {key: run.incumbent for key, run in again.results.runs.items()} == {
        key: run.incumbent for key, run in first.results.runs.items()
    }
    assert again.results.tasks[0].reference == first.results.tasks[0].reference
    assert rows["first seed"] == 5
    assert "python" in rows
    assert str(folder) not in str(found.table.rows)


def test_labels_that_are_no_text_are_replaced_by_what_they_name(folder):
    searchers = ["random", {"eta 2, always": Halving(eta=2)}]
    made = partial(hpo.compare, space={"x": Float(0, 1), "n": Int(1, 2)}, searchers=searchers, progress=False)
    comparison = made("compared:learn", seeds=1, trials=2, epochs=4, direction="maximize")
    found, rows = shown(comparison)
    assert "other labels" in found.text
    given = shlex.split(rows["command"])
    assert given[given.index("--searchers") + 1].startswith("random,halving:eta=2")


def test_what_only_a_program_can_make_is_said_so(folder):
    space = {"x": Float(0, 1)}
    comparison = hpo.compare(
        lambda p: p["x"], space, ["random"], seeds=1, trials=2, direction="maximize", progress=False
    )
    found, rows = shown(comparison)
    assert "made by a program" in found.text
    assert "command" not in rows
    task = comparison.results.tasks[0].name
    assert rows[f"budget of a run on {task}"] == "2 trials"
    assert '"low": 0.0' in rows[f"space of {task}"]


def test_the_study_file_has_the_data_that_seeds_split_anew(folder):
    comparison = hpo.compare(
        data="moons", searchers=["random"], seeds=1, trials=1, epochs=1, seed=7, resplit=True, progress=False
    )
    _, rows = shown(comparison)
    assert rows["command"].endswith(" --resplit")
    (text,) = (text for name, text in rows.items() if name.endswith(".toml"))
    assert "data_seed = 0," in text
    assert rows["data"] == "a split for each seed"
