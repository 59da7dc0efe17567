"""What the engine cannot train in company trains alone."""

import math
import warnings

import pytest
import torch
from population_trials import CPU, job, member, results, small

from hpo.training.metrics import METRICS
from hpo.training.optimizers import OPTIMIZERS, Optimizer
from hpo.training.population.retrain import retrain
from hpo.training.solo import train_and_evaluate
from hpo.trial import State

JOBS = [job(number) for number in range(6)]


def test_what_cannot_be_fused_trains_alone_with_one_warning(make, monkeypatch):
    reference = OPTIMIZERS["rmsprop"]
    monkeypatch.setitem(OPTIMIZERS, "rmsprop", Optimizer(reference.solo, reference.columns, None))
    jobs = [job(50 + i, params={"optimizer": "rmsprop", "width": 10 + i, "learning_rate": 0.001}) for i in range(3)]
    executor = make()
    jobs += [each for each in JOBS if each.params["optimizer"] != "rmsprop"]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = results(executor, jobs)
    assert [str(warning.message) for warning in told] == [
        "optimizer 'rmsprop' cannot be trained together with other trials: trials with it train one after another, "
        "on the CPU, which is slower"
    ]
    for number in (50, 51, 52):
        state, value, epochs, charged, curve, _ = found.pop(number)
        assert (state, epochs, charged, len(curve["accuracy"])) == (State.DONE, 3, 3, 3)
        assert math.isfinite(value)
    others = [each for each in JOBS if each.params["optimizer"] != "rmsprop"]
    assert found == results(make(), others)


def test_what_trains_alone_pauses_and_goes_on(make, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "sgd", Optimizer(OPTIMIZERS["momentum"].solo, OPTIMIZERS["sgd"].columns, None))
    params = {"optimizer": "sgd", "width": 10}
    parts, whole = make(), make()
    with pytest.warns(UserWarning, match="optimizer 'sgd'"):
        first = results(parts, [job(0, 2, params=params)])[0]
    second = results(parts, [job(0, 9, 2, params=params)])[0]  # it has been told
    with pytest.warns(UserWarning, match="optimizer 'sgd'"):
        through = results(whole, [job(0, 9, params=params)])[0]
    assert first[4]["train_loss"] + second[4]["train_loss"] == through[4]["train_loss"]


def test_cancelling_what_trains_alone_leaves_nothing_to_wait_for(make, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "sgd", Optimizer(OPTIMIZERS["sgd"].solo, OPTIMIZERS["sgd"].columns, None))
    executor, each = make(), job(0, params={"optimizer": "sgd"})
    with pytest.warns(UserWarning, match="optimizer 'sgd'"):
        executor.submit([each])
    executor.wait(0.0)
    executor.cancel([each])
    assert not executor._solo.busy
    assert executor.wait(30.0) == []  # at once


def test_the_winner_that_trained_alone_is_tested_alone(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "sgd", Optimizer(OPTIMIZERS["sgd"].solo, OPTIMIZERS["sgd"].columns, None))
    params = {"optimizer": "sgd", "width": 8, "early_stopping": True, "normalization": "batch"}
    model, steps = train_and_evaluate(params, small(97), 3, 4)
    again = member(params, 3, small(97), epochs=4)
    assert retrain(again, 4, METRICS["accuracy"], CPU) == steps
    assert again.history.best_epoch < again.epoch == 4
    found, wanted = again.model().state_dict(), model.state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
