"""What cannot be stored is tried again, and nothing is counted twice, whether or not a failed commit was one."""

import contextlib
import json
import sqlite3

import pytest

import hpo
from hpo.domains import Float, Int
from hpo.driver import Driver
from hpo.errors import DiskError, Interrupt, StorageError
from hpo.executors.in_process import InProcessExecutor
from hpo.function_objective import FunctionObjective
from hpo.loop import Ending, run
from hpo.registry import make_searcher
from hpo.signals import Stop
from hpo.space import Space
from hpo.store import Store
from hpo.store.database import Database
from hpo.study_spec import StudySpec
from hpo.trial import Outcome
from hpo.unsaved import insist

SPACE = Space({"x": Float(0.0, 1.0), "units": Int(1, 8)})
SEARCHERS = ("random", "halving", "optuna:CmaEsSampler")
EPOCHS = 9


def climb(params):
    for epoch in range(1, EPOCHS + 1):
        yield params["x"] * epoch + params["units"]


OBJECTIVE = FunctionObjective(climb, direction="maximize")


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "hpo.db", "create")
    yield opened
    opened.close()


@contextlib.contextmanager
def drivers(store, monkeypatch, names=SEARCHERS):
    monkeypatch.setattr("hpo.driver.environment", lambda device: {})  # looks at every installed package
    with contextlib.ExitStack() as cleanup:
        made = []
        for name in names:
            kind, searcher = make_searcher(name)
            spec = StudySpec(OBJECTIVE.describe(), SPACE, kind, searcher.settings(), "maximize", 3, 4, EPOCHS)
            row = store.create_study(name, spec.to_json(), trials=6, source=None, if_taken="return")
            made.append(Driver(store, row, trials=6))
            cleanup.callback(made[-1].close)
        yield made


class Watcher:
    """Calls `act` at each outcome, and `room` when it is told that the run waits."""

    def __init__(self, act=lambda: None, room=lambda: None):
        self.notes, self._act, self._room = [], act, room

    def progress(self, driver, event):
        pass

    def outcomes(self, driver, outcomes):
        self._act()

    def note(self, line):
        self.notes.append(line)
        self._room()


def limit_pages(store, more=0):
    """Let the file grow no more than so many pages."""
    connection = store.db._connection()
    connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0] + more}")


def facts(store):
    return {
        row.name: (
            [(t.number, t.params, t.seed, str(t.state), t.value, t.epochs, t.curve) for t in store.trials(row.id)],
            [(event.kind, event.n, len(event.proposals), len(event.outcomes)) for event in store.history(row.id)],
            store.charged(row.id),
        )
        for row in store.studies()
    }


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """What undisturbed runs store."""
    with contextlib.closing(Store(tmp_path / "whole.db", "create")) as store:
        with drivers(store, monkeypatch) as made:
            assert run(made, InProcessExecutor(OBJECTIVE), Watcher(), Stop()) is Ending.COMPLETE
        return facts(store)


def test_a_run_of_many_studies_goes_on_when_there_is_room_again(store, monkeypatch, whole):
    watcher = Watcher(lambda: limit_pages(store), lambda: limit_pages(store, more=10))
    with drivers(store, monkeypatch) as made:
        assert run(made, InProcessExecutor(OBJECTIVE), watcher, Stop()) is Ending.COMPLETE
    assert "disk is full (No space left on device): make room; waiting up to" in watcher.notes[0]
    assert watcher.notes[1] == "the store can be written again: the run goes on"
    assert facts(store) == whole


