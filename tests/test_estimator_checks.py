"""scikit-learn's own checks of estimators, on the networks."""

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from hpo import SimpleNNClassifier, SimpleNNRegressor


@parametrize_with_checks([SimpleNNClassifier(epochs=5), SimpleNNRegressor(epochs=5)])
def test_scikit_learns_checks_pass(estimator: Any, check: Any) -> None:
    check(estimator)
