"""A store whose cells somebody else wrote: nothing in it runs, and what cannot be read is refused in a line."""

import base64
import contextlib
import os
import pickle
import sqlite3

import pytest

CELLS = {
    "studies": ["spec", "name", "source", "test_data"],
    "runs": ["environment"],
    "trials": ["params", "state", "seed", "number", "value", "reason", "epochs"],
    "evaluations": ["info", "curve", "health", "error", "target", "start", "attempts", "number", "told"],
    "events": ["kind", "n", "seconds"],
}
VALUES = [
    "[]",
    "null",
    "3",
    '"text"',
    "{",
    "[" * 100_000,
    '{"a": 1}',
    '{"a": {"b": []}}',
    '{"x": NaN}',
    "-1",
    "9" * 5000,
]
COMMANDS = [
    ("ls",),
    ("show",),
    ("show", "squares", "1"),
    ("best",),
    ("export", "--format", "csv"),
    ("export", "--format", "jsonl"),
    ("report",),
    ("resume",),
]


class Gadget:
    def __reduce__(self):
        return os.system, ("touch executed",)


def alter(path, table, column, value):
    """Whether the schema let the value in."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        try:
            return connection.execute(f"UPDATE {table} SET {column} = ?", (value,)).rowcount > 0
        except sqlite3.IntegrityError:
            return False


@pytest.mark.ci
@pytest.mark.parametrize(("table", "column"), [(table, column) for table in CELLS for column in CELLS[table]])
def test_a_bad_cell_is_told_in_a_line_or_does_no_harm(squares, home, table, column):
    store = home / "hpo.db"
    good = store.read_bytes()
    gadget = base64.b64encode(pickle.dumps(Gadget())).decode()
    odd = []
    for value in (*VALUES, gadget):
        store.write_bytes(good)
        if not alter(store, table, column, value):
            continue
        for command in COMMANDS:
            try:
                found = squares(*command)
            except Exception as error:  # the test's fixture lets internal errors through
                odd.append((value[:20], command, repr(error)[:150]))
                continue
            assert found.code in (0, 3, 4, 5, 65, 78), (value[:20], command, found.err)
            assert found.code == 0 or len(found.err.splitlines()) <= 3
    assert odd == []
    assert not (home / "executed").exists()
