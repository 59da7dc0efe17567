"""The engine in several processes: the same results, also when processes die, are cancelled or cannot start."""

import os
import pickle
import queue
import signal
import subprocess
import sys
import time
import warnings

import pytest
from population_trials import CPU, Small, content, drain, job, results

from hpo.training.population import helper as helper_module
from hpo.training.population.executor import PopulationExecutor
from hpo.training.population.helper import Helper, Setup
from hpo.training.population.parallel import ParallelExecutor
from hpo.trial import Outcome, Progress, State

ROUND = [job(number, 6) for number in range(12)]


def loaded():
    """An objective that brings its data along: a helper then need not import all that makes them."""
    objective = Small()
    assert objective.dataset
    return objective


@pytest.fixture(scope="module")
def alone():
    """Every job's result in one process."""
    executor = PopulationExecutor(Small(), CPU, threads=1)
    yield results(executor, ROUND)
    executor.close()


@pytest.fixture
def make():
    """Makes executors whose helpers start at once, and closes them."""
    made = []

    def executor(threads=3, start_seconds=0.0):
        made.append(ParallelExecutor(loaded(), threads=threads, start_seconds=start_seconds))
        return made[-1]

    yield executor
    for each in made:
        each.close()
        for helper in each._helpers:
            assert helper._process.poll() is not None
            assert not helper._reader.is_alive()


@pytest.fixture(scope="module")
def long_lived():
    """An executor with two helpers, for tests that leave them as they are."""
    executor = ParallelExecutor(loaded(), threads=3, start_seconds=0.0)
    executor.cancel(with_helpers(executor, 2))
    yield executor
    executor.close()


@pytest.fixture
def crew(long_lived):
    """The same, without paused trials of other tests."""
    yield long_lived
    for study in (1, 2):
        long_lived.release(study, lambda number: False)
    assert not any(long_lived._homes)


def endless(number, study=1, width=40):
    """A job that is under way until it is cancelled."""
    params = {"batch_size": 1, "width": width}
    return job(number, 10**6, epochs=10**6, study=study, params=params)


def with_helpers(executor, count):
    """Begins jobs of more shapes than fit in this process; they, once each of so many helpers trains some."""
    crowd = [endless(number, study=9, width=33 + 32 * number) for number in range(14)]
    executor.submit(crowd)
    wait_until(executor, lambda: sum(bool(helper.jobs) for helper in executor._helpers) == count)
    return crowd


def wait_until(executor, condition):
    """Wait for a condition; what happens meanwhile."""
    events, deadline = [], time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        events += executor.wait(0.05)
    return events


def test_helpers_change_no_bit(crew, alone):
    crew.submit(ROUND)
    events = crew.wait(0.0)
    assert all(helper.jobs for helper in crew._helpers)  # not only this process trains
    while sum(isinstance(event, Outcome) for _, event in events) < len(ROUND):
        events += crew.wait(5.0)
    assert {event.number: content(event) for _, event in events if isinstance(event, Outcome)} == alone
    for each in ROUND:
        epochs = [event.epoch for job_, event in events if job_ is each and isinstance(event, Progress)]
        assert epochs == sorted(set(epochs))
    assert crew.wait(0.2) == []


def test_paused_trials_go_on_where_they_are(crew):
    found = {}
    for start, target in ((0, 1), (1, 3), (3, 9)):
        events = crew.submit([job(number, target, start) for number in range(8)]) or drain(crew, 8)
        for _, event in events:
            if isinstance(event, Outcome):
                found.setdefault(event.number, []).extend(event.curve["train_loss"])
        homes = {id(trainer) for trainer in crew._homes.values()}
        assert len(crew._homes) == (8 if target < 9 else 0)
        assert target == 9 or len(homes) > 1
    through = results(PopulationExecutor(Small(), CPU, threads=1), [job(n, 9) for n in range(8)])
    assert {number: [repr(loss) for loss in losses] for number, losses in found.items()} == {
        number: result[4]["train_loss"] for number, result in through.items()
    }


