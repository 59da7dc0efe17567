"""Optuna objectives under hpo: what they are answered, what they are told to declare, how they are found again."""

import math

import optuna
import pytest
from integrations import optuna_objectives

import hpo
from hpo import Choice, Float, Int, from_optuna, load_study, search
from hpo.errors import ConflictError, SpaceError, UsageError
from hpo.trial import State

X = {"x": Float(0, 1)}


@pytest.fixture
def run(tmp_path):
    """Searches with an Optuna objective at random."""

    def call(objective, space=None, trials=3, **more):
        found = objective if isinstance(objective, hpo.Objective) else from_optuna(objective)
        arguments = {"searcher": "random", "direction": "minimize", "progress": False, "store": tmp_path / "hpo.db"}
        return search(found, space, trials=trials, **(arguments | more))

    return call


def first_error(study):
    return study.trials[0].error.splitlines()[-1]


# -- suggestions


def test_suggestions_are_the_parameters(run):
    seen = []

    def objective(trial):
        values = {
            "a": trial.suggest_float("a", 0, 1),
            "b": trial.suggest_float("b", 1e-3, 1, log=True),
            "c": trial.suggest_float("c", 0, 1, step=0.25),
            "d": trial.suggest_int("d", -3, 3),
            "e": trial.suggest_int("e", 0, 10, step=5),
            "f": trial.suggest_int("f", 1, 100, log=True),
            "g": trial.suggest_categorical("g", ["x", None, 1.5, True]),
        }
        assert trial.params == values
        assert list(trial.distributions) == list(values)
        assert isinstance(trial, optuna.trial.BaseTrial)
        seen.append((trial.number, values))
        return values["a"]

    space = {
        "a": Float(0, 1, default=0.5),
        "b": Float(1e-3, 1, log=True),
        "c": Float(0, 1, step=0.25),
        "d": Int(-3, 3, step=1),
        "e": Int(0, 10, step=5),
        "f": Int(1, 100, log=True),
        "g": Choice(["x", None, 1.5, True], ordered=True),
    }
    study = run(objective, space, trials=20)
    assert seen == [(trial.number, dict(trial.params)) for trial in study.trials]
    assert [trial.value for trial in study.trials] == [values["a"] for _, values in seen]


def test_the_same_objective_gives_optuna_the_same_values(run):
    study = run(optuna_objectives.objective, optuna_objectives.space, trials=6)
    for trial in study.trials:
        fixed = optuna.trial.FixedTrial(dict(trial.params))
        assert optuna_objectives.objective(fixed) == trial.value
        assert fixed.user_attrs == trial.user_attrs


@pytest.mark.parametrize(
    ("ask", "space", "declare"),
    [
        (lambda t: t.suggest_float("lr", 1e-5, 1e-1, log=True), X, '"lr": Float(1e-05, 0.1, log=True)'),
        (lambda t: t.suggest_float("x", 0, 2), X, '"x": Float(0.0, 2.0)'),
        (lambda t: t.suggest_float("x", 0, 1, step=0.5), X, '"x": Float(0.0, 1.0, step=0.5)'),
        (lambda t: t.suggest_int("x", 0, 1), X, '"x": Int(0, 1)'),
        (lambda t: t.suggest_int("x", 1, 9, log=True), {"x": Int(1, 9)}, '"x": Int(1, 9, log=True)'),
        (lambda t: t.suggest_int("x", 1, 9), {"x": Int(1, 9, step=2)}, '"x": Int(1, 9)'),
        (lambda t: t.suggest_categorical("x", ["a", 1]), {"x": ["a", True]}, "\"x\": Choice(['a', 1])"),
        (lambda t: t.suggest_categorical("x", ["a", "b"]), {"x": ["b", "a"]}, "\"x\": Choice(['a', 'b'])"),
    ],
)
def test_other_names_and_ranges_than_declared_say_what_to_declare(run, ask, space, declare):
    error = first_error(run(ask, space, trials=1))
    assert error.startswith("hpo.errors.SpaceError: the objective suggests ")
    assert error.endswith(f"declare {declare}")
    key, _, domain = declare.partition(": ")
    run(ask, {key.strip('"'): eval(domain)}, trials=1)  # the very text makes it work


