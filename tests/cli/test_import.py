"""`hpo import`: what `hpo export --format jsonl` wrote."""

import json
import subprocess
import sys

import pytest

from hpo import load_study


@pytest.fixture
def lines(squares, home):
    text = squares("export", "squares", "--format", "jsonl").out
    (home / "squares.jsonl").write_text(text)
    return text


def test_a_study_goes_to_another_store_and_goes_on_there(hpo, lines, home):
    found = hpo("import", "squares.jsonl", "--store", "there.db")
    assert (found.code, found.err) == (0, "")
    assert found.out == "study squares is in there.db: 12 done; `hpo resume --store there.db squares` goes on\n"
    assert hpo("export", "squares", "--format", "jsonl", "--store", "there.db").out == lines
    assert hpo("resume", "--store", "there.db", "--trials", 15, "--quiet").code == 0
    assert hpo("resume", "squares", "--trials", 15, "--quiet").code == 0
    here, there = (load_study("squares", home / name).trials for name in ("hpo.db", "there.db"))
    assert [(t.params, t.seed, t.value) for t in here] == [(t.params, t.seed, t.value) for t in there]
    assert len(there) == 15


def test_a_taken_name_is_a_conflict_and_another_one_is_none(hpo, lines):
    found = hpo("import", "squares.jsonl")
    assert found.code == 5
    assert "has a study 'squares' already: give another name with --name" in found.err
    assert hpo("import", "squares.jsonl", "--name", "again", "--json").json() == {
        "study": "again",
        "store": "hpo.db",
        "states": {"done": 12},
    }
    assert hpo("import", "squares.jsonl", "--name", "a\nb").code == 2


def test_a_file_that_is_no_study_is_refused_with_its_line_and_makes_no_store(hpo, home):
    (home / "text.jsonl").write_text("hello\n")
    found = hpo("import", "text.jsonl")
    assert found.code == 65
    assert found.err.startswith("hpo: text.jsonl, line 1: no JSON ")
    (home / "bytes.jsonl").write_bytes(b"\xff\xfe\n")
    assert "line 1: no UTF-8 text" in hpo("import", "bytes.jsonl").err
    assert hpo("import", "missing.jsonl").code == 4
    (home / "folder").mkdir()
    assert hpo("import", "folder").code == 2
    assert not (home / "hpo.db").exists()


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [
        ("<&-", 65, "hpo: stdin, line 1: nothing, expected the object that describes a study; nothing is imported"),
        ("0>/dev/null", 74, "hpo: stdin cannot be read: [Errno 9] Bad file descriptor: "),
    ],
)
def test_a_stdin_that_nothing_can_be_read_from_is_an_error_in_words(home, redirection, code, said):
    command = f"'{sys.executable}' -m hpo import - {redirection}"
    found = subprocess.run(command, shell=True, cwd=home, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (code, "")
    assert found.stderr.startswith(said)
    assert not (home / "hpo.db").exists()


def test_a_use_of_test_data_counts_once_however_often_its_study_comes_in(squares, home):
    from hpo.store import Store
    from hpo.store.reader import Use

    store = Store(home / "hpo.db", "write")
    store.record_use(store.study("squares").id, Use(3, 5, 1, "the data", {"accuracy": 0.5}))
    (home / "squares.jsonl").write_text(squares("export", "--format", "jsonl").out)
    assert squares("import", "squares.jsonl", "--name", "again").code == 0
    assert store.count_uses("the data") == 1
    assert squares("rm", "squares", "again", "--yes").code == 0
    assert squares("import", "squares.jsonl").code == 0
    assert store.count_uses("the data") == 1
    store.record_use(store.study("squares").id, Use(3, 6, 1, "the data", {"accuracy": 0.5}))
    assert store.count_uses("the data") == 2
    store.close()


@pytest.mark.ci
def test_a_study_comes_through_a_pipe(call, squares, home):
    text = squares("export", "--format", "jsonl").out
    (home / "in").write_text(text)
    with (home / "in").open() as given:
        reader = call("import", "-", "--store", "piped.db", stdin=given)
    assert (reader.code, reader.err) == (0, "")
    assert len(load_study("squares", home / "piped.db").trials) == 12


def test_an_exported_study_names_no_host_user_or_path(lines, home):
    described = json.loads(lines.splitlines()[0])["study"]
    assert "owner_host" not in described
    assert str(home) not in lines
