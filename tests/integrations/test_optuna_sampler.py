"""Searchers as Optuna's samplers: Optuna's own tests of samplers, and equality with ask and tell."""

import pickle

import optuna
import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase

from hpo import Choice, Float, Int, create_study
from hpo.errors import MismatchError, SpaceError
from hpo.integrations.optuna import as_sampler
from hpo.optuna_space import domain_of, quiet

SEARCHERS = ["random", "tpe", "optuna:CmaEsSampler", "optuna:QMCSampler", "grid", "nas"]
SPACE = {
    "x": Float(-1, 1),
    "y": Int(1, 100, log=True),
    "c": Choice(["a", "b"]),
    "z": Float(0, 1, when={"c": ["a"]}),
}


@pytest.fixture(autouse=True)
def _quiet():
    with quiet():
        yield


def objective(trial):
    x, y = trial.suggest_float("x", -1, 1), trial.suggest_int("y", 1, 100, log=True)
    z = trial.suggest_float("z", 0, 1) if trial.suggest_categorical("c", ["a", "b"]) == "a" else 0
    return x * x + y / 100 + z


def sampled(searcher, trials, **more):
    study = optuna.create_study(sampler=as_sampler(searcher, SPACE, seed=3))
    study.optimize(objective, n_trials=trials, **more)
    return study


# -- Optuna's tests

SPACES = {  # of the tests that suggest fixed names from fixed ranges; the others' come from their parameters
    "test_conditional_sample_independent": {"category": ["x", "y"], "x": ["a", "b"], "y": ["a", "b"]},
    "test_nan_objective_value": {"x": Float(0.1, 0.2)},
    "test_partial_fixed_sampling": {"x": Float(-1, 1), "y": Int(-1, 1), "z": Float(-1, 1)},
    "test_dynamic_range_objective": {"x": Float(0, 10), "y": Int(0, 10)},
    "test_sample_single_distribution": {"a": [1], "b": Int(1, 1), "d": Float(1, 1), "other": Float(0, 1)},
    "test_conditional_parameter_objective": {
        "x": [True, False],
        "y": Float(0, 1, when={"x": [True]}),
        "z": Float(0, 1, when={"x": [False]}),
    },
    "test_sample_relative_categorical": {"x": [1, 10, 100], "y": [-1, -10, -100]},
    "test_sample_relative_mixed": {"y": [-1, -10, -100]},
    "test_trial_relative_params": {"x": Float(-10, 10), "y": Float(-10, 10)},
}


class _Asked:
    """What a parametrized suggest method asks for."""

    def suggest_float(self, name, low, high, **more):
        self.domain = Float(low, high, **more)

    def suggest_int(self, name, low, high, **more):
        self.domain = Int(low, high, **more)

    def suggest_categorical(self, name, choices):
        self.domain = Choice(choices)


def domain(value):
    if callable(value):
        asked = _Asked()
        value(asked)
        return asked.domain
    return domain_of(value)


class Fixed:
    """Gives every test a sampler whose fixed space is what that test suggests."""

    @pytest.fixture(params=["random", "tpe"])
    def sampler(self, request):
        space = dict(SPACES.get(request.node.originalname, {}))
        for key, value in request.node.callspec.params.items():
            if key == "distribution" or key.startswith(("x_", "y_", "suggest_method_")):
                space["y" if "y" in key.split("_") else "x"] = domain(value)
        return lambda: as_sampler(request.param, space or {"x": Float(0, 1)})


class TestBasic(Fixed, BasicSamplerTestCase):
    """None is excluded: in test_dynamic_range_objective, values outside the fixed space are drawn at random."""


class TestRelative(Fixed, RelativeSamplerTestCase):
    """None is excluded."""


class TestSingleOnly(Fixed, SingleOnlySamplerTestCase):
    """None is excluded."""


# -- equality with ask and tell


