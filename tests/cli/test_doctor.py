"""`hpo doctor`: what is wrong with the machine and the store, and what to do; nothing is changed."""

import os
import signal
import socket
import sqlite3
import time

import pytest

from hpo import load_study
from hpo.machine import package_item, sqlite_item
from hpo.registry import entries
from hpo.store import Store
from hpo.store.lock import DriverLock


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def stored(found):
    """(Topic, level) to what was found and advised about the store."""
    return {(item["topic"], item["level"]): f"{item['found']} -> {item['advice']}" for item in found.json()["store"]}


def page_of(path, name):
    with sqlite3.connect(path) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
    connection.close()
    return root


def zero(path, page):
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))


def test_a_sound_store_has_no_problem_and_is_not_touched(squares, home):
    before = files(home)
    found = squares("doctor")
    assert (found.code, found.err) == (0, "")
    assert found.out.endswith("no problem\n")
    found = squares("doctor", "--json")
    assert found.json()["problems"] == 0
    machine = {item["topic"]: item["found"] for item in found.json()["machine"]}
    assert machine["SQLite"].startswith(sqlite3.sqlite_version)
    assert set(machine) >= {"hpo", "Python", "torch", "optuna", "GPU", "searchers", "objectives"}
    items = stored(found)
    assert items["integrity", "ok"].startswith("every page and index is sound")
    assert items["study squares", "ok"].startswith("12 done; driven by nobody")
    assert ("file system", "ok") in items
    assert ("free space", "ok") in items
    assert files(home) == before


def test_no_store_is_a_note_and_a_missing_one_that_was_named_is_not_found(hpo, home, monkeypatch):
    assert hpo("doctor").code == 0
    assert hpo("doctor", "--store", "missing.db").code == 4
    monkeypatch.setenv("HPO_STORE", "elsewhere.db")
    assert hpo("doctor").code == 4
    assert not list(home.glob("*.db"))


@pytest.mark.parametrize("kind", ["text", "empty", "foreign", "header only", "newer"])
def test_what_is_no_store_is_told(hpo, home, kind):
    path = home / "bad.db"
    if kind == "text":
        path.write_text("hello, I am a text file\n" * 100)
    elif kind == "empty":
        path.touch()
    else:
        if kind != "foreign":
            Store(path, "create").close()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (x)" if kind == "foreign" else "PRAGMA user_version = 99")
        connection.close()
        if kind == "header only":
            os.truncate(path, 50)
    before = files(home)
    found = hpo("doctor", "--store", path, "--json")
    assert found.code == 65
    assert ("store", "problem") in stored(found)
    assert files(home) == before


@pytest.mark.parametrize(
    "table", ["trials_by_state", *(pytest.param(name, marks=pytest.mark.ci) for name in ("trials", "studies"))]
)
def test_a_damaged_store_is_told_and_what_can_be_read_is_saved(squares, home, table):
    path = home / "hpo.db"
    zero(path, page_of(path, table))
    before = path.read_bytes()
    found = squares("doctor")
    assert found.code == 65
    assert "hpo doctor --store hpo.db --salvage OUT" in found.out
    saved = squares("doctor", "--salvage", "out.db")
    assert (saved.code, saved.err) == (0, "")
    assert path.read_bytes() == before
    assert squares("doctor", "--store", "out.db").code == 0
    if table == "trials_by_state":
        listed = "saved in out.db (`hpo ls --store out.db` lists it); hpo.db is as it was"
        assert saved.out == f"study squares: all 12 trials\n{listed}\n"
        assert squares("resume", "--store", "out.db", "--trials", 14, "--quiet").code == 0
        assert len(load_study("squares", home / "out.db").trials) == 14
    if table == "studies":
        assert "12 trials whose study is lost are in out.db-trials.jsonl, a line each" in saved.out
        assert len((home / "out.db-trials.jsonl").read_text().splitlines()) == 12
    assert squares("doctor", "--salvage", "out.db").code == 73
    assert squares("doctor", "--salvage", "out.db", "--force", "--json").json()["out"] == "out.db"
    assert squares("doctor", "--salvage", "hpo.db", "--force").code == 2


def test_nothing_to_salvage_is_an_error(hpo, home):
    (home / "text.db").write_text("hello")
    found = hpo("doctor", "--store", "text.db", "--salvage", "out.db")
    assert found.code == 65
    assert "nothing is saved; go on with a backup" in found.err
    assert not (home / "out.db").exists()
    assert hpo("doctor", "--store", "missing.db", "--salvage", "out.db").code == 4


