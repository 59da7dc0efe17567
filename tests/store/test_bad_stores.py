"""What is no store, or no longer one, is refused with the right error and left as it is."""

import contextlib
import os
import shutil
import sqlite3

import pytest
from other_user import as_nobody, unix

import hpo
from hpo.errors import (
    CannotCreateError,
    DataError,
    LockedError,
    NotFoundError,
    StorageError,
)
from hpo.store import Store, database


def altered(sql):
    """A good store that another program ran `sql` on."""

    def make(path):
        Store(path, "create").close()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(sql)

    return make


def foreign(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("PRAGMA application_id = 252006673; CREATE TABLE layers (id)")


def truncated(size):
    def make(path):
        Store(path, "create").close()
        os.truncate(path, size)

    return make


BAD = {
    "text": (lambda path: path.write_text("hello, I am a text file\n"), "is not an SQLite file"),
    "empty": (lambda path: path.write_bytes(b""), "is an empty file"),
    "foreign": (foreign, r"another program's SQLite file \(application_id 252006673\)"),
    "plain SQLite": (lambda path: sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close(), "another"),
    "older": (altered("PRAGMA user_version = 0"), "has schema 0, written by an older hpo"),
    "extra table": (altered("CREATE TABLE t (x)"), "unexpected, missing or altered table 't'"),
    "extra trigger": (
        altered("CREATE TRIGGER evil AFTER INSERT ON trials BEGIN DELETE FROM studies; END"),
        "trigger 'evil'",
    ),
    "extra view": (altered("CREATE VIEW evil AS SELECT 1"), "view 'evil'"),
    "extra index": (altered("CREATE INDEX evil ON trials (reason)"), "index 'evil'"),
    "extra column": (altered("ALTER TABLE studies ADD COLUMN evil TEXT"), "table 'studies'"),
    "missing table": (altered("DROP TABLE tests"), "table 'tests'"),
    "missing index": (altered("DROP INDEX trials_by_value"), "index 'trials_by_value'"),
    "replaced table": (altered("DROP TABLE tests; CREATE VIEW tests AS SELECT 1"), "'tests'"),
    "header only": (truncated(20), "is damaged|cannot be"),
    "a page": (truncated(4096), "is damaged"),
}


@pytest.mark.parametrize("mode", ["read", "write", "create"])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_and_not_touched(path, kind, mode):
    make, message = BAD[kind]
    make(path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(DataError, match=message):
        Store(path, mode)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


@pytest.mark.parametrize("mode", ["read", "write", "create"])
def test_a_folder_is_refused(tmp_path, mode):
    with pytest.raises(DataError, match="is a folder, so no store"):
        Store(tmp_path, mode)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("mode", ["read", "write", "create"])
def test_a_pipe_is_refused_and_not_waited_for(path, mode):
    os.mkfifo(path)
    with pytest.raises(DataError, match="not an ordinary file"):
        Store(path, mode)


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_missing_store_is_not_found_and_not_made(path, mode):
    with pytest.raises(NotFoundError, match="no store at"):
        Store(path, mode)
    assert not path.exists()


def test_a_store_in_a_missing_folder_cannot_be_created(tmp_path):
    with pytest.raises(CannotCreateError, match="no folder"):
        Store(tmp_path / "missing" / "hpo.db", "create")
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreateError, match="no folder"):
        Store(tmp_path / "file" / "hpo.db", "create")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_path_that_no_file_can_have_is_a_clear_error(tmp_path, name):
    with pytest.raises(StorageError, match="cannot be reached"):
        Store(tmp_path / name, "create")


def searched(path, trials=6):
    return hpo.search(
        lambda params: params["x"],
        {"x": hpo.Float(0, 1)},
        searcher="searchers.random:Random",
        trials=trials,
        direction="maximize",
        store=path,
        name="study",
        progress=False,
    )


@pytest.mark.parametrize("how", ["zeros", "cut"])
def test_a_run_refuses_a_damaged_store_and_does_not_touch_it(path, how):
    searched(path)
    if how == "cut":
        os.truncate(path, path.stat().st_size - 4096)
    else:  # the page of the trials' tree
        root = sqlite3.connect(path).execute("SELECT rootpage FROM sqlite_master WHERE name = 'trials'").fetchone()[0]
        with path.open("r+b") as file:
            file.seek((root - 1) * 4096)
            file.write(bytes(4096))
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"is damaged .*: it is left as it is"):
        searched(path, trials=9)
    assert path.read_bytes() == before


