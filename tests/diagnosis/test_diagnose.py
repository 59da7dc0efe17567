"""Every study can be diagnosed; what is well is silent, and what is told says what to try."""

import json
import math
import subprocess
import sys

import pytest

import hpo
from hpo import Choice, Float, Int
from hpo.cli.doctor_study import show
from hpo.diagnosis import LEVEL, SHARE, Finding, diagnose, examine
from hpo.seeding import generator

KINDS = ["budget", "space", "random", "edges", "rungs", "failures"]


def square(p):
    return (p["x"] - 0.4) ** 2 + (p["y"] - 0.6) ** 2


def failing_above(p):
    if p["x"] > 0.85:
        raise ValueError("too much")
    return square(p)


def test_a_study_that_is_well_is_told_so(made, capsys):
    study = made(square, trials=50)
    assert study.diagnose() == []
    show(study, as_json=False)
    said = capsys.readouterr().out
    assert "Nothing found among 6 checks; 3 do not apply to this study." in said


def test_what_cannot_be_judged_says_what_is_missing(made, capsys):
    show(made(square, searcher="tpe", trials=20), as_json=False)
    said = capsys.readouterr().out
    assert "Nothing found among 6 checks; 2 could not be judged, 2 do not apply to this study." in said
    assert "20 trials with a value, and it takes 40." in said


def test_findings_are_printed_with_what_to_try_and_are_the_same_in_json(made, capsys):
    study = made(failing_above, trials=60)
    (finding,) = diagnose(study)
    assert isinstance(finding, Finding)
    show(study, as_json=False)
    said = capsys.readouterr().out
    assert finding.text in said
    assert f"Try: {finding.advice}" in said
    show(study, as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert data["findings"] == [finding.to_json()]
    assert [check["kind"] for check in data["checks"]] == KINDS
    assert {check["verdict"] for check in data["checks"]} == {"clear", "beside", "found"}


@pytest.mark.ci
def test_hostile_names_move_no_cursor(made, capsys):
    def fails(p):
        if p["\u202e[red]x"] > 0.7:
            raise ValueError
        return 1.0

    show(made(fails, {"\u202e[red]x": Float(0, 1)}, trials=50), as_json=False)
    said = capsys.readouterr().out
    assert "\u202e" not in said
    assert "[red]x" in said


@pytest.mark.parametrize("trials", [0, 1])
def test_a_study_of_hardly_a_trial_is_silent(trials, made):
    assert diagnose(made(square, trials=trials)) == []


@pytest.mark.ci
def test_a_study_by_hand_and_under_way_can_be_diagnosed(tmp_path):
    study = hpo.create_study({"x": Float(0, 1)}, "tpe", direction="minimize", store=tmp_path / "hpo.db")
    assert diagnose(study) == []
    study.tell(study.ask().number, 1.0)
    study.ask()
    assert [check.kind for check in examine(study)] == KINDS
    assert diagnose(study) == []
    study.close()


@pytest.mark.ci
def test_conditions_constants_and_all_kinds_of_values_can_be_diagnosed(made):
    space = {
        "k": Choice((None, True, 1, 1.0, "a", [1, 2])),
        "n": Int(1, 9, when={"k": ["a", None]}),
        "rate": Float(1e-3, 1, log=True),
        "fixed": 3,
        "single": Float(0.5, 0.5),
        "step": Float(0, 1, step=0.25),
    }
    study = made(lambda p: math.nan if p["k"] is None else abs(math.log10(p["rate"]) + 1.5), space, trials=120)
    (finding,) = diagnose(study)
    assert finding.figures["hyperparameter"] == "k"
    json.dumps(finding.to_json())


@pytest.mark.ci
def test_a_searcher_that_is_not_installed_stops_no_other_check(made, monkeypatch):
    study = made(failing_above, trials=60)
    monkeypatch.setattr("hpo.registry.entries", lambda group: {})
    checks = examine(study)
    assert "cannot be asked what it needs: no searcher 'random'" in checks[0].missing
    assert [check.verdict for check in checks] == ["unknown", "beside", "unknown", "clear", "beside", "found"]


@pytest.mark.ci
def test_diagnosing_trials_of_a_function_imports_no_torch(made):
    study = made(square, trials=5)
    code = (
        "import sys; from hpo.study import load_study; from hpo.cli.doctor_study import show;"
        "show(load_study(None, sys.argv[1]), False);"
        "assert not {'torch', 'pandas', 'plotly', 'optuna'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(study.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 checks" in done.stdout


# -- false alarms

SPACE = {
    "rate": Float(1e-4, 1.0, log=True),
    "a": Float(0.0, 1.0),
    "b": Float(0.0, 1.0),
    "n": Int(1, 16),
    "k": Choice(("p", "q", "r")),
}


def healthy(seed):
    """A function of two to five of the hyperparameters, with its optimum inside, some noise and a few failures."""
    rng, space = generator(seed, "healthy"), hpo.Space(SPACE)
    centre, weights = rng.uniform(0.25, 0.75, 5), rng.uniform(0.3, 1, 5)
    weights[rng.permutation(5)[: rng.integers(0, 4)]] = 0

    def objective(p, epochs):
        u = space.encode(p)
        bias = generator(seed, "curve", *(int(x * 1e6) for x in u)).standard_normal()
        for epoch in range(1, 10):
            if epoch == 1 and rng.random() < 0.03:
                raise ValueError("now and then")
            yield float((weights * (u - centre) ** 2).sum() + 0.05 * bias / epoch + 0.01 * rng.standard_normal())
            if epoch >= epochs:
                return

    return objective


def test_the_levels_of_the_tests_sum_to_one_in_twenty():
    assert 4 * SHARE == LEVEL == 0.05


@pytest.mark.ci
@pytest.mark.parametrize(("searcher", "trials", "epochs", "studies"), [("random", 60, 1, 60), ("tpe", 60, 1, 40)])
def test_at_most_one_in_twenty_studies_that_are_well_is_told_of_anything(searcher, trials, epochs, studies, made):
    told = [
        bool(diagnose(made(healthy(seed), SPACE, searcher, trials, epochs=epochs, seed=seed)))
        for seed in range(studies)
    ]
    assert sum(told) <= studies // 20


@pytest.mark.ci
def test_halving_that_is_well_is_told_of_nothing(made):
    told = [bool(diagnose(made(healthy(seed), SPACE, "halving", 45, epochs=9, seed=seed))) for seed in range(20)]
    assert sum(told) <= 1
