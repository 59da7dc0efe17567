"""Jobs in this process: pausing, going on, lost runs and what they are charged."""

import pytest

from hpo import Float, FunctionObjective, search
from hpo.errors import Interrupt
from hpo.executors import in_process
from hpo.executors.in_process import InProcessExecutor
from hpo.objective import Objective, Run, Step
from hpo.trial import Job, Outcome, Progress, State

SPACE = {"x": Float(0, 1)}


class Trainer:
    """An objective that keeps count: epochs trained, by configuration, and where every generator began."""

    def __init__(self):
        self.trained = {}
        self.begun = {}

    def __call__(self, p):
        self.begun[p["x"]] = self.begun.get(p["x"], 0) + 1
        epoch = 0
        while True:
            epoch += 1
            self.trained.setdefault(p["x"], []).append(epoch)
            yield p["x"] + 1 / epoch


def job(number=0, start=0, target=1, epochs=4, evaluation=None):
    evaluation = number if evaluation is None else evaluation
    return Job(1, evaluation, number, {"x": float(number)}, number, start, target, epochs)


def drain(executor):
    events = []
    while found := executor.wait(0.1):
        events += found
    return [event for _, event in events]


def outcomes(executor):
    return [event for event in drain(executor) if isinstance(event, Outcome)]


@pytest.fixture
def halving(tmp_path):
    """A function that runs successive halving, 9 trials at 1, 3 and 9 epochs."""

    def run(objective, trials=3, **more):
        arguments = {"direction": "minimize", "epochs": 9, "progress": False, "store": tmp_path / "hpo.db"}
        return search(objective, SPACE, "halving", trials, **(arguments | more))

    return run


def test_survivors_of_halving_train_on_and_never_from_zero(halving):
    trainer = Trainer()
    study = halving(trainer, batch=9)
    assert [trial.epochs for trial in study.trials if trial.epochs > 1] != []
    for trial in study.trials:
        assert trainer.trained[trial.params["x"]] == list(range(1, trial.epochs + 1))  # each epoch once, in order
        assert len(trial.curve["value"]) == trial.epochs
    assert set(trainer.begun.values()) == {1}
    assert sum(map(len, trainer.trained.values())) == study.epochs_spent == 27


def test_a_bracket_costs_what_continuing_costs(halving):
    trainer = Trainer()
    halving(trainer, trials=3)  # 9 x 1 + 3 x 2 + 1 x 6 epochs are a bracket
    first = list(trainer.trained.values())[:9]
    assert sorted(map(len, first)) == [1, 1, 1, 1, 1, 1, 3, 3, 9]


def test_a_plain_function_starts_anew_at_each_rung_and_is_charged_for_it(halving):
    trained = []

    def f(p, epochs):
        trained.append(epochs)
        return p["x"]

    study = halving(f, trials=6)
    assert {1, 3, 9} <= set(trained)
    assert sum(trained) == study.epochs_spent


def test_lost_runs_are_trained_again_uncharged(halving, monkeypatch):
    kept, lost = Trainer(), Trainer()
    expected = halving(kept, name="kept")
    monkeypatch.setattr(in_process, "MAX_PAUSED", 1)
    found = halving(lost, name="lost")
    assert found.epochs_spent == expected.epochs_spent == 27
    assert sum(map(len, lost.trained.values())) > 27  # more was trained than is charged
    assert [(t.params, t.value, t.epochs, t.curve) for t in found.trials] == [
        (t.params, t.value, t.epochs, t.curve) for t in expected.trials
    ]


def test_progress_is_told_after_every_new_epoch_only():
    executor = InProcessExecutor(FunctionObjective(Trainer()))
    executor.submit([job(target=4, start=2)])  # its run was lost: epochs 1 and 2 are trained again
    *progress, last = drain(executor)
    assert [event.epoch for event in progress] == [3]
    assert all(isinstance(event, Progress) for event in progress)
    assert (last.epochs, last.charged, len(last.curve["value"])) == (4, 2, 2)


