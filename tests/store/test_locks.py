"""Many processes and one store: creation, drivers' locks, readers."""

import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest
from forks import forked, needs_fork

from hpo.errors import NoPermissionError, StorageError
from hpo.store import Store
from hpo.store.lock import DriverLock


@pytest.fixture
def start():
    """Starts Python code in a process; `arguments` are its sys.argv[1:]."""
    processes = []

    def launch(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield launch
    for process in processes:
        process.kill()
        process.communicate()


def results(processes):
    """Standard outputs of processes that ended well."""
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [(process.returncode, error) for process, (_, error) in zip(processes, outputs, strict=True)] == [
        (0, "")
    ] * len(processes)
    return [output for output, _ in outputs]


def test_eight_processes_that_create_one_store_at_once_all_succeed(start, tmp_path):
    code = """
        import sys
        from hpo.store import Store, database

        made = []
        place = database.give_name
        database.give_name = lambda *paths: (place(*paths), made.append(1))
        input()
        store = Store(sys.argv[1], "create")
        study = store.create_study("s", {"seed": 1}, trials=1, source=None, if_taken="number")
        print(len(made), study.name)
    """
    path = tmp_path / "hpo.db"
    processes = [start(code, path) for _ in range(8)]
    for process in processes:
        process.stdin.write("\\n")
        process.stdin.flush()
    lines = [output.split() for output in results(processes)]
    assert [made for made, _ in lines].count("1") == 1
    assert sorted(name for _, name in lines) == ["s"] + [f"s-{i}" for i in range(2, 9)]
    assert [row.id for row in Store(path).studies()] == list(range(1, 9))
    assert {file.name for file in tmp_path.iterdir()} <= {"hpo.db", "hpo.db-journal"}


def test_what_a_killed_creation_left_behind_is_no_obstacle(tmp_path):
    import threading

    left = tmp_path / f".hpo.db.{os.getpid()}.{threading.get_ident()}.new"
    left.write_bytes(b"half a store")
    Store(tmp_path / "hpo.db", "create")
    assert not left.exists()


def test_a_lock_is_exclusive_and_ends_with_release(tmp_path):
    first, second = DriverLock(tmp_path / "lock"), DriverLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert not (tmp_path / "lock").exists()
    assert second.acquire()
    first.release()  # holds nothing, so gives nothing back
    assert not DriverLock(tmp_path / "lock").acquire()
    second.release()


HOLD = """
    import os, sys
    from hpo.store import Store

    store = Store(sys.argv[1], "write")
    lock = store.driver_lock(1)
    assert lock.acquire()
    child = os.fork() if sys.argv[2] == "fork" else None
    print(child or "ready", flush=True)  # a forked child: only now it has let go of the lock
    sys.stdin.read()
"""


@pytest.mark.parametrize("way", ["plain", pytest.param("fork", marks=needs_fork)])
def test_a_lock_dies_with_its_process(start, one, way):
    holder = start(HOLD, one.path, way)
    lines = {holder.stdout.readline().strip() for _ in range(2 if way == "fork" else 1)}
    child = next(iter(lines - {"ready"}), "")
    try:
        lock = one.store.driver_lock(1)
        assert not lock.acquire()
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(timeout=60)
        assert lock.acquire()  # though a child that the holder forked may live on
        lock.release()
    finally:
        if child.isdigit():
            os.kill(int(child), signal.SIGKILL)


@needs_fork
def test_a_forked_child_cannot_give_its_parents_lock_back(one):
    lock = one.store.driver_lock(1)
    assert lock.acquire()
    assert forked(lock.release) == 0
    assert lock.path.exists()
    assert not one.store.driver_lock(1).acquire()
    lock.release()


def test_studies_have_locks_of_their_own(one, new_study):
    other = new_study(one.store, "other")
    first, second = one.store.driver_lock(one.row.id), one.store.driver_lock(other.id)
    assert first.acquire()
    assert second.acquire()
    first.release()
    second.release()


def test_a_store_reached_by_another_name_has_the_same_lock(one, tmp_path, monkeypatch):
    link = tmp_path / "folder" / "link.db"
    link.parent.mkdir()
    link.symlink_to(one.path)
    monkeypatch.chdir(tmp_path)
    first = one.store.driver_lock(1)
    assert first.acquire()
    assert not Store(link).driver_lock(1).acquire()
    assert not Store("hpo.db").driver_lock(1).acquire()
    first.release()


def test_a_store_opened_by_a_relative_path_survives_a_change_of_directory(one, new_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store("hpo.db", "write")
    monkeypatch.chdir("/")
    new_study(store, "other")
    store.close()
    assert [row.name for row in store.studies()] == ["study", "other"]


def test_a_lock_file_of_another_kind_is_a_clear_error(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=re.escape(str(tmp_path / "folder"))):
        DriverLock(tmp_path / "folder").acquire()


def test_a_lock_file_of_another_user_is_a_permission_error(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(NoPermissionError, match="check the permissions"):
        DriverLock(tmp_path / "lock").acquire()


def test_two_writers_and_a_polling_reader_do_not_lock_each_other_out(start, one, new_study):
    write = """
        import sys
        from hpo.store import Store
        from hpo.trial import Outcome, Proposal, State

        store = Store(sys.argv[1], "write")
        study = int(sys.argv[2])
        assert store.driver_lock(study).acquire()
        for i in range(40):
            jobs = store.start(study, 4, [Proposal({"x": i})] * 4, 7, 1)
            outcomes = [Outcome(j.number, j.params, State.DONE, 0.5, evaluation=j.evaluation) for j in jobs]
            store.record(study, outcomes, 1, [job.evaluation for job in jobs])
    """
    read = """
        import sys
        from hpo.store import Store

        store = Store(sys.argv[1])
        done = 0
        while done < 320:
            done = sum(len(store.trials(row.id)) for row in store.studies())
            for row in store.studies():
                store.best(row.id, "maximize")
                assert all(len(e.outcomes) == e.n for e in store.history(row.id) if e.kind == "told")
    """
    other = new_study(one.store, "other")
    results([start(write, one.path, one.row.id), start(write, one.path, other.id), start(read, one.path)])
    for row in one.store.studies():
        trials = one.store.trials(row.id)
        assert [trial.number for trial in trials] == list(range(160))
        assert {trial.value for trial in trials} == {0.5}
    assert one.sql("PRAGMA integrity_check") == [("ok",)]
