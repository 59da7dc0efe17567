"""Trials that crash, hang, leak and are killed: they fail with their reason, and harm nobody else."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import worker_trials
from worker_trials import await_end, await_text, drain, exists, job, make, pids, results

from hpo.errors import Interrupt
from hpo.executors.workers import executor as executor_module
from hpo.trial import Outcome, Reason, State

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="workers are tested on Linux")

HOLD_THE_LOCK = "import ctypes; ctypes.PyDLL(None).sleep(1000)"
GOOD = "import random; value = random.random()"


@pytest.fixture(scope="module")
def two():
    """An executor with two workers."""
    executor = make(workers=2)
    yield executor
    executor.close()


@pytest.fixture
def timed(two, monkeypatch):
    """The same, where trials may take a second, and a moment more to end."""
    monkeypatch.setattr(executor_module, "TERMINATE_SECONDS", 0.3)
    monkeypatch.setattr(two, "_execution", replace(two._execution, trial_timeout=1.0))
    return two


DEATHS = {
    "import os; os._exit(0)": ("exit(0)", "ended itself with exit code 0"),
    "import os; os._exit(3)": ("exit(3)", "ended itself with exit code 3"),
    "import os; os.abort()": ("killed(6)", r"killed by signal 6 (SIGABRT)"),
    "import ctypes; ctypes.string_at(0)": ("killed(11)", "killed by signal 11 (SIGSEGV)"),
    "import os; os.kill(os.getpid(), 9)": ("killed(9)", "killed by signal 9 (SIGKILL), likely out of memory"),
    "import os; os.kill(0, 15)": ("killed(15)", "killed by signal 15 (SIGTERM)"),
}


def test_deaths_fail_their_trial_after_a_second_try_and_no_other(two):
    bad = [job(number, f"print('last words'); {code}") for number, code in enumerate(DEATHS)]
    bad = [replace(each, params={"code": each.params["code"].replace("; import", "\nimport")}) for each in bad]
    found = results(
        two, [each for pair in zip(bad, [job(n, GOOD) for n in range(10, 16)], strict=True) for each in pair]
    )
    for number, (reason, message) in enumerate(DEATHS.values()):
        outcome = found[number]
        assert (outcome.state, outcome.reason, outcome.attempts) == (State.FAILED, reason, 2)
        assert message in outcome.error
        assert outcome.log.replace("\n", " ").startswith(("last words", "Fatal"))
    assert all(found[number].state == State.DONE for number in range(10, 16))


@pytest.mark.parametrize("then", ["time.sleep(1000)", "value = 1.0"])
def test_a_trial_that_closes_the_workers_pipes_fails(two, monkeypatch, then):
    monkeypatch.setattr("hpo.executors.workers.worker._DYING", 100)
    outcome = results(two, [job(0, f"import os, time; os.closerange(3, 100); {then}")])[0]
    assert (outcome.state, outcome.attempts) == (State.FAILED, 2)
    assert "closed the pipes to hpo" in outcome.error


def test_a_flaky_trial_has_the_value_of_its_last_attempt(two, tmp_path):
    code = f"""
import os, pathlib
path = pathlib.Path({str(tmp_path / "been")!r})
trial.report(1.0, 0)
if not path.exists():
    path.touch()
    os._exit(1)