@pytest.mark.parametrize("kept", [True, False], ids=["after the commit", "before it"])
def test_an_error_that_may_come_after_the_commit_doubles_nothing(store, monkeypatch, whole, kept):
    """Every second commit fails; a disk that fails at the last sync has the transaction all the same."""
    commits, plain = 0, Database._commit

    def failing(self, connection):
        nonlocal commits
        commits += 1
        if commits % 2 and commits > 2 * len(SEARCHERS):  # once the studies are there
            if kept:
                plain(self, connection)
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"
            raise error
        plain(self, connection)

    monkeypatch.setattr("hpo.unsaved.FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("hpo.unsaved.LONGEST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(Database, "_commit", failing)
    with drivers(store, monkeypatch) as made:
        assert run(made, InProcessExecutor(OBJECTIVE), Watcher(), Stop()) is Ending.COMPLETE
    assert commits > 20
    assert facts(store) == whole


def test_a_signal_right_after_a_commit_loses_and_doubles_nothing(store, monkeypatch, whole):
    commits, plain = 0, Database._commit

    def interrupted(self, connection):
        nonlocal commits
        plain(self, connection)
        commits += 1
        if commits % 3 == 0:
            raise Interrupt(143)

    ending = None
    for _ in range(100):
        with drivers(store, monkeypatch) as made, monkeypatch.context() as patch, contextlib.suppress(Interrupt):
            patch.setattr(Database, "_commit", interrupted)
            ending = run(made, InProcessExecutor(OBJECTIVE), Watcher(), Stop())
            break
    assert ending is Ending.COMPLETE
    assert commits > 10
    assert facts(store) == whole


@contextlib.contextmanager
def no_room():
    """Inside the block this process may write small files only: a journal's first page is too much."""
    resource = pytest.importorskip("resource", reason="this system has no limits on the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_in_time_all_results_of_the_transaction_are_spilled(store, monkeypatch, whole, tmp_path):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr("hpo.unsaved.WAIT_SECONDS", 0.0)
    with drivers(store, monkeypatch) as made, contextlib.ExitStack() as full:
        executor, plain = InProcessExecutor(OBJECTIVE), InProcessExecutor.wait
        names, ended = {driver.study: driver.name for driver in made}, []

        def wait(self, timeout):
            events = plain(self, timeout)
            ended.extend((names[job.study], event.number) for job, event in events if isinstance(event, Outcome))
            full.enter_context(no_room())
            return events

        monkeypatch.setattr(InProcessExecutor, "wait", wait)
        with pytest.raises(
            DiskError, match=r"\(errno 27, EFBIG\).*; \d+ results not saved, at .*: those trials run again"
        ):
            run(made, executor, Watcher(), Stop())
    monkeypatch.undo()
    [file] = (tmp_path / "tmp").iterdir()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(ended) > 1
    assert sorted((line["study"], line["number"]) for line in lines) == sorted(ended)
    for line in lines:
        assert (line["params"], line["seed"]) == whole[line["study"]][0][line["number"]][1:3]
    assert all(trial.value is None for row in store.studies() for trial in store.trials(row.id))
    with drivers(store, monkeypatch) as made:
        assert run(made, InProcessExecutor(OBJECTIVE), Watcher(), Stop()) is Ending.COMPLETE
    assert facts(store) == whole


def test_a_stop_ends_the_wait_for_a_round_and_nothing_was_lost(store, monkeypatch):
    stop = Stop()

    def request():
        stop.requested = True

    with drivers(store, monkeypatch, ["random"]) as made, no_room():
        assert run(made, InProcessExecutor(OBJECTIVE), Watcher(room=request), stop) is Ending.STOPPED
    assert store.counts(1) == {}
    with drivers(store, monkeypatch, ["random"]) as made:
        assert run(made, InProcessExecutor(OBJECTIVE), Watcher(), Stop()) is Ending.COMPLETE


def test_what_is_wrong_with_no_disk_is_not_waited_for():
    def write():
        raise StorageError("deleted")

    with pytest.raises(StorageError, match=r"^deleted$"):
        insist(write, Stop(), Watcher(), seconds=60)


@pytest.mark.parametrize("searcher", ["random", "optuna:CmaEsSampler"])
def test_by_hand_a_failed_ask_or_tell_can_be_repeated(tmp_path, searcher):
    def by_hand(name):
        return hpo.create_study(SPACE, searcher, direction="minimize", store=tmp_path / f"{name}.db")

    calm, full = by_hand("calm"), by_hand("full")
    full._by_hand()  # which notes that this process drives the study
    for _ in range(3):
        trial = calm.ask()
        calm.tell(trial.number, trial.params["x"])
        trial = at_the_third_try(full.ask)
        at_the_third_try(lambda trial=trial: full.tell(trial.number, trial.params["x"]))
    found, expected = ([(t.number, t.params, t.value, t.seed) for t in study.trials] for study in (full, calm))
    assert found == expected
    assert [event.kind for event in full._driver.store.history(1)] == ["asked", "told"] * 3
    for study in (calm, full):
        study.close()


def at_the_third_try(act):
    for _ in range(2):
        with no_room(), pytest.raises(DiskError, match="File too large"):
            act()
    return act()