def test_an_inactive_hyperparameter_cannot_be_suggested(run):
    def objective(trial):
        trial.suggest_categorical("c", ["a", "b"])
        return trial.suggest_float("x", 0, 1)

    study = run(objective, {"c": ["a", "b"], "x": Float(0, 1, when={"c": ["a"]})}, trials=8)
    for trial in study.trials:
        assert (trial.state == State.FAILED) == (trial.params["c"] == "b")
    error = next(trial.error for trial in study.trials if trial.state == State.FAILED)
    assert "'x', which is inactive in this configuration (it needs {'c': ['a']})" in error


def test_optunas_older_names_work(run):
    def objective(trial):
        a, b = trial.suggest_uniform("a", 0, 1), trial.suggest_loguniform("b", 1e-3, 1)
        return a + b + trial.suggest_discrete_uniform("c", 0, 1, 0.5)

    space = {"a": Float(0, 1), "b": Float(1e-3, 1, log=True), "c": Float(0, 1, step=0.5)}
    assert run(objective, space).counts() == {"done": 3}


@pytest.mark.parametrize("name", ["study", "storage", "system_attrs", "set_system_attr", "relative_params"])
def test_what_a_trial_has_not_is_named(run, name):
    error = first_error(run(lambda trial: getattr(trial, name), X, trials=1))
    assert error.startswith(f"AttributeError: an objective under hpo has no trial.{name}: ")


# -- reports and pruning


def test_an_objective_is_pruned_at_the_epochs_of_its_evaluation(run):
    study = run(optuna_objectives.objective, optuna_objectives.space, 6, searcher="halving", epochs=9)
    assert set(study.counts()) == {"paused", "done"}
    for trial in study.trials:
        assert len(trial.curve["value"]) == trial.epochs
        assert trial.curve["step"] == list(range(trial.epochs))
        assert trial.value == trial.curve["value"][-1]
        assert "hpo:pruned" not in trial.user_attrs


def test_pruning_that_was_not_asked_for_ends_a_trial_with_its_last_report(run):
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        trial.report(x, 0)
        trial.report(x / 2, 4)
        raise optuna.TrialPruned

    trial = run(objective, X, trials=1).trials[0]
    assert (trial.state, trial.value) == (State.DONE, trial.params["x"] / 2)
    assert trial.user_attrs == {"hpo:pruned": 4}


def test_pruning_without_a_report_fails(run):
    def objective(trial):
        raise optuna.TrialPruned("no reason")

    trial = run(objective, X, trials=1).trials[0]
    assert (trial.state, trial.reason) == (State.FAILED, "exception")
    assert trial.error.splitlines()[-1] == "optuna.exceptions.TrialPruned: no reason"


def test_the_first_report_of_a_step_stays(run):
    def objective(trial):
        trial.report(trial.suggest_float("x", 0, 1), 0)
        with pytest.warns(UserWarning, match="reported step 0 twice"):
            trial.report(7.0, 0)
        return 1.0

    trial = run(objective, X, trials=1).trials[0]
    assert trial.curve["value"] == [trial.params["x"]]


# -- user attributes


def test_user_attributes_are_stored_also_of_failures(run):
    def objective(trial):
        trial.set_user_attr("shape", (1, 2))
        trial.set_user_attr("loss", math.inf)
        assert trial.user_attrs == {"shape": [1, 2], "loss": "inf"}
        if trial.number:
            raise ValueError
        return trial.suggest_float("x", 0, 1)

    study = run(objective, X, trials=2)
    assert [trial.state for trial in study.trials] == [State.DONE, State.FAILED]
    assert [trial.user_attrs for trial in study.trials] == [{"shape": [1, 2], "loss": "inf"}] * 2


def test_a_user_attribute_that_cannot_be_stored_fails_the_trial(run):
    error = first_error(run(lambda trial: trial.set_user_attr("it", object()), X, trials=1))
    assert error.startswith("TypeError: trial 0: user attribute 'it': <object object")


# -- recording