def test_rows_that_do_not_agree_are_a_problem(squares, home):
    connection = sqlite3.connect(home / "hpo.db")
    connection.execute("UPDATE trials SET state = 'failed' WHERE number = 3")
    connection.commit()
    connection.close()
    found = squares("doctor", "--json")
    assert found.code == 65
    assert "trial 3 is failed, its last evaluation done" in stored(found)["study squares", "problem"]


@pytest.mark.parametrize("name", ["hpo.db", "link.db"])
def test_who_drives_a_study_is_told_and_a_dead_owner_too(squares, home, name):
    (home / "link.db").symlink_to(home / "hpo.db")
    lock = DriverLock(home / "hpo.db-study-1.lock")
    lock.acquire()
    text = stored(squares("doctor", "--json", "--store", name))["study squares", "ok"]
    assert f"12 done; driven now by process {os.getpid()} on host {socket.gethostname()}" in text
    lock.release()
    (home / "hpo.db-study-1.lock").touch()
    (home / "hpo.db-files" / "study-1").mkdir(parents=True)
    (home / "hpo.db-files" / "study-7").mkdir()
    (home / ".hpo.db.123.456.new").touch()
    items = stored(squares("doctor", "--json", "--store", name))
    assert "hpo.db-study-1.lock: nobody holds them" in items["lock files", "ok"]
    assert "study-7 belong to no study" in items["files of trials", "note"]
    assert ".hpo.db.123.456.new: begun by a process that was killed" in items["unfinished files", "note"]


def test_a_store_in_wal_mode_is_explained_with_its_log_and_without(squares, home):
    path = home / "hpo.db"
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE studies SET trials = 99")
    writer.commit()
    before = files(home)
    items = stored(squares("doctor", "--json"))
    assert "hpo.db-wal holds commits that hpo.db has not yet" in items["write-ahead log", "note"]
    assert "never copy or move hpo.db without it" in items["write-ahead log", "note"]
    assert "a copy was read" in items["integrity", "ok"]
    assert files(home) == before
    log = (home / "hpo.db-wal").read_bytes()
    writer.close()
    items = stored(squares("doctor", "--json"))
    assert "if the file was copied without it, the last commits are missing" in items["write-ahead log", "note"]
    with sqlite3.connect(path) as back:
        back.execute("PRAGMA journal_mode = DELETE")
    back.close()
    (home / "hpo.db-wal").write_bytes(log)
    before = files(home)
    items = stored(squares("doctor", "--json"))
    assert "hpo.db-wal was left behind" in items["write-ahead log", "note"]
    assert files(home) == before


@pytest.mark.ci
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_the_journal_of_a_writer_that_was_killed_is_explained_and_stays(squares, home):
    child = os.fork()
    if child == 0:
        connection = sqlite3.connect(home / "hpo.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE evaluations SET info = printf('%4000s', '{}')")
        connection.execute("UPDATE trials SET params = printf('%4000s', '{}')")
        (home / "ready").touch()
        time.sleep(60)
    while not (home / "ready").exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    before = files(home)
    found = squares("doctor", "--json")
    items = stored(found)
    assert found.code == 0
    assert "whoever opens the store next undoes the transaction" in items["journal", "note"]
    assert "a copy was read" in items["integrity", "ok"]
    assert files(home) == before
    assert squares("doctor", "--salvage", "out.db").out.startswith("study squares: all 12 trials\n")
    assert files(home) | {"out.db": b""} == before | {"out.db": b""}


def test_versions_with_known_holes_are_problems():
    assert package_item("torch", "2.13.0+cpu").level == "ok"
    assert "CVE-2026-24747" in package_item("torch", "2.9.1").found
    old = package_item("torch", "2.5.1+cu121")
    assert old.level == "problem"
    assert "CVE-2025-32434" in old.found
    assert old.advice.startswith("install torch 2.10 or later")
    assert "WAL mode" in sqlite_item((3, 51, 2)).found
    assert sqlite_item((3, 51, 3)).found == "3.51.3"


def test_a_plug_in_that_cannot_be_loaded_is_a_problem_and_breaks_nothing(hpo, home, monkeypatch):
    (home / "broken_plug-1.0.dist-info").mkdir()
    (home / "broken_plug-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: broken-plug\nVersion: 1\n"
    )
    points = "[hpo.searchers]\nbroken = no_such_module:Searcher\n"
    (home / "broken_plug-1.0.dist-info" / "entry_points.txt").write_text(points)
    entries.cache_clear()
    try:
        found = hpo("doctor", "--json")
        assert hpo("--help").code == 0
    finally:
        monkeypatch.undo()
        entries.cache_clear()
    assert found.code == 78
    (broken,) = [item for item in found.json()["machine"] if item["topic"] == "searcher broken"]
    assert "no_such_module" in broken["found"]
    assert broken["level"] == "problem"
