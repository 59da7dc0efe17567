"""Clocks that jump change nothing but what is displayed: a library loaded first gives the commands another time."""

import os
import shutil
import subprocess
import sys

import pytest

from hpo import load_study
from hpo.store import Store
from hpo.store.store import now_ms

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(sys.platform != "linux", reason="clocks are shifted by LD_PRELOAD, as Linux has it"),
]

SHIM = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {  /* seconds: as CLOCK says, and with JUMP another one at every look */
    static long looks;
    const char *clock = getenv("CLOCK"), *jump = getenv("JUMP");
    return (clock ? atol(clock) : 0) + (jump ? atol(jump) * (looks++ % 5 - 2) : 0);
}
int clock_gettime(clockid_t id, struct timespec *at) {
    int failed = syscall(SYS_clock_gettime, id, at);
    if (!failed && id == CLOCK_REALTIME) at->tv_sec += shift();
    return failed;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    at->tv_sec = found.tv_sec; at->tv_usec = found.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (at) *at = found.tv_sec;
    return found.tv_sec;
}
"""
OBJECTIVES = """
import random, time
space = {"x": [0.0, 0.25, 0.5, 1.0], "y": list(range(9))}

def epochs(p):
    for epoch in range(1, 5):
        yield p["x"] + p["y"] / epoch + random.random() / 100

def slow(p):
    time.sleep(0.3)
    return 1.0
"""
DAY = 86_400
RUN = ("run", "objectives:epochs", "--direction", "minimize", "--searcher", "tpe", "--epochs", "4", "--batch", "4",
       "--name", "study", "--quiet")  # fmt: skip


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """A library that shifts the clock of whoever loads it first."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to make a clock that jumps")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", folder / "shim.so", folder / "shim.c"], check=True)
    return folder / "shim.so"


@pytest.fixture
def hpo(tmp_path, shim):
    """The command in a process of its own whose clock is `days` off and jumps by `jump` days at every look."""
    (tmp_path / "objectives.py").write_text(OBJECTIVES)

    def call(*arguments, days=0, jump=0, before=(), code=0, **environment):
        clock = {"CLOCK": str(days * DAY), "LD_PRELOAD": str(shim)} | ({"JUMP": str(jump * DAY)} if jump else {})
        found = subprocess.run(
            [*before, sys.executable, "-m", "hpo", *map(str, arguments)],
            cwd=tmp_path, env=os.environ | clock | environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert found.returncode == code, found.stderr
        assert "Traceback" not in found.stderr
        return found

    return call


def facts(path):
    return [(t.params, t.value, t.curve, t.epochs, t.seed, str(t.state)) for t in load_study("study", path).trials]


@pytest.fixture(scope="module")
def known():
    """The facts of the whole run, once some test has made it."""
    return []


@pytest.fixture
def undisturbed(hpo, tmp_path, known):
    if not known:
        hpo(*RUN, "--trials", 12, "--store", "undisturbed.db")
        known += facts(tmp_path / "undisturbed.db")
    return known


def test_a_clock_that_jumps_at_every_look_changes_no_trial(hpo, tmp_path, undisturbed):
    for workers in ((), ("--workers", 2, "--trial-timeout", "60s")):
        path = tmp_path / f"jumping{len(workers)}.db"
        found = hpo(*RUN, "--trials", 12, "--timeout", "100s", *workers, "--store", path, jump=400)
        assert "time is up" not in found.stderr
        assert facts(path) == undisturbed
        study = load_study("study", path)
        assert all(0 <= trial.seconds < 60 for trial in study.trials)
        assert all(began <= ended for began, ended in study.spans().values())
        for command in (("ls",), ("show", "study"), ("best", "study"), ("export", "--format", "csv", "study")):
            hpo(*command, "--store", path, jump=400)
        hpo("report", "study", "--store", path, "-o", tmp_path / f"{path.name}.html", jump=400)


def test_timeouts_do_not_look_at_the_clock_on_the_wall(hpo, tmp_path):
    run = ("run", "objectives:slow", "--direction", "minimize", "--searcher", "grid", "--store", "slow.db")
    found = hpo(*run, "--name", "slow", "--trials", 36, "--timeout", "1s", jump=400)
    assert "time is up" in found.stderr
    assert 1 <= load_study("slow", tmp_path / "slow.db").counts()["done"] < 12
    found = hpo(*run, "--name", "late", "--trials", 3, "--trial-timeout", "20s", "--set", "space.y=[1]", jump=400)
    assert load_study("late", tmp_path / "slow.db").counts() == {"done": 3}


def test_a_clock_set_back_or_forward_and_other_time_zones_between_runs_change_no_trial(hpo, tmp_path, undisturbed):
    path = tmp_path / "parts.db"
    hpo(*RUN, "--trials", 4, "--store", path, days=3000, TZ="Pacific/Kiritimati")
    hpo(*RUN, "--trials", 8, "--store", path, days=-18_000, TZ="America/St_Johns")  # no battery: about 1977
    hpo("resume", "study", "--trials", 12, "--quiet", "--store", path, TZ="Australia/Lord_Howe")
    assert facts(path) == undisturbed
    store = Store(path)
    assert abs(store.last_run_ms(1) - now_ms()) < 3_600_000  # of the last run, not the greatest
    hpo("run", "objectives:slow", "--direction", "minimize", "--trials", 0, "--name", "later", "--store", path,
        days=-10_000)  # fmt: skip
    assert store.study().name == load_study(store=path).name == "later"  # the latest is what was made last
    found = hpo("report", "--store", path, code=3)
    assert "later" in found.stderr


def test_another_boot_clock_changes_no_trial(hpo, tmp_path, undisturbed):
    """As after a restart, or in another container: a study goes on where the monotonic clock is days behind."""
    ahead = ("unshare", "--time", "--monotonic", str(90 * DAY), "--boottime", str(90 * DAY), "--fork")
    if shutil.which("unshare") is None or subprocess.run([*ahead, "true"], capture_output=True).returncode:
        pytest.skip("this user may not make time namespaces")
    path = tmp_path / "boots.db"
    hpo(*RUN, "--trials", 4, "--store", path, before=ahead)
    hpo("resume", "study", "--trials", 8, "--quiet", "--store", path)
    hpo("resume", "study", "--trials", 12, "--quiet", "--store", path, before=ahead)
    assert facts(path) == undisturbed
    assert all(0 <= trial.seconds < 60 for trial in load_study("study", path).trials)
