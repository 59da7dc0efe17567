"""The store of a run is deleted, moved or replaced under its feet: it fails loudly, and its results are spilled."""

import json
import os
import shutil
import time

import pytest

from hpo import load_comparison, load_study

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(os.name != "posix", reason="Windows lets nobody delete or move a file that is open"),
]
TPE = ("run", "waiting:square", "--direction", "minimize", "--trials", 24, "--batch", 4, "--searcher", "tpe")
WAITING = """
import os, time
from hpo import Float

space = {"x": Float(-1, 1)}
calls = 0

def square(p):
    global calls
    calls += 1
    if calls == 6:
        open("waits", "w").close()
        while os.path.exists("waits"):
            time.sleep(0.01)
    return p["x"] ** 2
"""


def deleted(path):
    path.unlink()


def moved(path):
    path.rename(path.with_name("moved.db"))


def replaced(path):
    shutil.copy(path, path.with_name("copy.db"))
    os.replace(path.with_name("copy.db"), path)


@pytest.mark.parametrize(
    ("take", "said"),
    [
        (deleted, "was deleted or moved while it was in use: put it back"),
        (moved, "was deleted or moved while it was in use: put it back"),
        (replaced, "was replaced by another file while it was in use: put the old one back"),
    ],
)
def test_a_run_whose_store_is_taken_away_fails_loudly_and_spills_its_results(start, home, take, said):
    (home / "waiting.py").write_text(WAITING)
    (home / "tmp").mkdir()
    process = start(*TPE, "--store", "hpo.db", "--name", "one", env={"TMPDIR": str(home / "tmp")})
    while not (home / "waits").exists():  # the second trial of the second round
        assert process.poll() is None
        time.sleep(0.02)
    before = (home / "hpo.db").read_bytes()
    take(home / "hpo.db")
    (home / "waits").unlink()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (74, "")
    [file] = (home / "tmp").iterdir()
    results = [json.loads(line) for line in file.read_text().splitlines()]
    assert err.splitlines()[-1].startswith(f"hpo: store hpo.db {said}; {len(results)} result")
    assert f"not saved, at {file}" in err
    assert "all results are saved" not in err
    assert {result["number"] for result in results} <= {4, 5, 6, 7}
    if take is not deleted:
        left = home / ("moved.db" if take is moved else "hpo.db")
        assert left.read_bytes() == before


FULL = """
import os, resource
from hpo import Float

space = {"x": Float(-1, 1)}
calls = 0

def square(p):
    global calls
    calls += 1
    if calls == 30 and "FILL" in os.environ:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16384, resource.RLIM_INFINITY))
    return p["x"] ** 2
"""
IMPATIENT = "import hpo.unsaved\nhpo.unsaved.WAIT_SECONDS = 0.3\n"


def test_a_comparison_that_finds_no_room_spills_and_goes_on_to_the_same_results(call, home):
    pytest.importorskip("resource", reason="this system has no limits on the size of files")
    (home / "filling.py").write_text(FULL)
    (home / "tmp").mkdir()
    (home / "sitecustomize.py").write_text(IMPATIENT)
    arguments = ("compare", "filling:square", "--direction", "minimize", "--trials", 10, "--searchers", "random,grid",
                 "--seeds", 2, "--name", "both")  # fmt: skip
    path = os.pathsep.join([str(home), os.environ.get("PYTHONPATH", "")])
    full = call(*arguments, "--store", "full.db", env={"TMPDIR": str(home / "tmp"), "PYTHONPATH": path, "FILL": "1"})
    assert (full.code, full.out) == (74, ""), full.err
    assert "not saved" in full.err, full.err
    [file] = (home / "tmp").iterdir()
    count = len(file.read_text().splitlines())
    assert (
        f"{count} result{'s' * (count != 1)} not saved, at {file}: those trials run again, with the same seeds"
        in full.err
    )
    assert "comparison both: stopped; `hpo compare --store full.db --name both` goes on" in full.err
    assert "all results are saved" not in full.err
    assert call(*arguments, "--store", "full.db", "--quiet").code == 0
    assert call(*arguments, "--store", "whole.db", "--quiet").code == 0
    found, expected = (load_comparison("both", home / f"{name}.db") for name in ("full", "whole"))
    assert found.studies == expected.studies
    for name in expected.studies:
        again, once = load_study(name, home / "full.db"), load_study(name, home / "whole.db")
        assert [(t.params, t.value) for t in again.trials] == [(t.params, t.value) for t in once.trials]
