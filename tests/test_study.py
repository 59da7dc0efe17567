"""A study as its user sees it: results, frames, notebooks, going on, asking and telling by hand."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from hpo import Choice, Float, Int, Trial, create_study, load_study, search
from hpo.errors import ConflictError, LoadError, LockedError, NoResultError, NotFoundError, UsageError
from hpo.trial import State

SPACE = {"x": Float(-1, 1), "kind": Choice(("a", "b")), "depth": Int(1, 3, when={"kind": ["b"]})}
HOSTILE = "<img src=x onerror=alert(1)>[red]&\u202e"


def square(p):
    return p["x"] ** 2


def fading(p, epochs=9):
    for epoch in range(1, epochs + 1):
        yield p["x"] ** 2 + 1 / epoch


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hpo.db"


@pytest.fixture
def go(path):
    def run(objective=square, space=SPACE, searcher="random", trials=8, **more):
        arguments = {"direction": "minimize", "progress": False, "store": path} | more
        return search(objective, space, searcher, trials, **arguments)

    return run


@pytest.fixture
def lab(path):
    """A function that makes or reopens a study for asking and telling by hand."""
    opened = []

    def make(searcher="random", **more):
        arguments = {"direction": "minimize", "store": path, "name": "lab"} | more
        opened.append(create_study(SPACE, searcher, **arguments))
        return opened[-1]

    yield make
    for study in opened:
        study.close()


# -- results


def test_best_is_a_trial_with_all_that_came_of_it(go):
    study = go(fading, epochs=9, searcher="halving", trials=3)
    best = study.best
    assert isinstance(best, Trial)
    assert best == study.trial(best.number) == study.trials[best.number]
    assert (best.state, best.epochs) == (State.DONE, 9)
    assert best.value == best.curve["value"][-1] == study.best_value
    assert best.params == study.best_params
    assert len(best.curve["value"]) == 9


def test_trials_are_dense_and_in_order(go):
    study = go()
    assert [trial.number for trial in study.trials] == list(range(8))
    assert study.counts() == {"done": 8}
    assert (study.budget, study.epochs_spent) == (8, 8)
    assert study.page(3, 2) == study.trials[3:5]
    assert study.ranking(3) == sorted(study.trials, key=lambda trial: trial.value)[:3]


def test_a_trial_that_is_not_there_is_not_found(go):
    with pytest.raises(NotFoundError, match="no trial 8"):
        go().trial(8)


def test_a_frame_has_a_row_a_trial_and_a_column_a_hyperparameter(go):
    study = go()
    frame = study.to_frame()
    assert list(frame) == ["number", "state", "value", "epochs", "seconds", "x", "kind", "depth"]
    assert frame["number"].tolist() == list(range(8))
    assert set(frame["state"]) == {"done"}
    assert frame["x"].tolist() == [trial.params["x"] for trial in study.trials]
    assert frame["depth"].isna().tolist() == ["depth" not in trial.params for trial in study.trials]
    assert study.trial(frame["number"].iloc[2]) == study.trials[2]  # a NumPy integer


def test_a_frame_keeps_odd_names_and_many_columns(go):
    space = {"value": Float(0, 1), "params.value": Float(1, 2), **{f"p{i}": Float(0, 1) for i in range(150)}}
    frame = go(lambda p: p["value"], space, trials=2).to_frame()
    assert list(frame)[:7] == ["number", "state", "value", "epochs", "seconds", "params.value", "params.params.value"]
    assert (frame["params.value"] == frame["value"]).all()
    assert frame.shape == (2, 157)


def test_a_frame_of_no_trials_has_its_columns(go):
    assert list(go(trials=0).to_frame()) == ["number", "state", "value", "epochs", "seconds", "x", "kind", "depth"]


def test_a_study_without_trials_has_no_best(go):
    study = go(trials=0)
    assert not study.has_result
    with pytest.raises(NoResultError, match="hpo resume"):
        _ = study.best


def test_notebooks_show_foreign_text_as_text(go):
    study = go(lambda p: 0.0, {HOSTILE: Choice((HOSTILE, 1))}, name=HOSTILE[:-1])
    for html in (study._repr_html_(), study.best._repr_html_()):
        assert "<img" not in html
        assert "&lt;img src=x onerror=alert(1)&gt;" in html
        assert "\u202e" not in html
    assert "<table>" in go(trials=0)._repr_html_()


# -- reading


READING = """
import sys
import hpo
study = hpo.load_study("one", sys.argv[1])
study.best, study.trials, study.counts(), study.budget, study.environment, study._repr_html_(), repr(study)
study.known_winner(), study.test_uses
assert not {"only_here", "torch", "optuna", "pandas"} & set(sys.modules), sorted(sys.modules)
"""


def test_reading_imports_neither_objective_nor_searcher_nor_torch(go, path, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "only_here.py").write_text("def f(p):\n    return p['x']\n")
    go("only_here:f", name="one", searcher="tpe")
    (tmp_path / "only_here.py").unlink()
    found = subprocess.run([sys.executable, "-c", READING, str(path)], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr


def test_the_latest_study_is_loaded_without_a_name(go, path, monkeypatch):
    go(name="one", trials=1)
    go(name="two", trials=1)
    assert load_study(store=path).name == "two"
    monkeypatch.setenv("HPO_STORE", str(path))
    assert load_study("one").name == "one"
    with pytest.raises(NotFoundError, match=r"no study 'tow'.*did you mean 'two'"):
        load_study("tow")


# -- going on


def test_resume_goes_on_to_the_new_total_like_one_run(go, path):
    study = go(fading, searcher="tpe", trials=4, epochs=4, name="short", batch=2)
    study.resume(trials=8, progress=False)
    at_once = go(fading, searcher="tpe", trials=8, epochs=4, name="long", batch=2)
    assert [(t.params, t.value, t.curve) for t in study.trials] == [
        (t.params, t.value, t.curve) for t in at_once.trials
    ]
    assert study.budget == 32


def test_the_objective_of_a_study_that_this_process_made_is_at_hand(go):
    offset = 3.0
    study = go(lambda p: offset, trials=2)
    assert len(study.resume(trials=4, progress=False).trials) == 4


def test_a_local_function_must_be_given_again_after_loading(go, path):
    def local(p):
        return 0.0

    go(local, trials=2, name="one")
    with pytest.raises(LoadError, match=r"study\.resume\(objective=\.\.\.\)"):
        load_study("one", path).resume(trials=4, progress=False)
    assert len(load_study("one", path).resume(local, trials=4, progress=False).trials) == 4


def test_a_partial_is_never_resumed_as_the_bare_function(go, path, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "with_partial.py").write_text(
        "import functools\ndef f(p, k=1):\n    return float(k)\ng = functools.partial(f, k=2)\n"
    )
    import with_partial

    go(with_partial.g, trials=1, name="object")
    with pytest.raises(LoadError, match="made by a program"):
        load_study("object", path).resume(trials=2, progress=False)
    go("with_partial:g", trials=1, name="path")
    study = load_study("path", path).resume(trials=2, progress=False)
    assert [trial.value for trial in study.trials] == [2.0, 2.0]


def test_resume_refuses_another_objective(go):
    study = go(trials=2)
    with pytest.raises(ConflictError, match="was made with objective"):
        study.resume(lambda p: 0.0, trials=4, progress=False)
    assert len(study.trials) == 2


def test_a_study_by_hand_has_no_objective_to_resume(lab):
    with pytest.raises(LoadError, match="by hand"):
        lab().resume(trials=3, progress=False)


# -- by hand


def test_asking_and_telling_is_a_search(lab, go):
    study = lab()
    for number in range(8):
        trial = study.ask()
        assert (trial.number, trial.state, trial.target) == (number, State.RUNNING, 1)
        told = study.tell(trial.number, square(trial.params))
        assert (told.state, told.value) == (State.DONE, square(trial.params))
    assert [t.params for t in study.trials] == [t.params for t in go(batch=1).trials]
    assert study.best.value == min(t.value for t in study.trials)


def test_trials_may_be_told_in_any_order_and_once(lab):
    study = lab("tpe")
    numbers = [study.ask().number for _ in range(4)]
    for number in reversed(numbers):
        study.tell(np.int64(number), number)
    with pytest.raises(UsageError, match=r"trial 2 .* is not outstanding \(outstanding: none\)"):
        study.tell(2, 1.0)
    with pytest.raises(UsageError, match=r"trial 99 .* is not outstanding"):
        study.tell(99, 1.0)


@pytest.mark.parametrize("value", [None, "0.5", True, [1.0], 1j])
def test_what_is_no_number_cannot_be_told(lab, value):
    study = lab()
    number = study.ask().number
    with pytest.raises(TypeError, match=f"trial {number} was told .*expected a number"):
        study.tell(number, value)
    assert study.tell(number, 1).value == 1.0


def test_telling_a_non_finite_value_fails_the_trial(lab):
    study = lab()
    trial = study.tell(study.ask().number, math.nan)
    assert (trial.state, trial.reason) == (State.FAILED, "non_finite")
    assert not study.has_result


def test_halving_by_hand_says_how_far_to_train(lab):
    study = lab("halving", epochs=9)
    targets = []
    for _ in range(13):
        trial = study.ask()
        targets.append((trial.number, trial.epochs, trial.target))
        study.tell(trial.number, trial.number)
    assert targets == [*[(i, 0, 1) for i in range(9)], *[(i, 1, 3) for i in range(3)], (0, 3, 9)]


def test_what_waits_for_results_says_for_which(lab):
    study = lab("halving", epochs=3)
    for _ in range(3):
        study.ask()
    with pytest.raises(NoResultError, match=r"tell the outstanding trials first \(0, 1, 2\)"):
        study.ask()


def test_a_space_that_is_used_up_says_so(path):
    study = create_study({"on": Choice((False, True))}, "grid", direction="maximize", store=path)
    for _ in range(2):
        study.tell(study.ask().number, 0.0)
    with pytest.raises(NoResultError, match="the space is used up"):
        study.ask()
    study.close()


def test_the_study_belongs_to_who_asks_until_it_is_closed(lab, path):
    study, other = lab(), lab()
    study.ask()
    with pytest.raises(LockedError, match=f"process {os.getpid()}"):
        other.ask()
    study.close()
    assert other.ask() is not None


def test_trials_that_were_never_told_are_asked_for_again(lab):
    first = lab()
    asked = [first.ask() for _ in range(3)]
    first.tell(1, 0.5)
    first.close()
    second = lab()
    second.tell(0, 0.1)  # told at once by the new process: not asked for again
    assert second.ask() == asked[2]
    assert second.ask().number == 3


def test_initial_configurations_are_asked_for_first(lab):
    study = lab(initial=[{"x": 0.5, "kind": "a"}])
    assert study.ask().params == {"x": 0.5, "kind": "a"}
    study.tell(0, 1.0)
    assert study.ask().number == 1


def test_a_study_by_hand_is_resumed_without_warnings_about_devices(go, path):
    study = go(trials=2)
    study.tell(study.ask().number, 0.0)
    assert len(study.resume(trials=5, progress=False).trials) == 5
    assert json.dumps(study.environment["device"]) == '"cpu"'
