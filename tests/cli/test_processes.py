"""The command in a process of its own: signals, pipes, terminals, permissions, exit codes."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from hpo import load_study
from hpo.errors import NotFoundError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and pipes")
TPE = ("run", "objectives:held", "--direction", "minimize", "--trials", "24", "--batch", "4", "--searcher", "tpe")


def wait_for_trials(path, count, seconds=60):
    """Wait until so many trials are stored."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(NotFoundError):
            study = load_study(store=path)
            counts = study.counts()
            study.close()
            if counts.get("done", 0) + counts.get("paused", 0) >= count:
                return
        time.sleep(0.02)
    raise AssertionError(f"no {count} trials after {seconds} s")


@pytest.fixture(scope="module")
def undisturbed():
    """The outputs of the whole run, once some test has made it."""
    return []


def outputs(study):
    return [(trial.params, trial.value, trial.curve, trial.epochs, str(trial.state)) for trial in study.trials]


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        pytest.param([signal.SIGHUP], 143, marks=pytest.mark.ci),
        ([signal.SIGKILL], -9),
    ],
    ids=lambda value: "+".join(n.name for n in value) if isinstance(value, list) else None,
)
def test_a_stopped_run_goes_on_as_if_undisturbed(start, call, home, undisturbed, numbers, code):
    (home / "hold").touch()
    process = start(*TPE, "--store", "a b.db", "--name", "stopped")
    wait_for_trials(home / "a b.db", 4)
    for number in numbers:
        process.send_signal(number)
    (home / "hold").unlink()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    done = load_study("stopped", home / "a b.db").counts()["done"]
    assert done < 24
    if code > 0:
        assert "stopped, all results are saved; `hpo resume --store 'a b.db' stopped` goes on" in err
        assert "Traceback" not in err
    assert (f"{done}/24 trials" in err) or code < 0
    resumed = call("resume", "--store", "a b.db", "stopped", "--quiet")
    assert resumed.code == 0, resumed.err
    if not undisturbed:
        assert call(*TPE, "--name", "whole", "--quiet").code == 0
        undisturbed += outputs(load_study("whole", home / "hpo.db"))
    assert outputs(load_study("stopped", home / "a b.db")) == undisturbed


def test_halving_killed_between_rungs_is_replayed_uncharged(start, call, home):
    command = ("run", "objectives:epochs", "--direction", "minimize", "--searcher", "halving", "--epochs", "27",
               "--set", "searcher.min_epochs=3", "--trials", "4", "--quiet")  # fmt: skip
    (home / "hold").touch()
    process = start(*command, "--name", "killed", "--store", "killed.db")
    wait_for_trials(home / "killed.db", 6)  # those of the first rung that stay there; the others are held in the second
    process.kill()
    process.communicate(timeout=30)
    (home / "hold").unlink()
    assert call("resume", "killed", "--store", "killed.db", "--quiet").code == 0
    trained = (home / "epochs.log").stat().st_size
    assert call(*command, "--name", "whole").code == 0
    killed, whole = load_study("killed", home / "killed.db"), load_study("whole", home / "hpo.db")
    assert outputs(killed) == outputs(whole)
    assert killed.epochs_spent == whole.epochs_spent == (home / "epochs.log").stat().st_size - trained
    assert trained > killed.epochs_spent  # what was lost was trained again, at no charge


def test_a_second_driver_is_turned_away(start, call, home):
    (home / "hold").touch()
    process = start(*TPE, "--name", "one", "--quiet")
    wait_for_trials(home / "hpo.db", 1)
    second = call("resume", "one")
    assert second.code == 75
    assert f"process {process.pid}" in second.err
    assert len(second.err.splitlines()) == 1


