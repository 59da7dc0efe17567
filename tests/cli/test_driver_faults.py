"""Drivers that are killed, stopped, put to sleep and cut off, with trials in every kind of executor."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from worker_trials import await_end, await_text

from hpo import load_study
from hpo.errors import NotFoundError

pytestmark = [pytest.mark.ci, pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="tested on Linux")]

FAULTS = """
import os, random, time
from hpo import Choice, Float

space = {"x": Float(0, 1), "kind": Choice(("a", "b"))}
calls = 0

def held(p, seed):
    # waits, after 3 calls in this process, until the file "hold" is gone
    global calls
    calls += 1
    with open("begun.log", "a") as log:
        log.write(f"{os.getpid()} {seed} {p['x']} {p['kind']}\\n")
    while calls > 3 and os.path.exists("hold"):
        time.sleep(0.01)
    return p["x"] + random.random()

def deaf(p, seed):
    # hears of no signal
    while True:
        try:
            return held(p, seed)
        except BaseException:
            pass

def poison(p):
    with open("begun.log", "a") as log:
        log.write(f"{p['kind']}\\n")
    if p["kind"] == "b":
        os._exit(7)
    while p["kind"] == "c" and os.path.exists("hold"):
        time.sleep(0.01)
    return 1.0

def slow(p):
    time.sleep(1.5)
    return 1.0

if __name__ == "__main__":  # a population, without the command's search for the winner
    import sys
    import hpo
    try:
        hpo.search(data="line", space={"width": 4, "learning_rate": Float(0.01, 0.1)}, searcher="random", trials=40,
                   batch=4, epochs=20, name=sys.argv[1], store=sys.argv[2])
    except KeyboardInterrupt:
        sys.exit(130)
"""
HELD = ("run", "faults:held", "--direction", "minimize", "--searcher", "tpe", "--trials", "16", "--batch", "8")
RUNS = {
    "functions": HELD,
    "workers": (*HELD, "--workers", "2"),
    "population": None,
}  # fmt: skip


@pytest.fixture
def faults(home):
    (home / "faults.py").write_text(FAULTS)
    (home / "hold").touch()
    return home


def wait_for(path, name, ended, seconds=60):
    """Wait until so many trials of a study have ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(NotFoundError):
            study = load_study(name, path)
            counts = study.counts()
            study.close()
            if counts.get("done", 0) + counts.get("failed", 0) >= ended:
                return
        time.sleep(0.02)
    raise AssertionError(f"no {ended} trials after {seconds} s")


def facts(name, path):
    return [(t.number, t.params, t.value, t.curve, t.epochs, t.seed, str(t.state), t.attempts)
            for t in load_study(name, path).trials]  # fmt: skip


@pytest.fixture
def launch(start, faults):
    """Begins a run of a kind, or makes it to its end."""

    def begin(kind, name, store="hpo.db", end=False):
        if kind == "population":
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = subprocess.Popen([sys.executable, "faults.py", name, store], cwd=faults, **pipes)
        else:
            process = start(*RUNS[kind], "--name", name, "--store", store)
        if end:
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
        return process

    return begin


@pytest.fixture(scope="module")
def known():
    """Facts of whole runs, by kind, once some test has made them."""
    return {}


@pytest.fixture
def undisturbed(launch, faults, known):
    """The facts of a whole run of a kind."""

    def run(kind):
        if kind not in known:
            held = (faults / "hold").exists()
            (faults / "hold").unlink(missing_ok=True)
            launch(kind, "whole", "whole.db", end=True)
            known[kind] = facts("whole", faults / "whole.db")
            if held:
                (faults / "hold").touch()
        return known[kind]

    return run


def processes(faults):
    """Those in which trials have begun."""
    return {int(line.split()[0]) for line in (faults / "begun.log").read_text().splitlines()}


# -- 1, 3: killed


