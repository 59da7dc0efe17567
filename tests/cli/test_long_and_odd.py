"""Spaces of a great many names and options, names in every script and spelling, in the terminal and on disk."""

import re

import pytest
from rich.cells import cell_len

import hpo as package
from hpo import Choice, Float
from hpo.errors import MismatchError
from hpo.text import MAX_LISTED
from searchers.grid import Grid
from searchers.random import Random

WIDE = {"名前": 1, "e\u0301": 2, "x": 3, "👩\u200d🔬": 4, "مرحبا": 5}


def zero(p):
    return 0.0


@pytest.mark.parametrize("searcher", ["tpe", "nas", "optuna:GPSampler"])
@pytest.mark.parametrize(
    ("space", "found"),
    [
        ({f"p{i}": Float(0, 1) for i in range(1001)}, "1,001 hyperparameters, expected at most 1,000"),
        ({"c": Choice(range(10_001))}, "10,001 options of 'c', expected at most 10,000"),
    ],
    ids=["names", "options"],
)
def test_a_searcher_with_a_model_refuses_what_it_cannot_learn_before_there_is_a_study(tmp_path, searcher, space, found):
    with pytest.raises(MismatchError, match=f"{searcher}'.*{found}: use searcher 'random'"):
        package.search(zero, space, searcher, direction="maximize", progress=False, store=tmp_path / "hpo.db")
    assert not (tmp_path / "hpo.db").exists()


def test_a_round_of_a_great_many_names_is_smaller():
    for kind in (Random, Grid):
        assert kind().bind({f"p{i}": 1 for i in range(1024)}).default_batch == 1024
        assert kind().bind({f"p{i}": 1 for i in range(10_000)}).default_batch == 104


@pytest.mark.ci
def test_a_long_space_is_cut_for_the_terminal_and_whole_as_json(hpo):
    names = {f"p{i}": Float(0, 1) for i in range(300)} | {
        "c": Choice(range(5000)),
        "d": Choice((1,), when={"c": range(900)}),
    }
    package.search(zero, names, "random", 2, direction="maximize", progress=False, name="long")
    for command in (["show"], ["best"], ["show", "long", "1"]):
        found = hpo(*command)
        assert re.search(
            "the first 100 of 30[12] hyperparameters; --json has them all", found.out
        )  # "d" may be inactive
        assert "p99" in found.out
        assert "p100" not in found.out
        assert len(found.out) < 20_000
    assert len(hpo("show", "--json").json()["space"][300]["options"]) == 5000
    package.search(zero, {"c": names["c"]}, "random", 1, direction="maximize", progress=False, name="options")
    out = hpo("show", "options").out
    assert f" | {MAX_LISTED - 1} | ... (5,000 in all)" in " ".join(out.split())


@pytest.mark.ci
@pytest.mark.parametrize("kind", ["names", "options"])
def test_random_search_runs_over_ten_thousand_names_and_over_a_million_options(hpo, home, kind):
    space = {f"p{i}": Float(0, 1) for i in range(10_000)} if kind == "names" else {"c": Choice(range(10**6))}
    study = package.search(zero, space, "random", 3, direction="maximize", progress=False, name="huge")
    assert study.counts() == {"done": 3}
    assert study.trial(2).params.keys() == space.keys()
    assert len(hpo("show").out) < 20_000
    assert hpo("report", "-o", "huge.html").code == 0
    assert (home / "huge.html").stat().st_size < 20_000_000


def test_a_grid_that_the_budget_does_not_reach_says_its_size_first(hpo, home):
    run = ["run", "objectives:square", "--direction", "minimize", "--searcher", "grid"]
    found = hpo(*run, "--trials", 5)
    lines = found.err.splitlines()
    assert "the grid has 6 points and the budget is 5 trials" in lines[1]
    assert "--trials try all" in lines[1]
    assert "the grid has" not in hpo(*run, "--trials", 6).err
    large = Grid().bind({f"p{i}": Float(0, 1) for i in range(9_999)})
    assert "about 10^4771 points" in large.notices(5)[0]


@pytest.mark.ci
@pytest.mark.parametrize("name", [*WIDE, "-n", "--help", "__class__", "./x", "../../x", "a" * 255, "CON", "[red]x[/]"])
def test_a_name_goes_all_the_way(hpo, home, name):
    if not name.isprintable():  # a joined emoji: legal as a hyperparameter's name
        return
    run = ["run", "objectives:square", "--direction", "minimize", "--searcher", "random", "--trials", 2, "--quiet"]
    assert hpo(*run, f"--name={name}").code == 0
    assert hpo(*run, "--trials", 3, "--name", name).code == 0
    assert hpo(*run, "--from", name, "--name", "told", "--seed", 1).code == 0
    for command in (["show"], ["best"], ["export", "--format", "csv"], ["export", "--format", "jsonl"], ["report"]):
        found = hpo(*command, "--", name)
        assert (found.code, found.err) == (0, "")
    assert hpo("report", "-o", "page.html", "--", name).code == 0
    assert {file.name for file in home.iterdir()} <= {
        "hpo.db", "hpo.db-journal", "hpo.db-study-1.lock", "hpo.db-study-2.lock", "page.html", "objectives.py",
        "__pycache__",
    }  # fmt: skip


def test_two_spellings_of_a_name_are_one_study(hpo):
    composed, apart = "caf\u00e9", "cafe\u0301"
    run = ["run", "objectives:square", "--direction", "minimize", "--searcher", "random", "--quiet"]
    assert hpo(*run, "--trials", 2, "--name", apart).code == 0
    assert hpo(*run, "--trials", 3, "--name", composed).code == 0
    assert [study["name"] for study in hpo("ls", "--json").json()] == [composed]
    assert hpo("best", apart).code == hpo("best", composed).code == 0
    for name in (composed.upper(), "Caf\u00e9"):
        assert hpo("best", name).code == 4


def test_values_stand_under_each_other_in_every_script(hpo):
    package.search(zero, WIDE, "random", 1, direction="maximize", progress=False)
    lines = hpo("show", "zero-random-0", "0").out.splitlines()
    columns = {cell_len(line[:-1]) for line in lines if line.startswith("  ") and line.endswith(tuple("12345"))}
    assert len(columns) == 1
