"""`HPOSearchCV`: the hyperparameters of any scikit-learn estimator, searched by any searcher under cross-validation."""

import contextlib
import copy
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import check_cv
from sklearn.utils import get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, get_routing_for_object, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from hpo import seeding
from hpo.api import search
from hpo.cross_validation import CrossValidation, table
from hpo.errors import NoFitError, UsageError
from hpo.global_randomness import Randomness
from hpo.plan import DEFAULT_SEARCHER, DEFAULT_TRIALS
from hpo.resolve import MAX_TRIALS, whole
from hpo.searcher import Searcher
from hpo.space import Space
from hpo.study import Study, load_study
from hpo.study_spec import MAX_SEED
from hpo.text import headline
from hpo.trial import State
from hpo.values import brief, plain


def _best_has(name: str) -> Callable[[Any], bool]:
    """A check that the best estimator, before `fit` the one that is searched, has `name`; for `available_if`."""

    def check(self: Any) -> bool:
        self._check_refit(name)
        getattr(getattr(self, "best_estimator_", self.estimator), name)  # raises AttributeError
        return True

    return check


def _of_best(name: str) -> Any:
    """A method that calls that of the best estimator, there where it has one."""

    def method(self: Any, X: Any) -> Any:
        check_is_fitted(self)
        return getattr(self.best_estimator_, name)(X)

    method.__name__ = name
    method.__doc__ = f"`{name}` of the best estimator."
    return available_if(_best_has(name))(method)


