"""Whoever reads a large study lets others write between two pages, and reads no page too large."""

import contextlib
import sqlite3

import pytest

from hpo.store import Store, reader
from hpo.store.database import Database

READS = {
    "trials": lambda store: store.trials(1),
    "summaries": lambda store: store.summaries(1),
    "evaluations": lambda store: store.evaluations(1),
    "spans": lambda store: store.spans(1),
    "history": lambda store: list(store.history(1)),
}


@pytest.fixture
def study(one):
    """Of 200 trials in rounds of 20."""
    for _ in range(10):
        jobs = one.start(*({"x": i} for i in range(20)))
        one.end(jobs, range(20), tell=True)
    one.store.close()
    return one


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_writer_never_waits_for_a_reader_between_two_pages(study, monkeypatch, read):
    expected, reading, most = read(Store(study.path)), Store(study.path), []
    monkeypatch.setattr(reader, "PAGE", 30)
    plain = Database.query
    with contextlib.closing(sqlite3.connect(study.path, isolation_level=None, timeout=0)) as writer:

        def query(self, *arguments):
            rows = plain(self, *arguments)
            writer.execute("BEGIN EXCLUSIVE")  # raises at once where a reader holds a lock
            writer.execute("COMMIT")
            most.append(len(rows))
            return rows

        monkeypatch.setattr(Database, "query", query)
        assert read(reading) == expected
    assert len(most) >= 7
    assert max(most) <= 30


def test_pages_have_every_trial_once(study, monkeypatch):
    monkeypatch.setattr(reader, "PAGE", 30)
    store = Store(study.path)
    for first in (0, 29, 30, 31, 199, 200):
        for limit in (-1, 0, 1, 29, 30, 31, 60, 1000):
            numbers = [trial.number for trial in store.trials(1, first, limit)]
            assert numbers == list(range(first, 200 if limit < 0 else min(200, first + limit)))