@pytest.mark.ci
def test_a_reader_that_leaves_early_is_no_error(call, home):
    assert call("run", "objectives:square", "--direction", "minimize", "--searcher", "random", "--trials", "1500",
                "--quiet").code == 0  # fmt: skip
    for form in ("jsonl", "csv"):
        found = subprocess.run(
            f"set -o pipefail; '{sys.executable}' -m hpo export --format {form} | head -1",
            shell=True, executable="/bin/bash", cwd=home, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (found.returncode, found.stderr, len(found.stdout.splitlines())) == (0, "", 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_an_error_in_one_line(call):
    with open("/dev/full", "w") as full:
        found = call("studies", stdout=full)
    assert found.code == 74
    assert found.err.splitlines() == [
        "hpo: the output cannot be written: No space left on device: make room, or see to the disk"
    ]


@pytest.mark.ci
def test_a_run_whose_progress_nobody_reads_goes_on(home):
    command = f"'{sys.executable}' -m hpo {' '.join(TPE[:5])} 6 --searcher random --json"
    for redirection in ("2>&-", "2> >(head -c 1 >/dev/null)"):
        found = subprocess.run(
            f"{command} {redirection}", shell=True, executable="/bin/bash", cwd=home, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip
        assert found.returncode == 0
        assert json.loads(found.stdout)["trials"] == 6


def test_all_output_is_ascii_where_the_terminal_wants_it(call):
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    run = ("run", "objectives:square", "--direction", "minimize", "--searcher", "random", "--trials", "2")
    found = call(*run, "--name", "größe \U0001f600", "--json", env=environment)
    assert found.json()["study"] == "größe \U0001f600"
    assert call("ls", env=environment).code == 0


READ_ONLY = """
import os, sys
import hpo.registry
points = {group: hpo.registry.entries(group) for group in ("searchers", "objectives")}
hpo.registry.entries = points.get  # another user may not read where this one installed them
import hpo.api, hpo.cli, hpo.cli.run, hpo.cli.ls, hpo.cli.results, hpo.study_file, searchers.random
import hpo.store.comparisons
import rich.console, rich.table, rich.text, rich.box
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
hpo.cli.main()
"""


def test_a_store_that_may_not_be_written_can_still_be_read(call, home):
    run = ["run", "--direction", "minimize", "--searcher", "random", "--trials", "2", "objectives:square"]
    assert call(*run, "--quiet").code == 0
    (home / "hpo.db").chmod(0o444)
    home.chmod(0o555)
    for folder in home.parents:  # pytest's own folders are closed to other users
        if folder.stat().st_mode & stat.S_ISVTX:
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    try:
        arguments = [sys.executable, "-c", READ_ONLY]
        more = {"cwd": home, "capture_output": True, "text": True, "timeout": 60, "stdin": subprocess.DEVNULL}
        written = subprocess.run([*arguments, *run], **more)
        assert written.returncode == 77, written.stderr
        assert len(written.stderr.splitlines()) == 1
        read = subprocess.run([*arguments, "ls"], **more)
        assert read.returncode == 0, read.stderr
        assert "square-random-0" in read.stdout
    finally:
        home.chmod(0o755)


def in_a_terminal(home, *arguments, **environment):
    """What the command writes to a terminal."""
    import pty

    def read(file):
        try:
            return os.read(file, 1 << 16)
        except OSError:  # the other end is closed
            return b""

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "hpo", *arguments], cwd=home, stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color"} | environment,
    ) as process:  # fmt: skip
        os.close(theirs)
        text = b""
        while part := read(ours):
            text += part
    os.close(ours)
    assert process.returncode == 0
    return text.decode()


def test_a_terminal_gets_a_live_line_and_no_colour_where_none_is_wanted(home):
    run = ("run", "objectives:held", "--direction", "minimize", "--searcher", "random", "--trials", "8")
    text = in_a_terminal(home, *run, NO_COLOR="1")
    assert "best of 8 trials" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back
    for colour in range(30, 50):
        assert f"\x1b[{colour}" not in text
    assert "\x1b[3" not in in_a_terminal(home, "ls", NO_COLOR="1")


def test_internal_errors_keep_their_traceback(call, home):
    (home / "sitecustomize.py").write_text("import hpo.study_file\nhpo.study_file.shipped = lambda: 1 / 0\n")
    found = call("studies", env={"PYTHONPATH": str(home)})
    assert found.code == 1
    assert "ZeroDivisionError" in found.err


def test_what_an_objective_prints_is_no_result(call, home):
    (home / "talks.py").write_text(
        "print('importing')\nspace = {'x': [1, 2]}\ndef f(p):\n    print('called')\n    return p['x']\n"
    )
    ended = call("run", "talks:f", "--direction", "maximize", "--searcher", "grid", "--json", "--quiet")
    assert ended.code == 0
    assert json.loads(ended.out)["best"]["value"] == 2
    assert "importing" in ended.err
    assert ended.err.count("called") == 2