def test_a_driver_of_workers_that_is_killed_loses_nothing_and_leaves_no_process(start, call, faults, undisturbed):
    process = start(*RUNS["workers"], "--name", "killed", "--quiet")
    wait_for("hpo.db", "killed", 6)
    await_text(faults / "begun.log", 8)  # two are held
    process.kill()
    process.communicate(timeout=30)
    await_end(processes(faults))
    before = [fact for fact in facts("killed", "hpo.db") if fact[6] == "done"]
    assert len(before) == 6
    assert load_study("killed").counts()["running"] == 2
    (faults / "hold").unlink()
    found = call(*RUNS["workers"], "--name", "killed")  # not resume: the same command goes on at once
    assert found.code == 0, found.err
    assert "found with 6 trials" in found.err
    assert "2 interrupted run again" in found.err
    after = facts("killed", "hpo.db")
    assert after == undisturbed("workers")
    assert all(fact in after for fact in before)
    begun = [tuple(line.split()[1:]) for line in (faults / "begun.log").read_text().splitlines()]
    assert len(set(begun)) == 16  # those that began twice began with the same parameters and seed


def test_a_poisonous_trial_fails_for_good_and_the_end_of_a_driver_is_no_attempt(start, call, faults):
    run = ("run", "faults:poison", "--direction", "minimize", "--searcher", "grid", "--set", 'space.kind=["a","b","c"]',
           "--set", "space.x=0.5", "--trials", "3", "--workers", "2", "--name", "poison", "--quiet")  # fmt: skip
    for killed in range(1, 4):
        process = start(*run)
        wait_for("hpo.db", "poison", 2)
        await_text(faults / "begun.log", 3 + killed)
        process.kill()
        process.communicate(timeout=30)
    (faults / "hold").unlink()
    assert call("resume", "poison", "--quiet").code == 0
    begun = (faults / "begun.log").read_text().split()
    assert {kind: begun.count(kind) for kind in "abc"} == {"a": 1, "b": 2, "c": 4}
    ends = {t.params["kind"]: (str(t.state), t.reason, t.attempts) for t in load_study("poison").trials}
    assert ends == {"a": ("done", None, 1), "b": ("failed", "exit(7)", 2), "c": ("done", None, 1)}


# -- 7, 8, 9: signals

INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL
SIGNALS = {
    "once": ([INT], (130,)),
    "twice": ([INT, INT], (130,)),
    "term": ([TERM], (143,)),
    "term and, 2 s later, kill": ([TERM, 2.0, KILL], (143, -9)),
}


@pytest.mark.parametrize(
    ("kind", "signals"),
    [
        ("functions", "twice"),
        ("functions", "term and, 2 s later, kill"),
        ("workers", "once"),
        ("workers", "twice"),
        ("workers", "term"),
        ("workers", "term and, 2 s later, kill"),
        ("population", "once"),
        ("population", "term and, 2 s later, kill"),
    ],
)
def test_a_run_that_is_told_to_end_saves_everything_and_goes_on(launch, faults, undisturbed, kind, signals):
    numbers, codes = SIGNALS[signals]
    process = launch(kind, "stopped")
    if kind == "population":
        wait_for("hpo.db", "stopped", 4)
    else:
        await_text(faults / "begun.log", 8 if kind == "workers" else 4)
    for number in numbers:
        if isinstance(number, float):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(number)
        else:
            process.send_signal(number)
            time.sleep(0.2)
    if numbers == [INT]:
        (faults / "hold").unlink()  # what is under way may end
    out, err = process.communicate(timeout=30)
    assert (process.returncode in codes, out) == (True, ""), err
    assert "Traceback" not in err
    if process.returncode == 130:
        assert "press Ctrl-C again to stop at once" in err
    if process.returncode != -9:
        assert "stopped, all results are saved; `hpo resume stopped` goes on" in err
    counts = load_study("stopped").counts()
    assert counts.get("done", 0) < len(undisturbed(kind))
    assert process.returncode == -9 or "running" not in counts
    if kind != "population":
        await_end(processes(faults))
        (faults / "hold").unlink(missing_ok=True)
    launch(kind, "stopped", end=True)
    assert facts("stopped", "hpo.db") == undisturbed(kind)


def test_a_third_ctrl_c_ends_a_run_whose_objective_hears_of_none(start, call, faults):
    process = start("run", "faults:deaf", *HELD[2:], "--name", "deaf")
    await_text(faults / "begun.log", 4)
    for _ in range(3):
        process.send_signal(INT)
        time.sleep(0.3)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert load_study("deaf").counts()["running"] == 8  # of the round that is under way nothing had been told
    (faults / "hold").unlink()
    assert call("resume", "deaf", "--quiet").code == 0
    assert load_study("deaf").counts() == {"done": 16}


