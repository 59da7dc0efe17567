"""What SQLite's settings are worth in a power cut: the model of the disk finds what weak ones lose."""

import contextlib
import itertools
import os
import sqlite3

import pytest
from storms.layers import CUT, Failing, PowerCut
from storms.vfs import reason_against, register

ROWS = 3

pytestmark = pytest.mark.skipif(reason_against() is not None, reason=str(reason_against()))


def write_rows(path, journal, synchronous, acknowledge):
    """Transactions of one row each; `acknowledge(row)` is called when one has returned."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    for row in range(ROWS):
        connection.execute("INSERT INTO rows VALUES (?, zeroblob(3000))", (row,))
        acknowledge(row)
    connection.close()


def in_child(layer, path, journal, synchronous):
    """(Exit code, rows acknowledged) of a forked child that writes above `layer()`."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            register(layer())
            write_rows(path, journal, synchronous, lambda row: os.write(writing, b"%d\n" % row))
            code = 0
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode & 0x7F
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        rows = [int(line) for line in pipe]
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), rows


def store(folder):
    folder.mkdir()
    path = folder / "rows.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rows (i INTEGER PRIMARY KEY, filling BLOB)")
    return path


def harm(path, acknowledged):
    """What a power cut did to a file; None: nothing."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return "damaged"
            rows = [row for (row,) in connection.execute("SELECT i FROM rows ORDER BY i")]
        except sqlite3.DatabaseError:
            return "damaged"
    return None if rows[: len(acknowledged)] == acknowledged else "lost"


def harms(tmp_path, journal, synchronous, keep):
    """What cuts before every operation did, each once."""
    found = set()
    for n in itertools.count(1):
        path = store(tmp_path / f"{synchronous}-{keep}-{n}")
        code, acknowledged = in_child(
            lambda n=n, path=path: PowerCut(n, keep, n, path.parent), path, journal, synchronous
        )
        if code != CUT:
            assert (code, acknowledged) == (0, list(range(ROWS)))
            assert n > 4 * ROWS
            return found - {None}
        found.add(harm(path, acknowledged))
    return None


@pytest.mark.ci
@pytest.mark.parametrize("keep", ["nothing", "some", "torn"])
def test_a_truncated_journal_with_full_synchronisation_loses_nothing(tmp_path, keep):
    assert harms(tmp_path, "TRUNCATE", "FULL", keep) == set()


@pytest.mark.ci
def test_without_synchronisation_what_returned_is_lost_and_the_file_damaged(tmp_path):
    assert harms(tmp_path, "TRUNCATE", "OFF", "nothing") == {"lost"}
    assert "damaged" in harms(tmp_path, "TRUNCATE", "OFF", "torn")


@pytest.mark.ci
def test_a_deleted_journal_comes_back_and_undoes_the_last_commit(tmp_path):
    """Why the store's journal is truncated: only that is synced at FULL."""
    assert harms(tmp_path, "DELETE", "FULL", "nothing") == {"lost"}
    assert harms(tmp_path, "DELETE", "EXTRA", "nothing") == set()


@pytest.mark.parametrize(("kind", "code"), [("write", 778), ("write", 13), ("sync", 1034), ("lock", 3850)])
def test_an_operation_fails_as_it_was_told_to(tmp_path, kind, code):
    path = store(tmp_path / "failing")
    layer = Failing(kind, 2, code, True, met=lambda: None)
    assert in_child(lambda: layer, path, "TRUNCATE", "FULL")[0] == code & 0x7F
    assert harm(path, []) is None
