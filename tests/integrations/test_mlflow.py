"""The MLflow callback, against MLflow's own database store."""

import pytest

import hpo
from hpo import Float

MlflowClient = pytest.importorskip("mlflow").MlflowClient
from hpo.integrations.mlflow import MLflowCallback  # noqa: E402  (after the skip)


def climb(params):
    value = 0.0
    while True:
        value += params["x"]
        yield value


def search(tmp_path, trials, **more):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    callback = MLflowCallback(uri)
    study = hpo.search(
        climb,
        {"x": Float(0, 1), "odd{name}": [(1, 2)]},
        "halving",
        trials=trials,
        epochs=9,
        direction="maximize",
        store=tmp_path / "hpo.db",
        name="mine",
        progress=False,
        callbacks=[callback],
        **more,
    )
    return study, MlflowClient(tracking_uri=uri)


def runs_of(client):
    [experiment] = [found for found in client.search_experiments() if found.name == "mine"]
    return {int(run.data.tags["hpo.trial"]): run for run in client.search_runs([experiment.experiment_id])}


@pytest.mark.ci  # MLflow takes seconds to make its tables
@pytest.mark.filterwarnings("ignore")  # MLflow's and SQLAlchemy's own
def test_every_trial_is_one_run_with_its_params_curve_and_state(tmp_path):
    study, client = search(tmp_path, 2)
    runs = runs_of(client)
    assert sorted(runs) == [trial.number for trial in study.trials]
    for trial in study.trials:
        run = runs[trial.number]
        assert float(run.data.params["x"]) == trial.params["x"]
        assert run.data.params["odd_name_"] == '{"__tuple__": [1, 2]}'
        history = client.get_metric_history(run.info.run_id, "value")
        assert [(point.step, point.value) for point in history] == list(enumerate(trial.curve["value"], 1))
        assert run.data.tags["hpo.state"] == trial.state
        assert run.info.status == {"done": "FINISHED", "paused": "SCHEDULED"}[trial.state]
    search(tmp_path, 4)  # another callback, as in another process, goes on with the same runs
    again = runs_of(client)
    assert {number: run.info.run_id for number, run in again.items()}.items() >= {
        number: run.info.run_id for number, run in runs.items()
    }.items()
    for trial in study.trials:
        history = client.get_metric_history(again[trial.number].info.run_id, "value")
        assert [point.value for point in history] == trial.curve["value"]
