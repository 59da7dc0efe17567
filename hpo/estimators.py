"""The shared objective's network as scikit-learn estimators: `SimpleNNClassifier` and `SimpleNNRegressor`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from hpo.errors import NoFitError, UsageError
from hpo.plan import MAX_EPOCHS
from hpo.resolve import whole
from hpo.torch_mode import own_mode
from hpo.training.data import Dataset
from hpo.training.hyperparameters import KNOWN, METRICS, Settings, complete
from hpo.training.metrics import METRICS as FUNCTIONS
from hpo.training.model import SimpleNN
from hpo.training.objective import check_device
from hpo.training.population.machine import choose_device
from hpo.training.population.member import member_of
from hpo.training.population.retrain import retrain
from hpo.training.schema import Schema
from hpo.training.splitting import Splitter
from hpo.values import brief, plain

_ROWS_AT_ONCE = 2**11  # of which the network keeps the activations


@dataclass(kw_only=True, eq=False, repr=False)
class _SimpleNN(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share. A dataclass, so that each parameter is written once; fields have KNOWN's order."""

    preprocessing: str = "standardize"
    clip_outliers: bool = False
    pca_components: int = 0
    augmentation: str = "none"
    noise_std: float = 0.1
    mixup_alpha: float = 0.2
    depth: int = 2
    width: int = 64
    activation: str = "relu"
    normalization: str = "none"
    residual: bool = False
    dropout: float = 0.0
    initialization: str = "he_uniform"
    init_scale: float = 0.05
    loss: str | None = None
    l1: float = 0.0
    l2: float = 0.0
    optimizer: str = "adam"
    learning_rate: float = 0.01
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    alpha: float = 0.99
    rho: float = 0.9
    eps: float = 1e-8
    weight_decay: float = 0.0
    schedule: str = "constant"
    step_size: int = 5
    gamma: float = 0.5
    warmup_epochs: int = 3
    clip_norm: float = 0.0
    clip_value: float = 0.0
    batch_size: int = 32
    early_stopping: bool = False
    patience: int = 5
    epochs: int = 30
    validation_fraction: float = 0.2
    random_state: Any = None
    device: str = "auto"

    @own_mode()
    def _train(self, x: np.ndarray, y: np.ndarray, classes: Sequence[str]) -> None:
        """Train on inputs (n, d), NaN where missing, and targets (n,): numbers of classes, or without these numbers."""
        settings, device = self._settings_of(bool(classes)), self._chosen_device()
        epochs = whole("epochs", self.epochs, 1, MAX_EPOCHS)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        train, validation = self._rows(y, classes, settings, seed)
        schema = Schema.of_numbers([f"x{i}" for i in range(x.shape[1])])
        dataset = Dataset(x, y, schema, tuple(classes), train, validation, np.arange(0))
        data = dataset.prepared(settings.preparation)
        member = member_of(settings, data, seed, epochs)
        metric = FUNCTIONS[next(iter(METRICS[data.task]))]
        steps = retrain(member, epochs, metric, device)
        if not math.isfinite(steps[-1].value):
            raise NoFitError(
                f"{type(self).__name__}: training diverged in epoch {steps[-1].epoch}, its loss or its outputs are not "
                "finite: lower learning_rate, set clip_norm, or scale the inputs by preprocessing"
            )
        self.model_ = member.model().double()
        self.transform_ = dataset.transform(settings.preparation)
        self.n_iter_ = len(steps)
        self.loss_curve_ = [step.metrics["train_loss"] for step in steps]
        self._settings, self._mean, self._scale = settings, data.target_mean, data.target_scale

    def _settings_of(self, is_classification: bool) -> Settings:
        params = {name: value for name, value in self.get_params(deep=False).items() if name in KNOWN}
        if params["loss"] is None:
            del params["loss"]
        return complete(params, "classification" if is_classification else "regression")

    def _chosen_device(self) -> torch.device:
        check_device(self.device)
        return choose_device(self.device)

    def _rows(
        self, y: np.ndarray, classes: Sequence[str], settings: Settings, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation rows; all of them for both without early stopping, as nothing is held back."""
        share = plain(self.validation_fraction)
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
            raise UsageError(f"validation_fraction is {brief(share)}, expected a number between 0 and 1")
        if not settings.early_stopping:
            everything = np.arange(len(y))
            return everything, everything
        held = max(1, round(share * len(y)))
        if held >= len(y):
            raise UsageError(
                f"early_stopping holds back {held} of {len(y)} rows, which leaves none to train on: lower "
                "validation_fraction, or fit to more rows"
            )
        splitter = Splitter("the training data", len(y), y if classes else None, tuple(classes), None)
        train, validation, _ = splitter.split((1 - share, share), seed, [])
        return train, validation

    def _accept(self, X: Any, **more: Any) -> Any:
        """What scikit-learn makes of inputs (n, d) and, if there are any, targets (n,)."""
        return validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan", **more)

    @own_mode()
    @torch.no_grad()
    def _outputs(self, X: Any) -> torch.Tensor:
        """Inputs (n, d) -> outputs (n, C) float64: so much more exact than training that no row's depend on others."""
        check_is_fitted(self)
        x = torch.from_numpy(self.transform_.apply(self._accept(X, reset=False)))
        return torch.cat([self.model_(block.double()) for block in torch.split(x, _ROWS_AT_ONCE)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """The network as arrays: torch does not pickle one with weight normalization."""
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = {name: tensor.numpy() for name, tensor in self.model_.state_dict().items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "model_" in state:
            arrays, n_inputs = state["model_"], self.transform_.n_outputs
            self.model_ = SimpleNN(n_inputs, len(arrays["output.bias"]), self._settings, 0, torch.float64).eval()
            for name, tensor in self.model_.state_dict().items():
                tensor.copy_(torch.tensor(arrays[name], device="cpu"))


@dataclass(kw_only=True, eq=False, repr=False)
class SimpleNNClassifier(ClassifierMixin, _SimpleNN):  # type: ignore[misc]
    """A small neural network that tells classes apart, as scikit-learn's estimators do.

        SimpleNNClassifier(width=128, dropout=0.2, epochs=50).fit(X, y).predict_proba(X_new)

    It is trained by the population engine: with the same hyperparameters, data and seed it is the network of a trial.

    Inputs are numbers, with NaN where missing: the median stands for these, and an indicator is appended. Class labels
    are numbers or text. Training runs in this process, on one thread of the CPU or on a GPU.

    Args:
        epochs: passes over the training rows, at most; schedules span them.
        validation_fraction: share of the rows that `early_stopping` holds back, in (0, 1), with the same shares of
            classes. Without early stopping all rows train, and schedule "plateau" follows their loss.
        random_state: seed, generator or None, as in scikit-learn; an int gives the same network every time.
        device: "auto", "cpu", "cuda" or "mps".
        others: every other parameter is the hyperparameter of that name in `hpo.training.hyperparameters.KNOWN`, which
            tells meaning, legal values and default; only that of `preprocessing` is "standardize" here.

    Attributes:
        classes_: the labels, sorted.
        model_: the network in float64 on the CPU, of prepared inputs to logits; with early stopping that of the best
            epoch.
        transform_: prepares inputs for it.
        n_iter_: epochs trained.
        loss_curve_: mean training loss of each epoch.
        n_features_in_: columns of the inputs.
        feature_names_in_: their names, if all are text.
    """

    class_weights: str = "none"
    label_smoothing: float = 0.0

    def fit(self, X: Any, y: Any) -> "SimpleNNClassifier":
        """Train on inputs (n, d) and labels (n,).

        Raises:
            SpaceError: a hyperparameter that is not legal.
            UsageError: another parameter that cannot be used.
            NoFitError: training diverges; also a ValueError.
            ValueError: data that scikit-learn refuses.
        """
        X, y = self._accept(X, y=y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self._train(X, codes.astype(np.int64), [str(label) for label in self.classes_])
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, by softmax: inputs (n, d) -> (n, C) float64, in the order of `classes_`."""
        return self._outputs(X).softmax(dim=1).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class: inputs (n, d) -> labels (n,)."""
        likeliest = self._outputs(X).argmax(dim=1).numpy()
        labels: np.ndarray = self.classes_[likeliest]
        return labels


@dataclass(kw_only=True, eq=False, repr=False)
class SimpleNNRegressor(RegressorMixin, _SimpleNN):  # type: ignore[misc]
    """A small neural network that predicts a number, as scikit-learn's estimators do.

    Targets are scaled to mean 0 and standard deviation 1 for training. Else it is like `SimpleNNClassifier`, which
    tells parameters and attributes, but without `class_weights`, `label_smoothing` and `classes_`.
    """

    def fit(self, X: Any, y: Any) -> "SimpleNNRegressor":
        """Train on inputs (n, d) and numbers (n,).

        Raises:
            SpaceError: a hyperparameter that is not legal.
            UsageError: another parameter that cannot be used.
            NoFitError: training diverges; also a ValueError.
            ValueError: data that scikit-learn refuses.
        """
        X, y = self._accept(X, y=y, y_numeric=True)
        self._train(X, y.astype(np.float64), [])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Inputs (n, d) -> numbers (n,) float64."""
        predicted: np.ndarray = self._outputs(X)[:, 0].numpy() * self._scale + self._mean
        return predicted
