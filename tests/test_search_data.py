"""`search` on data of one's own."""

import numpy as np
import pandas as pd
import pytest

from hpo import load_study, search
from hpo.errors import ConflictError, LoadError, UsageError
from hpo.training.objective import SimpleNNObjective


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HPO_STORE", raising=False)


def arrays():
    x = np.random.default_rng(0).normal(size=(60, 3))
    return x, np.where(x[:, 0] + x[:, 1] > 0, "up", "down")


def created(**settings):
    return search(trials=0, progress=False, **settings)


def test_arrays_a_frame_and_a_file_are_the_same_data(tmp_path):
    x, y = arrays()
    frame = pd.DataFrame(x, columns=["x0", "x1", "x2"]).assign(way=y)
    frame.to_csv(tmp_path / "ways.csv", index=False, float_format="%.17g")
    found = [
        created(data=(x, y), target="way"),
        created(data=frame, target="way"),
        created(data="ways.csv", target="way"),
        created(objective=SimpleNNObjective(frame, target="way")),
    ]
    assert len({study.spec.objective["digest"] for study in found}) == 1
    assert [study.spec.objective["data"] for study in found[:3]] == ["arrays", "arrays", str(tmp_path / "ways.csv")]
    assert "preprocessing" in found[0].spec.space


def test_settings_reach_the_objective():
    x, y = arrays()
    spec = created(data=(x, y), folds=4, metric="log_loss").spec
    assert (spec.objective["folds"], spec.objective["metric"], spec.direction) == (4, "log_loss", "minimize")
    assert created(data=(x, x[:, 2]), task="regression", metric="r2").spec.direction == "maximize"
    assert created(data="moons", metric="roc_auc").spec.objective["data"] == "moons"
    assert created(metric="f1_macro").spec.objective["data"] == "classification"


def test_a_study_on_arrays_goes_on_with_the_same_arrays_alone():
    x, y = arrays()
    settings = {"searcher": "random", "epochs": 1, "name": "mine", "progress": False}
    assert len(search(data=(x, y), trials=2, **settings).trials) == 2
    assert len(search(data=(x, y), trials=3, **settings).trials) == 3
    with pytest.raises(ConflictError, match="digest"):
        search(data=(x + 1, y), trials=3, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": lambda p: 0.0, "data": "moons"}, "data is for the shared objective: leave it out, or leave out"),
        ({"objective": "simplenn", "folds": 3}, "folds is for the shared objective"),
        ({"data": 3}, "of type int, expected a file, a DataFrame or a pair"),
        ({"data": "moons", "target": "y"}, "target is for tables"),
        ({"data": pd.DataFrame({"a": range(9), "b": [0, 1, 0] * 3})}, "target is not given: say which column"),
        ({"data": (np.zeros((4, 2)), np.zeros(3))}, "X has 4 rows, y has 3"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        created(**settings)


def test_arrays_cannot_be_found_again_by_name():
    created(data=arrays(), name="mine")
    with pytest.raises(LoadError, match="data came from Python: give them again"):
        load_study("mine").resume(trials=1)
