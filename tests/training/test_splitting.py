"""Which rows train, validate and test, at random, as a column says or by groups."""

import warnings

import numpy as np
import pandas as pd
import pytest

from hpo.errors import DataError
from hpo.training.data import Dataset, load_dataset
from hpo.training.splitting import split_groups
from hpo.training.tables import TableSource


def parts_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return dataset.train, dataset.validation, dataset.test


def load(frame: pd.DataFrame, folds: int = 1, seed: int = 0, **settings: str) -> Dataset:
    return load_dataset(TableSource(frame, "y", **settings), seed, folds)


def frame_of(y: list[object]) -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(float(len(y))), "y": y})


@pytest.mark.parametrize("folds", [1, 4])
@pytest.mark.parametrize("y", [["a", "b", "b", "b"] * 25, list(np.linspace(0, 1, 100))], ids=["classes", "numbers"])
def test_parts_and_folds_share_no_row_and_miss_none(y: list[object], folds: int) -> None:
    dataset = load(frame_of(y), folds)
    assert [len(part) for part in parts_of(dataset)] == [60, 20, 20]
    assert np.array_equal(np.sort(np.concatenate(parts_of(dataset))), np.arange(100))
    held = np.sort(np.concatenate([dataset.train, dataset.validation]))
    for train, validation in dataset.folds:
        assert np.array_equal(np.sort(np.concatenate([train, validation])), held)
    if folds > 1:
        assert np.array_equal(np.sort(np.concatenate([part for _, part in dataset.folds])), held)


def test_every_part_and_fold_has_its_share_of_every_class() -> None:
    dataset = load(frame_of(["a", "b", "b", "b"] * 25), 4)
    for part in (*parts_of(dataset), *(part for fold in dataset.folds for part in fold)):
        assert (dataset.y[part] == 0).mean() == 0.25


def test_the_data_seed_decides_the_split() -> None:
    frame = frame_of(["a", "b"] * 50)
    first, same, other = load(frame, 3), load(frame.copy(), 3), load(frame, 3, seed=1)
    assert first.digest == same.digest != other.digest


def test_classes_of_few_rows_train_and_the_rest_keeps_its_shares() -> None:
    dataset = load(frame_of(["a", "b"] * 50 + ["c", "d", "d"]))
    assert np.bincount(dataset.y[dataset.train])[2:].tolist() == [1, 2]
    for part in (dataset.validation, dataset.test):
        assert sorted(np.bincount(dataset.y[part])) == [10, 11]
    assert dataset.notices == ("classes 'c', 'd' have fewer than 3 rows, one for each part: they all train",)


def test_more_classes_than_rows_of_a_part_are_split_without_regard_to_them() -> None:
    dataset = load(frame_of([f"c{i % 12}" for i in range(36)]))
    assert [len(part) for part in parts_of(dataset)] == [22, 7, 7]
    assert "too few rows for every class to be in every part" in dataset.notices[0]


def test_classes_of_fewer_rows_than_folds_are_told_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load(frame_of(["a"] * 96 + ["b"] * 4), 5)
    assert dataset.notices == ("class 'b' has fewer than 5 rows, one for each fold: some folds lack them",)
    few = load(frame_of([f"c{i % 5}" for i in range(15)]), 8)
    assert len(few.folds) == 8


def test_a_column_says_which_rows_train_validate_and_test() -> None:
    said = ["train", "Train ", "validation", "valid", "val", "test"] * 5
    frame = frame_of(["a"] * 15 + ["b"] * 15).assign(part=said)
    dataset = load(frame, split="part")
    kinds = [said[i].strip().lower() for i in range(30)]
    assert [kinds[i] for i in dataset.train] == ["train"] * 10
    assert {kinds[i] for i in dataset.validation} == {"validation", "valid", "val"}
    assert {kinds[i] for i in dataset.test} == {"test"}
    assert dataset.columns == ("a",)
    without = load(frame[frame["part"] != "test"], folds=5, split="part")
    assert (len(without.test), without.notices) == (0, ("there are no test rows: the winner cannot be checked",))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["train", "dev"], "column 'part' of the table says 'dev', expected 'train', 'validation' or 'test'"),
        (["train", None], "says .*, expected 'train'"),
        ([0, 1], "says '0', '1', expected"),
        (["train", "test"], "says 'validation' in no row"),
        (["validation", "test"], "says 'train' in no row"),
    ],
)
def test_another_word_in_that_column_is_refused(said: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(frame_of(["a", "a", "b", "b"] * 5).assign(part=said * 10), split="part")


def test_training_rows_of_one_class_are_refused_and_absent_classes_are_told_of() -> None:
    said = ["train"] * 4 + ["validation"] * 4
    with pytest.raises(DataError, match="all training rows of the table are of class 'a'"):
        load(frame_of(["a"] * 4 + ["b"] * 4).assign(part=said), split="part")
    dataset = load(frame_of(["a", "a", "b", "b", "a", "b", "c", "c"]).assign(part=said), split="part")
    assert dataset.notices[0] == "no training row is of class 'c'"


@pytest.mark.parametrize("folds", [1, 5])
def test_no_group_is_on_two_sides(folds: int) -> None:
    draws = np.random.default_rng(0)
    frame = frame_of(["a", "b"] * 150).assign(person=[f"p{i}" for i in draws.integers(0, 40, 300)])
    dataset = load(frame, folds, group="person")
    person = frame["person"].to_numpy()
    for sides in (parts_of(dataset), *dataset.folds):
        names = [set(person[side]) for side in sides]
        assert sum(map(len, names)) == len(set.union(*names))
    assert np.array_equal(np.sort(np.concatenate(parts_of(dataset))), np.arange(300))
    assert [len(part) / 300 for part in parts_of(dataset)] == pytest.approx([0.6, 0.2, 0.2], abs=0.03)
    assert all(len(validation) == pytest.approx(240 / 5, abs=8) for _, validation in dataset.folds)


@pytest.mark.parametrize("sizes", [[1, 1, 1], [100, 90, 1, 1, 1], [50, 1, 1], [3] * 10])
def test_every_part_gets_a_group_however_their_sizes_differ(sizes: list[int]) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    parts = split_groups(groups, (0.6, 0.2, 0.2), 0)
    assert all(len(part) for part in parts)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(sum(sizes)))


def test_too_few_groups_and_rows_without_one_are_refused() -> None:
    frame = frame_of(["a", "b"] * 10).assign(person=[0, 1] * 10)
    with pytest.raises(DataError, match="the table has 2 groups, too few for 3 parts"):
        load(frame, group="person")
    frame["person"] = np.arange(20) % 4
    with pytest.raises(DataError, match="has 3 groups, too few for 5 folds"):
        load(frame, 5, group="person")
    frame["person"] = [1.0, np.nan] * 10
    with pytest.raises(DataError, match="column 'person' of the table, row 2: no value"):
        load(frame, group="person")
