"""A disk that fails: SQLite's reads, writes and syncs return its own error codes to hpo's own code."""

import functools
import itertools
import os

import pytest
from forks import forked
from storms.layers import FAULTS, Failing
from storms.vfs import reason_against, register

from hpo.errors import StorageError
from hpo.store import Store

pytestmark = pytest.mark.skipif(reason_against() is not None, reason=str(reason_against()))
IOERR_READ = 266


def in_child(layer, act):
    """The exit code of a forked child in which `act()` runs above `layer`: 0, or that of our error."""

    def work():
        register(layer)
        act()

    return forked(work)


@pytest.mark.ci
def test_a_page_that_cannot_be_read_is_an_error_of_the_disk_not_damage(one):
    one.end(one.start(*({"x": i} for i in range(200))), [0.0] * 200)
    one.store.close()
    codes = []
    for n in itertools.count(1):
        codes.append(in_child(Failing("read", n, IOERR_READ, False, lambda: None), lambda: Store(one.path).db.check()))
        if codes[-1] == 0 and n > 1:
            break
    assert len(codes) > 5
    assert set(codes) == {0, StorageError.exit_code}


@pytest.mark.ci
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("forever", [False, True])
def test_a_transaction_on_a_failing_disk_is_whole_or_not_there_and_the_error_is_ours(one, kind, forever, monkeypatch):
    monkeypatch.setattr("hpo.store.database.BUSY_SECONDS", 0.02)  # nobody else is there whose lock could end
    one.start({"x": 0})
    one.store.close()
    met, ours = 0, {0, 74, 75, 77}

    def write():
        one.store = Store(one.path, "write")
        one.start({"x": 1}, {"x": 2})

    for _, code in FAULTS[kind]:
        for n in itertools.count(1):
            reading, writing = os.pipe()
            layer = Failing(kind, n, code, forever, functools.partial(os.write, writing, b"met"))
            before = one.sql("SELECT count(*) FROM trials")[0][0]
            ended = in_child(layer, write)
            os.close(writing)
            with os.fdopen(reading) as pipe:
                found = pipe.read()
            assert ended in ours
            assert one.sql("PRAGMA integrity_check") == [("ok",)]
            after = one.sql("SELECT count(*) FROM trials")[0][0]
            assert after == before + 2 if ended == 0 else after in (before, before + 2)
            if not found:
                break
            met += 1
    assert met
