"""Trials of a function in worker processes, from the command line."""

import json
import os
import signal
import time

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="worker processes need POSIX")

TROUBLE = """
import os
from hpo import Choice

space = {"kind": ["good", "dies", "flaky", "forks"]}

def run(params, trial):
    print("trial", trial.number, "is", params["kind"])
    os.write(1, b"\\x1b[31mred\\r50%\\r100%\\n")
    if params["kind"] == "dies":
        os._exit(7)
    if params["kind"] == "flaky" and not (trial.directory / "seen").exists():
        (trial.directory / "seen").touch()
        os.abort()
    if params["kind"] == "forks":
        os.fork()
    trial.report(1.0, 0)
    return 2.0

def slow(params):
    import time
    time.sleep(1.0)
    return 1.0
"""


@pytest.fixture
def trouble(home):
    (home / "trouble.py").write_text(TROUBLE)
    return home


@pytest.mark.ci
def test_a_trial_that_dies_harms_no_other_and_says_why(trouble, call):
    found = call("run", "trouble:run", "--direction", "minimize", "--searcher", "grid", "--trials", 4, "--workers", 2,
                 "--name", "mine", "--json")  # fmt: skip
    assert found.code == 0, found.err
    assert found.json()["failed"] == 1  # and stdout has nothing but this
    assert "workers 2" in found.err
    trials = {}
    for number in range(4):
        one = call("show", "mine", number, "--json").json()
        trials[one["params"]["kind"]] = one
    assert {kind: trial["state"] for kind, trial in trials.items()} == {
        "good": "done",
        "dies": "failed",
        "flaky": "done",
        "forks": "done",
    }
    assert trials["dies"]["reason"] == "exit(7)"
    assert {kind: trial["attempts"] for kind, trial in trials.items()} == {
        "good": 1,
        "dies": 2,
        "flaky": 2,
        "forks": 1,
    }
    failures = call("show", "mine", "--json").json()["failures"]
    assert failures == {"exit(7)": [trials["dies"]["number"]]}
    again = call("replay", "mine", trials["dies"]["number"])
    assert (again.code, "the same failure (exit(7))" in again.out) == (0, True), again.err
    number = trials["good"]["number"]
    log = call("show", "mine", number, "--log")
    assert log.out.splitlines() == [f"trial {number} is good", "100%"]
    raw = json.loads(call("show", "mine", number, "--log", "--json").out)["log"]
    assert raw.endswith("\x1b[31mred\r50%\r100%\n")
    assert (trouble / "hpo.db-files" / "study-1" / f"trial-{trials['flaky']['number']}" / "seen").exists()


@pytest.mark.ci
def test_ctrl_c_lets_trials_end_that_are_under_way(trouble, start, call):
    process = start("run", "trouble:slow", "--direction", "minimize", "--searcher", "grid", "--workers", 2, "--verbose",
                    "--set", "space.kind=[1, 2, 3, 4, 5, 6]", "--trials", 6, "--name", "slow")  # fmt: skip
    deadline = time.monotonic() + 60
    while "trial 0:" not in process.stderr.readline() and time.monotonic() < deadline:
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    states = call("show", "slow", "--json").json()["states"]
    assert states["done"] in (3, 4)  # what was under way has ended; nothing else began
    assert states["done"] + states["cancelled"] == 6
    assert call("resume", "slow", "--workers", 2, "--quiet", "--json").json()["trials"] == 6


def test_a_log_of_nothing_says_how_to_get_one(squares):
    found = squares("show", "squares", 3, "--log")
    assert (found.code, found.out) == (0, "")
    assert "trial 3 printed nothing, or ran where it is not caught: `hpo run --workers N`" in found.err
    assert squares("show", "squares", "--log").code == 2


def test_a_study_goes_on_in_processes_without_being_told_again(trouble, call):
    how = ("--direction", "minimize", "--searcher", "random", "--name", "again", "--quiet", "--json")
    assert call("run", "trouble:run", *how, "--trials", 2, "--workers", 2, "--trial-timeout", "30s").code == 0
    found = call("resume", "again", "--trials", 12, "--quiet", "--json")  # with one that would take this process along
    assert found.code == 0, found.err
    assert call("show", "again", "--json").json()["failures"].keys() == {"exit(7)"}
