"""Schedules against torch.optim.lr_scheduler, and early stopping."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as torchs

from hpo.training.hyperparameters import KNOWN, complete
from hpo.training.schedules import History, rate_factor

EPOCHS = 30
RATE = 0.3


def _warmup_cosine(optimizer: torch.optim.Optimizer, rise: int) -> torchs.LRScheduler:
    linear = torchs.LinearLR(optimizer, start_factor=1 / (rise + 1), end_factor=1.0, total_iters=rise)
    cosine = torchs.CosineAnnealingLR(optimizer, T_max=EPOCHS - rise)
    return torchs.SequentialLR(optimizer, [linear, cosine], milestones=[rise])


SCHEDULES: list[tuple[dict[str, Any], Callable[[torch.optim.Optimizer], torchs.LRScheduler]]] = [
    ({"schedule": "constant"}, lambda optimizer: torchs.ConstantLR(optimizer, factor=1.0)),
    ({"schedule": "step", "step_size": 4, "gamma": 0.3}, lambda optimizer: torchs.StepLR(optimizer, 4, 0.3)),
    ({"schedule": "step", "step_size": 1, "gamma": 1.0}, lambda optimizer: torchs.StepLR(optimizer, 1, 1.0)),
    ({"schedule": "exponential", "gamma": 0.9}, lambda optimizer: torchs.ExponentialLR(optimizer, 0.9)),
    ({"schedule": "cosine"}, lambda optimizer: torchs.CosineAnnealingLR(optimizer, T_max=EPOCHS)),
    ({"schedule": "warmup_cosine", "warmup_epochs": 7}, lambda optimizer: _warmup_cosine(optimizer, 7)),
    ({"schedule": "warmup_cosine", "warmup_epochs": 1}, lambda optimizer: _warmup_cosine(optimizer, 1)),
    (
        {"schedule": "warmup_cosine", "warmup_epochs": 0},
        lambda optimizer: torchs.CosineAnnealingLR(optimizer, T_max=EPOCHS),
    ),
]


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)


def test_every_schedule_has_its_rate() -> None:
    for name in KNOWN["schedule"].options:
        assert History().rate(complete({"schedule": name, "warmup_epochs": 0}), 0, EPOCHS) == complete({}).learning_rate


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize(("params", "make"), SCHEDULES, ids=[f"{each[0]}" for each in SCHEDULES])
def test_rates_are_torchs_epoch_by_epoch(
    params: dict[str, Any], make: Callable[[torch.optim.Optimizer], torchs.LRScheduler]
) -> None:
    settings, optimizer = complete({"learning_rate": RATE, **params}), sgd()
    scheduler = make(optimizer)
    for epoch in range(EPOCHS):
        (wanted,) = scheduler.get_last_lr()
        assert RATE * rate_factor(settings, epoch, EPOCHS) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        assert History().rate(settings, epoch, EPOCHS) == RATE * rate_factor(settings, epoch, EPOCHS)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("rise", [5, 6, 100])
def test_a_warmup_as_long_as_training_rises_to_the_end(rise: int) -> None:
    settings = complete({"schedule": "warmup_cosine", "warmup_epochs": rise})
    factors = [rate_factor(settings, epoch, 5) for epoch in range(5)]
    assert factors == [(epoch + 1) / (rise + 1) for epoch in range(5)]


def test_after_its_warmup_warmup_cosine_has_the_whole_rate() -> None:
    settings = complete({"schedule": "warmup_cosine", "warmup_epochs": 4})
    assert rate_factor(settings, 4, 5) == 1.0


LOSSES = {
    "falling": [1 / (epoch + 1) for epoch in range(EPOCHS)],
    "rising": [1.0 + epoch for epoch in range(EPOCHS)],
    "a dip": [1.0, 0.9, 0.5, *[0.6] * (EPOCHS - 3)],
    "hardly falling": [1 - 5e-5 * epoch for epoch in range(EPOCHS)],
    "wild": [abs(math.sin(7 * epoch)) for epoch in range(EPOCHS)],
    "nan": [1.0, math.nan, 0.5, *[math.nan] * (EPOCHS - 3)],
    "zero": [0.0] * EPOCHS,
}


@pytest.mark.parametrize("step_size", [1, 3])
@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_plateau_falls_when_torchs_does(losses: list[float], step_size: int) -> None:
    settings = complete({"learning_rate": RATE, "schedule": "plateau", "step_size": step_size, "gamma": 0.4})
    history, optimizer = History(), sgd()
    scheduler = torchs.ReduceLROnPlateau(optimizer, mode="min", factor=0.4, patience=step_size, eps=0)
    for epoch, loss in enumerate(losses):
        assert history.rate(settings, epoch, EPOCHS) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        history.observe(settings, epoch + 1, loss)
        scheduler.step(loss)


def stopped_after(losses: list[float], patience: int, early_stopping: bool = True) -> int | None:
    settings, history = complete({"early_stopping": early_stopping, "patience": patience}), History()
    for epoch, loss in enumerate(losses, start=1):
        history.observe(settings, epoch, loss)
        if history.stopped:
            return epoch
    return None


def test_early_stopping_comes_after_so_many_epochs_without_a_lower_loss() -> None:
    losses = [1.0, 0.9, 0.9, 0.95, 0.8, 0.8, 0.81, 0.8, 0.7]
    assert [stopped_after(losses, patience) for patience in (1, 2, 3, 4)] == [3, 4, 8, None]
    assert stopped_after(losses, 1, early_stopping=False) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_no_progress(bad: float) -> None:
    assert stopped_after([bad] * 9, 3) == 3
    assert stopped_after([1.0, bad, bad, 0.5, bad, bad, bad], 3) == 7


def test_the_best_epoch_is_the_first_with_the_lowest_loss() -> None:
    settings, history = complete({}), History()
    best = [history.observe(settings, epoch, loss) for epoch, loss in enumerate([3.0, 1.0, math.nan, 1.0, 2.0], 1)]
    assert best == [True, True, False, False, False]
    assert (history.best_epoch, history.best_loss) == (2, 1.0)


def test_a_history_goes_on_after_it_was_stored() -> None:
    settings = complete({"schedule": "plateau", "step_size": 2, "early_stopping": True, "patience": 7})
    through, stored = History(), History()
    for epoch, loss in enumerate(LOSSES["wild"], start=1):
        stored = History(**asdict(stored))
        assert through.observe(settings, epoch, loss) == stored.observe(settings, epoch, loss)
        assert through == stored
        assert {type(value) for value in asdict(stored).values()} == {float, int, bool}
    assert stored.stopped