value = 2.0
"""
    outcome = results(two, [job(0, code)])[0]
    assert (outcome.state, outcome.value, outcome.attempts) == (State.DONE, 2.0, 2)
    assert outcome.curve == {"value": [1.0], "step": [0.0]}


def test_a_trial_out_of_memory_is_tried_again_in_another_process(two, tmp_path):
    code = f"import os; open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n'); raise MemoryError"
    outcome = results(two, [job(0, code)])[0]
    assert (outcome.state, outcome.reason, outcome.attempts) == (State.FAILED, Reason.OOM, 2)
    assert len(set((tmp_path / "pids").read_text().split())) == 2


def test_memory_is_limited_and_what_earlier_trials_leaked_does_no_harm(tmp_path):
    executor = make(workers=1, trial_memory=300 << 20)
    leak = "import sys; sys.leaked = getattr(sys, 'leaked', []) + [bytearray(120 << 20)]; value = 1.0"
    try:
        found = results(executor, [job(0, "bytearray(400 << 20)"), *(job(number, leak) for number in range(1, 6))])
    finally:
        executor.close()
    assert (found[0].reason, found[0].attempts) == (Reason.OOM, 2)
    assert all(found[number].state == State.DONE for number in range(1, 6))
    assert {found[number].attempts for number in range(1, 6)} == {1, 2}


# -- time


def test_a_trial_that_takes_too_long_is_ended_whatever_it_does_while_others_go_on(timed):
    codes = ["time.sleep(1000)", "signal.signal(15, signal.SIG_IGN)\nwhile True: pass", HOLD_THE_LOCK]
    codes.append("signal.signal(15, lambda *_: sys.exit('asked to'))\ntime.sleep(1000)")
    slow = [f"import signal, sys, time\ntrial.report(0.25, 0); print('begun')\n{code}" for code in codes]
    found = results(timed, [job(n, code) for n, code in enumerate(slow)] + [job(n, GOOD) for n in range(10, 20)])
    for number in range(len(slow)):
        outcome = found[number]
        assert (outcome.state, outcome.reason, outcome.attempts) == (State.FAILED, Reason.TIMEOUT, 1)
        assert outcome.error == "it took longer than 1 s"
        assert (outcome.value, outcome.curve) == (0.25, {"value": [0.25], "step": [0.0]})
        assert outcome.log.startswith("begun\n")
        assert 1.0 <= outcome.seconds < 20
    assert all(found[number].state == State.DONE for number in range(10, 20))


def test_time_is_that_of_one_evaluation_not_of_many(timed):
    found = results(timed, [job(number, "import time; time.sleep(0.3)") for number in range(8)])
    assert {outcome.state for outcome in found.values()} == {State.DONE}


# -- what trials leave behind


@pytest.mark.parametrize("then", ["value = 1.0", "import time; time.sleep(1000)"], ids=["ends", "hangs"])
def test_a_daemon_in_a_session_of_its_own_ends_with_its_worker(tmp_path, monkeypatch, then):
    """Begun by a process that ends at once, as daemons are."""
    monkeypatch.setattr(executor_module, "TERMINATE_SECONDS", 0.3)
    path = tmp_path / "pid"
    start = "subprocess.Popen(['sleep', '1000'], start_new_session=True).pid"
    program = f"import subprocess; open({str(path)!r}, 'w').write(str({start}))"
    executor = make(workers=1, trial_timeout=2.0)
    results(executor, [job(0, f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {program!r}])\n{then}")])
    executor.close()
    await_end([int(path.read_text())])


def test_what_a_trial_has_started_ends_with_its_worker(timed, tmp_path):
    start = f"""
import os, subprocess, time
child = subprocess.Popen(["sleep", "1000"])
if os.fork() == 0:
    time.sleep(1000)
open({str(tmp_path / "pids")!r}, "a").write(f"{{child.pid}}\\n")
"""
    results(timed, [job(0, start + "os._exit(1)"), job(1, start + "time.sleep(1000)")])
    started = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(started) == 3  # the first one twice
    await_end(started)


DRIVER = """
import sys
sys.path[:0] = [{tests!r}]
from worker_trials import job, make, pids
executor = make(workers=2)
executor.submit([job(n, code) for n, code in enumerate({codes!r})])
while True:
    executor.wait(1.0)
"""


def test_a_driver_that_is_killed_leaves_no_process(tmp_path):
    path = tmp_path / "pids"
    begin = f"""
