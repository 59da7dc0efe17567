"""The script that `hpo show --code` prints gives the model's own predictions, without hpo."""

import csv
import json
import subprocess
import sys

import click
import numpy as np
import pandas as pd
import pytest
import torch

from hpo import FunctionObjective, search
from hpo.cli import cli
from hpo.seeding import generator
from hpo.training.final import train_final
from hpo.training.hyperparameters import KNOWN
from hpo.training.objective import SimpleNNObjective
from hpo.trial import Job

ROWS = 40


def table(regression=False):
    """Numbers with gaps, a yes or no, and texts; as a DataFrame with column `y`."""
    random = generator("table for code")
    frame = pd.DataFrame(random.normal(size=(ROWS, 3)) * (1, 1e3, 1e-3), columns=["a", 'b "x", {y}', "c\\n"])
    frame["yes"] = random.random(ROWS) < 0.5
    frame["text"] = random.choice(["red", "it's", "1 $blue"], ROWS)
    frame.iloc[::7, 0] = np.nan
    frame.iloc[::11, 4] = None
    frame["y"] = frame["c\\n"] * 3e4 + 500 if regression else np.where(frame["yes"], "p", "q")
    return frame


def final_of(objective, params, epochs=2):
    return train_final(objective, Job(0, 0, 0, params, 7, 0, epochs, epochs))


def save(path, final, dataset):
    """A saved model, with what the script reads of it."""
    state = {
        "state_dict": dict(final.model.state_dict()),
        "transform": {name: torch.from_numpy(array) for name, array in final.transform.to_arrays().items()},
        "schema": json.dumps(dataset.schema.to_json()),
        "classes": list(dataset.classes),
        "target_mean": final.data.target_mean,
        "target_scale": final.data.target_scale,
    }
    torch.save(state, path)


def predicted(final, dataset):
    """What the model itself says of all rows."""
    outputs = final.outputs(torch.from_numpy(final.transform.apply(dataset.x)))
    if dataset.classes:
        return outputs.softmax(dim=1).numpy()
    return outputs[:, 0].double().numpy() * final.data.target_scale + final.data.target_mean


def run(code, path):
    """The names that the script defines, and its model."""
    names = {"__name__": "script"}
    exec(compile(code, "script.py", "exec"), names)
    return names, names["Model"](path)


SMALL = {"depth": 2, "width": 6}
PARAMS = [
    *({**SMALL, "activation": name} for name in KNOWN["activation"].options),
    {**SMALL, "depth": 3, "activation_2": "prelu", "activation_3": "rrelu"},
    *({**SMALL, "normalization": name, "dropout": 0.3} for name in KNOWN["normalization"].options),
    *({**SMALL, "preprocessing": name} for name in KNOWN["preprocessing"].options),
    {**SMALL, "preprocessing": "robust", "clip_outliers": True, "pca_components": 3},
    {**SMALL, "residual": True},  # one projection, one without
    {**SMALL, "residual": True, "width": 20, "normalization": "batch", "dropout": 0.5},  # none
    {**SMALL, "residual": True, "width_2": 7, "normalization": "weight", "activation": "prelu"},  # all
    {"depth": 6, "width": 5, "residual": True, "normalization": "local_response", "preprocessing": "standardize"},
]


@pytest.fixture(scope="module")
def objectives():
    """Generated data of 20 numbers, and a user's table."""
    return {"numbers": SimpleNNObjective(), "table": SimpleNNObjective(table(), target="y")}


@pytest.mark.parametrize("params", PARAMS, ids=str)
def test_the_script_predicts_as_the_model(objectives, tmp_path, params):
    for objective in objectives.values():
        final = final_of(objective, params)
        save(tmp_path / "model.pt", final, objective.dataset)
        code = objective.code(params, "a model")
        assert "hpo" not in code
        _, model = run(code, tmp_path / "model.pt")  # load_state_dict is strict
        assert np.abs(model.predict_proba(objective.dataset.x) - predicted(final, objective.dataset)).max() < 1e-6


def test_a_regression_is_in_the_targets_own_unit(tmp_path):
    for objective in (
        SimpleNNObjective(table(regression=True), target="y", task="regression"),
        SimpleNNObjective("line"),
    ):
        final = final_of(objective, SMALL)
        save(tmp_path / "model.pt", final, objective.dataset)
        _, model = run(objective.code(SMALL, "a model"), tmp_path / "model.pt")
        expected = predicted(final, objective.dataset)
        assert model.predict(objective.dataset.x) == pytest.approx(expected, rel=1e-6)


def test_the_model_of_folds_fits_too(tmp_path):
    objective = SimpleNNObjective(table(), target="y", folds=2)
    params = {**SMALL, "preprocessing": "whiten"}
    final = final_of(objective, params)
    save(tmp_path / "model.pt", final, objective.dataset)
    _, model = run(objective.code(params, "a model"), tmp_path / "model.pt")
    assert np.abs(model.predict_proba(objective.dataset.x) - predicted(final, objective.dataset)).max() < 1e-6


def test_rows_of_a_csv_file_are_encoded_as_in_training(objectives, tmp_path):
    objective = objectives["table"]
    frame = table().drop(columns="y")
    frame.loc[0, "a"] = np.inf
    frame.loc[1, "text"] = "of no training row"
    frame.to_csv(tmp_path / "table.csv", index=False)
    final = final_of(objective, SMALL)
    save(tmp_path / "model.pt", final, objective.dataset)
    names, _ = run(objective.code(SMALL, "a model"), tmp_path / "model.pt")
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        encoded = names["encode"](csv.DictReader(file))
    expected, _ = objective.dataset.schema.encode(frame)
    encoded[0, 0] = np.nan  # infinite there, missing here, and to the network alike
    np.testing.assert_array_equal(encoded, expected)


def test_the_script_stands_alone(objectives, tmp_path):
    objective = objectives["table"]
    params = {**SMALL, "normalization": "batch", "preprocessing": "whiten", "residual": True}
    final = final_of(objective, params)
    save(tmp_path / "model.pt", final, objective.dataset)
    table().to_csv(tmp_path / "table.csv", index=False)
    refuse = "import sys\nsys.modules['hpo'] = sys.modules['pandas'] = None\n"
    code = refuse + objective.code(params, "a model")
    command = [sys.executable, "-c", code, "model.pt", "table.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    head, *rows = done.stdout.splitlines()
    assert head == "p,q"
    found = np.array([[float(cell) for cell in row.split(",")] for row in rows])
    assert np.abs(found - predicted(final, objective.dataset)).max() < 1e-6


def test_the_script_has_only_the_layers_that_the_model_has(objectives):
    plain = objectives["numbers"].code(SMALL, "a model")
    for word in ("norm", "dropout", "projection", "clip", "indicators", "matrix", "levels"):
        assert word not in plain
    assert "self.hidden = nn.Sequential(Hidden(20, 6), Hidden(6, 6))" in plain
    assert max(map(len, plain.splitlines())) <= 110


def test_show_prints_the_script_of_a_trial(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    search(trials=1, epochs=1, name="mine", searcher="random", progress=False)
    cli(["show", "mine", "0", "--code"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert printed.startswith("# The model of trial 0 of study mine.\n")
    compile(printed, "script.py", "exec")
    with pytest.raises(click.UsageError, match="give STUDY and TRIAL"):
        cli(["show", "mine", "--code"], standalone_mode=False)
    assert FunctionObjective(max, direction="minimize").code({}, "a model") is None
