"""Optuna objectives on the command line, and `hpo export --to optuna URL`."""

import sys

import optuna
import pytest

from hpo.optuna_space import quiet

MODULE = """
import hpo

space = {"x": hpo.Float(0, 1), "y": hpo.Float(0, 1, default=0.5)}

def objective(trial):
    trial.set_user_attr("doubled", 2 * trial.suggest_float("x", 0, 1))
    for step in range(9):
        trial.report(trial.params["x"] + 1 / (step + 1), step)
        if trial.should_prune():
            break
    return trial.params["x"] + 1 / (step + 1)

wrapped = hpo.from_optuna(objective)
"""


def names(url):
    with quiet():
        return optuna.study.get_all_study_names(url)


def test_an_optuna_objective_runs_with_the_space_beside_it_and_resumes(hpo, home, monkeypatch):
    monkeypatch.delitem(sys.modules, "tuned", raising=False)
    (home / "tuned.py").write_text(MODULE)
    run = ("run", "tuned:wrapped", "--direction", "minimize", "--searcher", "halving", "--epochs", 9, "--name", "t")
    assert hpo(*run, "--trials", 4, "--quiet").code == 0
    found = hpo("resume", "t", "--trials", 6, "--quiet", "--json").json()
    assert set(found["best"]["params"]) == {"x", "y"}
    shown = hpo("show", "t", found["best"]["number"], "--json").json()
    assert shown["user_attrs"] == {"doubled": 2 * shown["params"]["x"]}
    assert f"noted     doubled={shown['user_attrs']['doubled']:.6g}\n" in hpo("show", "t", shown["number"]).out


def test_export_to_optuna_says_what_it_wrote(squares):
    first = squares("export", "squares", "--to", "optuna", "sqlite:///out.db")
    assert (first.code, first.err) == (0, "")
    assert first.out == "study squares in sqlite:///out.db: 12 trials new, 0 brought up to date\n"
    assert names("sqlite:///out.db") == ["squares"]
    squares("resume", "squares", "--trials", 14, "--quiet")
    again = squares("export", "squares", "--to", "optuna", "sqlite:///out.db")
    assert again.out == "study squares in sqlite:///out.db: 2 trials new, 0 brought up to date\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "optuna"], 2, "requires 2 arguments"),
        (["--to", "optun", "x"], 2, "no such kind of store: did you mean 'optuna'?"),
        (["--to", "optuna", "out.db"], 2, "expected a URL such as sqlite:///out.db"),
        (["--to", "optuna", "sqlite:///no/out.db"], 73, "no folder 'no'; make it first"),
        (["--to", "optuna", "sqlite:///hpo.db"], 2, "'hpo.db' is a store of hpo"),
        (["--to", "optuna", "sqlite:///out.db", "--format", "csv"], 2, "give either --format"),
    ],
)
def test_export_to_the_wrong_place_says_what_is_wrong(squares, arguments, code, message):
    found = squares("export", "squares", *arguments)
    assert (found.code, found.out) == (code, "")
    assert message in found.err
    assert found.err.count("\n") == 1
