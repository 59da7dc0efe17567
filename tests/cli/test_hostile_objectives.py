"""Objectives that end, hide or damage the process they are called in, from the command line."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from peak_memory import PEAK
from worker_trials import await_text

from hpo import load_study

pytestmark = [pytest.mark.ci, pytest.mark.skipif(os.name != "posix", reason="POSIX processes")]

HOSTILE = """
import ctypes, locale, os, random, signal, subprocess, sys, time
space = {"x": [0, 1, 2, 3]}

def talks(p):
    print("by print")
    os.write(1, b"\\x1b[31m\\xff\\x00 by descriptor\\r")
    subprocess.run(["echo", "by a child"])
    ctypes.CDLL(None).printf(b"by C\\n")
    return p["x"]

def closes(p):
    for close in (sys.stdout.close, sys.stderr.close, lambda: os.close(1)):
        try:
            close()
        except OSError:
            pass
    return p["x"]

def exits(p):
    if p["x"] == 1:
        os._exit(0)
    return p["x"]

def wanders(p):
    assert not os.path.exists("inside") and os.path.exists("hostile.py"), os.getcwd()
    os.makedirs("ELSEWHERE/inside", exist_ok=True)
    os.chdir("ELSEWHERE")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    random.seed(1)
    return p["x"]

def deafens(p):
    if not os.path.exists("begun.log"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open("begun.log", "a") as log:
        log.write("x\\n")
    time.sleep(0.5)
    return 1.0

def fails(p):
    raise (ValueError if p["x"] else KeyError)(f"no {p['x']}")

if __name__ == "__main__":
    import hpo
    study = hpo.search(lambda p: p["x"], space, "grid", direction="minimize", name="script", workers=2, progress=False)
    print(study.counts())
"""
HOW = ("--direction", "minimize", "--searcher", "grid", "--trials", "4")


@pytest.fixture
def hostile(home):
    (home / "hostile.py").write_text(HOSTILE.replace("ELSEWHERE", str(home / "elsewhere")))
    return home


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
@pytest.mark.parametrize("function", ["talks", "closes"])
def test_stdout_has_the_results_alone_whatever_an_objective_does_to_it(hostile, call, function, workers):
    found = call("run", f"hostile:{function}", *HOW, *workers, "--json", text=False)
    assert found.code == 0, found.err
    found.out = found.out.decode()
    assert found.json()["best"]["value"] == 0
    if function == "talks":
        words = ("by print", "by descriptor", "by a child", "by C")
        assert [found.err.count(word.encode()) for word in words] == [0 if workers else 4] * 4
    else:
        assert found.json()["failed"] == 0


def test_what_an_objective_did_to_directory_signals_and_generators_ends_with_its_trial(hostile, call):
    for workers in ((), ("--workers", "1")):
        found = call("run", "hostile:wanders", *HOW, *workers, "--json")
        assert (found.code, found.json()["failed"]) == (0, 0), found.err


def test_a_run_hears_signals_that_its_objective_ignores(hostile, start):
    process = start("run", "hostile:deafens", *HOW[:-1], "100", "--searcher", "random", "--name", "deaf", "--quiet")
    await_text(hostile / "begun.log", 2)  # the first one has left it ignored
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert load_study("deaf").counts()["done"] < 10


def test_an_objective_that_ends_the_driver_is_told_of_and_fails_in_a_process_of_its_own(hostile, call):
    run = ("run", "hostile:exits", *HOW, "--name", "gone")
    first = call(*run)
    assert (first.code, first.out) == (0, "")  # what it asked for; nobody is left to say anything
    again = call(*run)
    assert "the run before ended amid trials without a word" in again.err
    assert "--fresh or fresh=True gives each a process of its own, and only that trial fails" in again.err
    assert call("resume", "gone", "--fresh", "--quiet").code == 0
    study = load_study("gone")
    assert study.counts() == {"done": 3, "failed": 1}
    assert list(study.failures()) == ["exit(0)"]


def test_the_first_failure_is_told_once_and_quiet_is_quiet(hostile, call):
    found = call("run", "hostile:fails", *HOW, "--name", "loud")
    assert found.code == 3
    assert found.err.count("Error: ") == 2  # when it happened, and at the end
    assert found.err.count("; further failures are counted") == 1
    assert "4 failed" in found.err
    quiet = call("run", "hostile:fails", *HOW, "--name", "quiet", "--quiet")
    assert (quiet.code, quiet.out, len(quiet.err.splitlines())) == (3, "", 1)
    assert quiet.err.startswith("hpo: no trial of study 'quiet' succeeded, 4 failed; the first, trial 0, with: ")


def test_too_many_failures_end_a_run_with_advice(hostile, call):
    how = ("--name", "most", "--batch", "1", "--searcher", "random", "--trials", "20", "--direction", "minimize")
    found = call("run", "hostile:fails", *how, "--max-failures", "2", "--json")
    assert (found.code, found.out) == (3, "")
    assert "study 'most' was ended: 3 of its 3 trials that ended have failed, max_failures is 2; " in found.err
    assert "`hpo resume --max-failures 6 most`" in found.err
    again = call("resume", "--max-failures", "6", "most", "--quiet")
    assert again.code == 3
    assert load_study("most").counts() == {"failed": 7}
    assert call("run", "hostile:fails", *how, "--max-failures", "120%").code == 2


def test_a_function_of_a_script_runs_in_workers_and_says_how_to_go_on(hostile, call):
    found = subprocess.run([sys.executable, "hostile.py"], cwd=hostile, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (0, "{'done': 4}\n"), found.stderr
    resumed = call("resume", "script", "--trials", "9")
    assert resumed.code == 78
    assert "was defined in a script or notebook" in resumed.err
    assert "run that again with the name of the study, or call study.resume(objective=...)" in resumed.err


def test_a_gigabyte_of_output_costs_neither_memory_nor_store(hostile):
    (hostile / "prints.py").write_text(
        "import os\nspace = {'x': [0]}\n"
        "def f(p):\n    for i in range(1024):\n        os.write(1 + i % 2, bytes(1 << 20))\n    return 1.0\n"
    )
    program = textwrap.dedent("""
        import hpo, prints
        how = {"direction": "minimize", "workers": 1, "progress": False}
        search = lambda f, name: hpo.search(f, prints.space, "grid", name=name, **how)
        search(lambda p: 1.0, "before")
        before = peak()
        study = search(prints.f, "prints")
        print(study.counts(), len(study.log(0)), peak() - before)
    """)
    program = PEAK + program
    found = subprocess.run([sys.executable, "-c", program], cwd=hostile, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    counts, log, grown = found.stdout.replace("{'done': 1}", "done").split()
    assert counts == "done"
    assert int(log) < 70_000
    assert int(grown) < 20_000  # kB
    assert (hostile / "hpo.db").stat().st_size < 500_000


def test_a_million_reports_are_stored_within_reason(hostile):
    program = textwrap.dedent("""
        import hpo
        def f(p, trial):
            for step in range(1_000_000):
                trial.report(step / 2, step)
        for workers in (None, 1):
            study = hpo.search(f, {"x": [0]}, "grid", direction="minimize", workers=workers, progress=False)
            trial = study.trial(0)
            print(trial.value, 200 < len(trial.curve["step"]) <= 1001, trial.curve["step"][-1])
    """)
    found = subprocess.run([sys.executable, "-c", program], cwd=hostile, capture_output=True, text=True, timeout=180)
    assert found.stdout == "499999.5 True 999999.0\n" * 2, found.stderr
    assert (hostile / "hpo.db").stat().st_size < 500_000
