"""Saved models: what comes back from a file is what was trained."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from saved_models import job, saved, table

from hpo.errors import DataError, UsageError
from hpo.training.final import train_final
from hpo.training.objective import SimpleNNObjective

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"width": 9},
    "batch": {"normalization": "batch", "preprocessing": "standardize", "batch_size": 16},
    "weight": {"normalization": "weight", "dropout": 0.2},
    "layer": {"normalization": "layer", "preprocessing": "whiten", "clip_outliers": True},
    "local_response": {"normalization": "local_response", "preprocessing": "robust"},
    "prelu": {"activation": "prelu", "early_stopping": True},
    "rrelu": {"activation_1": "rrelu", "width_1": 24, "preprocessing": "min_max"},
    "residual": {"residual": True, "width_1": 12, "width_2": 20, "depth": 3, "pca_components": 3},
}


@pytest.mark.parametrize("target", ["kind", "price"])
@pytest.mark.parametrize("params", KINDS.values(), ids=KINDS)
def test_outputs_equal_those_of_the_trained_model_bit_for_bit(
    params: dict[str, Any], target: str, tmp_path: Path
) -> None:
    other = "price" if target == "kind" else "kind"
    objective = SimpleNNObjective(table(), target=target, ignore=other, device="cpu")
    model, final = saved(objective, job(params), tmp_path / "model.pt"), train_final(objective, job(params))
    assert final is not None
    rows = objective.dataset.test
    x, unknown = model.schema.encode(table().iloc[rows])
    assert not unknown
    assert np.array_equal(model.outputs(x), final.outputs(final.data.test.x).numpy())
    assert model.settings == final.settings
    assert (model.task, model.target) == (objective.dataset.task, target)


def test_classes_are_predicted_by_their_names(tmp_path: Path) -> None:
    objective = SimpleNNObjective(table(), target="kind", ignore="price")
    trial = job({"preprocessing": "standardize", "learning_rate": 0.03}, target=10)
    model = saved(objective, trial, tmp_path / "model.pt")
    test = table().iloc[objective.dataset.test]
    proba = model.predict_proba(test)
    assert model.classes_ == ("=small", "big one")
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-15)
    assert list(model.predict(test)) == [model.classes_[i] for i in proba.argmax(axis=1)]
    assert (model.predict(test) == test["kind"]).mean() == objective.test(trial).metrics["accuracy"]


def test_probabilities_are_torchs_softmax(tmp_path: Path) -> None:
    model = saved(SimpleNNObjective("digits"), job({}), tmp_path / "model.pt")
    x = np.random.default_rng(0).normal(size=(7, 64)) * 16
    expected = torch.from_numpy(model.outputs(x)).double().softmax(dim=1).numpy()
    assert np.allclose(model.predict_proba(x), expected, rtol=1e-14)


def test_a_regression_is_predicted_in_the_unit_of_its_target(tmp_path: Path) -> None:
    objective = SimpleNNObjective(table(), target="price", ignore="kind")
    trial = job({"preprocessing": "standardize"}, target=10)
    model = saved(objective, trial, tmp_path / "model.pt")
    test = table().iloc[objective.dataset.test]
    error = model.predict(test) - test["price"].to_numpy()
    assert np.sqrt((error**2).mean()) == pytest.approx(objective.test(trial).metrics["rmse"], rel=1e-6)
    with pytest.raises(UsageError, match="is of a regression"):
        model.predict_proba(test)


def test_arrays_are_matched_by_position_and_frames_by_name(tmp_path: Path) -> None:
    frame = table()[["size", "noise", "kind"]]
    model = saved(SimpleNNObjective(frame, target="kind"), job({}), tmp_path / "model.pt")
    expected = model.predict_proba(frame)
    assert np.array_equal(model.predict_proba(frame[["kind", "noise", "size"]]), expected)
    assert np.array_equal(model.predict_proba(frame[["size", "noise"]].to_numpy()), expected)
    with pytest.raises(DataError, match=r"the table lacks 'noise'"):
        model.predict(frame[["size"]])
    with pytest.raises(UsageError, match="inputs have 1 columns, expected 2"):
        model.predict(frame[["size"]].to_numpy())


def test_texts_never_seen_are_told_and_read_as_none(tmp_path: Path) -> None:
    model = saved(SimpleNNObjective(table(), target="kind", ignore="price"), job({}), tmp_path / "model.pt")
    strange, missing = table(), table()
    strange.loc[:2, "colour"] = "mauve"
    missing.loc[:2, "colour"] = None
    with pytest.warns(UserWarning, match=r"not trained on are read as none: 'colour' \(3 rows\)"):
        found = model.predict_proba(strange)
    assert np.array_equal(found, model.predict_proba(missing))


FRESH = """
import pickle, sys
import pandas, torch
from hpo import load_model

def refuse(*_, **__):
    raise AssertionError("something is unpickled")

frame = pandas.read_csv(sys.argv[2])
pickle.load = pickle.loads = pickle.Unpickler = refuse
print(load_model(sys.argv[1]).predict_proba(frame).tolist())
"""


def test_a_fresh_process_predicts_the_same_and_unpickles_nothing(tmp_path: Path) -> None:
    objective = SimpleNNObjective(table(), target="kind", ignore="price")
    model = saved(objective, job(KINDS["weight"]), tmp_path / "model.pt")
    table().to_csv(tmp_path / "table.csv", index=False)
    command = [sys.executable, "-c", FRESH, str(model.path), str(tmp_path / "table.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert np.allclose(json.loads(done.stdout), model.predict_proba(table()), rtol=1e-6)  # of numbers through CSV


def test_the_file_is_plain_containers_and_tensors(tmp_path: Path) -> None:
    model = saved(SimpleNNObjective(), job({"width": 8}), tmp_path / "model.pt")
    state = torch.load(model.path, weights_only=True)
    assert {key for key in state if key not in ("state_dict", "transform")} == {
        "format", "hpo", "params", "settings", "schema", "classes", "task", "target", "target_mean", "target_scale",
        "metric", "epochs", "seed", "study", "scores",
    }  # fmt: skip
    assert (state["params"], state["epochs"], state["seed"]) == ({"width": 8}, 3, 5)


@pytest.mark.parametrize("kind", ["plain", "weight"])
def test_a_model_that_was_used_can_be_handed_to_another_process(kind: str, tmp_path: Path) -> None:
    model = saved(SimpleNNObjective("moons"), job(KINDS[kind]), tmp_path / "model.pt")
    x = np.ones((3, 2))
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(x), model.predict_proba(x))
