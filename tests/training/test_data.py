"""Data sets and their splits are functions of their name and seed; what networks see is fitted on training rows."""

import pickle
import random

import numpy as np
import pytest
import torch

from hpo.errors import UsageError
from hpo.training import data as data_module
from hpo.training.data import Data, Dataset, load_data, load_dataset
from hpo.training.generated import DATA_SETS
from hpo.training.hyperparameters import Preparation
from hpo.training.preparation import fit

NAMES = sorted(DATA_SETS)
SIZES = {"digits": (1079, 359, 359), "wine": (106, 36, 36), "breast_cancer": (341, 114, 114), "line": (20, 200, 200)}
STANDARD = Preparation("standardize")


def parts_of(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return dataset.train, dataset.validation, dataset.test


def values(data: Data) -> list[torch.Tensor]:
    return [tensor for part in (data.train, data.validation, data.test) for tensor in (part.x, part.y)]


@pytest.mark.parametrize("name", NAMES)
def test_parts_have_the_shapes_and_types_that_are_documented(name: str) -> None:
    data = load_data(name, 0)
    for part, count in zip((data.train, data.validation, data.test), SIZES.get(name, (800, 600, 600)), strict=True):
        assert part.x.shape == (count, data.n_inputs)
        assert part.y.shape == (count,)
        assert part.x.dtype == torch.float32
        assert part.x.isfinite().all()
        if name == "line":
            assert (part.y.dtype, data.task, data.n_outputs) == (torch.float32, "regression", 1)
        else:
            assert (part.y.dtype, data.task) == (torch.int64, "classification")
            assert set(part.y.tolist()) == set(range(data.n_outputs))


@pytest.mark.parametrize("folds", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_in_one_part_and_validates_in_one_fold(name: str, folds: int) -> None:
    dataset = load_dataset(name, 0, folds)
    rows = np.concatenate(parts_of(dataset))
    assert np.array_equal(np.sort(rows), np.arange(len(dataset.x)))
    assert len(dataset.folds) == (0 if folds == 1 else folds)
    if folds > 1:
        held = np.sort(np.concatenate([dataset.train, dataset.validation]))
        for train, validation in dataset.folds:
            assert np.array_equal(np.sort(np.concatenate([train, validation])), held)
        assert np.array_equal(np.sort(np.concatenate([fold[1] for fold in dataset.folds])), held)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"line"}))
def test_every_part_and_fold_has_the_same_shares_of_classes(name: str) -> None:
    dataset = load_dataset(name, 3, folds=4)
    overall = np.bincount(dataset.y) / len(dataset.y)
    for rows in (*parts_of(dataset), *(part for fold in dataset.folds for part in fold)):
        assert np.abs(np.bincount(dataset.y[rows]) - overall * len(rows)).max() <= 2  # rows


@pytest.mark.parametrize("name", NAMES)
def test_the_data_seed_fixes_rows_and_split(name: str) -> None:
    first, second, digest = load_data(name, 1), load_data(name, 2), load_dataset(name, 1, 3).digest
    data_module._generated.cache_clear()
    assert all(map(torch.equal, values(load_data(name, 1)), values(first)))
    assert not torch.equal(first.train.x, second.train.x)
    assert load_dataset(name, 1, 3).digest == digest
    assert len({digest, load_dataset(name, 1, 4).digest, load_dataset(name, 2, 3).digest}) == 3


@pytest.mark.parametrize("name", NAMES)
def test_no_global_generator_is_used(name: str) -> None:
    data_module._generated.cache_clear()
    states = torch.random.get_rng_state(), np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    load_dataset(name, 4, folds=3).prepared(Preparation("whiten", True))
    assert torch.equal(torch.random.get_rng_state(), states[0])
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(after) == str(states[1])
    assert random.getstate() == states[2]


def test_an_unknown_data_set_names_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="no data set 'moon': did you mean 'moons'"):
        load_data("moon", 0)


@pytest.mark.parametrize(("folds", "message"), [(0, "folds is 0"), (221, "220 rows .* too few for 221 folds")])
def test_impossible_folds_are_refused(folds: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_dataset("line", 0, folds)


@pytest.mark.parametrize("rows", ["holdout", 0, 2, "development", "all"])
def test_rows_are_prepared_by_what_is_fitted_to_their_training_part(rows: int | str) -> None:
    dataset = load_dataset("wine", 0, folds=3)
    held = np.concatenate([dataset.train, dataset.validation])
    train, validation = {
        "holdout": (dataset.train, dataset.validation),
        "development": (held, held),
        "all": (np.concatenate([held, dataset.test]),) * 2,
    }.get(str(rows)) or dataset.folds[int(rows)]
    transform = fit(STANDARD, dataset.x, train)
    data = dataset.prepared(STANDARD, rows)
    for part, some in ((data.train, train), (data.validation, validation), (data.test, dataset.test)):
        assert np.array_equal(part.x.numpy(), transform.apply(dataset.x[some]))
        assert np.array_equal(part.y.numpy(), dataset.y[some])
    assert np.allclose(data.train.x.mean(dim=0), 0, atol=1e-6)
    assert np.array_equal(dataset.transform(STANDARD, rows).apply(dataset.x), transform.apply(dataset.x))


def test_targets_of_a_regression_are_scaled_by_their_training_part() -> None:
    dataset = load_dataset("line", 0)
    data = dataset.prepared(Preparation())
    assert float(data.train.y.mean()) == pytest.approx(0, abs=1e-6)
    assert float(data.train.y.std(correction=0)) == pytest.approx(1)
    test = data.test.y.double() * data.target_scale + data.target_mean
    np.testing.assert_allclose(test, dataset.y[dataset.test], atol=1e-6)


def test_prepared_data_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = pickle.loads(pickle.dumps(load_dataset("wine", 0)))
    first = dataset.prepared(STANDARD)
    assert dataset.prepared(STANDARD) is first
    monkeypatch.setattr(data_module, "_KEPT_BYTES", 1)
    assert dataset.prepared(Preparation("robust")) is dataset.prepared(Preparation("robust"))
    assert dataset.prepared(STANDARD) is not first


def test_a_copy_is_the_same_data_set_without_what_was_prepared() -> None:
    dataset = load_dataset("wine", 0)
    empty = len(pickle.dumps(dataset))
    dataset.prepared(Preparation("min_max"))
    assert len(pickle.dumps(dataset)) == empty
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy.digest == dataset.digest
    assert all(map(torch.equal, values(copy.prepared(STANDARD)), values(dataset.prepared(STANDARD))))


def test_tensors_prepared_in_inference_mode_can_be_trained_on() -> None:
    data_module._generated.cache_clear()
    with torch.inference_mode():
        data = load_data("moons", 0)
    assert not any(tensor.is_inference() for tensor in values(data))
