"""`HPOSearchCV` agrees with scikit-learn's own searches, and does what they cannot."""

import pickle
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import hpo
from hpo import Choice, Float, HPOSearchCV, Int
from hpo.errors import ConflictError, MismatchError, NoFitError, SpaceError, UsageError
from hpo.values import canonical
from searchers.random import Random

X, Y = load_iris(return_X_y=True)
TREE = DecisionTreeClassifier(random_state=0)
SPACE = {"ccp_alpha": Float(1e-4, 0.5, log=True)}


class Fragile(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts the class that it is given; some classes cannot be fitted."""

    def __init__(self, label: int = 0, broken: tuple[int, ...] = ()) -> None:
        self.label = label
        self.broken = broken

    def fit(self, X: Any, y: Any, hint: Any = None) -> "Fragile":
        if self.label in self.broken:
            raise RuntimeError(f"cannot fit {self.label}")
        self.classes_ = np.unique(y)
        self.hint_ = hint
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.label)


def scores(search: Any) -> dict[str, list[float]]:
    """Configuration to the scores of its splits, their mean, deviation, and rank."""
    table = search.cv_results_
    names = [*(f"split{i}_test_score" for i in range(search.n_splits_)), "mean_test_score", "std_test_score"]
    return {
        canonical(params): [*(float(table[name][row]) for name in names), int(table["rank_test_score"][row])]
        for row, params in enumerate(table["params"])
    }


@pytest.mark.parametrize("scoring", [None, "f1_macro", make_scorer(accuracy_score)])
def test_a_grid_has_the_scores_of_scikit_learns_grid_search(scoring: Any) -> None:
    space = {"max_depth": [1, 2, None], "criterion": ["gini", "entropy"], "min_samples_leaf": [1, 20]}
    tree = DecisionTreeClassifier(random_state=3)
    cv = KFold(4, shuffle=True, random_state=5)
    theirs = GridSearchCV(tree, space, scoring=scoring, cv=cv).fit(X, Y)
    ours = HPOSearchCV(tree, space, "grid", 50, scoring=scoring, cv=cv).fit(X, Y)
    assert len(scores(ours)) == 12
    assert scores(ours) == scores(theirs)
    assert ours.best_score_ == theirs.best_score_
    assert ours.best_params_ in [
        p for p, r in zip(theirs.cv_results_["params"], theirs.cv_results_["rank_test_score"], strict=True) if r == 1
    ]
    assert ours.best_params_ == ours.cv_results_["params"][ours.best_index_]
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    assert {k: v.dtype for k, v in ours.cv_results_.items() if "time" in k or "score" in k} == {
        k: v.dtype for k, v in theirs.cv_results_.items() if "time" in k or "score" in k
    }


def test_the_best_of_a_grid_without_ties_is_scikit_learns() -> None:
    data = load_diabetes(return_X_y=True)
    space = {"alpha": [0.01, 0.1, 1.0, 10.0], "fit_intercept": [True, False]}
    theirs = GridSearchCV(Ridge(), space).fit(*data)
    ours = HPOSearchCV(Ridge(), space, "grid").fit(*data)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == theirs.best_score_
    assert (ours.predict(data[0]) == theirs.predict(data[0])).all()
    assert ours.score(*data) == theirs.score(*data)
    assert is_regressor(ours)
    assert not is_classifier(ours)


def test_conditions_leave_inactive_parameters_of_a_pipeline_alone() -> None:
    pipe = Pipeline([("scale", StandardScaler()), ("pca", PCA(2)), ("svm", SVC(gamma=0.25, degree=4))])
    space = {
        "scale": "passthrough",
        "pca__n_components": Int(1, 3),
        "svm__C": Float(0.1, 10, log=True),
        "svm__kernel": ["linear", "rbf"],
        "svm__gamma": Float(0.01, 1, log=True, when={"svm__kernel": ["rbf"]}),
    }
    search = HPOSearchCV(pipe, space, "tpe", 14, cv=3).fit(X, Y)
    table = search.cv_results_
    linear = np.array([params["svm__kernel"] == "linear" for params in table["params"]])
    assert linear.any()
    assert not linear.all()
    assert (np.ma.getmaskarray(table["param_svm__gamma"]) == linear).all()
    assert table["param_pca__n_components"].dtype == np.int64
    row = int(np.flatnonzero(linear)[0])
    alone = clone(pipe).set_params(**table["params"][row])
    assert alone.get_params()["svm__gamma"] == 0.25
    assert cross_val_score(alone, X, Y, cv=3).mean() == table["mean_test_score"][row]
    assert search.best_estimator_.get_params()["svm__C"] == search.best_params_["svm__C"]
    assert search.predict(X).shape == Y.shape


def test_a_failing_configuration_gets_the_error_score_and_the_last_rank() -> None:
    estimator = Fragile(broken=(1,))
    for error_score in (np.nan, 7.0):
        search = HPOSearchCV(estimator, {"label": [0, 1, 2]}, "grid", cv=3, error_score=error_score)
        with pytest.warns(FitFailedWarning, match=r"1 of 3 configurations failed.*'label': 1.*cannot fit 1"):
            search.fit(X, Y)
        table = search.cv_results_
        row = [params["label"] for params in table["params"]].index(1)
        found = [table[f"split{i}_test_score"][row] for i in range(3)] + [table["mean_test_score"][row]]
        np.testing.assert_equal(found, [error_score] * 4)
        assert sorted(table["rank_test_score"]) == [1, 1, 3]
        assert table["rank_test_score"][row] == 3
        assert search.best_params_["label"] != 1


def test_scores_that_are_not_finite_fail_their_configuration() -> None:
    def scoring(estimator: Any, X: Any, y: Any) -> float:
        return float("nan") if estimator.label == 2 else estimator.label

    with pytest.warns(FitFailedWarning, match="1 of 3 configurations failed"):
        search = HPOSearchCV(Fragile(), {"label": [0, 1, 2]}, "grid", cv=2, scoring=scoring).fit(X, Y)
    assert (search.best_params_, search.best_score_) == ({"label": 1}, 1.0)


def test_errors_end_the_search_where_they_are_to_be_raised_or_all_fail(tmp_path: Path) -> None:
    search = HPOSearchCV(Fragile(broken=(0, 1)), {"label": [0, 1]}, "grid", cv=2)
    with pytest.raises(NoFitError, match=r"(?s)all 2 configurations failed.*RuntimeError: cannot fit") as caught:
        search.fit(X, Y)
    assert isinstance(caught.value, ValueError)
    search.set_params(error_score="raise", store=tmp_path / "hpo.db", name="s")
    with pytest.raises(RuntimeError, match="cannot fit"):
        search.fit(X, Y)
    assert hpo.load_study("s", tmp_path / "hpo.db").counts() == {"cancelled": 1}


def test_what_cannot_be_searched_is_refused_before_any_fit() -> None:
    def refused(kind: type[Exception], match: str, space: Any = SPACE, **arguments: Any) -> None:
        with pytest.raises(kind, match=match):
            HPOSearchCV(TREE, space, **{"searcher": "random", "trials": 2, **arguments}).fit(X, Y)

    refused(UsageError, "scoring is .*expected None, a scorer's name or a function", scoring=["accuracy", "f1_macro"])
    refused(UsageError, "several scores .a, b.", scoring=lambda estimator, X, y: {"a": 1.0, "b": 2.0})
    refused(SpaceError, "'depth' of DecisionTreeClassifier: Invalid parameter 'depth'", {"depth": Int(1, 9)})
    refused(SpaceError, "name it by a string", {"ccp_alpha": Choice([Ridge()])})
    refused(MismatchError, "epochs", searcher="halving")
    refused(UsageError, "trials is 0", trials=0)
    refused(UsageError, "refit is 'f1'", refit="f1")
    refused(UsageError, "error_score is 'zero'", error_score="zero")
    refused(UsageError, "no store keeps the study", name="s")
    refused(UsageError, "gives no split", cv=[])


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.ci)])
def test_a_seed_determines_everything_in_any_number_of_processes(n_jobs: int | None) -> None:
    def run(seed: int, n_jobs: int | None) -> Any:
        model = SGDClassifier(max_iter=5, tol=None)  # draws from NumPy's global generator
        space = {"alpha": Float(1e-5, 1e-1, log=True)}
        return HPOSearchCV(model, space, "tpe", 3, cv=KFold(3, shuffle=True), seed=seed, n_jobs=n_jobs).fit(X, Y)

    first, other = run(1, None), run(2, None)
    np.random.seed(0)  # noqa: NPY002  (another state of the global generator)
    again = run(1, n_jobs)
    assert scores(again) == scores(first) != scores(other)
    assert (again.best_estimator_.coef_ == first.best_estimator_.coef_).all()


def test_fitted_searches_are_cloned_and_pickled(tmp_path: Path) -> None:
    labels = np.array(["setosa", "versicolor", "virginica"])[Y]
    search = HPOSearchCV(TREE, SPACE, Random(), 3, cv=2, store=tmp_path / "hpo.db")
    search.fit(X, labels)
    assert list(search.classes_) == ["setosa", "versicolor", "virginica"]
    assert search.n_features_in_ == 4
    copied = pickle.loads(pickle.dumps(search))
    assert (copied.predict_proba(X) == search.predict_proba(X)).all()
    assert set(copied.predict(X)) <= set(search.classes_)
    assert copied.study_.best_value == search.best_score_
    fresh = clone(search)
    assert fresh.get_params().keys() == search.get_params().keys()
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    assert not hasattr(fresh, "study_")
    assert fresh.set_params(estimator__max_depth=3, trials=4).get_params()["estimator__max_depth"] == 3
    assert scores(clone(search).fit(X, labels)) == scores(search)


def test_methods_are_those_of_the_estimator() -> None:
    search = HPOSearchCV(SVC(), {"C": Float(0.1, 10)}, "random", 2, cv=2)
    assert hasattr(search, "decision_function")
    assert not hasattr(search, "transform")
    assert not hasattr(search, "predict_proba")
    assert not hasattr(search, "classes_")
    search.fit(X, Y)
    assert (search.decision_function(X) == search.best_estimator_.decision_function(X)).all()
    reducer = HPOSearchCV(PCA(), {"n_components": [1, 2]}, "grid", cv=2).fit(X)
    best = PCA(**reducer.best_params_).fit(X)
    assert (reducer.inverse_transform(reducer.transform(X)) == best.inverse_transform(best.transform(X))).all()
    assert (reducer.score_samples(X) == best.score_samples(X)).all()
    bare = HPOSearchCV(SVC(), {"C": Float(0.1, 10)}, "random", 2, cv=2, refit=False).fit(X, Y)
    assert not hasattr(bare, "predict")
    assert not hasattr(bare, "best_estimator_")
    assert bare.best_params_ == search.best_params_
    with pytest.raises(AttributeError, match="refit is False"):
        bare.score(X, Y)


def test_a_named_study_goes_on_and_belongs_to_its_data(tmp_path: Path) -> None:
    def run(trials: int, y: Any = Y, **arguments: Any) -> HPOSearchCV:
        given = {"cv": 2, "store": tmp_path / "hpo.db", "name": "s"} | arguments
        return HPOSearchCV(TREE, SPACE, "tpe", trials, **given).fit(X, y)

    run(4)
    longer, through = run(14), run(14, name="through")
    assert scores(longer) == scores(through)
    assert len(longer.study_.trials) == 14
    with pytest.raises(ConflictError, match=r"objective\.digest: the data have changed"):
        run(15, Y[::-1])
    with pytest.raises(ConflictError, match=r"objective\.scoring: stored null, now"):
        run(15, scoring="f1_macro")


def test_nothing_is_left_behind_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    search = HPOSearchCV(TREE, SPACE, "random", 2, cv=2).fit(X, Y)
    assert list(tmp_path.iterdir()) == []
    assert not hasattr(search, "study_")


def test_fit_parameters_are_split_and_groups_go_to_the_splitter() -> None:
    groups = np.arange(len(Y)) % 5
    search = HPOSearchCV(Fragile(), {"label": [0, 1]}, "grid", cv=GroupKFold(5))
    search.fit(X, Y, groups=groups, hint=Y)
    assert search.n_splits_ == 5
    assert (search.best_estimator_.hint_ == Y).all()
    with pytest.raises(ValueError, match="groups"):
        search.fit(X, Y)


@pytest.fixture
def routing() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
def test_routed_metadata_reaches_fit_scorer_and_splitter() -> None:
    weights = np.where(Y == 1, 1.0, 0.0)  # only class 1 counts
    scorer = make_scorer(accuracy_score).set_score_request(sample_weight="importance")
    estimator = Fragile().set_fit_request(hint=True)
    search = HPOSearchCV(estimator, {"label": [0, 1]}, "grid", cv=GroupKFold(3), scoring=scorer)
    search.fit(X, Y, groups=np.arange(len(Y)) % 3, hint=weights, importance=weights)
    assert (search.best_params_, search.best_score_) == ({"label": 1}, 1.0)
    assert (search.best_estimator_.hint_ == weights).all()
    assert search.score(X, Y, importance=weights) == 1.0
