"""A table of one's own on the command line."""

import pytest

from hpo import load_study
from hpo.training.objective import SimpleNNObjective
from hpo.training.objective_keys import KEYS, arguments

TABLE = ("--data", "flowers.csv", "--target", "kind")
SHORT = ("--trials", 2, "--epochs", 1, "--searcher", "random")


def test_a_table_is_searched_to_its_winner_and_goes_on(hpo, flowers):
    found = hpo("run", *TABLE, *SHORT, "--ignore", "id, part", "--name", "mine")
    assert found.code == 0, found.err
    assert "validation accuracy" in found.out
    assert "test accuracy" in found.out
    objective = load_study("mine").spec.objective
    assert objective["data"] == str(flowers / "flowers.csv")
    assert (objective["target"], objective["ignore"]) == ("kind", ["id", "part"])
    (flowers / "elsewhere").mkdir()
    assert hpo("resume", "mine", "--trials", 3, "--quiet").code == 0
    (flowers / "flowers.csv").write_text((flowers / "flowers.csv").read_text().replace("lily", "daisy"))
    assert hpo("resume", "mine", "--trials", 4).code == 5


def test_every_setting_reaches_the_objective(hpo, flowers):
    more = ("--folds", 3, "--metric", "f1_macro", "--task", "classification", "--group", "id", "--ignore", "part")
    assert hpo("run", *TABLE, *more, "--ignore", "side", "--trials", 0).code == 0
    found = load_study().spec.objective
    assert (found["folds"], found["metric"], found["group"]) == (3, "f1_macro", "id")
    assert found["ignore"] == ["part", "side"]
    assert hpo("run", *TABLE, "--split", "part", "--trials", 0).code == 0
    assert load_study().spec.objective["split"] == "part"
    assert hpo("run", *TABLE, "--test", "flowers.csv", "--trials", 0).code == 0
    assert load_study().spec.objective["test_table"] == str(flowers / "flowers.csv")
    assert hpo("run", "--data", "moons", "--trials", 0).code == 0
    assert load_study().spec.objective["data"] == "moons"


def test_a_study_keeps_its_space_and_budget_on_other_data(hpo, flowers):
    assert hpo("run", "tutorial", *TABLE, "--trials", 0, "--quiet").code == 0
    study = load_study()
    assert study.name == "tutorial-tpe-0"
    assert list(study.spec.space) == ["width", "learning_rate", "depth", "optimizer", "batch_size"]
    assert study.spec.epochs == 10


def test_what_is_to_know_about_the_table_is_said_once_at_the_beginning(hpo, flowers):
    text = (flowers / "flowers.csv").read_text()
    (flowers / "flowers.csv").write_text(text.replace(",rose,north", ",,north"))
    found = hpo("run", *TABLE, *SHORT)
    notice = "data: rows of 'flowers.csv' without a target are left out: 20"
    assert found.err.splitlines().count(notice) == 1
    assert notice not in hpo("run", *TABLE, *SHORT, "--quiet").err


def test_columns_of_different_scales_are_warned_of_where_the_space_leaves_them(hpo, flowers):
    (flowers / "wide.csv").write_text("a,b,y\n" + "".join(f"{i},{i * 1000 % 77_000},{i % 2}\n" for i in range(50)))
    found = hpo("run", "tutorial", "--data", "wide.csv", "--target", "y", "--trials", 0)
    assert "differ in scale by a factor of" in found.err
    assert hpo("run", "--data", "wide.csv", "--target", "y", "--trials", 0).err == ""


ERRORS = [
    (["--data", "missing.csv", "--target", "y"], 4, "no data file 'missing.csv'"),
    (["--data", "flowers.csv", "--target", "knd"], 2, "target is 'knd', not a column of 'flowers.csv': did you mean"),
    (
        ["--data", "flowers.csv"],
        2,
        "target is not given: say which column of 'flowers.csv' to predict, 'id',",
    ),
    (["--data", "one.csv", "--target", "kind"], 65, "'rose' in every row: there is nothing to learn"),
    (["--data", "one.csv", "--target", "x", "--task", "regression"], 65, "'1' in every row: there is nothing to learn"),
    ([*TABLE, "--folds", "60"], 65, "too few for 60 folds"),
    ([*TABLE, "--folds", "1000"], 2, "folds is 1000 (int), expected an integer in [1, 100]"),
    (["--data", "picture.csv", "--target", "kind"], 65, "is not text: it begins with"),
    (["--data", "empty.csv", "--target", "kind"], 65, "'empty.csv' is empty"),
    (["--data", "header.csv", "--target", "kind"], 65, "has a header but no rows"),
    (["--data", "objectives.py", "--target", "kind"], 2, "ends in '.py', expected .csv"),
    (["--data", ".", "--target", "kind"], 2, "ends in '', expected .csv"),
    (["--data", "x" * 5000 + ".csv", "--target", "kind"], 65, "cannot be read"),
    ([*TABLE, "--metric", "rmse"], 2, "metric is 'rmse', expected one of 'accuracy'"),
    ([*TABLE, "--metric", "acuracy"], 2, "did you mean 'accuracy'?"),
    ([*TABLE, "--task", "regression"], 65, "column 'kind', row 1: found 'lily', expected a number"),
    ([*TABLE, "--task", "regresion"], 2, "task is 'regresion', expected 'classification' or 'regression'"),
    ([*TABLE, "--ignore", "id,heigth"], 2, "ignore is 'heigth', not a column of 'flowers.csv': did you mean 'height'?"),
    ([*TABLE, "--split", "side"], 65, "says 'south', 'north', expected 'train', 'validation' or 'test' in every row"),
    (["--data", "mons"], 2, "did you mean 'moons'?"),
    (["--data", "moons", "--target", "y"], 2, "target is for tables; 'moons' is generated"),
    (
        ["objectives:square", *TABLE],
        2,
        "--data is for the objective 'simplenn', but the study's is",
    ),
]


@pytest.mark.parametrize(("arguments", "code", "message"), ERRORS, ids=lambda value: str(value)[:60])
def test_what_cannot_be_learned_from_is_told_in_one_line(hpo, flowers, arguments, code, message):
    found = hpo("run", *arguments)
    assert (found.code, found.out) == (code, "")
    assert message in found.err
    assert len(found.err.splitlines()) == 1


def test_the_keys_are_those_of_the_objective():
    taken = arguments({name: key.example for name, key in KEYS.items()})
    assert set(taken) == set(SimpleNNObjective.__dataclass_fields__) - {"digest"}
