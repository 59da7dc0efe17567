"""The disk fills up in the middle of a run, for real: nothing is lost, and the run goes on when there is room."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys

import pytest
from mounts import small_disk

from hpo import load_study

resource = pytest.importorskip("resource", reason="this system has no limits on the size of files")

OBJECTIVE = """
import os, resource
from hpo import Choice, Float

space = {"x": Float(-1, 1), "kind": Choice(("a", "b"))}
calls = 0

def fill():
    if os.environ["FILL"] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ.get("LIMIT", 4096)), resource.RLIM_INFINITY))
        return
    with open(os.environ["DISK"] + "/filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(512)):
                pass
        except OSError:
            pass

def square(p):
    global calls
    calls += 1
    if "FILL" in os.environ and calls == 6:
        fill()
    return p["x"] ** 2
"""
RUN = ("run", "filling:square", "--direction", "minimize", "--searcher", "tpe", "--batch", "4", "--trials", "16")
IMPATIENT = "import hpo.unsaved; hpo.unsaved.WAIT_SECONDS = 0.3; import hpo.cli; hpo.cli.main()"


@pytest.fixture(params=["small file system", "limit"])
def disk(request, home):
    """How the disk fills up, and the folder on it."""
    (home / "filling.py").write_text(OBJECTIVE)
    folder = home / "disk"
    folder.mkdir()
    with contextlib.ExitStack() as cleanup:
        if request.param != "limit":
            cleanup.enter_context(small_disk(folder, 600))
        yield request.param, folder


@pytest.fixture
def whole(call, home):
    """The trials of the undisturbed run."""
    (home / "filling.py").write_text(OBJECTIVE)
    assert call(*RUN, "--name", "whole", "--store", "whole.db", "--quiet").code == 0
    return trials(home / "whole.db")


def trials(path):
    study = load_study(store=path)
    found = [(trial.number, trial.params, trial.seed, trial.value, str(trial.state)) for trial in study.trials]
    study.close()
    return found


def environment(disk, home):
    (home / "tmp").mkdir(exist_ok=True)
    how, folder = disk
    return {"FILL": how, "DISK": str(folder), "TMPDIR": str(home / "tmp")}


def make_room(disk, process):
    how, folder = disk
    if how == "limit":
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        (folder / "filler").unlink()


def until(process, text):
    """The lines of its stderr up to one with `text`."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"ended without {text!r}: {''.join(lines)}")


def spilled(home):
    [file] = (home / "tmp").glob("hpo-*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return file, [json.loads(line) for line in file.read_text().splitlines()]


def resumed(call, disk):
    """The trials after `hpo resume`, with room."""
    how, folder = disk
    if how != "limit":
        (folder / "filler").unlink()
    ended = call("resume", "--store", folder / "hpo.db", "--quiet")
    assert ended.code == 0, ended.err
    return trials(folder / "hpo.db")


@pytest.mark.ci
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are set on Linux only")
def test_a_run_waits_for_room_and_goes_on_when_there_is_some(start, home, disk, whole):
    process = start(*RUN, "--store", disk[1] / "hpo.db", env=environment(disk, home))
    said = until(process, "waiting")
    assert "disk is full (No space left on device)" in said or "File too large (errno 27, EFBIG)" in said
    assert "nothing new begins" in said
    make_room(disk, process)
    assert "the store can be written again: the run goes on" in until(process, "written again")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert trials(disk[1] / "hpo.db") == whole
    assert list((home / "tmp").iterdir()) == []


@pytest.mark.ci
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_ends_the_wait_and_results_are_spilled(start, call, home, disk, whole, number):
    process = start(*RUN, "--store", disk[1] / "hpo.db", "--name", "full", env=environment(disk, home))
    until(process, "waiting")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (74, "")
    check_spill(home, disk, err.splitlines()[-1], whole)
    assert resumed(call, disk) == whole


def check_spill(home, disk, message, whole):
    """The last line of the run says all, and what was spilled is what the undisturbed run has."""
    file, results = spilled(home)
    count = (
        f"{len(results)} result{'s' * (len(results) != 1)} not saved, at {file}: those trials run again, with the same"
    )
    assert message.startswith(f"hpo: store {disk[1] / 'hpo.db'}")
    assert count in message
    assert message.endswith(f"`hpo resume --store {disk[1] / 'hpo.db'} full` goes on")
    stored = trials(disk[1] / "hpo.db")
    missing = {number for number, *_, state in stored if state != "done"}
    assert {result["number"] for result in results} <= missing
    for result in results:
        number, params, seed, value, state = whole[result["number"]]
        assert result == {"study": "full", "number": number, "state": state, "params": params, "value": value,
                          "epochs": 1, "seed": seed, "error": None}  # fmt: skip


@pytest.mark.ci
def test_results_that_find_no_room_in_time_are_spilled_and_resume_gives_the_same_trials(call, home, disk, whole):
    command = [sys.executable, "-c", IMPATIENT, *RUN, "--store", disk[1] / "hpo.db", "--name", "full"]
    ended = subprocess.run(
        command, cwd=home, env=os.environ | environment(disk, home), capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (74, "")
    check_spill(home, disk, ended.stderr.splitlines()[-1], whole)
    assert resumed(call, disk) == whole


@pytest.mark.ci
def test_where_even_the_spill_finds_no_room_the_message_says_so(call, home, disk, whole):
    if disk[0] != "limit":
        pytest.skip("of several folders for temporary files one may have room: only a limit of 0 bytes leaves none")
    more = environment(disk, home) | {"LIMIT": "0"}
    command = [sys.executable, "-c", IMPATIENT, *RUN, "--store", disk[1] / "hpo.db", "--name", "full"]
    ended = subprocess.run(command, cwd=home, env=os.environ | more, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 74
    assert "not saved, and no file for them could be written either (No usable temporary directory" in ended.stderr
    assert len(ended.stderr.splitlines()[-1].split("hpo resume")) == 2
    assert resumed(call, disk) == whole