# -- 7, 11: terminals


@pytest.fixture
def terminal(faults):
    """The command with a terminal of its own that controls it: (process, our end)."""
    import fcntl
    import pty
    import termios

    opened = []

    def take():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def begin(*arguments):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "hpo", *arguments], cwd=faults, stdin=theirs, stdout=theirs, stderr=theirs,
            env=os.environ | {"TERM": "xterm-256color"}, preexec_fn=take,
        )  # fmt: skip
        os.close(theirs)
        opened.append((process, ours))
        return process, ours

    yield begin
    for process, ours in opened:
        process.kill()
        process.wait()
        with contextlib.suppress(OSError):
            os.close(ours)


def read_until(ours, wanted, seconds=30.0):
    """What the terminal shows, up to `wanted` or its end."""
    import select

    text, deadline = b"", time.monotonic() + seconds
    while wanted is None or wanted not in text:
        assert time.monotonic() < deadline, text
        if select.select([ours], [], [], 0.1)[0]:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                part = b""
            if not part:
                break
            text += part
    return text


@pytest.mark.parametrize("kind", ["functions", "workers"])
def test_ctrl_c_in_a_terminal_once_and_again(terminal, call, faults, undisturbed, kind):
    import termios

    process, ours = terminal(*RUNS[kind], "--name", "typed")
    modes = termios.tcgetattr(ours)
    await_text(faults / "begun.log", 8 if kind == "workers" else 4)
    os.write(ours, b"\x03")
    text = read_until(ours, b"press Ctrl-C again")
    assert process.poll() is None
    os.write(ours, b"\x03")
    text += read_until(ours, None)
    assert process.wait(30) == 130
    shown = text.decode()
    assert "all results are saved; `hpo resume typed` goes on" in shown
    assert "Traceback" not in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor comes back
    assert termios.tcgetattr(ours) == modes
    await_end(processes(faults))
    (faults / "hold").unlink()
    assert call("resume", "typed", "--quiet").code == 0
    assert facts("typed", "hpo.db") == undisturbed(kind)


@pytest.mark.parametrize("kind", ["functions", "workers"])
def test_a_terminal_that_is_closed_ends_the_run_and_saves_it(terminal, call, faults, undisturbed, kind):
    process, ours = terminal(*RUNS[kind], "--name", "dropped")
    await_text(faults / "begun.log", 8 if kind == "workers" else 4)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, ours)  # which closes it, and leaves its number to whoever closes that
    os.close(nothing)
    assert process.wait(30) == 143
    assert "running" not in load_study("dropped").counts()
    await_end(processes(faults))
    (faults / "hold").unlink()
    assert call("resume", "dropped", "--quiet").code == 0
    assert facts("dropped", "hpo.db") == undisturbed(kind)


# -- 10: asleep


def test_a_driver_that_sleeps_keeps_its_study_and_goes_on_after_waking(start, call, faults, undisturbed):
    process = start(*RUNS["functions"], "--name", "asleep", "--quiet")
    await_text(faults / "begun.log", 4)
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    second = call("resume", "asleep")
    assert second.code == 75
    assert f"is being driven by process {process.pid} on host" in second.err
    (faults / "hold").unlink()
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert facts("asleep", "hpo.db") == undisturbed("functions")


def test_a_trial_that_ended_in_time_while_its_driver_slept_is_no_timeout(start, faults):
    run = ("run", "faults:slow", "--direction", "minimize", "--searcher", "grid", "--set", "space.x=0.5",
           "--trials", "1", "--set", 'space.kind=["a"]', "--trial-timeout", "2.5s", "--name", "slept",
           "--quiet")  # fmt: skip
    process = start(*run)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(NotFoundError):
            if load_study("slept").counts().get("running"):
                break
        time.sleep(0.02)
    time.sleep(0.8)  # its worker has started
    process.send_signal(signal.SIGSTOP)
    time.sleep(4)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    [trial] = load_study("slept").trials
    assert (str(trial.state), trial.value) == ("done", 1.0)
    assert 1.5 <= trial.seconds < 2.5
