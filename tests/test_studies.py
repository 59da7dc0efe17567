"""The shipped studies: each says what it asks and expects, each runs, together they search all there is."""

import importlib.util
from pathlib import Path

import pytest

from hpo.api import search
from hpo.comparison.check import default_params
from hpo.domains import Choice
from hpo.study_file import read_plan, shipped
from hpo.training.hyperparameters import KNOWN
from hpo.training.objective import SimpleNNObjective

ROOT = Path(__file__).parent.parent
NAMES = sorted(shipped())
TUTORIALS_GRID = {"width": {64, 128, 256}, "learning_rate": {0.001, 0.01, 0.1}}


def plan_of(name, searcher=None, **flags):
    return read_plan(name, searcher=searcher, changes=(), flags=flags)


def run(name, folder, **flags):
    """Run a study as its file says, but for `flags`."""
    plan = plan_of(name, **flags)
    spec = plan.spec
    return search(
        plan.objective,
        spec.space,
        searcher=spec.searcher,
        trials=plan.trials,
        epochs=spec.epochs,
        seed=spec.seed,
        batch=spec.batch,
        store=folder / "hpo.db",
        progress=False,
    )


@pytest.fixture(scope="module")
def bench():
    """The script that shows their effects."""
    found = importlib.util.spec_from_file_location("bench_studies", ROOT / "scripts" / "bench_studies.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_a_study_asks_a_question_and_says_what_to_expect(name):
    table = shipped()[name]
    assert table["question"].endswith("?")
    assert table["expect"].endswith(".")
    assert "\n" not in table["question"] + table["expect"]


@pytest.mark.parametrize("name", NAMES)
def test_a_study_runs(name, tmp_path):
    study = run(name, tmp_path, trials=2, epochs=2, batch=2)
    assert [trial.epochs for trial in study.trials] == [2, 2]
    assert {trial.state for trial in study.trials} <= {"done", "failed"}
    assert study.best.epochs == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_study_runs_to_the_end_of_its_budget(name, tmp_path):
    table = shipped()[name]
    study = run(name, tmp_path)
    assert len(study.trials) >= table["trials"]  # more where some failed before their last epoch
    assert study.best.epochs == table["epochs"]


@pytest.mark.parametrize("searcher", ["grid", "halving", "random", "tpe", "nas"])
def test_every_searcher_takes_every_study(searcher):
    assert {plan_of(name, searcher).spec.searcher for name in NAMES} == {searcher}


@pytest.mark.parametrize("name", [name for name in NAMES if "grid" in shipped()[name].get("override", {})])
def test_a_study_made_for_the_grid_has_the_budget_for_all_of_it(name):
    plan = plan_of(name, "grid")
    assert plan.spec.space.size == plan.trials


@pytest.mark.parametrize("name", [name for name in NAMES if name != "tutorial"])
def test_a_winner_can_be_compared_with_a_default_configuration(name):
    assert default_params(plan_of(name).spec.space) is not None


def test_the_tutorials_own_study_stands():
    plan = plan_of("tutorial", "grid")
    space, objective = plan.spec.space, plan.objective
    assert {name: set(space[name].options) for name in TUTORIALS_GRID} == TUTORIALS_GRID
    assert {name: space[name].options for name in ("depth", "optimizer")} == {"depth": (1,), "optimizer": ("sgd",)}
    assert space["batch_size"].options[0] >= len(objective.dataset.train)
    assert (plan.trials, plan.spec.epochs) == (10, 10)
    rate = plan_of("tutorial", "tpe").spec.space["learning_rate"]
    assert (rate.low, rate.high, rate.log) == (0.001, 0.1, True)


def test_the_studies_together_search_every_hyperparameter_with_every_option():
    searched = {}
    for name in NAMES:
        for hyperparameter, domain in plan_of(name).spec.space.items():
            kind = hyperparameter.rstrip("_0123456789")
            searched.setdefault(hyperparameter, set())
            searched.setdefault(kind, set()).update(domain.options if isinstance(domain, Choice) else ())
    assert set(KNOWN) <= set(searched)
    for hyperparameter, known in KNOWN.items():
        assert set(known.options) <= searched[hyperparameter.rstrip("_0123456789")]


def test_the_studies_together_have_most_kinds_of_data():
    objectives = [plan_of(name).objective for name in NAMES]
    assert all(isinstance(objective, SimpleNNObjective) for objective in objectives)
    assert {objective.dataset.task for objective in objectives} == {"classification", "regression"}
    assert {objective.folds for objective in objectives} == {1, 5}
    assert len({objective.data for objective in objectives}) >= 8


def test_every_study_has_a_contrast_whose_sides_are_in_its_space(bench):
    assert {contrast.study for contrast in bench.CONTRASTS} == set(NAMES)
    for contrast in bench.CONTRASTS:
        space = plan_of(contrast.study).spec.space
        better, worse = contrast.sides(space, seed=0, quick=True)
        assert better != worse
        for params in (*better, *worse):
            assert space.validate(params) == params


def test_an_effect_is_the_mean_of_paired_differences_with_students_interval(bench):
    contrast = bench.CONTRASTS[0]
    effect = bench.Effect(contrast, "rmse, test", better=[1.0, 2.0, 4.0], worse=[2.0, 4.0, 7.0], sign=-1)
    assert effect.differences == [1.0, 2.0, 3.0]
    half = 4.302652729911275 / 3**0.5  # t(0.975, 2), standard deviation 1
    assert effect.interval == pytest.approx((2 - half, 2 + half))
    assert effect.cells()[-1] == "no"


def test_the_readme_tells_of_every_study():
    text = (ROOT / "studies" / "README.md").read_text("utf-8")
    for name in NAMES:
        assert f"**{name}**" in text
        assert f"| {name} " in text
