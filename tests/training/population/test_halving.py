"""A trial that is paused and promoted is the trial trained through: schedules, early stopping, running statistics."""

import time

import pytest
from population_trials import EPOCHS, Small, drain, job, results, small

from hpo.training.hyperparameters import KNOWN, complete
from hpo.training.population.parallel import ParallelExecutor
from hpo.training.solo import SoloRun
from hpo.trial import Outcome, State

BASE = {"width": 20, "batch_size": 20, "normalization": "batch", "step_size": 1, "learning_rate": 0.05, "eps": 1e-4}
SCHEDULED = [{**BASE, "schedule": name, "dropout": 0.2} for name in KNOWN["schedule"].options]
STOPPING = [
    {**BASE, "schedule": name, "early_stopping": True, "patience": patience, "learning_rate": rate}
    for name, patience, rate in [("plateau", 1, 0.3), ("plateau", 2, 0.1), ("cosine", 1, 0.05), ("constant", 4, 0.3)]
]
TRIALS = SCHEDULED + STOPPING
STOPS = {"optimizer": "sgd", "learning_rate": 3.0, "early_stopping": True, "patience": 1}  # after four epochs


def outcomes(executor, jobs):
    """Of a round, by number."""
    events = executor.submit(jobs) or drain(executor, len(jobs))
    return {event.number: event for _, event in events if isinstance(event, Outcome)}


def rounds(executor, trials, targets):
    """Every trial through all targets: its outcomes."""
    found, start = {number: [] for number in range(len(trials))}, 0
    for target in targets:
        jobs = [job(number, target, start, params=params) for number, params in enumerate(trials)]
        for number, outcome in outcomes(executor, jobs).items():
            found[number].append(outcome)
        start = target
    return found


def joined(parts):
    """The curve of a trial's outcomes together, what it was charged, its value at the end."""
    curve = {name: [] for name in parts[0].curve}
    for part in parts:
        for name, values in part.curve.items():
            curve[name] += values
    return curve, sum(part.charged for part in parts), parts[-1].value, parts[-1].epochs


@pytest.fixture(scope="module")
def through():
    """Every trial trained at once by itself in plain torch: how many epochs, and what they came to."""
    return [
        list(SoloRun(complete(params), small(97), 1000 + number, EPOCHS).advance(EPOCHS))
        for number, params in enumerate(TRIALS)
    ]


@pytest.mark.parametrize("paused_bytes", [None, 1])
def test_promoted_trials_equal_those_trained_through(make, paused_bytes, through):
    whole = rounds(make(), TRIALS, (EPOCHS,))
    parts = rounds(make(paused_bytes=paused_bytes), TRIALS, (1, 3, EPOCHS))
    for number, steps in enumerate(through):
        assert joined(parts[number]) == joined(whole[number]), TRIALS[number]
        curve, charged, value, epochs = joined(whole[number])
        assert (charged, epochs) == (len(steps), EPOCHS)
        assert value == pytest.approx(steps[-1].value, abs=0.01)
        assert curve["validation_loss"] == pytest.approx([step.metrics["validation_loss"] for step in steps], rel=1e-3)


def test_some_of_them_stop_in_the_first_rung_some_later_and_some_never(through):
    stopped = [len(steps) for steps in through[len(SCHEDULED) :]]
    assert min(stopped) <= 3
    assert any(3 < count < EPOCHS for count in stopped)
    assert all(len(steps) == EPOCHS for steps in through[: len(SCHEDULED)])


def test_the_value_of_early_stopping_is_that_of_the_epoch_with_the_lowest_loss(make):
    for parts in rounds(make(), STOPPING, (1, 3, EPOCHS)).values():
        curve, *_ = joined(parts)
        best = min(range(len(curve["accuracy"])), key=curve["validation_loss"].__getitem__)
        assert parts[-1].value == curve["accuracy"][best]


@pytest.mark.parametrize("paused_bytes", [None, 1])
def test_a_trial_that_has_stopped_costs_nothing_more_and_keeps_its_value(make, paused_bytes):
    executor, early = make(paused_bytes=paused_bytes), {**BASE, **STOPS}
    first, second, third = rounds(executor, [early], (6, 7, EPOCHS))[0]
    assert first.charged < 6
    assert (first.state, first.epochs) == (State.DONE, 6)
    for target, again in ((7, second), (EPOCHS, third)):
        assert (again.state, again.value, again.epochs, again.charged) == (State.DONE, first.value, target, 0)
        assert again.curve == {}
    assert len(executor._paused) == 0
    assert not executor.busy


def test_a_stopped_trial_whose_state_was_lost_is_trained_again_uncharged(make):
    executor, early = make(), {**BASE, **STOPS}
    first = outcomes(executor, [job(0, 6, params=early)])[0]
    again = outcomes(make(), [job(0, EPOCHS, 6, params=early)])[0]
    assert (again.state, again.value, again.epochs, again.charged) == (State.DONE, first.value, EPOCHS, 0)


def test_stopped_trials_end_and_the_others_go_on(make):
    alone = {}
    for number, params in enumerate(STOPPING):
        alone |= results(make(threads=1), [job(number, EPOCHS, params=params)])
    together = [job(number, EPOCHS, params=params) for number, params in enumerate(STOPPING)]
    assert results(make(threads=2), together) == alone


@pytest.mark.ci
def test_helpers_promote_and_stop_as_one_process_does(make):
    whole = rounds(make(), TRIALS, (EPOCHS,))
    executor = ParallelExecutor(Small(), threads=2, start_seconds=0.0)
    try:
        shapes = [{"batch_size": 1, "width": 33 + 32 * i} for i in range(6)]
        endless = [job(50 + i, 10**6, epochs=10**6, params=params) for i, params in enumerate(shapes)]
        executor.submit(endless)
        deadline = time.monotonic() + 60
        while not any(helper.ready for helper in executor._helpers):
            assert time.monotonic() < deadline
            executor.wait(0.05)
        executor.cancel(endless)
        parts = rounds(executor, TRIALS, (1, 3, EPOCHS))
    finally:
        executor.close()
    for number in range(len(TRIALS)):
        assert joined(parts[number]) == joined(whole[number])
