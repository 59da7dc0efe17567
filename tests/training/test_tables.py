"""Users' tables become data sets: target, classes, task, and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hpo.errors import DataError, HpoError, NotFoundError, UsageError
from hpo.training.data import Dataset, load_dataset
from hpo.training.hyperparameters import Preparation
from hpo.training.tables import TableSource

ROWS = 60


def table(rows: int = ROWS) -> pd.DataFrame:
    draws = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "age": draws.normal(40, 10, rows),
            "city": draws.choice(["Rome", "Oslo"], rows),
            "person": np.arange(rows) // 3,
            "label": np.where(np.arange(rows) % 3 == 0, "yes", "no"),
            "price": draws.normal(100, 20, rows),
        }
    )


def load(data: Any = None, target: str | None = "label", folds: int = 1, seed: int = 0, **settings: Any) -> Dataset:
    return load_dataset(TableSource(table() if data is None else data, target, **settings), seed, folds)


def test_a_file_a_frame_and_arrays_are_one_data_set(tmp_path: Path) -> None:
    frame = table()
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    inputs = frame.drop(columns="label")
    sources = [frame, tmp_path / "t.csv", str(tmp_path / "t.parquet"), (inputs, frame["label"])]
    sources += [(inputs, frame["label"].to_list()), (inputs, frame["label"].to_numpy(str))]
    assert len({load(source, folds=3).digest for source in sources}) == 1
    assert list(frame.columns) == ["age", "city", "person", "label", "price"]  # nobody wrote into it


def test_rows_keep_their_inputs_and_targets() -> None:
    frame = table()
    dataset = load(frame)
    assert (dataset.task, dataset.classes, dataset.target) == ("classification", ("no", "yes"), "label")
    assert dataset.columns == ("age", "city=Oslo", "city=Rome", "person", "price")
    assert np.array_equal(dataset.x[:, 0], frame["age"])
    assert np.array_equal(np.array(dataset.classes)[dataset.y], frame["label"])
    data = dataset.prepared(Preparation("standardize"))
    assert (data.n_inputs, data.n_outputs, len(data.train.y)) == (5, 2, 36)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([3, 1, 1, 3, 20, 20] * 5, ("1", "3", "20")),
        ([0.5, 1.0, 2.0] * 10, ("0.5", "1", "2")),
        ([True, False, True] * 10, ("False", "True")),
        (["b", "a", "10", "9"] * 8, ("10", "9", "a", "b")),
        (pd.Categorical(["b", "a", "b"] * 10), ("a", "b")),
        (np.array([["u"], ["v"]] * 15), ("u", "v")),
        (torch.tensor([1, 0] * 15), ("0", "1")),
    ],
)
def test_classes_are_named_by_their_text_in_the_order_of_their_values(y: Any, classes: tuple[str, ...]) -> None:
    x = np.arange(2.0 * len(y)).reshape(-1, 2)
    dataset = load((x, y), target=None)
    assert dataset.classes == classes
    texts = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in np.ravel(y).tolist()]
    assert [classes[label] for label in dataset.y] == texts


def test_many_different_numbers_make_a_regression_unless_the_task_is_given() -> None:
    dataset = load(target="price")
    assert (dataset.task, dataset.classes, dataset.y.dtype) == ("regression", (), np.float64)
    assert np.array_equal(dataset.y, table()["price"])
    assert "target 'price' of the table has 60 different numbers: a regression" in dataset.notices[0]
    counts = table(90).assign(price=np.arange(90) % 30)
    assert load(counts, "price").task == "regression"
    assert len(load(counts, "price", task="classification").classes) == 30
    few = load(table().assign(price=np.arange(60) % 5), "price", task="regression")
    assert (few.task, few.notices) == ("regression", ())


def test_rows_without_a_target_are_left_out() -> None:
    frame = table()
    frame.loc[[3, 9], "label"] = None
    frame.loc[5, "price"] = np.inf
    dataset = load(frame)
    assert np.array_equal(dataset.x[:, 0], frame["age"].drop([3, 9]))
    assert dataset.notices[0] == "rows of the table without a target are left out: 2"
    assert len(load(frame, "price").y) == ROWS - 1


def test_a_test_table_is_the_test_part_and_nothing_else(tmp_path: Path) -> None:
    main, other = table(), table(20).assign(city="Paris")
    dataset = load(main, test=other[reversed(other.columns)], folds=4)
    assert [len(rows) for rows in (dataset.train, dataset.validation, dataset.test)] == [45, 15, 20]
    assert np.array_equal(dataset.test, np.arange(60, 80))
    assert np.array_equal(dataset.x[60:, 0], other["age"])
    assert (dataset.x[60:, 1:3] == 0).all()
    assert "no other row has are read as none: 'city' (20 rows)" in dataset.notices[0]
    assert load((main[["age"]], main["label"]), None, test=(other[["age"]], other["label"])).x.shape == (80, 1)


def test_columns_that_are_ignored_are_no_inputs() -> None:
    assert load(ignore=("person", "city")).columns == ("age", "price")
    assert load(ignore=("age",), group="person").columns == ("city=Oslo", "city=Rome", "price")


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    table().to_csv(file, index=False)
    first = load(file)
    assert load(file) is first
    assert load(file, seed=1) is not first
    table().assign(age=1.0).to_csv(file, index=False)
    os.utime(file, ns=(1, 1))
    again = load(file)
    assert again.digest != first.digest
    file.unlink()
    with pytest.raises(NotFoundError, match="no data file"):
        load(file)


@pytest.mark.parametrize(
    ("change", "settings", "error", "message"),
    [
        (None, {"target": "lable"}, UsageError, "target is 'lable', not a column of the table: did you mean 'label'"),
        (None, {"target": None}, UsageError, "say which column of the table to predict, 'age', 'city'"),
        (None, {"ignore": ("ages",)}, UsageError, "ignore is 'ages', .* did you mean 'age'"),
        (None, {"group": "persons"}, UsageError, "group is 'persons', .* did you mean 'person'"),
        (None, {"split": "part"}, UsageError, "split is 'part', not a column"),
        (None, {"split": "city", "group": "person"}, UsageError, "both say which rows test"),
        (None, {"target": 3}, UsageError, r"target is 3 \(int\), expected the name of a column"),
        (None, {"ignore": "city"}, UsageError, "ignore is 'city', expected a list of columns"),
        (None, {"task": "ranking"}, UsageError, "task is 'ranking', expected 'classification' or 'regression'"),
        (None, {"task": "regression"}, DataError, "column 'label', row 1: found 'yes', expected a number"),
        (None, {"folds": 49}, DataError, "48 rows to train and validate on, too few for 49 folds"),
        (lambda t: t.assign(label="no"), {}, DataError, "target 'label' of the table is 'no' in every row"),
        (lambda t: t.assign(label=1.5), {}, DataError, "is '1.5' in every row: there is nothing to learn"),
        (lambda t: t.assign(label=None), {}, DataError, "has 0 rows with a target, expected at least 5"),
        (lambda t: t.head(4), {}, DataError, "has 4 rows with a target"),
        (lambda t: t.assign(label=[f"n{i}" for i in range(60)]), {}, DataError, "60 different values in 60 rows"),
        (lambda t: t.assign(label=np.arange(60)).head(9), {}, DataError, "say task = 'regression'"),
        (lambda t: t.assign(label=pd.Timestamp("2020-01-01")), {}, DataError, "holds datetime64"),
        (lambda t: t[["label"]], {}, DataError, "no column can be used as an input: there is none"),
        (lambda t: t.rename(columns={"age": "city"}), {}, DataError, "more than one column of a name, 'city'"),
        (lambda t: (t[["age"]], t["label"].head(5)), {}, UsageError, "X has 60 rows, y has 5"),
        (lambda t: (t[["age"]], np.zeros((60, 2))), {}, UsageError, r"y has shape \(60, 2\)"),
        (lambda t: (t, t, t), {}, UsageError, "a tuple of 3, expected a pair"),
        (lambda t: {"a": [1]}, {}, UsageError, "of type dict, expected a file, a DataFrame or a pair"),
        (None, {"test": table().assign(label="new")}, DataError, "classes that no training row has: 'new'"),
        (None, {"test": table()[["age", "label"]]}, DataError, "lacks 'city', 'person', 'price'"),
        (None, {"test": table(), "group": "person"}, DataError, "groups of the table are in test the table too: '0'"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    change: Callable[[pd.DataFrame], Any] | None, settings: dict[str, Any], error: type[HpoError], message: str
) -> None:
    data = change(table()) if change else table()
    with pytest.raises(error, match=message):
        load(data, **settings)
