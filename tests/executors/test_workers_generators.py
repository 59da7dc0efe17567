"""Paused trials in worker processes: they go on where they are, and are replayed, uncharged, where that is lost."""

import os
import signal

import pytest
from worker_trials import await_end, await_text, climb, drain, exists, job, make, pids, results

from hpo.executors.workers import executor as executor_module
from hpo.trial import Progress, State

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="workers are tested on Linux")


@pytest.fixture
def crew():
    """An executor with two workers."""
    executor = make(climb, workers=2)
    yield executor
    executor.close()


def jobs(tmp_path, start, target, count=4, **params):
    found = []
    for number in range(count):
        found.append(job(number, start=start, target=target, epochs=9, path=str(tmp_path / str(number)), **params))
    return found


def notes(tmp_path, number):
    """What was done for a trial, and in which processes."""
    words = (tmp_path / str(number)).read_text().split()
    return words[::2], words[1::2]


def test_paused_trials_go_on_in_their_worker(crew, tmp_path):
    curves = {number: [] for number in range(4)}
    for start, target in ((0, 2), (2, 5), (5, 9)):
        for number, outcome in results(crew, jobs(tmp_path, start, target)).items():
            curves[number] += outcome.curve["value"]
            assert (outcome.state, outcome.value, outcome.charged) == (State.DONE, float(target), target - start)
    for number, curve in curves.items():
        done, where = notes(tmp_path, number)
        assert done == [*map(str, range(9)), "closed"]
        assert len(set(where)) == 1
        assert curve == [float(epoch) for epoch in range(1, 10)]
    assert not crew._homes


def test_lost_trials_are_replayed_uncharged(crew, tmp_path):
    results(crew, jobs(tmp_path, 0, 3))
    for pid in pids(crew):
        os.kill(pid, signal.SIGKILL)
    await_end(pids(crew))
    crew.submit(jobs(tmp_path, 3, 5))
    events, found = drain(crew)
    for number, outcome in found.items():
        assert (outcome.state, outcome.charged, outcome.curve) == (State.DONE, 2, {"value": [4.0, 5.0]})
        assert notes(tmp_path, number)[0] == [*map(str, range(3)), *map(str, range(5))]
    assert all(event.epoch == 4 for _, event in events if isinstance(event, Progress))


def test_released_and_evicted_trials_are_closed_in_their_worker(crew, tmp_path, monkeypatch):
    monkeypatch.setattr(executor_module, "MAX_PAUSED", 3)
    results(crew, jobs(tmp_path, 0, 2))  # one is evicted
    crew.release(1, lambda number: False)
    again = [job(number, target=1, epochs=1, path=str(tmp_path / f"other{number}"), sleep=0.2) for number in (8, 9)]
    results(crew, again)  # each worker hears of it with its next job
    assert [notes(tmp_path, number)[0] for number in range(4)] == [["0", "1", "closed"]] * 4


def test_a_generator_that_takes_too_long_keeps_its_curve(tmp_path, monkeypatch):
    monkeypatch.setattr(executor_module, "TERMINATE_SECONDS", 0.2)
    executor = make(climb, workers=1, trial_timeout=1.2)
    try:
        outcome = results(executor, jobs(tmp_path, 0, 9, count=1, sleep=0.4))[0]
    finally:
        executor.close()
    epochs = len(outcome.curve["value"])
    assert 1 <= epochs < 9
    assert (outcome.reason, outcome.value, outcome.epochs) == ("timeout", float(epochs), epochs)


def test_closing_closes_paused_trials_and_leaves_no_process(tmp_path):
    executor = make(climb, workers=2)
    results(executor, jobs(tmp_path, 0, 2))
    running = pids(executor)
    executor.close()
    assert [notes(tmp_path, number)[0] for number in range(4)] == [["0", "1", "closed"]] * 4
    assert not any(map(exists, running))


def test_a_cancelled_generator_stops_at_its_next_step_and_its_worker_stays(crew, tmp_path):
    [long] = jobs(tmp_path, 0, 9, count=1, sleep=0.3)
    crew.submit([long])
    while not (tmp_path / "0").exists():
        crew.wait(0.05)
    before = pids(crew)
    crew.cancel([long])
    assert await_text(tmp_path / "0", 2)
    assert results(crew, jobs(tmp_path, 0, 1, count=3))[0].state == State.DONE
    assert set(before) <= set(pids(crew))
