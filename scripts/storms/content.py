"""What a store holds, and whether it is what it must be."""

import contextlib
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.text import number

Content = Mapping[str, list[tuple[Any, ...]]]

QUERIES = {
    "studies": "SELECT name, spec, trials FROM studies",
    "events": "SELECT seq, kind, n FROM events ORDER BY seq",
    "trials": "SELECT number, params, seed, state, epochs, value, value_kind, reason FROM trials ORDER BY number",
    "evaluations": "SELECT id, number, asked, start, target, info, state, epochs, charged, value, value_kind, reason,"
    " error, curve, told FROM evaluations ORDER BY id",
}
NUMBER, STATE, EPOCHS, VALUE, KIND = 1, 6, 7, 9, 10  # columns of evaluations
SAVED = re.compile(r"^trial (\d+)(?: to epoch (\d+))?: (?:failed|(\S+) \()", re.MULTILINE)


class BrokenStoreError(Exception):
    """A store is not what it must be."""


def content(path: Path, *, copied: bool = False) -> Content:
    """All that a store holds apart from times and owners, the file itself found in order; empty if there is none.

    Args:
        path: the store.
        copied: look at a copy of it and its journal, so that what a dead writer left behind stays for the next.
    """
    if not path.exists():
        return {name: [] for name in QUERIES}
    if copied:
        with tempfile.TemporaryDirectory() as folder:
            for name in (path.name, f"{path.name}-journal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(path.with_name(name), folder)
            return content(Path(folder) / path.name)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        try:
            if (problems := connection.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                raise BrokenStoreError(f"{path}: {problems[:3]}")
            found = {name: connection.execute(query).fetchall() for name, query in QUERIES.items()}
        except sqlite3.DatabaseError as error:
            raise BrokenStoreError(f"{path}: {error}") from error
    for name in ("events", "trials", "evaluations"):
        if [row[0] for row in found[name]] != list(range(len(found[name]))):
            raise BrokenStoreError(f"{path}: {name} are not numbered from 0")
    return found


def ended(found: Content) -> dict[int, tuple[Any, ...]]:
    """The evaluations that have a result, but for when the searcher was told."""
    return {row[0]: row[:-1] for row in found["evaluations"] if row[STATE] in ("done", "failed")}


def check_growth(before: Content, after: Content) -> None:
    """Raise BrokenStoreError unless all that was in a store is still there."""
    events = before["events"]
    if after["events"][: len(events)] != events:
        raise BrokenStoreError(f"events vanished or changed: {len(events)} before, now {after['events'][-3:]}")
    there = ended(after)
    for evaluation, row in ended(before).items():
        if there.get(evaluation) != row:
            raise BrokenStoreError(f"evaluation {evaluation} was {row}, is {there.get(evaluation)}")


def check_told(said: str, after: Content) -> int:
    """How many results `--verbose` showed; raise BrokenStoreError unless the store has each of them."""
    there = {
        (row[NUMBER], max(row[EPOCHS], 1)): number(row[VALUE]) if row[STATE] == "done" else None
        for row in ended(after).values()
    }
    shown = SAVED.findall(said)
    for trial, epochs, value in shown:
        key = (int(trial), int(epochs or 1))
        if key not in there or there[key] != (value or None):
            raise BrokenStoreError(
                f"trial {trial} was shown with {value or 'a failure'}, the store has {there.get(key)}"
            )
    return len(shown)


def differences(found: Content, expected: Content) -> tuple[list[str], list[str]]:
    """(Lost, doubled) rows of trials, events and evaluations beside those of the undisturbed run, as text."""

    def only(these: Content, those: Content) -> list[str]:
        return [
            f"{name} {row}"
            for name in QUERIES
            for others in [set(those[name])]
            for row in these[name]
            if row not in others
        ]

    return only(expected, found), only(found, expected)
