"""What the operating system refuses is told with its reason, number and path, in one line; networks are warned of."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from other_user import as_nobody, unix

from hpo.errors import DiskError, LockedError, StorageError
from hpo.store import Store, database, filesystem
from hpo.store.filesystem import FileSystem
from hpo.store.lock import DriverLock


def searched(path):
    """A store with a study and the journal that writing leaves."""
    store = Store(path, "create")
    store.create_study("study", {"seed": 1}, trials=1, source=None, if_taken="return")
    store.close()


EACCES = "Permission denied (errno 13, EACCES)"


@unix
def test_a_store_that_a_umask_closed_to_others_says_so(reachable):
    before = os.umask(0o077)
    try:
        Store(reachable / "hpo.db", "create").close()
    finally:
        os.umask(before)
    path = reachable / "hpo.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if os.geteuid() == 0:  # others are other users then
        refused = f"may not be read by this user: {EACCES} for {path}: check its permissions"
        assert as_nobody(lambda: Store(path)) == f"NoPermissionError: store {path} {refused}"


@unix
def test_another_users_store_is_refused_for_writing_with_what_is_wrong(reachable):
    path = reachable / "hpo.db"
    searched(path)
    path.chmod(0o444)
    said = as_nobody(lambda: Store(path, "write"))
    assert said.startswith(
        f"NoPermissionError: store {path} cannot be written by this user: {EACCES} for {path}: check"
    )
    path.chmod(0o666)
    (reachable / "hpo.db-journal").unlink(missing_ok=True)
    reachable.chmod(0o555)  # the file may be written, its journal not be made
    said = as_nobody(lambda: Store(path, "write"))
    assert EACCES in said
    assert f"for {reachable}: check the permissions of file and folder" in said
    reachable.chmod(0o777)


@unix
def test_a_lock_file_of_another_user_in_a_sticky_folder_is_named(reachable):
    if os.geteuid() != 0:
        pytest.skip("files of two users take root")
    path = reachable / "hpo.db"
    searched(path)
    path.chmod(0o666)
    (reachable / "hpo.db-journal").chmod(0o666)
    reachable.chmod(0o1777)
    lock = reachable / "hpo.db-study-1.lock"
    lock.touch(mode=0o644)
    said = as_nobody(lambda: DriverLock(lock).acquire())
    assert said.startswith(f"NoPermissionError: lock file {lock} cannot be written by this user: {EACCES}")
    assert (
        as_nobody(lambda: Store(path, "write").study().name) == "'study'"
    )  # what may be done works in a sticky folder
    assert as_nobody(lambda: Store(reachable / "own.db", "create").studies()) == "[]"


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="only Linux tells who has a file locked")
def test_a_store_that_is_locked_names_the_process_that_has_it(tmp_path, monkeypatch):
    path = tmp_path / "hpo.db"
    searched(path)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
    hold = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('BEGIN EXCLUSIVE');"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"was locked for 0 s, now by process {other.pid}: wait"):
            Store(path)
        other.stdin.close()


def test_a_quota_is_an_error_of_the_disk_and_retried():
    pytest.skip("a quota takes a file system with quotas switched on; EDQUOT takes the way of ENOSPC and EFBIG")


def test_an_error_that_no_file_explains_has_sqlites_own_name(one, monkeypatch):
    class Failing:
        def execute(self, *arguments):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_READ, "SQLITE_IOERR_READ"
            raise error

    monkeypatch.setattr(one.store.db, "_connection", Failing)
    with pytest.raises(DiskError, match=r"disk I/O error \(SQLITE_IOERR_READ\): make room, or see to the disk"):
        one.store.studies()
    assert {file.name for file in one.path.parent.iterdir()} <= {"hpo.db", "hpo.db-journal"}  # no probe is left


def test_no_lock_is_lost_when_a_store_is_opened_again_in_the_middle_of_a_transaction(one):
    """Closing any handle of a file drops all of a process's locks on it: POSIX has it so."""
    with one.store.db.transaction():
        Store(one.path)
        with contextlib.closing(sqlite3.connect(one.path, timeout=0)):
            code = f"import sqlite3; sqlite3.connect({str(one.path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
            assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", f"{code}"]) != 0


@pytest.fixture
def network(monkeypatch):
    """Every file is on a network file system."""
    monkeypatch.setattr(filesystem, "kind", lambda path: FileSystem("nfs4", True))


def test_a_store_on_a_network_file_system_is_warned_of_when_it_is_written(one, network):
    with pytest.warns(UserWarning, match=r"on a network file system \(nfs4\).*use a path on a disk of this machine"):
        Store(one.path, "write").close()
    with pytest.warns(UserWarning, match=r"nfs4"):
        Store(one.path.with_name("new.db"), "create").close()
    Store(one.path).close()  # reading harms nothing


def test_a_store_in_wal_mode_on_a_network_file_system_is_not_written(one, network):
    one.store.close()
    one.sql("PRAGMA journal_mode = WAL")
    before = one.path.read_bytes()
    with pytest.warns(UserWarning, match="WAL"), pytest.raises(StorageError, match="is in WAL mode and on a network"):
        Store(one.path, "write")
    with pytest.warns(UserWarning, match="WAL"):
        assert Store(one.path).study().name == "study"
    assert one.path.read_bytes() == before


def test_a_real_network_file_system_is_seen():
    text = Path("/proc/self/mountinfo").read_text() if sys.platform == "linux" else ""
    mounted = [line.split() for line in text.splitlines() if filesystem.is_network(line.partition(" - ")[2].split()[0])]
    if not mounted:
        pytest.skip("no network file system is mounted here")
    assert filesystem.kind(mounted[-1][4]).network
