"""The objective `simplenn` as studies see it."""

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from hpo import seeding
from hpo.errors import SpaceError, UsageError
from hpo.registry import load
from hpo.space import Space
from hpo.training.data import load_data
from hpo.training.objective import SimpleNNObjective
from hpo.training.solo import train_and_evaluate
from hpo.training.spaces import default_space
from hpo.trial import Job


def job(params: dict[str, Any], seed: int = 5, target: int = 3) -> Job:
    return Job(study=1, evaluation=0, number=0, params=params, seed=seed, start=0, target=target, epochs=30)


def test_it_is_registered_under_its_name() -> None:
    assert load("objectives", "simplenn") is SimpleNNObjective


def test_it_describes_itself_as_json() -> None:
    text = json.dumps(SimpleNNObjective(data="moons", data_seed=3).describe())
    assert json.loads(text) == {"name": "simplenn", "data": "moons", "data_seed": 3, "metric": "accuracy", "folds": 1}


def test_accuracy_is_maximised_over_30_epochs() -> None:
    objective = SimpleNNObjective()
    assert (objective.direction, objective.has_epochs, objective.default_epochs) == ("maximize", True, 30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "spiral"}, "data is 'spiral', expected one of .*: did you mean 'spirals'"),
        ({"metric": "acuracy"}, "metric is 'acuracy', expected one of 'accuracy', .*: did you mean 'accuracy'"),
        ({"metric": "rmse"}, "metric is 'rmse', expected one of 'accuracy', 'balanced_accuracy'"),
        ({"data": "line", "metric": "accuracy"}, "metric is 'accuracy', expected one of 'rmse', 'mae', 'r2'"),
        ({"folds": 0}, "folds is 0 .int., expected an integer in .1, 100"),
        ({"folds": 2.0}, "folds is 2.0 .float."),
        ({"target": "price"}, "target is for tables; 'classification' is generated"),
        ({"data_seed": -1}, "data_seed is -1 .int., expected an integer in .0, 2"),
        ({"data_seed": 1.0}, "data_seed is 1.0 .float."),
        ({"data_seed": True}, "data_seed is True .bool."),
    ],
)
def test_a_bad_setting_is_refused_with_found_and_expected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SimpleNNObjective(**settings)


def test_a_run_trains_the_job_with_its_seed_and_defaults() -> None:
    params = {"width": 8, "learning_rate": 0.05}
    steps = list(SimpleNNObjective().start(job(params)).advance(3))
    assert steps == train_and_evaluate(params, load_data("classification", 0), 5, 3)[1]


def test_the_data_does_not_depend_on_the_seed_of_the_study() -> None:
    objective = SimpleNNObjective()
    one, other = (objective.start(job({}, seed=seed)) for seed in (1, 2))
    assert vars(one)["data"] is vars(other)["data"]


def test_test_accuracy_equals_what_the_same_trained_model_scores_by_hand() -> None:
    params, data = {"width": 16, "dropout": 0.2}, load_data("classification", 0)
    model, _ = train_and_evaluate(params, data, 5, 4)
    guesses = model.predict_proba(data.test.x).argmax(dim=1)
    result = SimpleNNObjective().test(job(params, target=4))
    right = guesses.numpy() == data.test.y.numpy()
    assert result.metrics["accuracy"] == right.mean()
    assert math.isfinite(result.metrics["loss"])
    half = 1.96 * right.std() / math.sqrt(len(right))  # the interval of a share in a large sample
    assert (result.low, result.high) == pytest.approx((right.mean() - half, right.mean() + half), abs=0.1 * half)
    assert SimpleNNObjective().test(job(params, target=4)) == result


def test_the_test_result_of_a_diverged_trial_is_nan() -> None:
    result = SimpleNNObjective().test(job({"optimizer": "sgd", "learning_rate": 1e6}, target=20))
    assert all(map(math.isnan, [*result.metrics.values(), result.low, result.high]))


@pytest.mark.parametrize(("metric", "direction"), [("rmse", "minimize"), ("r2", "maximize")])
def test_the_metric_gives_the_direction(metric: str, direction: str) -> None:
    objective = SimpleNNObjective(data="line", metric=metric)
    assert objective.direction == direction
    assert SimpleNNObjective(data="line").direction == "minimize"


def test_each_trial_trains_on_inputs_prepared_its_way_and_alike_ones_share_them() -> None:
    objective = SimpleNNObjective()
    one, same, other = (
        objective.members(job({"preprocessing": name, "width": width}))[0].data
        for name, width in (("standardize", 8), ("standardize", 16), ("whiten", 8))
    )
    assert one is same
    assert one is not other


def test_studies_of_the_same_data_share_its_test_part() -> None:
    assert SimpleNNObjective().test_data() == SimpleNNObjective(device="cpu").test_data()
    others = {SimpleNNObjective(data="moons").test_data(), SimpleNNObjective(data_seed=1).test_data()}
    assert len({SimpleNNObjective().test_data()} | others) == 3


def test_its_spaces_go_by_name() -> None:
    objective = SimpleNNObjective()
    for name in ("default", "architecture"):
        space = objective.space(name)
        assert space is not None
        objective.check_space(space)
    assert objective.space("other") is None


def test_a_space_beyond_it_is_refused() -> None:
    with pytest.raises(SpaceError, match="did you mean 'width'"):
        SimpleNNObjective().check_space(Space({"widht": [1, 2]}))


def test_looking_at_the_objective_loads_neither_torch_nor_sklearn() -> None:
    code = (
        "import sys; from hpo.training.objective import SimpleNNObjective as S; S().space(); S().describe();"
        "sys.exit(bool({'torch', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def accuracies(study_seed: int, trials: int) -> np.ndarray:
    """Final validation accuracy of random trials of the default study, non-finite ones left out."""
    objective, values = SimpleNNObjective(), []
    for number in range(trials):
        params = default_space().sample(seeding.generator("difficulty", study_seed, number))
        *_, last = objective.start(job(params, seed=seeding.derive("difficulty", study_seed, number))).advance(30)
        values.append(last.value)
    found = np.array(values)
    return found[np.isfinite(found)]


def check_difficulty(found: np.ndarray) -> None:
    low, high = np.quantile(found, [0.1, 0.9])
    assert high - low >= 0.15
    assert found.max() <= 0.97


@pytest.mark.slow
def test_the_default_study_tells_configurations_apart() -> None:
    check_difficulty(accuracies(study_seed=0, trials=12))


@pytest.mark.slow
@pytest.mark.parametrize("study_seed", range(5))
def test_the_default_study_tells_configurations_apart_for_any_seed(study_seed: int) -> None:
    check_difficulty(accuracies(study_seed, trials=60))