def test_released_trials_are_forgotten_everywhere(crew, alone):
    crew.submit([job(number, 1) for number in range(8)])
    drain(crew, 8)
    crew.release(1, lambda number: number == 3)
    assert set(crew._homes) == {(1, 3)}
    again = results(crew, [job(number, 6, 1) for number in range(8)])  # from their seeds, or from where 3 is
    for number, (state, value, *_) in again.items():
        assert (state, value) == alone[number][:2]


@pytest.mark.ci
def test_a_helper_that_is_killed_costs_time_and_no_result(make, alone):
    executor = make()
    executor.cancel(with_helpers(executor, 2))
    executor.submit(ROUND)
    events = executor.wait(0.0)
    victim = executor._helpers[0]
    assert victim.jobs
    os.kill(victim._process.pid, signal.SIGKILL)
    with pytest.warns(UserWarning, match=r"a training process ended \(killed\(9\)\): \d+ trials that it trained train"):
        events += wait_until(executor, lambda: victim not in executor._helpers)
    ended = sum(isinstance(event, Outcome) for _, event in events)
    events += drain(executor, len(ROUND) - ended)
    assert {event.number: content(event) for _, event in events if isinstance(event, Outcome)} == alone
    assert executor._here.threads == 2  # a thread of this process has taken over its core


@pytest.mark.slow
def test_a_trial_whose_helpers_end_twice_fails(make):
    executor = make()
    crowd = with_helpers(executor, 2)
    failed = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for trainer in list(executor._allotment.trainers)[1:]:
            for work in trainer.works.values():
                work.tries = 1
            os.kill(trainer.engine._process.pid, signal.SIGKILL)
        failed = wait_until(executor, lambda: len(executor._allotment.trainers) == 1)
        failed += executor.wait(0.0)
    outcomes = [event for _, event in failed if isinstance(event, Outcome)]
    assert outcomes
    assert {outcome.state for outcome in outcomes} == {State.FAILED}
    assert "2 training processes ended while they trained it, now with killed(9)" in outcomes[0].error
    executor.cancel(crowd)
    assert executor._here.threads == executor._local.threads == 3


@pytest.mark.parametrize(
    "program", ["import sys; sys.exit(3)", "print('no pickle')", "import os; os.kill(os.getpid(), 9)"]
)
def test_helpers_that_cannot_start_leave_the_work_to_threads(make, alone, monkeypatch, program):
    monkeypatch.setattr(helper_module, "_PROGRAM", program.replace("{", "{{"))
    executor = make()
    executor.submit([*ROUND, endless(50)])
    with pytest.warns(UserWarning, match=r"a training process could not start \((exit|killed)\(\d\)\): its core"):
        events = wait_until(executor, lambda: not executor._helpers and not executor._may_start)
    executor.cancel([endless(50)])
    ended = sum(isinstance(event, Outcome) for _, event in events)
    events += drain(executor, len(ROUND) - ended)
    assert {event.number: content(event) for _, event in events if isinstance(event, Outcome)} == alone