def test_without_a_space_the_first_call_records_it(run, capsys):
    calls = []

    def objective(trial):
        calls.append(trial)
        a, b = trial.suggest_float("a", 1e-4, 1, log=True), trial.suggest_int("b", 1, 9, step=2)
        value = a + b + (trial.suggest_categorical("c", ["x", "y", "z"]) == "y")
        trial.report(value, 0)
        return 0.0 if trial.should_prune() else value

    study = run(objective, trials=5, progress=True)
    recorded = {"a": Float(1e-4, 1, log=True), "b": Int(1, 9, step=2), "c": Choice(["x", "y", "z"])}
    assert study.spec.space == hpo.Space(recorded)
    assert len(calls) == 1 + len(study.trials)
    assert calls[0].params == {"a": pytest.approx(0.01), "b": 5, "c": "y"}
    assert (
        "space recorded from one call of 'objective', which counts for nothing: "
        "{\"a\": Float(0.0001, 1.0, log=True), \"b\": Int(1, 9, step=2), \"c\": Choice(['x', 'y', 'z'])}\n"
    ) in capsys.readouterr().err


def test_a_branch_that_was_not_taken_says_what_to_declare(run):
    study = run(optuna_objectives.objective, trials=8)
    failed = [trial for trial in study.trials if trial.state == State.FAILED]
    assert {trial.params["optimizer"] for trial in failed} == {"sgd"}
    assert failed[0].error.splitlines()[-1].endswith('declare "momentum": Float(0.0, 0.9)')


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda trial: 1.0, "suggested nothing when it was called"),
        (lambda trial: 1 / 0, "failed with ZeroDivisionError: division by zero"),
        (lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_float("x", 0, 2), "both from Float"),
        (lambda trial: trial.suggest_int("x", 5, 1), "should record its space failed with ValueError"),
    ],
)
def test_what_cannot_be_recorded_is_refused(run, objective, message):
    with pytest.raises(SpaceError, match=message):
        run(objective)


# -- found again


def test_a_study_finds_its_objective_again(run, tmp_path):
    for objective, path in (
        (from_optuna(optuna_objectives.objective), "integrations.optuna_objectives:objective"),
        (optuna_objectives.decorated, "integrations.optuna_objectives:decorated"),
    ):
        study = run(objective, optuna_objectives.space if "objective" in path.split(":")[1] else None, name=path)
        assert study.spec.objective == {"function": path, "optuna": True}
        assert load_study(path, tmp_path / "hpo.db").resume(trials=5, progress=False).counts() == {"done": 5}
    with pytest.raises(ConflictError, match="was made with objective"):
        load_study(path, tmp_path / "hpo.db").resume(optuna_objectives.wrapped, trials=7)


def test_a_name_in_a_module_runs_and_resumes(tmp_path):
    path = "integrations.optuna_objectives:nameless"
    arguments = {"searcher": "random", "direction": "minimize", "progress": False, "store": tmp_path / "hpo.db"}
    study = search(path, trials=2, name="n", **arguments)
    assert study.spec.objective == {"function": path, "optuna": True}
    resumed = load_study("n", tmp_path / "hpo.db").resume(trials=4, progress=False)
    assert [trial.value for trial in resumed.trials] == [trial.params["x"] ** 2 for trial in resumed.trials]


def test_trials_in_worker_processes_are_the_same(run):
    here, there = (
        run(optuna_objectives.wrapped, optuna_objectives.space, searcher="halving", epochs=9, name=name, **more)
        for name, more in (("here", {}), ("there", {"workers": 1}))
    )
    facts = [[(t.params, t.value, t.curve, t.user_attrs) for t in study.trials] for study in (here, there)]
    assert facts[0] == facts[1]


def test_what_is_no_objective_is_refused():
    def generator(trial):
        yield trial.suggest_float("x", 0, 1)

    for objective, message in ((generator, "is a generator"), (3, "expected a function"), (lambda: 0, "no argument")):
        with pytest.raises(UsageError, match=message):
            from_optuna(objective)


def test_what_is_asked_for_after_a_report_is_recorded_too(tmp_path):
    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        trial.report(1.0, 0)
        if trial.should_prune():
            raise optuna.TrialPruned
        return x + trial.suggest_float("y", 0, 1)

    study = hpo.search(
        hpo.from_optuna(objective), searcher="random", trials=2, direction="minimize", store=tmp_path / "hpo.db",
        progress=False,
    )  # fmt: skip
    assert sorted(study.best_params) == ["x", "y"]
