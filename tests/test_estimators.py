"""The networks as estimators are the engine's, and get on with scikit-learn."""

import copy
import pickle
import subprocess
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from hpo import Float, HPOSearchCV, SimpleNNClassifier, SimpleNNRegressor
from hpo.errors import NoFitError, SpaceError, UsageError
from hpo.training.final import train_final
from hpo.training.hyperparameters import KNOWN, MAX_DEPTH, complete
from hpo.training.objective import SimpleNNObjective
from hpo.trial import Job

X, Y = load_wine(return_X_y=True)
PER_LAYER = {f"{name}_{layer}" for name in ("width", "activation") for layer in range(1, MAX_DEPTH + 1)}
FOR_CLASSES = {"class_weights", "label_smoothing"}
OWN = {"epochs": 30, "validation_fraction": 0.2, "random_state": None, "device": "auto"}
QUICK = SimpleNNClassifier(epochs=3, width=16, random_state=0)
UNLIKE = {"width": 24, "activation": "prelu", "residual": True, "dropout": 0.2, "preprocessing": "robust"}


def unusual() -> dict[str, Any]:
    """Another value than the default of every hyperparameter of classes."""
    values: dict[str, Any] = {}
    for name, known in KNOWN.items():
        if known.options:
            values[name] = next(each for each in known.options[::-1] if each != known.default)
        elif known.integer:
            values[name] = known.default and known.default + 1
        else:
            values[name] = known.default * 0.75 or 0.125
    values |= {"loss": "hinge", "pca_components": 2}
    return {name: value for name, value in values.items() if name not in PER_LAYER}


@pytest.mark.parametrize(("estimator", "missing"), [(SimpleNNClassifier(), set()), (SimpleNNRegressor(), FOR_CLASSES)])
def test_parameters_are_the_known_hyperparameters_with_their_defaults(estimator: Any, missing: set[str]) -> None:
    known = {name: each.default for name, each in KNOWN.items() if name not in PER_LAYER | missing}
    assert estimator.get_params() == known | OWN | {"preprocessing": "standardize"}


def test_every_parameter_reaches_the_engine() -> None:
    given = unusual()
    assert all(value != KNOWN[name].default for name, value in given.items())
    assert SimpleNNClassifier(**given)._settings_of(True) == complete(given)


@pytest.mark.parametrize(
    ("data", "kind"), [("wine", SimpleNNClassifier), ("digits", SimpleNNClassifier), ("line", SimpleNNRegressor)]
)
def test_a_fitted_estimator_is_the_network_of_a_trial(data: str, kind: Any) -> None:
    params = UNLIKE | {"normalization": "batch", "schedule": "cosine", "optimizer": "adamw", "weight_decay": 0.01}
    objective = SimpleNNObjective(data, device="cpu")
    seed = int(np.random.RandomState(7).randint(np.iinfo(np.int32).max))
    final = train_final(objective, Job(0, 0, 0, params, seed, 0, 4, 4))
    assert final is not None
    x, y, train = objective.dataset.x, objective.dataset.y, objective.dataset.train
    estimator = kind(**params, epochs=4, random_state=7, device="cpu").fit(x[train], y[train])
    mine = estimator.model_.state_dict()
    for name, theirs in final.model.state_dict().items():
        assert torch.equal(mine[name], theirs.double())
    outputs, test = final.outputs(final.data.test.x), x[objective.dataset.test]
    if kind is SimpleNNClassifier:
        np.testing.assert_allclose(estimator.predict_proba(test), outputs.softmax(dim=1), atol=1e-5)
    else:
        theirs = outputs[:, 0] * final.data.target_scale + final.data.target_mean
        np.testing.assert_allclose(estimator.predict(test), theirs, atol=1e-5)


@pytest.mark.parametrize(("load", "bar"), [(load_wine, 0.93), (load_digits, 0.95)])
def test_classes_are_told_apart(load: Any, bar: float) -> None:
    train, test, y, y_test = train_test_split(*load(return_X_y=True), test_size=0.3, random_state=0)
    estimator = SimpleNNClassifier(epochs=20, random_state=0).fit(train, y)
    assert estimator.score(test, y_test) > bar
    probabilities = estimator.predict_proba(test)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (estimator.predict(test) == estimator.classes_[probabilities.argmax(axis=1)]).all()
    assert len(estimator.loss_curve_) == estimator.n_iter_ == 20
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0] / 5


def test_numbers_are_predicted_better_than_by_their_mean() -> None:
    estimator = SimpleNNRegressor(early_stopping=True, learning_rate=0.003, random_state=0)
    assert cross_val_score(estimator, *load_diabetes(return_X_y=True), cv=3).min() > 0.3


def test_predictions_have_the_unit_of_the_targets() -> None:
    x, y = load_diabetes(return_X_y=True)
    estimator = SimpleNNRegressor(epochs=2, random_state=0)
    predicted = clone(estimator).fit(x, y).predict(x)
    np.testing.assert_allclose(clone(estimator).fit(x, 1024 * y).predict(x), 1024 * predicted)


def test_early_stopping_ends_training_and_keeps_the_best_epoch() -> None:
    train, test, y, _ = train_test_split(X, Y, random_state=0)
    stopping = SimpleNNClassifier(epochs=200, learning_rate=0.03, early_stopping=True, patience=3, random_state=0)
    stopped = stopping.fit(train, y)
    best = stopped.n_iter_ - 3
    assert 1 <= best < 100
    # what was learned up to the best epoch does not depend on the patience that came after it
    other = clone(stopped).set_params(patience=2).fit(train, y)
    assert other.n_iter_ == best + 2
    assert (other.predict_proba(test) == stopped.predict_proba(test)).all()


