"""What was acknowledged is on the disk: journal mode, synchronous level and the syncs that the system sees."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from forks import forked, needs_fork

from hpo.store import Store
from hpo.store.database import Database
from hpo.trial import Proposal

DURABLE = {"journal_mode": "truncate", "synchronous": 2}  # 2: FULL


@pytest.fixture(params=["read", "write"])
def store(one, request):
    opened = Store(one.path, request.param)
    yield opened
    opened.close()


def in_child(check):
    """Whether `check()` is true in a forked child."""

    def work():
        assert check()

    return forked(work) == 0


def test_a_connection_is_durable(store):
    assert store.db.pragmas() == DURABLE


def test_every_thread_has_a_durable_connection_of_its_own(store):
    found = []

    def look():
        found.append((store.db.pragmas(), store.db._connection()))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [pragmas for pragmas, _ in found] == [DURABLE] * 4
    assert len({id(connection) for _, connection in found} | {id(store.db._connection())}) == 5


def test_a_connection_opened_again_is_durable(store):
    store.close()
    assert store.db.pragmas() == DURABLE


@needs_fork
def test_a_forked_child_has_a_durable_connection_of_its_own(store):
    before = store.db._connection()
    assert in_child(lambda: store.db._connection() is not before and store.db.pragmas() == DURABLE)
    assert store.db._connection() is before


@needs_fork
def test_parent_and_forked_child_write_side_by_side(one):
    one.start({"x": 0})
    for i in range(5):
        assert in_child(lambda i=i: one.store.start(one.row.id, 1, [Proposal({"x": i})], 7, 4))
        one.start({"x": -i})
    assert [trial.number for trial in one.store.trials(one.row.id)] == list(range(11))


def grow(db, study):
    """More than the smallest cache holds, so that pages go to the disk before the commit."""
    db.execute("PRAGMA cache_size = 1")
    db.execute("UPDATE studies SET name = 'half'")
    db.executemany("INSERT INTO events VALUES (?, ?, 'asked', 1, 0.0)", [(study, i) for i in range(5000)])


@needs_fork
def test_a_child_forked_in_the_middle_of_a_transaction_does_not_undo_it(one):
    def half():
        with one.store.db.transaction() as db:
            db.execute("UPDATE studies SET name = 'half'")
            assert in_child(lambda: [row.name for row in one.store.studies()] == ["study"])
            grow(db, one.row.id)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert one.store.study().name == "study"
    assert one.sql("PRAGMA integrity_check") == [("ok",)]


def test_a_transaction_that_raises_is_undone(one):
    def half():
        with one.store.db.transaction() as db:
            grow(db, one.row.id)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert one.store.study().name == "study"
    one.start({"x": 1})


def test_a_signal_while_a_transaction_begins_leaves_none_open(one, monkeypatch):
    """A handler's exception is raised as soon as the call it interrupted returns: before BEGIN is known to be over."""

    class Interrupted:
        def __init__(self, connection):
            self.connection = connection

        def __getattr__(self, name):
            return getattr(self.connection, name)

        def execute(self, sql, *parameters):
            result = self.connection.execute(sql, *parameters)
            if sql.startswith("BEGIN"):
                raise KeyboardInterrupt
            return result

    plain = Database._connection
    monkeypatch.setattr(Database, "_connection", lambda self: Interrupted(plain(self)))
    with pytest.raises(KeyboardInterrupt):
        one.start({"x": 1})
    monkeypatch.undo()
    one.start({"x": 2})
    assert [trial.params for trial in one.store.trials(one.row.id)] == [{"x": 2}]


COMMIT = """
import os, sys
from hpo.store import Store
from hpo.trial import Proposal

store = Store(sys.argv[1], "write")
study = store.study().id
proposals = [Proposal({"x": i}) for i in range(64)]
store.start(study, 64, proposals, 7, 4)
marker = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
os.fsync(marker)
store.start(study, 64, proposals, 7, 4)
os.fsync(marker)
"""


def synced(one, tmp_path):
    """The files that one commit of 64 trials syncs, in order."""
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", trace]
    script = [sys.executable, "-c", COMMIT, one.path, tmp_path / "marker"]
    try:
        done = subprocess.run([*command, *script], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("strace does not get through here")
    if done.returncode != 0 and ("ptrace" in done.stderr or not trace.exists()):
        pytest.skip(f"strace may not trace here: {done.stderr.strip()[:200]}")
    assert done.returncode == 0, done.stderr
    names = re.findall(r"f(?:data)?sync\(\d+<([^>]*)>\) += 0", trace.read_text())
    names = [os.path.basename(name) for name in names]
    first, last = (i for i, name in enumerate(names) if name == "marker")
    return names[first + 1 : last]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_commit_syncs_the_journal_the_database_and_the_truncated_journal(one, tmp_path):
    names = synced(one, tmp_path)
    assert len(names) >= 3
    assert names[0] == names[-1] == "hpo.db-journal"
    assert "hpo.db" in names[1:-1]


@needs_fork
def test_a_transaction_that_spilled_to_disk_before_a_kill_is_undone_by_a_reader(one):
    before = one.path.read_bytes()

    def killed():
        with one.store.db.transaction() as db:
            grow(db, one.row.id)
            os.kill(os.getpid(), signal.SIGKILL)

    assert forked(killed) == -signal.SIGKILL
    assert one.path.read_bytes() != before
    reader = Store(one.path)
    assert reader.study().name == "study"
    assert reader.db.query("SELECT count(*) AS n FROM events") == [{"n": 0}]
    reader.db.check()


def test_what_is_written_together_is_there_together_or_not_at_all(tmp_path):
    store = Store(tmp_path / "hpo.db", "create")
    spec = {"seed": 1, "direction": "maximize"}

    def make(name):
        store.create_study(name, spec, trials=None, source=None, if_taken="return")

    def fail():
        with store.together():
            make("one")
            with store.together():
                make("two")
            raise RuntimeError("a defect")

    with pytest.raises(RuntimeError):
        fail()
    assert store.studies() == []
    with store.together():
        make("one")
        make("two")
        assert Store(tmp_path / "hpo.db").studies() == []  # another connection sees nothing yet
    assert [row.name for row in Store(tmp_path / "hpo.db").studies()] == ["one", "two"]
