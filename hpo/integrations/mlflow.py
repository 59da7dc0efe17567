"""Trials as MLflow runs; needs the extra `mlflow`.

    search(f, space, callbacks=[MLflowCallback("sqlite:///mlflow.db")])

A trial is one run, which goes on when the trial does: hyperparameters are its params, the curve its metrics by epoch,
what is optimised the metric "value". See https://mlflow.org/docs/latest/ml/tracking/.
"""

import re
import time
from collections.abc import Iterator
from typing import Any, Final

from hpo.errors import UsageError
from hpo.stored_study import StoredStudy
from hpo.text import value_text
from hpo.trial import State, Trial
from hpo.values import canonical, tag

VALUE: Final = "value"
_ENDS: Final = {State.DONE: "FINISHED", State.FAILED: "FAILED", State.PAUSED: "SCHEDULED"}
_METRICS_AT_ONCE: Final = 500  # in one message: MLflow takes 1000
_PARAMS_AT_ONCE: Final = 100  # as many as MLflow takes
_CHARACTERS: Final = 6000  # of a param


class MLflowCallback:
    """A callback that logs every trial to MLflow; see `hpo.callbacks`.

    A study that is resumed goes on with the runs that are there: nothing is logged twice.

    Args:
        tracking_uri: of the server or database; None: MLflow's own setting.
        experiment: its name, created where there is none; None: the study's name.

    Raises:
        UsageError: MLflow is not installed.
    """

    def __init__(self, tracking_uri: str | None = None, experiment: str | None = None) -> None:
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise UsageError("MLflow is not installed: pip install 'hpo-arena[mlflow]'") from None
        self._client = MlflowClient(tracking_uri=tracking_uri)
        self._experiment = experiment
        self._experiments: dict[str, str] = {}  # name to id
        self._runs: dict[tuple[str, int], tuple[str, int]] = {}  # study and trial to run and points of the curve there

    def on_trial_end(self, study: StoredStudy, trial: Trial) -> None:
        """Log what the trial has come to."""
        from mlflow.entities import Param, RunTag

        run, known = self._runs.get((study.name, trial.number)) or self._run(study, trial)
        metrics = list(_metrics(trial, known))
        params = [Param(_key(name), _param(value)) for name, value in trial.params.items()]
        tags = [RunTag("hpo.state", str(trial.state))] + ([RunTag("hpo.reason", trial.reason)] if trial.reason else [])
        for first in range(0, len(params), _PARAMS_AT_ONCE):
            self._client.log_batch(run, params=params[first : first + _PARAMS_AT_ONCE])
        for first in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(run, metrics[first : first + _METRICS_AT_ONCE])
        self._client.log_batch(run, tags=tags)
        self._client.set_terminated(run, _ENDS.get(trial.state, "KILLED"))
        self._runs[study.name, trial.number] = run, len(trial.points[0])

    def _run(self, study: StoredStudy, trial: Trial) -> tuple[str, int]:
        """The run of a trial, made where there is none, and how many points of the curve it has."""
        experiment = self._experiment_id(self._experiment or study.name)
        tags = {"hpo.study": study.name, "hpo.trial": str(trial.number), "hpo.seed": str(trial.seed)}
        for found in self._client.search_runs([experiment], f"tags.`hpo.trial` = '{trial.number}'"):
            if tags.items() <= found.data.tags.items():
                known = (len(self._client.get_metric_history(found.info.run_id, _key(name))) for name in trial.curve)
                return found.info.run_id, max(known, default=0)
        name = f"{study.name}-{trial.number}"
        return self._client.create_run(experiment, tags=tags, run_name=name).info.run_id, 0

    def _experiment_id(self, name: str) -> str:
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            self._experiments[name] = self._client.create_experiment(name) if found is None else found.experiment_id
        return self._experiments[name]


def _metrics(trial: Trial, known: int) -> Iterator[Any]:
    """The curve from point number `known` on, and the value."""
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    epochs, curve = trial.points
    for name, values in curve.items():
        for epoch, value in list(zip(epochs, values, strict=True))[known:]:
            yield Metric(_key(name), value, now, epoch)
    if trial.value is not None and VALUE not in curve:
        yield Metric(VALUE, trial.value, now, trial.epochs)


def _key(name: str) -> str:
    """A name with what MLflow does not take replaced."""
    return re.sub(r"[^\w\-. /:]", "_", name)


def _param(value: object) -> str:
    """A hyperparameter's value as text."""
    text = value_text(value) if isinstance(value, str) else canonical(tag(value))
    return text[:_CHARACTERS]