def test_missing_values_are_imputed_and_indicated() -> None:
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    outside = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), clone(QUICK)).fit(gaps[:120], Y[:120])
    inside = clone(QUICK).fit(gaps[:120], Y[:120])
    np.testing.assert_allclose(inside.predict_proba(gaps[120:]), outside.predict_proba(gaps[120:]), rtol=1e-6)


def test_labels_may_be_text() -> None:
    names = np.array(["white", "red", "rosé"])
    fitted, named = clone(QUICK).fit(X, Y), clone(QUICK).fit(pd.DataFrame(X, columns=list("abcdefghijklm")), names[Y])
    assert list(named.classes_) == ["red", "rosé", "white"]
    assert list(named.feature_names_in_) == list("abcdefghijklm")
    assert set(named.predict(pd.DataFrame(X, columns=named.feature_names_in_))) <= set(names)
    renamed = clone(QUICK).fit(X, np.array(["a", "b", "c"])[Y])
    assert (renamed.predict_proba(X) == fitted.predict_proba(X)).all()
    assert (renamed.predict(X) == np.array(["a", "b", "c"])[fitted.predict(X)]).all()


def test_one_class_is_always_predicted() -> None:
    only = clone(QUICK).fit(X, np.full(len(X), "red"))
    assert set(only.predict(X)) == {"red"}
    assert (only.predict_proba(X) == 1).all()


def test_the_same_seed_gives_the_same_network() -> None:
    def probabilities(random_state: Any) -> Any:
        return clone(QUICK).set_params(random_state=random_state).fit(X, Y).predict_proba(X)

    assert (probabilities(5) == probabilities(5)).all()
    assert (probabilities(5) == probabilities(np.random.RandomState(5))).all()
    assert (probabilities(5) != probabilities(6)).any()
    assert (probabilities(None) != probabilities(None)).any()


@pytest.mark.parametrize("normalization", ["none", "batch", "layer", "weight", "local_response"])
def test_predictions_stay_the_same_after_pickling(normalization: str) -> None:
    fitted = clone(QUICK).set_params(**UNLIKE, normalization=normalization).fit(X, Y)
    expected = fitted.predict_proba(X)
    fitted.set_params(width=8)  # that of the next fit
    for twin in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert (twin.predict_proba(X) == expected).all()
        assert twin.get_params() == fitted.get_params()
    assert not hasattr(clone(fitted), "model_")


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, lambda: torch.device("meta")])
def test_torchs_modes_change_nothing(mode: Any) -> None:
    estimator = clone(QUICK).set_params(normalization="weight", dropout=0.2, augmentation="mixup", label_smoothing=0.1)
    expected = clone(estimator).fit(X, Y).predict_proba(X)
    with mode():
        found = pickle.loads(pickle.dumps(clone(estimator).fit(X, Y))).predict_proba(X)
    assert (found == expected).all()


def test_training_starts_no_process_and_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    clone(QUICK).fit(X, Y).predict(X)


def test_searches_and_pipelines_take_the_estimators() -> None:
    pipeline = make_pipeline(MinMaxScaler(), clone(QUICK).set_params(preprocessing="none"))
    space = {"simplennclassifier__learning_rate": [0.001, 0.05], "simplennclassifier__depth": [1, 3]}
    cv = KFold(2, shuffle=True, random_state=0)
    theirs = GridSearchCV(pipeline, space, cv=cv).fit(X, Y)
    ours = HPOSearchCV(pipeline, space, "grid", 4, cv=cv).fit(X, Y)
    assert ours.best_score_ == theirs.best_score_ == theirs.cv_results_["mean_test_score"].max()
    assert (ours.predict(X) == theirs.predict(X)).all()


def test_a_search_without_random_state_is_repeatable() -> None:
    x, y = load_diabetes(return_X_y=True)
    estimator = SimpleNNRegressor(epochs=2, width=16)
    space = {"learning_rate": Float(1e-3, 1e-1, log=True), "activation": ["relu", "tanh"]}
    first, second = (HPOSearchCV(estimator, space, trials=3, cv=2, seed=4).fit(x, y) for _ in range(2))
    assert first.best_params_ == second.best_params_
    assert first.best_score_ == second.best_score_
    assert (first.predict(x) == second.predict(x)).all()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"depth": 7}, SpaceError, "hyperparameter 'depth': found 7"),
        ({"width": None}, SpaceError, "hyperparameter 'width': found None"),
        ({"loss": "mae"}, SpaceError, "expected one of 'cross_entropy'"),
        ({"epochs": 0}, UsageError, "epochs is 0"),
        ({"validation_fraction": 1.0}, UsageError, "validation_fraction is 1.0"),
        ({"validation_fraction": 0.999, "early_stopping": True}, UsageError, "holds back 178 of 178 rows"),
        ({"device": "gpu"}, UsageError, "device is 'gpu'"),
        ({"optimizer": "sgd", "learning_rate": 1e5}, NoFitError, "SimpleNNClassifier: training diverged in epoch 1"),
    ],
)
def test_what_cannot_be_trained_is_refused(params: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SimpleNNClassifier(random_state=0).set_params(**params).fit(X, Y)


def test_several_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="1d array"):
        SimpleNNRegressor().fit(X, np.column_stack([Y, Y]))
