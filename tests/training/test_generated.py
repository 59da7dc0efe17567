"""Generated data sets are what they say, functions of a seed."""

import hashlib

import numpy as np
import pytest
from scipy import stats
from sklearn import datasets
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hpo.training.data import load_data
from hpo.training.generated import DATA_SETS, REGRESSIONS, ROWS, _spirals


@pytest.mark.parametrize(
    ("name", "labels", "first"),
    [
        ("classification", "46b5c88fc0d3a256", [-0.75442, -1.10515]),
        ("moons", "d84dc75c8a005643", [0.94381, -1.21098]),
        ("spirals", "e9943ec8726f7b11", [-0.66791, 0.36574]),
    ],
)
def test_sets_keep_their_content_and_split(name: str, labels: str, first: list[float]) -> None:
    data = load_data(name, 0)
    y = b"".join(part.y.numpy().tobytes() for part in (data.train, data.validation, data.test))
    assert hashlib.blake2b(y, digest_size=8).hexdigest() == labels  # the split shows in the order of labels
    assert data.train.x[0, :2].tolist() == pytest.approx(first, abs=1e-5)


def test_spiral_arms_are_one_curve_turned_by_a_third() -> None:
    table = _spirals(seed=0, noise=0.0)
    x, y = table.x, table.y
    radius = np.hypot(*x.T)
    # turned back by its arm's angle and by 2 pi times its place along the arm, a point is on the positive axis
    angle = np.arctan2(x[:, 1], x[:, 0]) - 2 * np.pi * (y / 3 + radius / 2)
    np.testing.assert_allclose(radius * np.sin(angle), 0, atol=1e-9)
    np.testing.assert_allclose(np.cos(angle), 1)
    assert set(y) == {0, 1, 2}


def test_spiral_noise_is_normal_with_its_standard_deviation() -> None:
    noise = _spirals(seed=0, noise=0.2).x - _spirals(seed=0, noise=0.0).x
    assert stats.kstest(noise.flatten(), stats.norm(scale=0.2).cdf).pvalue > 0.01


def test_circles_lie_around_radius_one_and_a_half() -> None:
    table = DATA_SETS["circles"](0)
    radius = np.hypot(*table.x.T)
    assert [round(float(radius[table.y == label].mean()), 1) for label in (0, 1)] == [1.0, 0.5]


def test_blobs_are_normal_around_a_pentagon_and_overlap() -> None:
    table = DATA_SETS["blobs"](0)
    for label in range(5):
        angle = 2 * np.pi * label / 5
        standard = table.x[table.y == label] - 2 * np.array([np.cos(angle), np.sin(angle)])
        assert stats.kstest(standard.flatten(), stats.norm.cdf).pvalue > 0.01
    best = (
        LinearDiscriminantAnalysis().fit(table.x, table.y).score(table.x, table.y)
    )  # equal covariances: the best rule
    assert 0.7 < best < 0.85


def test_nine_rows_in_ten_are_of_one_class_where_classes_are_imbalanced() -> None:
    assert np.bincount(DATA_SETS["imbalanced"](0).y) / ROWS == pytest.approx([0.9, 0.1], abs=0.01)


def test_exactly_a_tenth_of_the_noisy_labels_is_wrong() -> None:
    from hpo.training.generated import _clusters

    clean, table = _clusters(5, "noisy_labels", flip_y=0.0), DATA_SETS["noisy_labels"](5)
    assert np.array_equal(clean[0], table.x)
    assert (clean[1] != table.y).sum() == ROWS // 10


@pytest.mark.parametrize("name", ["digits", "wine", "breast_cancer"])
def test_classics_are_scikit_learns_own(name: str) -> None:
    table, own = DATA_SETS[name](0), getattr(datasets, f"load_{name}")()
    assert np.array_equal(table.x, own.data)
    assert np.array_equal(table.y, own.target)
    assert table.classes == tuple(map(str, own.target_names))
    assert len(table.columns) == table.x.shape[1]


def test_a_line_has_slope_one_and_noise_of_a_third() -> None:
    table = DATA_SETS["line"](0)
    fitted = stats.linregress(table.x[:, 0], table.y)
    assert fitted.slope == pytest.approx(1, abs=4 * fitted.stderr)
    noise = table.y - table.x[:, 0]
    assert stats.kstest(noise, stats.norm(scale=0.3).cdf).pvalue > 0.01
    assert stats.kstest(table.x[:, 0], stats.uniform(-1, 2).cdf).pvalue > 0.01


def test_regressions_are_those_without_classes() -> None:
    assert set(REGRESSIONS) == {name for name, make in DATA_SETS.items() if not make(0).classes}
