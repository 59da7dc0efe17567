"""Inputs are prepared as scikit-learn prepares them, from training rows alone, into plain arrays."""

import itertools

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

from hpo.training import preparation
from hpo.training.hyperparameters import Preparation
from hpo.training.preparation import Transform, fit

SCALERS = {
    "none": lambda: FunctionTransformer(),
    "standardize": lambda: StandardScaler(),
    "min_max": lambda: MinMaxScaler(),
    "robust": lambda: RobustScaler(),
}
HOLDOUT = np.arange(100)


def table(rows: int = 150, columns: int = 7, holes: bool = True) -> np.ndarray:
    """Skewed columns of different scales, one constant but for holes, one that is never seen in training."""
    draws = np.random.default_rng(7)
    x = draws.standard_normal((rows, columns)) @ draws.standard_normal((columns, columns))
    x = np.exp(x / 3) * 10.0 ** draws.integers(-3, 4, columns)
    x[:, 3] = 1234.5
    if holes:
        x[draws.random(x.shape) < 0.1] = np.nan
        x[:100, 0] = np.nan_to_num(x[:100, 0])  # gaps in other rows alone
        x[:100, 5] = np.nan
    return x


class Clip(FunctionTransformer):
    """Clipping at the quantiles of the rows it was fitted to."""

    def fit(self, x: np.ndarray, y: None = None) -> "Clip":
        self.low_, self.high_ = np.quantile(x, 0.01, axis=0), np.quantile(x, 0.99, axis=0)
        return super().fit(x)

    def transform(self, x: np.ndarray) -> np.ndarray:
        return np.clip(x, self.low_, self.high_)


def pipeline(how: Preparation, rank: int) -> Pipeline:
    steps = [SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)]
    if how.clip_outliers:
        steps.append(Clip())
    whiten = how.preprocessing == "whiten"
    if not whiten:
        steps.append(SCALERS[how.preprocessing]())
    if whiten or how.pca_components:
        steps.append(PCA(min(how.pca_components or rank, rank), whiten=whiten, svd_solver="full"))
    return make_pipeline(*steps)


ALL = [
    Preparation(*values)
    for values in itertools.product(("none", "standardize", "min_max", "whiten", "robust"), (False, True), (0, 2, 99))
]


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("how", ALL, ids=str)
def test_a_preparation_equals_scikit_learns_pipeline(how: Preparation, holes: bool) -> None:
    x = table(holes=holes)
    transform = fit(how, x, HOLDOUT)
    expected = pipeline(how, transform.n_outputs).fit(x[HOLDOUT]).transform(x)
    prepared = np.concatenate(list(transform._blocks(x, None, 1)))
    np.testing.assert_allclose(prepared, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_array_equal(transform.apply(x), prepared.astype(np.float32))


@pytest.mark.parametrize("how", ALL, ids=str)
def test_blocks_do_not_show(how: Preparation, monkeypatch: pytest.MonkeyPatch) -> None:
    x = table()
    whole = fit(how, x, HOLDOUT).apply(x)
    monkeypatch.setattr(preparation, "_BLOCK", 128)
    np.testing.assert_allclose(fit(how, x, HOLDOUT).apply(x), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", ALL, ids=str)
def test_a_transform_survives_as_plain_arrays(how: Preparation) -> None:
    x = table()
    transform = fit(how, x, HOLDOUT)
    arrays = transform.to_arrays()
    assert all(array.dtype in (np.float64, np.int64) for array in arrays.values())
    again = Transform.from_arrays(arrays)
    assert np.array_equal(again.apply(x), transform.apply(x))
    assert (again.n_inputs, again.n_outputs) == (7, transform.apply(x).shape[1])


def test_only_training_rows_are_looked_at() -> None:
    x = table()
    other = x.copy()
    other[100:] = 1e9
    for how in ALL:
        first, second = fit(how, x, HOLDOUT).to_arrays(), fit(how, other, HOLDOUT).to_arrays()
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_rows_can_be_chosen() -> None:
    x, rows = table(), np.array([149, 3, 3])
    transform = fit(Preparation("robust"), x, HOLDOUT)
    assert np.array_equal(transform.apply(x, rows), transform.apply(x)[rows])


def test_inputs_that_need_nothing_stay_bit_for_bit() -> None:
    x = table(holes=False)
    assert np.array_equal(fit(Preparation(), x, HOLDOUT).apply(x), x.astype(np.float32))


def test_whitened_rows_have_unit_covariance_however_many_columns_depend_on_others() -> None:
    x = table(holes=False)
    x = np.concatenate([x, x[:, :3] @ np.ones((3, 2)), np.eye(5)[np.arange(150) % 5]], axis=1)  # rank 6 + 4
    prepared = fit(Preparation("whiten"), x, HOLDOUT).apply(x)[HOLDOUT]
    assert prepared.shape[1] == 10
    np.testing.assert_allclose(np.cov(prepared.T), np.eye(10), atol=1e-4)


def test_a_wide_table_has_as_many_components_as_its_rows_allow() -> None:
    x = np.random.default_rng(0).standard_normal((30, 80))
    transform = fit(Preparation("standardize", pca_components=5), x, np.arange(20))
    expected = make_pipeline(StandardScaler(), PCA(5, svd_solver="full")).fit(x[:20]).transform(x)
    np.testing.assert_allclose(transform.apply(x), expected, rtol=1e-4, atol=1e-5)
    assert fit(Preparation("whiten"), x, np.arange(20)).n_outputs == 19


@pytest.mark.parametrize("preprocessing", ["none", "standardize", "min_max", "whiten", "robust"])
def test_constant_columns_and_huge_values_stay_finite(preprocessing: str) -> None:
    x = np.full((20, 3), 7.0)
    for components in (0, 2):
        transform = fit(Preparation(preprocessing, True, components), x, np.arange(10))
        assert np.isfinite(transform.apply(np.array([[3e38, -3e38, np.nan]]))).all()
    assert np.ptp(transform.apply(x)) == 0


def test_equal_loadings_do_not_leave_the_sign_to_rounding() -> None:
    draws = np.random.default_rng(3)
    x = draws.standard_normal((200, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    for scale in 10.0 ** draws.uniform(-3, 3, (20, 2)):  # standardised, both components are diagonals
        transform = fit(Preparation("standardize", pca_components=2), x * scale, np.arange(200))
        assert transform.matrix is not None
        np.testing.assert_allclose(transform.matrix, np.array([[1, 1], [1, -1]]) / np.sqrt(2))


def test_another_number_of_columns_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 8\), expected 7 columns"):
        fit(Preparation(), table(), HOLDOUT).apply(np.zeros((2, 8)))
