"""`hpo best --save`, `hpo predict` and `hpo run --init-from`."""

import csv
import io
import shutil

import numpy as np
import pandas as pd
import pytest
from saved_models import job, saved, table

from hpo import Float, load_model, load_study, search
from hpo.training.objective import SimpleNNObjective

RUN = ("run", "--trials", 2, "--epochs", 2, "--searcher", "random", "--device", "cpu", "--quiet")
OF_TABLE = ("--set", "objective.data=table.csv", "--set", "objective.target=kind", "--set", "objective.ignore=price")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A folder with table.csv, the store of a study of it, and model.pt."""
    folder = tmp_path_factory.mktemp("template")
    table().to_csv(folder / "table.csv", index=False)
    objective = SimpleNNObjective(str(folder / "table.csv"), target="kind", ignore="price", device="cpu")
    space = {"learning_rate": Float(0.01, 0.05), "width": [8, 16], "preprocessing": "standardize"}
    study = search(objective, space, "random", 2, epochs=8, store=folder / "hpo.db", name="mine", progress=False)
    study.save(folder / "model.pt", progress=False)
    return folder


@pytest.fixture
def trained(hpo, home, template):
    """The command in a copy of that folder."""
    shutil.copytree(template, home, dirs_exist_ok=True)
    return hpo


def model_of(frame, target, home, ignore=()):
    """A model of a table, trained for 10 epochs, in model.pt; the table in table.csv."""
    frame.to_csv(home / "table.csv", index=False)
    objective = SimpleNNObjective(str(home / "table.csv"), target=target, ignore=ignore, device="cpu")
    trial = job({"preprocessing": "standardize", "learning_rate": 0.03}, target=10)
    return saved(objective, trial, home / "model.pt")


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_best_saves_the_model_that_was_tested(trained):
    model = load_model("model.pt")
    assert model.scores["test"] == load_study().known_winner().test.metrics
    assert trained("best", "--save", "again.pt").out.endswith("\nSaved to again.pt: the model that was tested.\n")
    found = trained("best", "--save", "third.pt", "--json").json()
    assert found["saved"] == {"path": "third.pt", "refit": False}
    assert found["best"]["test"] == model.scores["test"]


def test_best_saves_over_nothing_without_force(trained, home):
    (home / "model.pt").write_text("precious")
    found = trained("best", "--save", "model.pt")
    assert (found.code, found.out) == (73, "")
    assert "'model.pt' exists: give another name, or --force" in found.err
    assert (home / "model.pt").read_text() == "precious"
    assert trained("best", "--save", "model.pt", "--force").code == 0
    assert load_model("model.pt").study == "mine"


def test_a_model_of_all_rows_is_told_to_have_no_score(trained):
    found = trained("best", "--save", "refit.pt", "--refit")
    assert "trained on all rows. No score belongs to it" in found.out
    assert load_model("refit.pt").scores is None


@pytest.mark.parametrize("option", ["--refit", "--force"])
def test_options_of_saving_need_a_file(option, squares):
    found = squares("best", option)
    assert (found.code, found.out) == (2, "")
    assert f"{option} is for --save FILE" in found.err


def test_an_objective_without_models_is_a_usage_error(squares, home):
    found = squares("best", "--save", "model.pt")
    assert found.code == 2
    assert "study 'squares' has no model to save" in found.err
    assert not (home / "model.pt").exists()


def test_predict_writes_a_row_for_each_row(trained):
    found = trained("predict", "model.pt", "table.csv")
    assert (found.code, found.err) == (0, "")
    model = load_model("model.pt")
    frame = pd.read_csv("table.csv")
    written = rows(found.out)
    assert list(written[0]) == ["prediction", "p_=small", "p_big one"]
    shares = np.array([[float(row["p_=small"]), float(row["p_big one"])] for row in written])
    assert np.array_equal(shares, model.predict_proba(frame))
    expected = ["'=small" if name == "=small" else name for name in model.predict(frame)]  # no formula
    assert [row["prediction"] for row in written] == expected
    assert len(set(expected)) == 2


def test_predict_writes_into_a_file_whole_or_not_at_all(trained, home, monkeypatch):
    assert trained("predict", "model.pt", "table.csv", "-o", "out.csv").out == ""
    whole = (home / "out.csv").read_bytes()
    assert whole.decode() == trained("predict", "model.pt", "table.csv").out
    found = trained("predict", "model.pt", "table.csv", "-o", "out.csv")
    assert found.code == 73
    monkeypatch.setattr("hpo.cli.predict.ROWS_AT_ONCE", 7)
    assert trained("predict", "model.pt", "table.csv", "-o", "out.csv", "--force").code == 0
    assert (home / "out.csv").read_bytes() == whole


def test_predict_ignores_strange_columns_and_counts_strange_texts(trained, home):
    frame = table().drop(columns=["kind", "price"]).assign(other="x")
    frame.loc[:4, "colour"] = "mauve"
    frame.to_csv(home / "new.csv", index=False)
    found = trained("predict", "model.pt", "new.csv")
    assert found.code == 0
    assert len(rows(found.out)) == len(frame)
    assert found.err == "hpo: texts that the model was not trained on are read as none: 'colour' (5 rows)\n"


def test_predict_reads_texts_that_look_like_numbers_as_texts(hpo, home):
    frame = table()
    frame["colour"] = frame["colour"].map({"red": "01", "green": "02", "blue": "x"})
    model_of(frame, "kind", home)
    frame[frame["colour"] != "x"].dropna().to_csv(home / "new.csv", index=False)
    found = hpo("predict", "model.pt", "new.csv")
    assert (found.code, found.err) == (0, "")


def test_predict_names_file_and_column_that_do_not_fit(trained, home):
    table().drop(columns="noise").to_csv(home / "new.csv", index=False)
    found = trained("predict", "model.pt", "new.csv", "-o", "out.csv")
    assert found.code == 65
    assert "data file 'new.csv': the table lacks 'noise'" in found.err
    assert not (home / "out.csv").exists()
    found = trained("predict", "table.csv", "table.csv")
    assert found.code == 65
    assert "table.csv' is no saved model" in found.err
    assert trained("predict", "nothing.pt", "table.csv").code == 4
    assert trained("predict", "model.pt", "table.csv", "--force").code == 2


def test_predict_gives_the_numbers_of_a_regression(hpo, home):
    model = model_of(table(), "price", home)
    found = [float(row["prediction"]) for row in rows(hpo("predict", "model.pt", "table.csv").out)]
    assert found == model.predict(pd.read_csv("table.csv")).tolist()


def test_classes_that_are_numbers_are_no_formulas(hpo, home):
    frame = table().drop(columns="kind")
    model_of(frame.assign(sign=np.where(frame["price"] > 1500, 1, -1)), "sign", home, ignore="price")
    found = rows(hpo("predict", "model.pt", "table.csv").out)
    assert list(found[0]) == ["prediction", "p_-1", "p_1"]
    assert {row["prediction"] for row in found} == {"1", "-1"}


def test_a_run_starts_from_a_saved_model_with_its_architecture(trained):
    found = trained(*RUN[:-1], *OF_TABLE, "--init-from", "model.pt", "--name", "warm")
    assert found.code == 0, found.err
    assert "trials start from '" in found.err
    study, model = load_study("warm"), load_model("model.pt")
    for trial in study.trials:
        assert trial.params["width"] == model.settings.widths[0]
    assert study.spec.objective["init_digest"] == model.digest
    found = trained("best", "warm", "--save", "warm.pt")
    assert found.code == 0, found.err
    assert load_model("warm.pt").settings.widths == model.settings.widths


def test_a_run_with_another_architecture_is_refused_with_what_to_do(trained):
    found = trained(*RUN, *OF_TABLE, "--init-from", "model.pt", "--set", "space.normalization=batch", "--name", "warm")
    assert found.code == 2
    assert "fix it, normalization = 'none', or leave it out" in found.err
    found = trained(*RUN, "--init-from", "model.pt", "--name", "warm")
    assert found.code == 2
    assert "cannot start from" in found.err
    assert trained("show", "warm").code == 4
