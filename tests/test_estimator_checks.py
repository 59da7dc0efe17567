"""scikit-learn's own checks of estimators, on the networks."""

from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from hpo import SimpleNNClassifier, SimpleNNRegressor


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # scikit-learn's, of NaN labels
@parametrize_with_checks([SimpleNNClassifier(epochs=10), SimpleNNRegressor(epochs=10)])
def test_scikit_learns_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)
