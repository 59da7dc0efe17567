"""`hpo replay` trains a trial again and says whether it is the same, and `hpo show` tells the trials' health."""

import math
import sqlite3

import pytest

from hpo import Choice, Float, Int, load_study, search
from hpo.comparison.replay import first_difference
from hpo.trial import Outcome, State, Trial
from searchers.halving import Halving

SPACE = {
    "width": Int(4, 8),
    "learning_rate": Float(0.01, 1e3, log=True),
    "optimizer": Choice(("sgd",)),
    "loss": Choice(("mse",)),
    "early_stopping": Choice((True,)),
    "patience": Choice((1,)),
}


def stored(path):
    """The whole store as one text."""
    connection = sqlite3.connect(path)
    text = "\n".join(connection.iterdump())
    connection.close()
    return text


@pytest.fixture
def halved(hpo, home):
    """The command after successive halving of 6 trials of the shared objective, some of which diverge."""
    search(space=SPACE, searcher=Halving(eta=2), trials=6, epochs=6, name="mine", progress=False)
    return hpo


def test_every_trial_of_the_shared_objective_is_replayed_bit_for_bit(halved, home):
    before, trials = stored(home / "hpo.db"), load_study("mine").trials
    assert {trial.epochs for trial in trials if trial.state != State.FAILED} > {6}
    assert any(trial.reason == "non_finite" for trial in trials)
    assert any(len(trial.curve["accuracy"]) < trial.epochs for trial in trials), "one stopped early"
    for trial in trials:
        found = halved("replay", "mine", trial.number)
        assert found.code == 0, found.out
        epochs = len(trial.curve["accuracy"])
        expected = f"equal, bit for bit: value {trial.value}, {epochs} epoch{'s' if epochs > 1 else ''}"
        assert found.out == expected + (", the same failure (non_finite)" if trial.reason else "") + "\n"
    assert stored(home / "hpo.db") == before


def test_show_tells_the_health_of_a_trial_and_of_the_study(halved):
    study = load_study("mine")
    trial = study.best
    assert list(trial.health)[:4] == ["train_accuracy", "gap", "gradient_first", "gradient_last"]
    assert trial.health["gap"] == pytest.approx(trial.health["train_accuracy"] - trial.curve["accuracy"][-1])
    assert (
        f"health    train_accuracy={trial.health['train_accuracy']:.6g}, gap="
        in halved("show", "mine", trial.number).out
    )
    assert halved("show", "mine", trial.number, "--json").json()["health"] == trial.health
    health = halved("show", "mine", "--json").json()["health"]
    assert health == study.health().to_json()
    assert health["metric"] == "accuracy"
    diverged = sum(trial.reason == "non_finite" for trial in study.trials)
    assert health["diverged"] == {"count": diverged, "of": len(study.trials)}
    assert (
        f"{diverged} of {len(study.trials)} trials diverged: their value is not finite." in halved("show", "mine").out
    )


def test_a_difference_is_told_with_both_values_and_what_has_changed(halved, home):
    trial = load_study("mine").best
    old = trial.curve["validation_loss"][1]
    with sqlite3.connect(home / "hpo.db") as connection:
        connection.execute(
            "UPDATE evaluations SET curve = json_set(curve, '$.validation_loss[#-1]', 0.25) WHERE number = ?",
            (trial.number,),
        )
        connection.execute("UPDATE runs SET environment = json_set(environment, '$.packages.torch', '1.0')")
    connection.close()
    found = halved("replay", "mine", trial.number)
    first, changed = found.out.splitlines()
    assert found.code == 5
    assert first.startswith("different: validation_loss after epoch ")
    assert "stored 0.25, now " in first
    assert changed.startswith("since a run of the study: torch 1.0 -> ")
    assert old in halved("replay", "mine", trial.number, "--json").json()["now"]["curve"]["validation_loss"]


FUNCTIONS = """
import random
from hpo import Float

space = {"x": Float(-1, 1)}

def draws(p):
    return p["x"] + random.random()

def curve(p):
    for epoch in range(9):
        if epoch == 2 and p["x"] < 0:
            raise ValueError(f"x is {p['x']}")
        yield p["x"] + random.random()

def again(p, epochs):
    return p["x"] * epochs + random.random()

def many(params):
    return [p["x"] for p in params]

calls = 0

def careless(p):
    global calls
    calls += 1
    return p["x"] + calls
"""


@pytest.fixture
def functions(hpo, home):
    """Runs a function of the module for 6 trials under its own name."""
    (home / "functions.py").write_text(FUNCTIONS)

    def run(name, *more):
        arguments = ("--direction", "minimize", "--trials", 6, "--name", name, "--quiet", *more)
        assert hpo("run", f"functions:{name}", *arguments).code == 0
        return hpo

    yield run
    __import__("sys").modules.pop("functions", None)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("draws", ["--searcher", "random"]),
        ("curve", ["--searcher", "halving", "--epochs", 4, "--set", "searcher.eta=2"]),
        ("again", ["--searcher", "halving", "--epochs", 4, "--set", "searcher.eta=2"]),
    ],
)
def test_functions_are_replayed_with_their_seeds_to_the_last_epoch_reached(functions, name, options):
    hpo = functions(name, *options)
    trials = load_study(name).trials
    for trial in trials:
        found = hpo("replay", name, trial.number)
        assert (found.code, found.out.startswith("equal, bit for bit: ")) == (0, True), found.out
    if name == "curve":
        failed = next(trial for trial in trials if trial.state == State.FAILED)
        expected = "equal, bit for bit: no value, 2 epochs, the same failure (exception)\n"
        assert hpo("replay", name, failed.number).out == expected


def test_a_function_that_depends_on_more_than_its_seed_differs(functions):
    hpo = functions("careless", "--searcher", "random")
    found = hpo("replay", "careless", 3)
    assert found.code == 5
    value = load_study("careless").trial(3).value
    assert found.out.splitlines()[0] == f"different: value: stored {value}, now {value + 3}"
    assert found.out.splitlines()[1] == "versions, platform and device are as they were"


def test_a_trial_that_was_not_trained_cannot_be_replayed(squares):
    study = load_study("squares")
    number = study.ask().number
    study.close()
    found = squares("replay", "squares", number)
    assert found.code == 2
    assert f"trial {number} of study 'squares' is running: nothing is stored to compare with" in found.err


def test_the_first_epoch_and_metric_that_differ_are_found():
    curve = {"loss": [1.0, math.nan, 3.0], "accuracy": [0.1, 0.2, 0.3]}
    trial = Trial(0, {}, 0, State.DONE, 0.3, 3, curve=curve, health={"gap": 0.1})

    def against(curve, value=0.3, **more):
        return first_difference(trial, Outcome(0, {}, State.DONE, value, 3, curve=curve, **more))

    assert against(curve, health={"gap": 0.1}) is None
    found = against({"loss": [1.0, math.nan, 3.5], "accuracy": [0.1, 0.25, 0.3]})
    assert str(found) == "accuracy after epoch 2: stored 0.2, now 0.25"
    assert str(against({"loss": [1.0]})) == "accuracy after epoch 1: stored 0.1, now nothing"
    assert str(against(curve, 0.5)) == "value: stored 0.3, now 0.5"
    assert str(against(curve)) == "gap: stored 0.1, now nothing"
