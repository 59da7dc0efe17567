"""scikit-learn's own checks of estimators."""

from collections.abc import Iterator
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from hpo import HPOSearchCV

pytestmark = pytest.mark.ci

SEARCHES = [
    HPOSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, "random", 2, cv=2, error_score="raise"),
    HPOSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, "random", 2, cv=2, error_score="raise"),
]


def failing(search: HPOSearchCV) -> dict[str, str]:
    """What scikit-learn expects of its RandomizedSearchCV, too."""
    if isinstance(search.estimator, Ridge):
        return {"check_supervised_y_2d": "Ridge takes several targets and so warns of no column: nor does the search"}
    return {}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Data this small is slower with more."""
    with threadpool_limits(1):
        yield


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # scikit-learn's, of NaN labels
@parametrize_with_checks(SEARCHES, expected_failed_checks=failing)
def test_scikit_learns_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)