def test_a_failure_is_charged_the_epoch_in_which_it_happened():
    def f(p):
        yield 1.0
        raise ValueError("second epoch")

    executor = InProcessExecutor(FunctionObjective(f))
    executor.submit([job(target=4)])
    [outcome] = outcomes(executor)
    assert (outcome.state, outcome.epochs, outcome.charged) == (State.FAILED, 1, 2)


def test_an_early_end_stays_the_end_after_a_promotion():
    def f(p):
        yield 1.0

    executor = InProcessExecutor(FunctionObjective(f))
    executor.submit([job(target=2)])
    executor.submit([job(target=4, start=2, evaluation=1)])
    first, second = outcomes(executor)
    assert (first.epochs, first.charged, first.value) == (2, 1, 1.0)
    assert (second.epochs, second.charged, second.value) == (4, 0, 1.0)


def test_cancelled_jobs_give_no_event_and_are_closed():
    closed = []

    def f(p):
        try:
            while True:
                yield 1.0
        finally:
            closed.append(p["x"])

    executor = InProcessExecutor(FunctionObjective(f))
    jobs = [job(0, target=10**9, epochs=10**9), job(1, target=2)]
    executor.submit(jobs)
    executor.wait(0)
    executor.cancel(jobs)
    assert drain(executor) == []
    assert closed == [0.0]


def test_paused_runs_are_closed_with_the_executor():
    closed = []

    def f(p):
        try:
            while True:
                yield 1.0
        finally:
            closed.append(p["x"])

    executor = InProcessExecutor(FunctionObjective(f))
    executor.submit([job(0, target=2), job(1, target=4)])
    drain(executor)
    assert closed == [1.0]  # at its greatest epoch
    executor.close()
    assert closed == [1.0, 0.0]


def stubborn(p):
    try:
        while True:
            yield 1.0
    except GeneratorExit:
        yield 2.0


def failing(p):
    try:
        while True:
            yield 1.0
    finally:
        raise SystemExit("in finally")


@pytest.mark.parametrize("function", [stubborn, failing])
def test_what_closing_raises_harms_no_trial_but_is_told(function):
    executor = InProcessExecutor(FunctionObjective(function))
    executor.submit([job(0, target=4), job(1, target=4), job(2, target=2)])
    with pytest.warns(UserWarning, match=r"closing trial \d raised (SystemExit|RuntimeError)"):
        found, _ = outcomes(executor), executor.close()
    assert [(outcome.state, outcome.value) for outcome in found] == [(State.DONE, 1.0)] * 3


def test_an_interrupt_ends_the_run_and_not_the_trial():
    def f(p):
        raise Interrupt(143)

    executor = InProcessExecutor(FunctionObjective(f))
    executor.submit([job()])
    with pytest.raises(Interrupt):
        executor.wait(1.0)


class Fragile(Objective):
    """Fails before the first epoch of every second trial."""

    name = "fragile"
    direction = "maximize"

    def describe(self):
        return {"name": self.name}

    def start(self, job):
        if job.number % 2:
            raise ValueError("no start")
        return One()


class One(Run):
    def advance(self, target):
        yield Step(target, 1.0, {})


def test_an_objective_that_cannot_start_a_trial_fails_it():
    executor = InProcessExecutor(Fragile())
    executor.submit([job(number, epochs=1) for number in range(4)])
    found = outcomes(executor)
    assert [outcome.state for outcome in found] == [State.DONE, State.FAILED] * 2
    assert "ValueError: no start" in found[1].error


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [(UnspeakableError(), "UnspeakableError"), (StopIteration(), "in fail\n    raise error\nStopIteration")],
    ids=["without words", "StopIteration"],
)
def test_any_exception_fails_its_trial_with_its_traceback(error, told):
    def fail(p):
        raise error

    executor = InProcessExecutor(FunctionObjective(fail, direction="minimize"))
    executor.submit([job(epochs=1)])
    [outcome] = outcomes(executor)
    assert (outcome.state, outcome.reason) == (State.FAILED, "exception")
    assert told in outcome.error
