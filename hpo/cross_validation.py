"""Cross-validation of a scikit-learn estimator as an objective, and the table of its trials."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

import joblib
import numpy as np
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.model_selection import cross_validate
from sklearn.utils.parallel import Parallel, delayed

from hpo import seeding
from hpo.domains import Float, Int
from hpo.errors import Interrupt, SpaceError, UsageError
from hpo.global_randomness import Randomness
from hpo.objective import Objective, Run, Step
from hpo.signals import SIGINT_EXIT
from hpo.space import Space
from hpo.trial import Job, State, Trial

MEASURED = ("fit_time", "score_time", "test_score")  # of each split, as scikit-learn names them
Split = tuple[Any, Any]  # indices of the samples to train on, and of those to score


class CrossValidation(Objective):
    """The mean score of an estimator over splits of its data; more is better.

    Args:
        estimator: cloned for every fit.
        X: samples.
        y: targets, or None.
        splits: what each fit trains on and is scored on.
        scoring: None, a scorer's name or a scorer.
        params: what `cross_validate` hands on to `fit` and the scorer.
        n_jobs: splits that are fitted side by side, as joblib counts them.
        raises: whether an error of a fit ends the search; otherwise it fails its trial.
        identified: whether the study is to know its data again: a digest of all that is fitted, unless it has no name.

    Attributes:
        error: what ended the search.
    """

    direction = "maximize"

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        splits: Sequence[Split],
        scoring: Any,
        params: Mapping[str, Any],
        n_jobs: int | None,
        raises: bool,
        identified: bool,
    ) -> None:
        self.name = type(estimator).__name__
        self.error: Exception | None = None
        self._estimator = estimator
        self._data = (X, y)
        self._splits = splits
        self._scoring = scoring
        self._params = dict(params)
        self._n_jobs = n_jobs
        self._raises = raises
        self._digest = self._hash() if identified else None

    def describe(self) -> dict[str, Any]:
        """The estimator's class, the scoring, the number of splits, and the digest of all that is fitted."""
        scoring = self._scoring
        if callable(scoring):
            scoring = getattr(scoring, "__qualname__", None) or type(scoring).__qualname__
        described = {"name": "cross_validation", "estimator": self.name, "scoring": scoring}
        return described | {"splits": len(self._splits)} | ({} if self._digest is None else {"digest": self._digest})

    def check_space(self, space: Space) -> None:
        """Raise SpaceError for a hyperparameter that the estimator does not have."""
        for name, domain in space.items():
            try:
                clone(self._estimator).set_params(**{name: domain.decode(0.5)})
            except Exception as error:
                raise SpaceError(f"hyperparameter {name!r} of {self.name}: {error}") from error

    def start(self, job: Job) -> Run:
        """The trial before its fits."""
        return _CrossValidationRun(self, job)

    def evaluate(self, params: Mapping[str, Any], seed: int) -> Step:
        """The mean score of one configuration, with times and score of every split.

        Raises:
            Interrupt: the search cannot go on, `error` says why.
            Exception: a fit or its scoring failed.
        """
        try:
            estimator = clone(self._estimator).set_params(**copy.deepcopy(dict(params)))
        except Exception as error:  # no matter of the data: a mistake in the space
            self._end(error)
        X, y = self._data
        jobs = (
            delayed(_fit)(estimator, X, y, split, self._scoring, self._params, seeding.derive(seed, i))
            for i, split in enumerate(self._splits)
        )
        try:
            found = Parallel(n_jobs=self._n_jobs)(jobs)
        except Exception as error:
            if self._raises:
                self._end(error)
            raise
        if "test_score" not in found[0]:
            measured = ", ".join(sorted(key.removeprefix("test_") for key in found[0] if key.startswith("test_")))
            self._end(UsageError(f"scoring returned several scores ({measured}), expected one number"))
        metrics = {f"split{i}_{key}": float(one[key][0]) for i, one in enumerate(found) for key in MEASURED}
        return Step(1, float(np.mean([one["test_score"][0] for one in found])), metrics)

    def _end(self, error: Exception) -> NoReturn:
        self.error = error
        raise Interrupt(SIGINT_EXIT) from error

    def _hash(self) -> str:
        try:
            return str(joblib.hash((self._estimator, self._data, self._splits, self._params)))
        except Exception as error:
            raise UsageError(
                f"a study with a name must know its data again, but {self.name} or the data cannot be pickled "
                f"({error}): leave the name out"
            ) from error


class _CrossValidationRun(Run):
    def __init__(self, objective: CrossValidation, job: Job) -> None:
        self._objective = objective
        self._job = job

    def advance(self, target: int) -> Iterator[Step]:
        """See `Run.advance`."""
        yield self._objective.evaluate(self._job.params, self._job.seed)


def _fit(estimator: Any, X: Any, y: Any, split: Split, scoring: Any, params: dict[str, Any], seed: int) -> Any:
    """What `cross_validate` finds for one split: by itself, so that its randomness is the same in every process."""
    with Randomness(seed).active():
        return cross_validate(estimator, X, y, cv=[split], scoring=scoring, params=params, error_score="raise")


def table(trials: Sequence[Trial], space: Space, splits: int, error_score: float) -> dict[str, Any]:
    """`cv_results_` as scikit-learn has it: arrays with a row a trial.

    Args:
        trials: ended ones.
        space: of the hyperparameters, each of which gets a column, masked where it is inactive.
        splits: how many there are.
        error_score: the score in every split of a trial that failed, whose times are NaN and whose rank is the last.
    """
    done = np.array([trial.state == State.DONE for trial in trials])  # (T,)
    results: dict[str, Any] = {}
    for key in MEASURED:
        missing = error_score if key == "test_score" else np.nan
        values = np.array(
            [[_measured(trial, f"split{i}_{key}", missing) for i in range(splits)] for trial in trials]
        )  # (T, S)
        if key == "test_score":
            results |= _columns(trials, space) | {"params": [dict(trial.params) for trial in trials]}
            results |= {f"split{i}_test_score": values[:, i] for i in range(splits)}
        results[f"mean_{key}"] = values.mean(axis=1)
        results[f"std_{key}"] = values.std(axis=1)
    means = np.where(done, results["mean_test_score"], -np.inf)
    results["rank_test_score"] = rankdata(-means, method="min").astype(np.int32)
    return results


def _measured(trial: Trial, name: str, missing: float) -> float:
    return trial.curve[name][-1] if trial.state == State.DONE else missing


def _columns(trials: Sequence[Trial], space: Space) -> dict[str, Any]:
    columns = {}
    for name, domain in space.items():
        kind = float if isinstance(domain, Float) else np.int64 if isinstance(domain, Int) else object
        column = np.ma.MaskedArray(np.empty(len(trials), dtype=kind), mask=True)
        for row, trial in enumerate(trials):
            if name in trial.params:
                column[row] = trial.params[name]
        columns[f"param_{name}"] = column
    return columns