def test_a_system_that_starts_no_process_leaves_the_work_to_threads(make, alone, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.warns(UserWarning, match="training processes could not be started .*Resource"):
        assert results(make(), ROUND) == alone


def test_short_work_starts_no_process(make, alone, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    assert results(make(start_seconds=60.0), ROUND) == alone


def test_cancelled_jobs_give_no_event_even_when_they_are_submitted_again(crew, alone):
    crowd = with_helpers(crew, 2)
    for _ in range(5):
        crew.submit(ROUND)
        crew.wait(0.0)
        crew.cancel(ROUND)
    crew.cancel(crowd)
    events = crew.submit(ROUND) or drain(crew, len(ROUND))
    for each in ROUND:
        epochs = [event.epoch for job_, event in events if job_ is each and isinstance(event, Progress)]
        assert epochs == [1, 2, 3, 4, 5][: len(epochs)]
    assert {event.number: content(event) for _, event in events if isinstance(event, Outcome)} == alone
    assert crew.wait(0.2) == []


def test_a_study_does_not_wait_for_the_large_rounds_of_others(crew):
    crowd = with_helpers(crew, 2)
    crew.submit([job(0, 3, study=2)])
    [(_, outcome)] = [found for found in drain(crew, 1) if isinstance(found[1], Outcome)]
    assert outcome.state == State.DONE
    crew.cancel(crowd)


def test_a_study_does_not_wait_for_others_whose_trials_are_of_its_shape(make):
    executor = make(threads=2)
    executor._may_start = False  # the claim is of threads, too: no process is needed for it
    params = {"width": 20, "batch_size": 1}
    executor.submit([job(number, 10**6, epochs=10**6, params=params, evaluation=number) for number in range(2000)])
    executor.wait(0.0)
    assert len(executor._allotment)
    executor.submit([job(0, 2, study=2, params=params)])
    assert [each.study for each, event in drain(executor, 1) if isinstance(event, Outcome)] == [2]


def test_the_last_trial_is_handed_out_at_any_number_of_threads():
    """Shares of the work are compared with their sum: the last bit must not decide."""
    for threads in range(1, 60):
        executor = ParallelExecutor(Small(), threads=threads, start_seconds=60.0)
        executor._local.submit = lambda jobs: None
        params = [{"width": 20, "depth": 1 + number % 3} for number in range(8)]
        executor.submit([job(number, 3 + number, params=params[number]) for number in range(8)])
        executor._hand_out()
        assert not len(executor._allotment)
        executor.close()


def test_an_objective_that_cannot_be_pickled_trains_in_threads(alone):
    objective = Small()
    objective.local = lambda: None
    executor = ParallelExecutor(objective, threads=2, start_seconds=0.0)
    with pytest.warns(UserWarning, match="training processes could not be started .*pickle"):
        assert results(executor, ROUND) == alone
    executor.close()


def test_illegal_parameters_fail_their_trial_only(crew, alone):
    crew.submit([job(50, params={"widht": 3}), *ROUND])
    outcomes = {event.number: event for _, event in drain(crew, len(ROUND) + 1) if isinstance(event, Outcome)}
    assert "widht" in outcomes.pop(50).error
    assert {number: content(outcome) for number, outcome in outcomes.items()} == alone


@pytest.mark.slow
def test_closing_amid_long_epochs_ends_all_processes_soon(make):
    executor = make()
    with_helpers(executor, 2)
    begin = time.monotonic()
    executor.close()
    assert time.monotonic() - begin < 5


PARENT = """
import sys
sys.path[:0] = {path!r}
import torch
from test_parallel import loaded, with_helpers
from hpo.training.population.parallel import ParallelExecutor
executor = ParallelExecutor(loaded(), threads=3, start_seconds=0.0)
with_helpers(executor, 2)
print(*[helper._process.pid for helper in executor._helpers], flush=True)
while True:
    executor.wait(1.0)
"""


@pytest.mark.ci
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="no /proc to look processes up in")
def test_helpers_of_a_parent_that_is_killed_end():
    here = os.path.dirname(__file__)
    path = [here, os.path.dirname(os.path.dirname(here))]
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(path=path)], stdout=subprocess.PIPE, text=True)
    helpers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(helpers) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in helpers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.ci
def test_a_helper_answers_in_tickets_and_prints_nothing_among_them():
    inbox = queue.SimpleQueue()
    setup = Setup(Small(), 10**8, None)
    helper = Helper(pickle.dumps(setup), inbox)
    try:
        assert inbox.get(timeout=60) == (helper, "ready")
        assert helper.events("ready") == []
        assert helper.ready
        helper.submit([job(0, 2)])
        found = []
        while not any(isinstance(event, Outcome) for _, event in found):
            of, message = inbox.get(timeout=60)
            assert of is helper
            found += helper.events(message)
        assert not helper.jobs
        assert [event.epoch for _, event in found if isinstance(event, Progress)] == [1]
    finally:
        helper.close(5.0)
    assert inbox.get(timeout=10) == (helper, None)
    assert helper.code == 0
