"""A journal that a killed writer left is applied to the file that it is of, and never to a new one of that name."""

import contextlib
import shutil
import sqlite3

import pytest

from hpo import load_study


def left_in_a_transaction(store, copy):
    """Copy a store and its journal as they lie there when a writer is killed in a transaction."""
    with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # so that changes are in the file before the commit
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE evaluations SET info = printf('%4000s', '{}')")
        shutil.copyfile(store, copy)
        shutil.copyfile(f"{store}-journal", f"{copy}-journal")
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("command", [("backup", "out.db"), ("doctor", "--salvage", "out.db")])
def test_a_store_written_over_another_is_whole_whatever_lay_beside_that(squares, home, command):
    left_in_a_transaction(home / "hpo.db", home / "out.db")
    plan = ("--direction", "minimize", "--searcher", "random", "--trials", 30)
    squares("run", "objectives:square", *plan, "--name", "more", "--quiet")
    assert squares(*command, "--force").code == 0
    assert squares("doctor", "--store", "out.db").code == 0
    assert len(load_study("more", home / "out.db").trials) == 30


@pytest.mark.parametrize(
    "command",
    [
        ("backup", "out.db"),
        ("doctor", "--salvage", "out.db"),
        ("run", "objectives:square", "--direction", "minimize", "--trials", "2", "--quiet", "--store", "out.db"),
    ],
)
@pytest.mark.parametrize("end", ["-journal", pytest.param("-wal", marks=pytest.mark.ci)])
def test_no_store_is_made_beside_the_journal_of_another(squares, home, command, end):
    left_in_a_transaction(home / "hpo.db", home / "out.db")
    (home / "out.db").unlink()
    left = (home / "out.db-journal").rename(home / f"out.db{end}")
    found = squares(*command)
    assert found.code == 73
    assert f"out.db{end}, left by an earlier file of this name, lies beside it" in found.err
    assert not (home / "out.db").exists()
    left.unlink()
    assert squares(*command).code == 0
    assert squares("doctor", "--store", "out.db").code == 0


def test_who_salvages_a_store_is_told_of_its_journal(squares, home):
    left_in_a_transaction(home / "hpo.db", home / "cut.db")
    found = squares("doctor", "--store", "cut.db", "--salvage", "out.db")
    assert found.code == 0
    assert "before out.db takes the place of cut.db, move cut.db-journal away, too" in found.out
