"""The model of a study's answer, from the store to a file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from saved_models import table

from hpo import Float, Study, create_study, load_model, load_study, search
from hpo.errors import CannotCreateError, NoResultError, UsageError
from hpo.training.losses import loss_of
from hpo.training.metrics import METRICS
from hpo.training.objective import SimpleNNObjective
from hpo.training.saved import SavedModel
from hpo.training.scoring import interval

SPACE = {"learning_rate": Float(0.005, 0.05, log=True), "width": 8, "preprocessing": "standardize"}


def searched(path: Path, space: dict[str, Any] | None = None, **settings: Any) -> Study:
    objective = SimpleNNObjective(table(), **({"target": "kind", "ignore": "price", "device": "cpu"} | settings))
    return search(
        objective, SPACE | (space or {}), "random", 2, epochs=3, store=path / "s.db", name="mine", progress=False
    )


def check_scores(model: SavedModel, study: Study, objective: SimpleNNObjective) -> None:
    """The file's model scores what the study tells, to the last bit."""
    winner = study.winner(progress=False)
    assert winner.test is not None
    assert winner.seed is not None
    test = table().iloc[objective.dataset.test]
    x, _ = model.schema.encode(test)
    outputs, metric = torch.from_numpy(model.outputs(x)), METRICS[model.metric]
    y = objective.dataset.prepared(model.settings.preparation).test.y
    value = float(metric.of(outputs.T[None], y[None, None], model.target_scale))
    loss = float(loss_of(model.task, model.settings.loss).rows(outputs, y).mean())
    assert {metric.name: value, "loss": loss} == winner.test.metrics
    assert interval(metric, outputs, y, model.target_scale, winner.seed) == (winner.test.low, winner.test.high)


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        ({}, {}),
        ({"early_stopping": True, "normalization": "batch"}, {"metric": "log_loss"}),
        ({"residual": True}, {"target": "price", "ignore": "kind"}),
        ({"activation": "prelu"}, {"folds": 2}),
    ],
)
def test_the_saved_model_scores_exactly_what_was_told(
    space: dict[str, Any], settings: dict[str, Any], tmp_path: Path
) -> None:
    study = searched(tmp_path, space, **settings)
    study.save(tmp_path / "model.pt", progress=False)
    model, winner = load_model(tmp_path / "model.pt"), study.known_winner()
    objective = study._objective
    assert winner is not None
    assert winner.test is not None
    assert winner.candidate is not None
    assert isinstance(objective, SimpleNNObjective)
    check_scores(model, study, objective)
    assert model.scores == {
        "validation": winner.candidate.fresh[winner.candidate.best_run(winner.direction)],
        "test": winner.test.metrics,
        "low": winner.test.low,
        "high": winner.test.high,
    }
    assert (model.study, model.seed, model.params) == ("mine", winner.seed, winner.candidate.params)


def test_saving_again_gives_the_same_file_and_uses_no_test_data(tmp_path: Path) -> None:
    study = searched(tmp_path)
    study.save(tmp_path / "one.pt", progress=False)
    study.save(tmp_path / "two.pt", progress=False)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()
    assert study.test_uses == 1


def test_a_model_of_all_rows_has_no_scores(tmp_path: Path) -> None:
    study = searched(tmp_path)
    study.save(tmp_path / "tested.pt", progress=False)
    study.save(tmp_path / "refit.pt", refit=True, progress=False)
    tested, refit = load_model(tmp_path / "tested.pt"), load_model(tmp_path / "refit.pt")
    assert refit.scores is None
    assert (refit.params, refit.seed) == (tested.params, tested.seed)
    assert not torch.equal(refit.weights["output.weight"], tested.weights["output.weight"])
    assert study.test_uses == 1


def test_an_existing_file_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, path = searched(tmp_path), tmp_path / "model.pt"
    path.write_text("precious")
    with monkeypatch.context() as patch:
        patch.setattr(SimpleNNObjective, "executor", None)
        with pytest.raises(CannotCreateError, match=r"model\.pt' exists"):
            study.save(path)
    assert path.read_text() == "precious"
    study.save(path, overwrite=True, progress=False)
    assert load_model(path).study == "mine"


def test_without_test_rows_it_is_the_best_trials_model(tmp_path: Path) -> None:
    frame = table().assign(part=["train", "validation"] * 60)
    objective = SimpleNNObjective(frame, target="kind", split="part", ignore="price", device="cpu")
    study = search(objective, SPACE, "random", 2, epochs=2, store=tmp_path / "s.db", progress=False)
    study.save(tmp_path / "model.pt")
    model = load_model(tmp_path / "model.pt")
    assert model.scores == {"validation": study.best_value, "test": {}, "low": None, "high": None}
    assert (model.predict(frame)[1::2] == frame["kind"][1::2]).mean() == study.best_value


def test_a_machine_that_trains_another_model_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = searched(tmp_path)
    winner = study.winner(progress=False)
    assert winner.test is not None
    elsewhere = replace(winner, test=replace(winner.test, metrics={"accuracy": 0.123, "loss": 4.5}))
    monkeypatch.setattr(Study, "known_winner", lambda _: elsewhere)
    with pytest.warns(UserWarning, match=r"the model scores accuracy=.* on test data, not accuracy=0\.123, loss=4\.5"):
        study.save(tmp_path / "model.pt")
    scores = load_model(tmp_path / "model.pt").scores
    assert scores is not None
    assert scores["test"] == winner.test.metrics


def test_objectives_without_models_are_told(tmp_path: Path) -> None:
    def square(p: dict[str, float]) -> float:
        return p["x"] ** 2

    store = tmp_path / "s.db"
    space = {"x": Float(-1, 1)}
    study = search(square, space, "random", 2, direction="minimize", store=store, name="f", progress=False)
    by_hand = create_study(space, direction="minimize", store=store, name="by hand")
    for each in (study, load_study("f", store), by_hand):
        with pytest.raises(UsageError, match=f"study '{each.name}' has no model to save"):
            each.save(tmp_path / "model.pt")


def test_a_study_without_a_winner_has_nothing_to_save(tmp_path: Path) -> None:
    study = searched(tmp_path, {"optimizer": "sgd", "learning_rate": 1e6})
    with pytest.raises(NoResultError):
        study.save(tmp_path / "model.pt", progress=False)
    assert not (tmp_path / "model.pt").exists()