class HPOSearchCV(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Search an estimator's hyperparameters under cross-validation; afterwards it predicts as the best one.

        search = HPOSearchCV(SVC(), {"C": Float(1e-2, 1e3, log=True), "kernel": ["linear", "rbf"]}, trials=30)
        search.fit(X, y).predict(X_new)

    It takes the place of scikit-learn's `RandomizedSearchCV`. Splits and fits draw from generators seeded by `seed`,
    also where the estimator has no `random_state`, so the same search gives the same trials, for every `n_jobs`.

    A hyperparameter that is inactive under the conditions of the space keeps the estimator's own value. Options are
    plain values: to choose between estimators, write one that has their names as a parameter.

    Unlike in scikit-learn a configuration fails as a whole, when one of its fits or scores fails or is not finite: the
    searcher is told so, every split has `error_score`, and whatever that is, the rank is the last.

    Args:
        estimator: with `fit`, and `score` unless `scoring` is given.
        space: parameter name, `step__param` for nested ones, to domain; see `Space`.
        searcher: a name (`hpo searchers` lists them), a Searcher class, or an instance with its settings; one that
            works without epochs.
        trials: how many configurations are evaluated, >= 1.
        scoring: a scorer's name or `f(estimator, X, y) -> float`; more is better; None: the estimator's `score`.
        cv: splits as in scikit-learn: None (5 folds), their number, a splitter, or pairs of indices.
        refit: whether the best configuration is fitted on all data at the end, which predicting needs.
        n_jobs: splits fitted side by side in processes, as joblib counts them; None: one at a time.
        error_score: score of a configuration that fails; "raise": its error ends the search.
        batch: proposals a round; fewer use results sooner; None: the searcher's default.
        seed: determines every trial, in [0, 2^64).
        store: file of the store that keeps the study; None: nothing is kept.
        name: of the study in the store; `fit` goes on with an existing one of the same data, estimator and
            specification. None: a new study.
        progress: whether to show it on stderr.

    Attributes:
        best_params_: the best configuration.
        best_score_: its mean score over the splits.
        best_index_: its row in `cv_results_`, which is its trial's number.
        best_estimator_: fitted on all data; only with `refit`.
        refit_time_: seconds that took; only with `refit`.
        cv_results_: arrays with a row a trial, named as in scikit-learn.
        scorer_: the scorer.
        n_splits_: how many splits there are.
        study_: the stored study; only with `store`.
    """

    def __init__(
        self,
        estimator: Any,
        space: Space | Mapping[str, Any],
        searcher: str | type[Searcher] | Searcher = DEFAULT_SEARCHER,
        trials: int = DEFAULT_TRIALS,
        *,
        scoring: Any = None,
        cv: Any = None,
        refit: bool = True,
        n_jobs: int | None = None,
        error_score: Any = np.nan,
        batch: int | None = 1,
        seed: int = 0,
        store: str | Path | None = None,
        name: str | None = None,
        progress: bool = False,
    ) -> None:
        self.estimator = estimator
        self.space = space
        self.searcher = searcher
        self.trials = trials
        self.scoring = scoring
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.error_score = error_score
        self.batch = batch
        self.seed = seed
        self.store = store
        self.name = name
        self.progress = progress

    def fit(self, X: Any, y: Any = None, **params: Any) -> "HPOSearchCV":
        """Search, then fit the best configuration on all data.

        Args:
            X: samples, (N, F) or whatever the estimator takes.
            y: targets, (N,) or (N, outputs); None without.
            params: for the estimator's `fit`, split along with `X` where they have a value for every sample, and
                `groups` for the splitter; with scikit-learn's metadata routing for whoever requests them.

        Raises:
            NoFitError: every configuration failed; also a ValueError.
            UsageError: an argument that cannot be used.
        """
        self._check_arguments()
        X, y = indexable(X, y)
        scorer = self._scorer()
        for_fit, for_split, for_both = self._routed(params)
        splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        with Randomness(seeding.derive(self.seed, "splits")).active():
            splits = list(splitter.split(X, y, **for_split))
        if not splits:
            raise UsageError(f"cv is {brief(self.cv)}, which gives no split, expected at least one")
        objective = CrossValidation(
            self.estimator,
            X,
            y,
            splits=splits,
            scoring=self.scoring,
            params=for_both,
            n_jobs=self.n_jobs,
            raises=self.error_score == "raise",
            identified=self.name is not None,
        )
        with self._searched(objective) as study:
            trials = study.trials
            space = study.spec.space
            self._kept = None if self.store is None else (str(study.path.absolute()), study.name)
        failed = [trial for trial in trials if trial.state == State.FAILED]
        if len(failed) == len(trials):
            raise NoFitError(f"all {len(trials)} configurations failed, the first with:\n{failed[0].error}")
        if failed:
            first = f"the first, {brief(dict(failed[0].params))}, with: {headline(failed[0].error)}"
            warnings.warn(
                f"{len(failed)} of {len(trials)} configurations failed; {first}", FitFailedWarning, stacklevel=2
            )
        error_score = np.nan if self.error_score == "raise" else self.error_score
        self.cv_results_ = table(trials, space, len(splits), error_score)
        self.n_splits_ = len(splits)
        self.scorer_ = scorer
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        if self.refit:
            self._refit(X, y, for_fit, seeding.derive(trials[self.best_index_].seed, "refit"))
        return self

    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """The score of the best estimator on given data, by `scoring`.

        Args:
            X: samples.
            y: targets.
            params: for the scorer, with scikit-learn's metadata routing.
        """
        self._check_refit("score")
        check_is_fitted(self)
        routed = process_routing(self, "score", **params).scorer.score if params else {}
        return float(self.scorer_(self.best_estimator_, X, y, **routed))

    predict = _of_best("predict")
    predict_proba = _of_best("predict_proba")
    predict_log_proba = _of_best("predict_log_proba")
    decision_function = _of_best("decision_function")
    score_samples = _of_best("score_samples")
    transform = _of_best("transform")
    inverse_transform = _of_best("inverse_transform")

    @property
    def classes_(self) -> Any:
        """Class labels of the best estimator."""
        _best_has("classes_")(self)
        return self.best_estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """Features seen in `fit`."""
        _best_has("n_features_in_")(self)
        return int(self.best_estimator_.n_features_in_)

    @property
    def study_(self) -> Study:
        """The stored study."""
        kept: tuple[str, str] | None = getattr(self, "_kept", None)
        if kept is None:
            raise AttributeError("there is no study_: fit keeps it where store names a file")
        path, name = kept
        return load_study(name, path)

    def get_metadata_routing(self) -> Any:
        """Who is asked what becomes of metadata: estimator, scorer and splitter, as in scikit-learn's searches."""
        splitting = MethodMapping().add(caller="fit", callee="split")
        scoring = MethodMapping().add(caller="score", callee="score").add(caller="fit", callee="score")
        router = MetadataRouter(owner=self)
        router.add(estimator=self.estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
        router.add(scorer=self._scorer(), method_mapping=scoring)
        return router.add(splitter=self.cv, method_mapping=splitting)

    def __sklearn_tags__(self) -> Any:
        tags, own = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type = own.estimator_type
        tags.classifier_tags = copy.deepcopy(own.classifier_tags)
        tags.regressor_tags = copy.deepcopy(own.regressor_tags)
        tags.input_tags.pairwise = own.input_tags.pairwise
        tags.input_tags.sparse = own.input_tags.sparse
        return tags

    # -- inner part

    def _check_arguments(self) -> None:
        whole("trials", self.trials, 1, MAX_TRIALS)
        whole("seed", self.seed, 0, MAX_SEED)
        if not isinstance(self.refit, bool):
            raise UsageError(f"refit is {brief(self.refit)}, expected True or False")
        error_score = plain(self.error_score)
        if error_score != "raise" and (isinstance(error_score, bool) or not isinstance(error_score, (int, float))):
            raise UsageError(f"error_score is {brief(self.error_score)}, expected a number or 'raise'")
        if self.name is not None and self.store is None:
            raise UsageError(f"name is {brief(self.name)}, but no store keeps the study: give store=, a file")

    def _scorer(self) -> Any:
        if self.scoring is not None and not isinstance(self.scoring, str) and not callable(self.scoring):
            raise UsageError(
                f"scoring is {brief(self.scoring)} ({type(self.scoring).__name__}), expected None, a scorer's name or "
                "a function: one score is optimised; compute others with cross_validate"
            )
        return check_scoring(self.estimator, self.scoring)

    def _routed(self, params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Parameters for `fit` at the end, for the splitter, and for `cross_validate`, which knows fit and scorer."""
        if not get_config()["enable_metadata_routing"]:
            for_fit = {name: value for name, value in params.items() if name != "groups"}
            return for_fit, {"groups": params.get("groups")}, for_fit
        routed = process_routing(self, "fit", **params)
        wanted = get_routing_for_object(self.estimator).consumes("fit", params)
        wanted |= get_routing_for_object(self._scorer()).consumes("score", params)
        return routed.estimator.fit, routed.splitter.split, {name: params[name] for name in wanted}

    @contextlib.contextmanager
    def _searched(self, objective: CrossValidation) -> Iterator[Study]:
        """The study, searched; open inside the block, after which a temporary store is gone."""
        with contextlib.ExitStack() as cleanup:
            store = self.store
            if store is None:
                folder = cleanup.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
                store = Path(folder) / "hpo.db"
            try:
                study = search(
                    objective,
                    self.space,
                    self.searcher,
                    self.trials,
                    seed=self.seed,
                    batch=self.batch,
                    store=store,
                    name=self.name,
                    progress=self.progress,
                )
            except BaseException:
                if objective.error is not None:
                    raise objective.error from None
                raise
            cleanup.callback(study.close)
            yield study

    def _refit(self, X: Any, y: Any, params: dict[str, Any], seed: int) -> None:
        self.best_estimator_ = clone(self.estimator).set_params(**copy.deepcopy(self.best_params_))
        targets = () if y is None else (y,)
        begin = time.perf_counter()
        with Randomness(seed).active():
            self.best_estimator_.fit(X, *targets, **params)
        self.refit_time_ = time.perf_counter() - begin
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def _check_refit(self, name: str) -> None:
        if not self.refit:
            raise AttributeError(f"{name} needs the best estimator, but refit is False: fit with refit=True")
