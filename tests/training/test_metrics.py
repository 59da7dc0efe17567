"""Metrics against scikit-learn's."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn import metrics

from hpo import seeding
from hpo.training.metrics import METRICS, step_of

CLASSES = [name for name, metric in METRICS.items() if metric.task == "classification"]
NUMBERS = [name for name, metric in METRICS.items() if metric.task == "regression"]


def _auc(p: np.ndarray, y: np.ndarray) -> float:
    if p.shape[1] == 2:
        return metrics.roc_auc_score(y, p[:, 1])
    return metrics.roc_auc_score(y, p, multi_class="ovr", average="macro")


SKLEARNS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda p, y: metrics.accuracy_score(y, p.argmax(axis=1)),
    "balanced_accuracy": lambda p, y: metrics.balanced_accuracy_score(y, p.argmax(axis=1)),
    "f1_macro": lambda p, y: metrics.f1_score(y, p.argmax(axis=1), average="macro"),
    "roc_auc": _auc,
    "log_loss": lambda p, y: metrics.log_loss(y, p, labels=range(p.shape[1])),
    "rmse": lambda p, y: metrics.root_mean_squared_error(y, p),
    "mae": lambda p, y: metrics.mean_absolute_error(y, p),
    "r2": lambda p, y: metrics.r2_score(y, p),
}


def logits(*key: int | str, trials: int = 3, classes: int, rows: int) -> torch.Tensor:
    return torch.from_numpy(seeding.generator("metrics", *key).normal(size=(trials, classes, rows)))


def labels(*key: int | str, classes: int, rows: int, skewed: bool = False) -> torch.Tensor:
    """(1, 1, rows), each class at least once; `skewed`: the first one in nine rows of ten."""
    share = np.full(classes, 0.1 / (classes - 1) if skewed else 1 / classes)
    share[0] = 1 - share[1:].sum()
    drawn = seeding.generator("labels", *key).choice(classes, size=rows, p=share)
    drawn[:classes] = range(classes)
    return torch.from_numpy(drawn)[None, None]


def wanted(name: str, outputs: torch.Tensor, y: torch.Tensor) -> list[float]:
    y = y.expand(len(outputs), -1, -1)
    if METRICS[name].task == "regression":
        return [SKLEARNS[name](z[0].numpy(), own[0].numpy()) for z, own in zip(outputs, y, strict=True)]
    return [SKLEARNS[name](z.softmax(0).T.numpy(), own[0].numpy()) for z, own in zip(outputs, y, strict=True)]


def check(name: str, outputs: torch.Tensor, y: torch.Tensor) -> None:
    found = METRICS[name].of(outputs, y)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(wanted(name, outputs, y), rel=0, abs=1e-12)


def test_names_and_directions() -> None:
    directions = {name: metric.direction for name, metric in METRICS.items()}
    minimized = {"log_loss", "rmse", "mae"}
    assert directions == {name: "minimize" if name in minimized else "maximize" for name in SKLEARNS}


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("name", CLASSES)
def test_metrics_of_classes_are_scikit_learns(name: str, classes: int, skewed: bool) -> None:
    y = labels(classes, classes=classes, rows=301, skewed=skewed)
    check(name, logits(classes, classes=classes, rows=301), y)


@pytest.mark.parametrize("name", CLASSES)
def test_each_trial_may_have_targets_of_its_own(name: str) -> None:
    y = torch.cat([labels(k, classes=3, rows=120) for k in range(3)])
    check(name, logits("own", classes=3, rows=120), y)


@pytest.mark.parametrize("classes", [2, 4])
def test_tied_scores_count_half(classes: int) -> None:
    few = logits("tied", classes=classes, rows=5)
    outputs, y = few.repeat(1, 1, 40), labels("tied", classes=classes, rows=200)
    check("roc_auc", outputs, y)
    assert METRICS["roc_auc"].of(torch.zeros(2, classes, 200), y).tolist() == [0.5, 0.5]


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1_macro", "log_loss"])
def test_a_class_without_rows_counts_as_scikit_learn_counts_it(name: str) -> None:
    y = labels("absent", classes=3, rows=90) * 2  # of 0 to 5 only 0, 2 and 4
    check(name, logits("absent", classes=6, rows=90), y)
    outputs = logits("unseen", classes=6, rows=90)
    outputs[:, 5] = -100  # and a class that nobody predicts either
    check(name, outputs, y)


def test_roc_auc_leaves_out_classes_without_rows() -> None:
    outputs, y = logits("absent", classes=3, rows=60), labels("absent", classes=2, rows=60)
    p = outputs.softmax(dim=1).numpy()
    areas = [[metrics.roc_auc_score(y[0, 0] == c, p[k, c]) for c in (0, 1)] for k in range(3)]
    assert METRICS["roc_auc"].of(outputs, y).tolist() == pytest.approx(np.mean(areas, axis=1).tolist(), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_roc_auc_of_a_single_class_is_nan(classes: int) -> None:
    found = METRICS["roc_auc"].of(logits(classes=classes, rows=9), torch.ones(1, 1, 9, dtype=torch.int64))
    assert found.isnan().all()


def test_roc_auc_of_two_classes_knows_rows_apart_whose_probability_is_1() -> None:
    outputs = torch.tensor([[[0.0, 0.0, 0.0], [100.0, 200.0, 300.0]]])
    assert METRICS["roc_auc"].of(outputs, torch.tensor([[[0, 1, 1]]])).tolist() == [1.0]


@pytest.mark.parametrize("name", NUMBERS)
def test_metrics_of_numbers_are_scikit_learns(name: str) -> None:
    check(name, logits("numbers", classes=1, rows=150), logits("targets", trials=1, classes=1, rows=150))
    check(name, logits("numbers", classes=1, rows=150), logits("targets", trials=3, classes=1, rows=150))


def test_r2_of_constant_targets_is_scikit_learns() -> None:
    outputs = torch.full((2, 1, 8), 0.5, dtype=torch.float64)
    outputs[1, 0, 3] = 0.75
    check("r2", outputs, torch.full((1, 1, 8), 0.5, dtype=torch.float64))


@pytest.mark.parametrize("name", NUMBERS)
def test_errors_are_in_the_units_of_the_targets(name: str) -> None:
    outputs, y = logits("numbers", classes=1, rows=50), logits("targets", trials=1, classes=1, rows=50)
    unscaled = wanted(name, outputs * 40 + 7, y * 40 + 7)
    assert METRICS[name].of(outputs, y, scale=40.0).tolist() == pytest.approx(unscaled, rel=1e-12)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", METRICS)
def test_an_output_that_is_not_finite_gives_nan_for_its_trial_alone(name: str, bad: float) -> None:
    of_classes = METRICS[name].task == "classification"
    outputs = logits("bad", classes=3 if of_classes else 1, rows=40).float()
    y = labels("bad", classes=3, rows=40) if of_classes else outputs[:1].flip(2)
    broken = outputs.clone()
    broken[1, 0, 3] = bad
    found, before = METRICS[name].of(broken, y), METRICS[name].of(outputs, y)
    assert found.isnan().tolist() == [False, True, False]
    assert torch.equal(found[[0, 2]], before[[0, 2]])


def test_outputs_whose_sum_is_beyond_float32_are_finite_all_the_same() -> None:
    outputs = torch.full((1, 2, 4), 3e38)
    assert METRICS["accuracy"].of(outputs, torch.zeros(1, 1, 4, dtype=torch.int64)).tolist() == [1.0]


def test_a_step_has_the_metric_by_its_name() -> None:
    step = step_of(3, 0.5, 0.25, "f1_macro", 0.75)
    assert (step.epoch, step.value) == (3, 0.75)
    assert step.metrics == {"train_loss": 0.5, "validation_loss": 0.25, "f1_macro": 0.75}


@pytest.mark.parametrize("losses", [(math.nan, 1.0), (1.0, math.inf)])
def test_a_step_with_a_loss_that_is_not_finite_has_value_nan(losses: tuple[float, float]) -> None:
    assert math.isnan(step_of(1, *losses, "accuracy", 0.5).value)