import os, subprocess
child = subprocess.Popen(["sleep", "1000"])
open({str(path)!r}, "a").write(f"{{os.getpid()}} {{child.pid}}\\n")
"""
    codes = [begin + HOLD_THE_LOCK, begin + "import re; re.match('(a+)+b', 'a' * 100)"]
    program = DRIVER.format(tests=str(Path(worker_trials.__file__).parent), codes=codes)
    driver = subprocess.Popen([sys.executable, "-c", program])
    try:
        started = [int(pid) for pid in await_text(path, lines=2)]
        assert all(map(exists, started))
    finally:
        driver.kill()
        driver.wait()
    await_end(started)


@pytest.mark.parametrize("code", ["import time; time.sleep(1000)", HOLD_THE_LOCK, "pass"])
def test_an_interrupt_anywhere_and_close_leave_no_process(monkeypatch, code):
    monkeypatch.setattr(executor_module, "CLOSE_SECONDS", 0.2)
    executor = make(workers=2)

    def interrupt(number, frame):
        raise Interrupt(130)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.6)
        executor.submit([job(number, code) for number in range(5000)])
        with pytest.raises(Interrupt):
            drain(executor)
        running = pids(executor)
        guardian = executor._starter._guardian
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        executor.close()
    assert not any(map(exists, [*running, guardian._process.pid]))


def test_a_worker_that_is_killed_while_idle_is_replaced(two):
    results(two, [job(0, GOOD)])
    for pid in pids(two):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    found = results(two, [job(number, GOOD) for number in range(4)])
    assert {(outcome.state, outcome.attempts) for outcome in found.values()} == {(State.DONE, 1)}


def test_a_guardian_that_is_killed_is_missed_by_nobody():
    executor = make(workers=1)
    try:
        results(executor, [job(0, GOOD)])
        executor._starter._guardian._process.kill()
        executor._starter._guardian._process.wait()
        assert results(executor, [job(1, "import os; os._exit(1)"), job(2, GOOD)])[2].state == State.DONE
    finally:
        executor.close()


# -- giving up


def test_a_cancelled_function_is_told_at_once_and_gives_no_event(two, tmp_path):
    asks = f"""
import pathlib, time
pathlib.Path({str(tmp_path / "begun")!r}).write_text("x\\n")
while not trial.should_prune():
    trial.report(0.0, 0)
    time.sleep(0.01)
pathlib.Path({str(tmp_path / "asked")!r}).write_text("x\\n")
"""
    jobs = [job(0, asks), *(job(number, GOOD) for number in range(1, 4))]
    two.submit(jobs)
    events = []
    while not (tmp_path / "begun").exists():
        events += two.wait(0.02)
    two.cancel(jobs[:1])
    kept = set(pids(two))
    given_up = len(events)
    events += drain(two)[0]
    assert {each.number for each, event in events if isinstance(event, Outcome)} == {1, 2, 3}
    assert all(each.number != 0 for each, _ in events[given_up:])
    await_text(tmp_path / "asked")
    assert results(two, [job(0, GOOD), job(5, GOOD)])[0].state == State.DONE
    assert set(pids(two)) == kept


@pytest.mark.parametrize("code", ["import time; time.sleep(1000)", HOLD_THE_LOCK])
def test_a_cancelled_function_that_does_not_ask_is_killed(two, monkeypatch, tmp_path, code):
    monkeypatch.setattr(executor_module, "CANCEL_SECONDS", 0.1)
    jobs = [job(n, f"open({str(tmp_path / 'begun')!r}, 'a').write('x\\n')\n{code}") for n in range(3)]
    two.submit(jobs)
    while not (tmp_path / "begun").exists() or len((tmp_path / "begun").read_text()) < 4:
        assert two.wait(0.05) == []
    two.cancel(jobs)
    assert not two.busy
    assert two.wait(0.5) == []
    assert results(two, [job(n, GOOD) for n in range(3)]).keys() == {0, 1, 2}


def test_finishing_lets_what_is_under_way_end_and_begins_nothing():
    executor = make(workers=1)
    try:
        results(executor, [job(9, GOOD)])
        executor.submit([job(number, "import time; time.sleep(0.3)") for number in range(3)])
        assert executor.finish() == executor_module.FINISH_SECONDS
        assert executor.busy
        _, found = drain(executor)
        assert set(found) == {0}
        assert executor.finish() == 0.0
    finally:
        executor.close()


def test_events_of_a_running_function_arrive_while_it_runs(two):
    code = "import time\nfor step in range(6):\n trial.report(float(step), step); time.sleep(0.15)"
    two.submit([job(0, code, target=6, epochs=9)])
    events, found = drain(two)
    epochs = [event.epoch for _, event in events if not isinstance(event, Outcome)]
    assert len(epochs) >= 2
    assert epochs == sorted(set(epochs))
    assert epochs[-1] < 6
    assert (found[0].epochs, found[0].value, found[0].charged) == (6, 0.0, 6)


def test_very_many_reports_are_taken_in_good_time(two):
    code = "for step in range(200_000): trial.report(float(step), step)\nvalue = None"
    outcome = results(two, [job(0, code)])[0]
    assert outcome.value == 199_999.0
    assert 200 < len(outcome.curve["step"]) <= 1001
