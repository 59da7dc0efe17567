"""Eight processes that run the command at once: on one study, and on eight in one store that none has made yet."""

import os
import socket

import pytest

from hpo import load_study
from hpo.store import Store

pytestmark = [pytest.mark.ci, pytest.mark.skipif(os.name != "posix", reason="POSIX locks")]
RUN = ("run", "objectives:held", "--direction", "minimize", "--searcher", "random", "--quiet")


def test_of_eight_that_create_and_drive_one_study_one_does_and_the_others_say_who(start, home):
    (home / "hold").touch()
    processes = [start(*RUN, "--trials", 12, "--name", "one") for _ in range(8)]
    refused = {}
    while len(refused) < 7:  # the owner is held
        for process in processes:
            if process not in refused and process.poll() is not None:
                refused[process] = process.communicate()
    [owner] = set(processes) - set(refused)
    for process, (out, err) in refused.items():
        assert (process.returncode, out, len(err.splitlines())) == (75, "", 1), err
        assert f"study 'one' is being driven by process {owner.pid} on host {socket.gethostname()}" in err
        assert "wait for it to end, or end it there" in err
    (home / "hold").unlink()
    _, err = owner.communicate(timeout=60)
    assert owner.returncode == 0, err
    assert load_study("one").counts() == {"done": 12}
    assert len(Store("hpo.db").studies()) == 1


def test_eight_studies_in_one_new_store_run_side_by_side(start, home):
    processes = [start(*RUN, "--trials", 12, "--batch", 2, "--name", f"study {n}", "--seed", n) for n in range(8)]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    studies = Store("hpo.db").studies()
    assert {row.name for row in studies} == {f"study {n}" for n in range(8)}
    assert all(load_study(row.name).counts() == {"done": 12} for row in studies)
    assert Store("hpo.db").db.query("PRAGMA integrity_check")[0]["integrity_check"] == "ok"
