"""A model that was taken home: it predicts the rows of other tables, and further training may start from it."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hpo.errors import HpoError, UsageError
from hpo.torch_mode import own_mode
from hpo.training import model_file, warm_start
from hpo.training.data import Dataset
from hpo.training.final import outputs_of
from hpo.training.hyperparameters import Settings
from hpo.training.model import SimpleNN
from hpo.training.preparation import Transform
from hpo.training.schema import Schema, listed


@dataclass(frozen=True, eq=False)
class SavedModel:
    """A trained network with its preparation; get one from `load_model`.

    Attributes:
        path: the file, absolute.
        digest: of its content, 32 hexadecimal digits.
        params: the configuration as it was searched.
        settings: all hyperparameters.
        weights: the network's `state_dict`.
        transform: the fitted preparation of inputs.
        schema: how the columns of a table become inputs.
        classes_: names of the classes, in the order of `predict_proba`'s columns; empty for a regression.
        task: "classification" or "regression".
        target: name of what is predicted.
        target_mean: of a regression: a prediction is the network's output * target_scale + target_mean.
        target_scale: > 0.
        metric: what was optimised.
        epochs: trained.
        seed: of the training.
        study: name of the study that it comes from.
        scores: what this very model scored: "validation", the metric; "test", metric and loss by name; "low" and
            "high", the 95 % interval of the metric on test data. None: trained on all rows, no score belongs to it.
        version: of the hpo that wrote it.
    """

    path: Path
    digest: str
    params: Mapping[str, Any]
    settings: Settings
    weights: Mapping[str, Tensor]
    transform: Transform
    schema: Schema
    classes_: tuple[str, ...]
    task: str
    target: str
    target_mean: float
    target_scale: float
    metric: str
    epochs: int
    seed: int
    study: str
    scores: Mapping[str, Any] | None
    version: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return model_file.shown(self.path)

    @functools.cached_property
    def architecture(self) -> dict[str, Any]:
        """The hyperparameters that a trial which starts from it must have."""
        return warm_start.architecture(self.settings)

    @functools.cached_property
    def network(self) -> SimpleNN:
        """The network, for evaluation; do not train it."""
        with own_mode():
            network = SimpleNN(self.transform.n_outputs, len(self.classes_) or 1, self.settings, seed=0)
            places = network.state_dict()
            for name in sorted(places.keys() | self.weights.keys(), key=str):
                found, expected = (each[name].shape if name in each else None for each in (self.weights, places))
                if found != expected:
                    raise ValueError(f"weights {name!r}: found {_size(found)}, expected {_size(expected)}")
                places[name].copy_(self.weights[name])
            return network.eval()

    def predict(self, X: Any) -> np.ndarray:
        """Predictions for the rows of a table.

        Args:
            X: a DataFrame with the columns of the data that the model was trained on, found by name, others ignored;
                or an array (n, columns) in their order. Missing values are filled in as in training.

        Returns:
            Names of classes, (n,) texts; of a regression numbers in the target's own unit, (n,) float64.

        Raises:
            DataError: a column is missing, or not of numbers where they are expected.
            UsageError: not a table, or an array with another number of columns.
        """
        return self.predictions(self.outputs(self._encoded(X)))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, (n, C) float64, for the rows of a table; see `predict`.

        Raises:
            UsageError: the model is of a regression.
        """
        if not self.classes_:
            raise UsageError(f"{self.name} is of a regression: it has no classes; predict() gives numbers")
        return self.probabilities(self.outputs(self._encoded(X)))

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """What the network gives for encoded rows: (n, d) as `schema.encode` makes them -> (n, C) float32."""
        return outputs_of(self.network, torch.from_numpy(self.transform.apply(x))).numpy()

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """Names of classes, or numbers in the target's own unit: (n, C) -> (n,)."""
        if self.classes_:
            names: np.ndarray = np.array(self.classes_, dtype=object)
            return np.asarray(names[outputs.argmax(axis=1)])
        return np.asarray(outputs[:, 0].astype(np.float64) * self.target_scale + self.target_mean)

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Softmax: (n, C) -> (n, C) float64."""
        shares: np.ndarray = np.exp(outputs.astype(np.float64) - outputs.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def network_for(self, settings: Settings, dataset: Dataset, rows: int | str = "holdout") -> SimpleNN:
        """The network, for a trial that starts from its weights.

        Args:
            settings: of the trial.
            dataset: that it trains on; its inputs are prepared as fitted to its own rows.
            rows: of the data set, see `Dataset.rows`.

        Raises:
            SpaceError: a hyperparameter makes another network or other inputs.
            UsageError: data with other inputs, classes or task.
        """
        warm_start.check_settings(settings, self)
        warm_start.check_data(dataset, self)
        found, expected = dataset.transform(settings.preparation, rows).n_outputs, self.transform.n_outputs
        if found != expected:
            raise UsageError(
                f"trials cannot start from {self.name}: the data as prepared have {found} inputs, expected {expected}; "
                "each column with gaps in the training rows has an input that marks them, and components of no "
                "variance are left out"
            )
        return self.network

    def _encoded(self, table: Any) -> np.ndarray:
        x, unknown = self.schema.encode(table)
        if unknown:
            warnings.warn(unknown_levels(unknown), stacklevel=3)
        return x

    def __getstate__(self) -> dict[str, Any]:
        kept = dict(self.__dict__)
        kept.pop("network", None)  # torch pickles no network with weight normalization
        return kept


def _size(shape: torch.Size | None) -> str:
    return "none" if shape is None else f"size {tuple(shape)}"


def unknown_levels(unknown: Mapping[str, int]) -> str:
    """What users should know about texts that training never saw; see `Schema.encode`."""
    counts = [f"{name!r} ({count} rows)" for name, count in unknown.items()]
    return f"texts that the model was not trained on are read as none: {listed(counts, quote=False)}"


def load_model(path: str | os.PathLike[str]) -> SavedModel:
    """A model that `Study.save` or `hpo best --save` wrote; nothing in the file is executed.

    Raises:
        NotFoundError: no such file.
        NoPermissionError: it may not be read.
        DataError: not a model that hpo saved, damaged, or of a newer format; it names the file.
    """
    path = Path(path).absolute()
    content = model_file.read(path)
    state = model_file.unpack(content, path)
    try:
        model_file.check_digest(state)
        model_file.check_task(state)
        schema = Schema.from_json(json.loads(state["schema"]))
        same = {each.name: state[each.name] for each in fields(SavedModel) if each.name in state}
        made = {
            "path": path,
            "digest": hashlib.blake2b(content, digest_size=16).hexdigest(),
            "settings": model_file.settings_of(state),
            "weights": state["state_dict"],
            "transform": model_file.transform_of(state, schema),
            "schema": schema,
            "classes_": tuple(state["classes"]),
            "version": state["hpo"],
        }
        model = SavedModel(**(same | made))
        _ = model.network  # built now: weights that do not fit are an error of the file
    except (ValueError, TypeError, KeyError, RuntimeError, HpoError) as error:
        raise model_file.refused(path, error) from None
    return model