@pytest.mark.parametrize("searcher", SEARCHERS[:-1])
def test_a_study_has_the_trials_that_ask_and_tell_give(searcher, tmp_path):
    theirs = sampled(searcher, 15)
    ours = create_study(SPACE, searcher, direction="minimize", seed=3, store=tmp_path / "hpo.db")
    for trial in theirs.trials:
        asked = ours.ask()
        assert dict(asked.params) == trial.params
        ours.tell(asked.number, trial.value)
    ours.close()


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_another_sampler_goes_on_alike(searcher):
    study = sampled(searcher, 7)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(objective, n_trials=8)
    assert [trial.params for trial in study.trials] == [trial.params for trial in sampled(searcher, 15).trials]


@pytest.mark.parametrize("searcher", ["random", "tpe", "optuna:CmaEsSampler"])
def test_trials_of_others_and_failures_are_taken_in(searcher):
    study = sampled(searcher, 3)
    study.enqueue_trial({"x": 0.5, "y": 7, "c": "b"})
    foreign = {"w": optuna.distributions.IntDistribution(0, 9)}
    study.add_trial(optuna.create_trial(value=1.0, params={"w": 1}, distributions=foreign))
    study.optimize(lambda trial: objective(trial) * float("nan"), n_trials=2)
    study.optimize(objective, n_trials=5)
    assert study.trials[3].params == {"x": 0.5, "y": 7, "c": "b"}
    assert [trial.state.name for trial in study.trials].count("FAIL") == 2
    assert len({str(trial.params) for trial in study.trials}) == 11


def test_another_searchers_trials_are_history():
    study = sampled("random", 12)
    study.sampler = as_sampler("grid", {"x": Float(-1, 1), "y": Int(1, 100, log=True), "c": ["a", "b"]})
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1), n_trials=6)
    assert {trial.params["x"] for trial in study.trials[12:]} <= {-1.0, 0.0, 1.0}


def test_pending_trials_are_known_before_their_parameters_are_suggested():
    study = optuna.create_study(sampler=as_sampler("grid", {"c": ["a", "b", "c"]}))
    asked = [study.ask() for _ in range(3)]
    for trial in asked:
        trial.suggest_categorical("c", ["a", "b", "c"])
    assert {trial.params["c"] for trial in asked} == {"a", "b", "c"}


def test_trials_side_by_side_differ():
    study = sampled("tpe", 24, n_jobs=4)
    assert len({str(trial.params) for trial in study.trials}) == 24


def test_one_sampler_serves_one_study_after_another():
    sampler = as_sampler("tpe", SPACE, seed=3)
    for _ in range(2):
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=13)
        assert [trial.params for trial in study.trials] == [trial.params for trial in sampled("tpe", 13).trials]


def test_a_used_up_space_goes_on_at_random():
    study = optuna.create_study(sampler=as_sampler("grid", {"x": Int(0, 3)}))
    study.optimize(lambda trial: trial.suggest_int("x", 0, 3), n_trials=8)
    assert sorted(trial.params["x"] for trial in study.trials[:4]) == [0, 1, 2, 3]
    assert len(study.trials) == 8


def test_parameters_outside_the_space_are_drawn_at_random_but_reproducibly():
    def more(trial):
        return objective(trial) + trial.suggest_float("w", 0, 1)

    drawn = []
    for _ in range(2):
        study = optuna.create_study(sampler=as_sampler("random", SPACE))
        study.optimize(more, n_trials=6)
        drawn.append([trial.params["w"] for trial in study.trials])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 6


def test_the_direction_is_the_studys():
    def cold(direction):
        study = optuna.create_study(direction=direction, sampler=as_sampler("tpe", {"x": Float(0, 1)}))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=40)
        return sum(trial.params["x"] for trial in study.trials[20:]) / 20

    assert cold("minimize") < 0.3
    assert cold("maximize") > 0.7


def test_what_optuna_cannot_express_is_refused():
    with pytest.raises(SpaceError, match="'c' has no Optuna distribution"):
        as_sampler("tpe", {"c": [[1], [2]]})
    with pytest.raises(MismatchError, match="needs an objective with epochs"):
        as_sampler("halving", {"x": Float(0, 1)})
