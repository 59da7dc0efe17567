"""Training that starts from a saved model: where it starts, how it goes on, and what is refused."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from saved_models import job, saved, table

from hpo import Float, Space, load_study, search
from hpo.errors import ConflictError, SpaceError, UsageError
from hpo.training.final import train_final
from hpo.training.objective import SimpleNNObjective
from hpo.training.population.retrain import retrain
from hpo.training.saved import SavedModel
from hpo.training.solo import SoloRun

KINDS: dict[str, dict[str, Any]] = {
    "plain": {"width": 9, "preprocessing": "standardize"},
    "batch": {"normalization": "batch", "width_1": 20},
    "weight": {"normalization": "weight", "depth": 1},
    "prelu": {"activation_2": "prelu", "preprocessing": "min_max"},
    "residual": {"residual": True, "width_1": 12, "pca_components": 3},
}
OTHER = {"target": "kind", "ignore": "price"}


def model_of(params: dict[str, Any], tmp_path: Path, **settings: Any) -> SavedModel:
    """A model trained on the table."""
    objective = SimpleNNObjective(table(), **(OTHER | settings))
    return saved(objective, job(params, seed=11), tmp_path / "model.pt")


def going_on(model: SavedModel, **settings: Any) -> SimpleNNObjective:
    """An objective that starts from the model, on rows that it was not trained on."""
    return SimpleNNObjective(table(seed=1), init_from=str(model.path), device="cpu", **(OTHER | settings))


@pytest.mark.parametrize("params", KINDS.values(), ids=KINDS)
def test_before_the_first_epoch_a_trial_gives_what_the_saved_model_gives(
    params: dict[str, Any], tmp_path: Path
) -> None:
    model = model_of(params, tmp_path)
    objective, trial = going_on(model), job({"learning_rate": 0.001})
    run, [member] = objective.start(trial), objective.members(trial)
    assert isinstance(run, SoloRun)
    x = objective.dataset.prepared(model.settings.preparation).test.x
    with torch.no_grad():
        expected = model.network(x)
        assert torch.equal(run.best_model()(x), expected)
        assert torch.equal(member.model()(x), expected)


@pytest.mark.parametrize("params", KINDS.values(), ids=KINDS)
def test_training_goes_on_from_there_alone_and_in_the_population(params: dict[str, Any], tmp_path: Path) -> None:
    model = model_of(params, tmp_path)
    objective, trial = going_on(model), job({"learning_rate": 1e-3, "batch_size": 16, "dropout": 0.1})
    alone, [member] = list(objective.start(trial).advance(3)), objective.members(trial)
    together = retrain(member, 3, objective.scoring(), torch.device("cpu"))
    for one, other in zip(alone, together, strict=True):
        assert one.metrics == pytest.approx(other.metrics, rel=1e-3)
    final = train_final(objective, dataclasses.replace(trial, params={"learning_rate": 1e-9}))
    assert final is not None
    for name, tensor in final.model.state_dict().items():
        if "running" not in name:
            assert torch.allclose(tensor, model.weights[name], atol=1e-6), name


def test_what_a_configuration_leaves_out_is_the_models(tmp_path: Path) -> None:
    model = model_of(KINDS["residual"] | {"activation": "tanh"}, tmp_path)
    settings = going_on(model).settings({"learning_rate": 0.5})
    names = ("widths", "activations", "normalization", "residual", "preparation")
    for name in names:
        assert getattr(settings, name) == getattr(model.settings, name)
    assert (settings.learning_rate, settings.dropout) == (0.5, 0.0)


@pytest.mark.parametrize("name", ["default", "architecture"])
@pytest.mark.parametrize("kind", ["plain", "residual"])
def test_the_objectives_own_spaces_have_the_architecture_fixed(kind: str, name: str, tmp_path: Path) -> None:
    model = model_of(KINDS[kind], tmp_path)
    objective = going_on(model)
    space = objective.space(name)
    assert space is not None
    objective.check_space(space)
    assert "learning_rate" in space
    for seed in range(5):
        settings = objective.settings(space.sample(np.random.default_rng(seed)))
        assert (settings.widths, settings.activations) == (model.settings.widths, model.settings.activations)
    assert any("which fixes depth=2" in notice for notice in objective.notices())


@pytest.mark.parametrize(
    ("space", "match"),
    [
        (
            {"width": [9, 10]},
            "'width' varies, but trials start from .*model.pt.*, where it is 9: fix it, width = 9, or",
        ),
        ({"width": 10}, "'width' is 10, but .* fix it, width = 9"),
        ({"width_2": 10}, "'width_2' is 10, but .* width_2 = 9"),
        ({"width_3": 9}, "has depth = 2, width = 9, .*: leave 'width_3' out"),
        ({"depth": {"type": "int", "low": 1, "high": 2}}, "'depth' varies"),
        ({"activation": ["relu", "tanh"]}, "activation = 'relu'"),
        ({"normalization": "batch"}, "normalization = 'none'"),
        ({"residual": [True, False]}, "residual = False"),
        ({"preprocessing": "none"}, "preprocessing = 'standardize'"),
        ({"pca_components": 2}, "pca_components = 0"),
        ({"clip_outliers": True}, "clip_outliers = False"),
    ],
)
def test_a_space_with_another_architecture_is_refused(space: dict[str, Any], match: str, tmp_path: Path) -> None:
    objective = going_on(model_of(KINDS["plain"], tmp_path))
    with pytest.raises(SpaceError, match=match):
        objective.check_space(Space(space))
    objective.check_space(Space({"width": 9, "width_1": 9, "depth": 2, "learning_rate": Float(0.1, 0.2)}))


def test_a_configuration_with_another_architecture_is_refused(tmp_path: Path) -> None:
    objective = going_on(model_of(KINDS["plain"], tmp_path))
    with pytest.raises(SpaceError, match=r"widths: found \(8, 8\), expected \(9, 9\) as in .*model.pt"):
        objective.members(job({"width": 8}))


@pytest.mark.parametrize(
    ("change", "settings", "match"),
    [
        (lambda frame: frame.drop(columns="noise"), {}, "the inputs lack 'noise'"),
        (lambda frame: frame.assign(age=1.0), {}, "the inputs have 'age' in addition"),
        (lambda frame: frame[frame["colour"] != "red"], {}, "the inputs lack 'colour=red'"),
        (lambda frame: frame[["noise", *frame.columns.drop("noise")]], {}, "expected in the order 'size', "),
        (
            lambda frame: frame.assign(kind=frame["kind"].str.upper()),
            {},
            "classes '=SMALL', 'BIG ONE', expected '=small",
        ),
        (lambda frame: frame, {"target": "price", "ignore": "kind"}, "are for regression, expected classification"),
        (lambda frame: frame.fillna({"size": 1.0}), {}, "as prepared have 6 inputs, expected 7"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_there_is_a_study(
    change: Any, settings: dict[str, Any], match: str, tmp_path: Path
) -> None:
    model = model_of(KINDS["plain"], tmp_path)
    frame: pd.DataFrame = change(table(seed=1))
    with pytest.raises(UsageError, match=match):
        SimpleNNObjective(frame, init_from=str(model.path), **(OTHER | settings))


def test_a_study_goes_on_only_from_the_very_file_it_was_made_with(tmp_path: Path) -> None:
    first, path = SimpleNNObjective("moons"), tmp_path / "model.pt"
    saved(first, job({"width": 8}), path)
    objective = SimpleNNObjective("moons", init_from=str(path), device="cpu")
    store = tmp_path / "s.db"
    study = search(objective, None, "random", 2, epochs=2, store=store, name="warm", progress=False)
    assert study.spec.objective["init_from"] == str(path)
    other = saved(first, job({"width": 8}, seed=6), tmp_path / "other.pt")
    load_study("warm", store).resume(trials=3, progress=False)
    shutil.copy(other.path, path)
    with pytest.raises(ConflictError, match=r"the saved model '.*model.pt' has changed since the study was made"):
        load_study("warm", store).resume(trials=4, progress=False)


@pytest.mark.parametrize("kind", ["plain", "weight"])
def test_folds_start_from_the_model_and_so_does_what_is_taken_home(kind: str, tmp_path: Path) -> None:
    model = model_of(KINDS[kind], tmp_path)
    objective, trial = going_on(model, folds=2), job({"learning_rate": 1e-9}, target=1)
    assert all(member.start is not None for member in objective.members(trial))
    for everything in (False, True):
        final = train_final(objective, trial, everything)
        assert final is not None
        for name, tensor in final.model.state_dict().items():
            assert torch.allclose(tensor, model.weights[name], atol=1e-6), name
