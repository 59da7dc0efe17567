"""A store on a file system that cannot be written: a run is refused before any trial, everything else works."""

import contextlib
import os
import shutil
import signal
import sqlite3

import pytest
from forks import forked, needs_fork
from mounts import read_only

from hpo.errors import CannotCreateError, NoPermissionError, StorageError
from hpo.store import Store


def half_written(path):
    """A transaction under way when its process is killed, some of its pages in the file already."""

    def act():
        with Store(path, "write").db.transaction() as db:
            db.execute("PRAGMA cache_size = 1")
            db.execute("UPDATE studies SET name = 'half'")
            db.executemany("INSERT INTO events VALUES (1, ?, 'asked', 1, 0.0)", [(i,) for i in range(9, 5000)])
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(act) == -signal.SIGKILL


def with_log(path):
    """In WAL mode, the latest transaction in the log only."""

    def act():
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO events VALUES (1, 9, 'asked', 1, 0.0)")
        connection.commit()
        os.kill(os.getpid(), signal.SIGKILL)

    assert forked(act) == -signal.SIGKILL


def with_log_alone(path):
    """As copies are made: without the memory that processes share."""
    with_log(path)
    path.with_name(f"{path.name}-shm").unlink()


def without_log(path):
    """In WAL mode and closed, so that there is no log."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def as_it_is(path):
    pass


@pytest.fixture
def kept(one, tmp_path):
    """A store with four trials in a folder of its own."""
    one.end(one.start(*({"x": i} for i in range(4))), range(4), tell=True)
    one.store.close()
    folder = tmp_path / "kept"
    folder.mkdir()
    shutil.copy(one.path, folder / "hpo.db")
    return folder / "hpo.db"


@needs_fork
@pytest.mark.parametrize(
    ("spoil", "warning", "events"),
    [
        (as_it_is, None, 2),
        (half_written, "was not closed properly and cannot be written here: a copy of it is read", 2),
        (with_log, None, 3),
        (with_log_alone, "was not closed properly and cannot be written here: a copy of it is read", 3),
        (without_log, "cannot be written here: it is read as it lies there", 2),
    ],
    ids=["closed", "hot journal", "WAL", "WAL without memory", "WAL without log"],
)
def test_on_read_only_media_all_is_read_and_a_run_is_refused(kept, spoil, warning, events):
    spoil(kept)
    before = {file.name: file.read_bytes() for file in kept.parent.iterdir()}
    with read_only(kept.parent):
        with pytest.warns(UserWarning, match=warning) if warning else contextlib.nullcontext(), _perhaps_wal(spoil):
            store = Store(kept)
        assert store.study().name == "study"
        assert [trial.value for trial in store.trials(1)] == [0, 1, 2, 3]
        assert store.db.query("SELECT count(*) AS n FROM events") == [{"n": events}]
        copy = store.db._source
        store.close()
        with pytest.raises(NoPermissionError, match=r"Read-only file system \(errno 30, EROFS\)"), _perhaps_wal(spoil):
            Store(kept, "write")
        with pytest.raises(CannotCreateError, match=r"Read-only file system \(errno 30, EROFS\)"):
            Store(kept.parent / "other.db", "create")
    assert {file.name: file.read_bytes() for file in kept.parent.iterdir()} == before
    del store
    assert copy == kept or not copy.parent.exists()


def _perhaps_wal(spoil):
    wal = spoil in (with_log, with_log_alone, without_log)
    return pytest.warns(UserWarning, match="was put into WAL mode") if wal else contextlib.nullcontext()


@needs_fork
def test_a_copy_that_finds_no_room_is_a_clear_error(kept, monkeypatch, tmp_path):
    half_written(kept)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with read_only(kept.parent), pytest.raises(StorageError, match=r"a copy has to be read.*set TMPDIR to a folder"):
        Store(kept)
