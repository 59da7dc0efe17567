"""`hpo rm` and `hpo backup`."""

import os
import pty
import subprocess
import sys

import pytest
from sound import wrong

import hpo as framework
from hpo import Float, load_study
from hpo.store import Store
from hpo.store.comparisons import Comparisons
from hpo.store.lock import DriverLock
from hpo.store.reader import Use

COMPARE = ("compare", "objectives:square", "--direction", "minimize", "--searchers", "random,grid", "--seeds", 2,
           "--trials", 3, "--quiet", "--name", "duel")  # fmt: skip


def another(home, name="other"):
    return framework.search(lambda p: p["x"], {"x": Float(0, 1)}, "random", 2, direction="maximize", name=name,
                            store=home / "hpo.db", progress=False)  # fmt: skip


def tables(path):
    store = Store(path)
    names = [row["name"] for row in store.db.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: store.db.query(f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in names}
    store.close()
    return found


def test_without_a_terminal_nothing_is_removed_unless_yes_is_given(squares, home):
    found = squares("rm", "squares")
    assert found.code == 2
    assert "this would remove study squares: 12 trials (12 done), and there is no terminal to ask on: give --yes" in (
        found.err
    )
    assert tables(home / "hpo.db")["trials"] == 12


def test_a_removed_study_leaves_nothing_and_others_stay(squares, home):
    other = another(home)
    for name in ("study-1", "study-2"):
        (home / "hpo.db-files" / name / "trial-0").mkdir(parents=True)
    found = squares("rm", "squares", "--yes")
    assert (found.code, found.err) == (0, "")
    assert found.out == "removed study squares: 12 trials (12 done) and its files from hpo.db\n"
    assert [path.name for path in (home / "hpo.db-files").iterdir()] == ["study-2"]
    assert load_study("other", home / "hpo.db").trials == other.trials
    assert {name for name, n in tables(home / "hpo.db").items() if n} == {
        "studies", "runs", "events", "trials", "evaluations"
    }  # fmt: skip
    assert squares("show", "squares").code == 4
    assert squares("rm", "squares", "--yes").code == 4
    assert squares("doctor", "--store", "hpo.db").code == 0


@pytest.mark.ci
def test_one_name_that_is_not_there_removes_none(squares, home):
    found = squares("rm", "squares", "missing", "--yes")
    assert found.code == 4
    assert tables(home / "hpo.db")["studies"] == 1


def test_a_study_that_is_driven_is_not_removed(squares, home):
    lock = DriverLock(home / "hpo.db-study-1.lock")
    assert lock.acquire()
    found = squares("rm", "squares", "--yes")
    lock.release()
    assert found.code == 75
    assert "is being driven by process" in found.err
    assert "another name" not in found.err
    assert tables(home / "hpo.db")["trials"] == 12
    assert squares("rm", "squares", "--yes", "--json").json() == {"removed": ["squares"], "trials": 12}


@pytest.mark.ci
def test_a_comparison_goes_with_all_its_runs_and_none_of_them_alone(squares, home):
    assert squares(*COMPARE).code == 0
    store = Store(home / "hpo.db")
    runs = Comparisons(store).runs(Comparisons(store).get("duel").id)
    store.close()
    found = squares("rm", "--yes", "--", runs[0].name)
    assert found.code == 5
    assert "is a run of comparison 'duel'" in found.err
    found = squares("rm", "duel", "--yes")
    assert found.code == 0, found.err
    assert f"removed comparison duel: {len(runs)} runs with " in found.out
    left = tables(home / "hpo.db")
    assert (left["studies"], left["trials"], left["comparisons"], left["comparison_runs"], left["looks"]) == (
        1, 12, 0, 0, 0
    )  # fmt: skip


def test_uses_of_test_data_go_on_counting(squares, home):
    store = Store(home / "hpo.db", "write")
    store.record_use(1, Use(3, 5, 1, "the data", {"accuracy": 0.5}))
    assert squares("rm", "squares", "--yes").code == 0
    assert store.count_uses("the data") == 1
    assert store.studies() == []
    store.close()
    assert "no study yet" in squares("ls").out
    for arguments in (("show", ""), ("show",), ("rm", "", "--yes"), ("export", "--format", "csv")):
        assert squares(*arguments).code == 4
    assert squares("doctor", "--store", "hpo.db").code == 0
    another(home)
    assert squares("ls", "--json").json()[0]["name"] == "other"


@pytest.mark.ci
@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 130, 12), (b"y\n", 0, 0)])
def test_on_a_terminal_it_asks(squares, home, answer, code, left):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hpo", "rm", "squares"], cwd=home, stdin=theirs, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={k: v for k, v in os.environ.items() if k != "HPO_STORE"},
    )  # fmt: skip
    os.write(ours, answer)
    _, err = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"study squares: 12 trials (12 done)\nremove for good? [y/N]: " in err
    assert process.returncode == code
    assert tables(home / "hpo.db")["trials"] == left


# -- backup


def test_a_backup_is_a_store_with_the_same_rows(squares, home):
    found = squares("backup", "copy.db")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("copy.db: 1 study, ")
    assert tables(home / "copy.db") == tables(home / "hpo.db")
    assert (
        squares("export", "--format", "jsonl", "--store", "copy.db").out == squares("export", "--format", "jsonl").out
    )
    assert squares("backup", "copy.db").code == 73
    assert squares("backup", "copy.db", "--force", "--json").json()["studies"] == 1
    assert squares("backup", "hpo.db", "--force").code == 2
    assert squares("backup", "missing/copy.db").code == 73
    assert sorted(file.name for file in home.glob("*copy*")) == ["copy.db"]


def test_a_damaged_store_gives_no_backup(squares, home):
    path = home / "hpo.db"
    data = bytearray(path.read_bytes())
    data[-4096:] = bytes(4096)
    data[-8192:-4096] = bytes(4096)
    path.write_bytes(data)
    found = squares("backup", "copy.db")
    assert found.code == 65
    assert "is damaged" in found.err
    assert not (home / "copy.db").exists()


@pytest.mark.ci
def test_a_backup_while_a_driver_writes_holds_a_moment_of_it(start, call, home):
    process = start("run", "objectives:square", "--direction", "minimize", "--searcher", "random", "--trials", 100_000,
                    "--batch", 5, "--name", "busy", "--quiet")  # fmt: skip
    while not (home / "hpo.db").exists() or not tables(home / "hpo.db")["trials"]:
        assert process.poll() is None
    sizes = []
    for name in ("one.db", "two.db"):
        found = call("backup", name)
        assert found.code == 0, found.err
        assert wrong(home / name, 1) == []
        sizes.append(tables(home / name)["trials"])
    assert process.poll() is None
    assert sizes[0] < sizes[1]
