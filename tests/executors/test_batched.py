"""A function of a list of configurations."""

import random

import numpy as np
import pytest
import torch

from hpo import Float, FunctionObjective, search
from hpo.errors import Interrupt
from hpo.executors.batched import BatchedExecutor
from hpo.trial import Job, State

SPACE = {"x": Float(0, 1)}


def run(function, tmp_path, trials=6, **more):
    arguments = {"direction": "minimize", "progress": False, "store": tmp_path / "hpo.db", "searcher": "random"}
    return search(FunctionObjective(function, batched=True), SPACE, trials=trials, **(arguments | more))


def jobs(count):
    return [Job(1, i, i, {"x": float(i)}, 100 + i, 0, 1, 1) for i in range(count)]


def outcomes(function, count=3):
    executor = BatchedExecutor(FunctionObjective(function, batched=True))
    executor.submit(jobs(count))
    return [event for _, event in executor.wait(0)]


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_a_round_is_one_call_and_values_go_by_place(tmp_path, kind):
    calls = []

    def f(many):
        calls.append(len(many))
        return kind([p["x"] for p in many])

    study = run(f, tmp_path, trials=6, batch=4)
    assert calls == [4, 2]
    for trial in study.trials:
        assert trial.value == pytest.approx(trial.params["x"], rel=1e-6)


def test_seeds_come_as_a_list():
    seen = []

    def f(many, seed):
        seen.extend(seed)
        return [0.0] * len(many)

    outcomes(f)
    assert seen == [100, 101, 102]


def test_global_generators_are_seeded_by_the_round_and_the_callers_kept():
    def f(many):
        return [random.random() + np.random.rand() + float(torch.rand(())) for _ in many]  # noqa: NPY002

    before = random.getstate()
    first, second = ([o.value for o in outcomes(f)] for _ in range(2))
    assert first == second
    assert len(set(first)) == 3
    assert random.getstate() == before


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        (None, "returned NoneType, expected a list"),
        (1.0, "returned float, expected a list"),
        ("abc", "returned str, expected a list"),
        ({0: 1.0, 1: 2.0, 2: 3.0}, "returned dict, expected a list"),
        ({1.0, 2.0, 3.0}, "returned set, expected a list"),
        ((i for i in range(3)), "returned generator, expected a list"),
        ([1.0, 2.0], "returned 2 values for 3 configurations"),
        (np.array(1.0), "unsized"),
    ],
)
def test_what_is_no_list_of_that_length_fails_all(returned, why):
    for outcome in outcomes(lambda many: returned):
        assert outcome.state == State.FAILED
        assert why in outcome.error


class Broken:
    def __float__(self):
        raise RuntimeError("no float")

    def __repr__(self):
        raise RuntimeError("no repr")


def test_a_bad_value_fails_its_own_trial_only():
    values = [1.0, None, float("nan"), True, 10**400, Broken(), np.ones(1), 2]
    found = outcomes(lambda many: values, len(values))
    assert [outcome.state == State.DONE for outcome in found] == [True, *[False] * 6, True]
    assert [outcome.reason for outcome in found] == [
        None,
        "exception",
        "non_finite",
        *["exception"] * 4,
        None,
    ]


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_what_it_raises_fails_all(error):
    def f(many):
        raise error

    found = outcomes(f)
    assert {outcome.state for outcome in found} == {State.FAILED}
    assert all(type(error).__name__ in outcome.error and __file__ in outcome.error for outcome in found)


def test_out_of_memory_is_a_reason_of_its_own():
    def f(many):
        raise MemoryError

    assert {outcome.reason for outcome in outcomes(f)} == {"oom"}


def test_edited_configurations_change_no_record(tmp_path):
    def f(many):
        for p in many:
            p["x"] = -1.0
        return [0.0] * len(many)

    assert all(trial.params["x"] >= 0 for trial in run(f, tmp_path).trials)


def test_cancelled_jobs_are_not_called():
    seen = []

    def f(many):
        seen.extend(p["x"] for p in many)
        return [0.0] * len(many)

    executor = BatchedExecutor(FunctionObjective(f, batched=True))
    executor.submit(jobs(3))
    executor.cancel(jobs(1))
    executor.wait(0)
    assert seen == [1.0, 2.0]
    assert executor.wait(0) == []


def test_an_interrupt_keeps_the_jobs():
    interrupts = [Interrupt(143)]

    def f(many):
        if interrupts:
            raise interrupts.pop()
        return [0.0] * len(many)

    executor = BatchedExecutor(FunctionObjective(f, batched=True))
    executor.submit(jobs(2))
    with pytest.raises(Interrupt):
        executor.wait(0)
    assert len(executor.wait(0)) == 2


def test_a_batched_study_goes_on_with_the_bare_function(tmp_path):
    def f(many):
        return [p["x"] for p in many]

    study = run(f, tmp_path, trials=3)
    assert len(study.resume(trials=5, progress=False).trials) == 5
    assert len(study.resume(f, trials=7, progress=False).trials) == 7