def looked(path):
    store = Store(path)
    row = store.study()
    return [trial.number for trial in store.trials(row.id)], store.counts(row.id)


@pytest.fixture(params=["file and folder", "folder", "file", "journal kept"])
def protected(reachable, request):
    """A store that was searched, then made read-only."""
    path = reachable / "hpo.db"
    searched(path)
    if request.param != "journal kept":
        (reachable / "hpo.db-journal").unlink()
    path.chmod(0o666 if request.param == "folder" else 0o444)
    reachable.chmod(0o777 if request.param == "file" else 0o555)
    yield path
    reachable.chmod(0o777)


@unix
def test_a_read_only_store_can_be_read_and_a_run_is_refused_before_any_trial(protected):
    before = protected.read_bytes()
    ran = protected.parent.parent / f"{protected.parent.name}-ran"

    def search():
        return hpo.search(
            lambda params: ran.write_text("ran") and 0.0,
            {"x": hpo.Float(0, 1)},
            searcher="searchers.random:Random",
            trials=9,
            direction="maximize",
            store=protected,
            progress=False,
        )

    assert as_nobody(lambda: looked(protected)) == "([0, 1, 2, 3, 4, 5], {'done': 6})"
    assert as_nobody(search).startswith("NoPermissionError: store")
    assert as_nobody(lambda: Store(protected, "write")).startswith("NoPermissionError: store")
    assert protected.read_bytes() == before
    assert not ran.exists()


@unix
def test_a_store_that_may_not_be_read_is_a_permission_error(reachable):
    path = reachable / "hpo.db"
    searched(path)
    path.chmod(0o000)
    assert as_nobody(lambda: looked(path)).startswith("NoPermissionError: store")
    path.chmod(0o666)
    reachable.chmod(0o600)
    assert as_nobody(lambda: looked(path)).startswith("NoPermissionError: store")
    reachable.chmod(0o700)


@unix
def test_a_store_in_a_read_only_folder_cannot_be_created(reachable):
    reachable.chmod(0o555)
    path = reachable / "hpo.db"
    refused = f"CannotCreateError: cannot create store {path}: Permission denied (errno 13, EACCES): check the folder"
    assert as_nobody(lambda: Store(path, "create")).startswith(refused)
    assert list(reachable.iterdir()) == []
    reachable.chmod(0o777)


def test_a_store_deleted_while_in_use_is_noticed_at_the_next_write(one):
    one.path.unlink()
    with pytest.raises(StorageError, match="was deleted or moved while it was in use"):
        one.start({"x": 1})


def test_a_store_replaced_while_in_use_is_noticed_at_the_next_write(one, tmp_path):
    one.store.close()
    copy = tmp_path / "copy.db"
    shutil.copy(one.path, copy)
    before = copy.read_bytes()
    os.replace(copy, one.path)
    with pytest.raises(StorageError, match="was replaced by another file while it was in use"):
        one.start({"x": 1})
    assert one.path.read_bytes() == before


def test_a_store_in_wal_mode_is_left_so_with_a_warning(one):
    one.store.close()
    one.sql("PRAGMA journal_mode = WAL")
    with pytest.warns(UserWarning, match="was put into WAL mode by another program"):
        store = Store(one.path, "write")
    assert store.db.pragmas() == {"journal_mode": "wal", "synchronous": 2}
    store.create_study("other", {"seed": 1}, trials=1, source=None, if_taken="return")
    store.close()
    with pytest.warns(UserWarning, match="WAL mode"):
        assert [row.name for row in Store(one.path).studies()] == ["study", "other"]
    assert one.sql("PRAGMA journal_mode") == [("wal",)]


def test_a_store_that_another_program_keeps_locked_is_a_clear_error(one, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
    with contextlib.closing(sqlite3.connect(one.path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockedError, match="was locked for 0 s, now by another process"):
            Store(one.path)


def test_a_full_disk_is_a_clear_error_and_the_store_stays_valid(one):
    pages = one.store.db.query("PRAGMA page_count")[0]["page_count"]
    one.store.db._connection().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="the disk is full"):
        one.start(*({"x": i} for i in range(1000)))
    one.store.close()
    assert Store(one.path).counts(one.row.id) == {}
    one.store.db.check()
