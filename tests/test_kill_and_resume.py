"""A driver that is killed and started again gives the same trials as one that never was."""

import contextlib
import itertools
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hpo.errors import LoadError
from hpo.registry import load

SEARCHERS = ("grid", "random", "halving", *(pytest.param(name, marks=pytest.mark.ci) for name in ("tpe", "nas")))
EDGES = ("before BEGIN", "before COMMIT", "after COMMIT")
MEMORY = "/dev/shm"  # syncing matters to power cuts, not to kills: a folder in memory tests the same, faster

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


class Attempts:
    """Asks the program `kill_driver.py` for attempts at studies."""

    def __init__(self, process, folder):
        self._process = process
        self._folder = folder
        self._paths = itertools.count()
        self._steady = {}

    def path(self):
        return self._folder / f"{next(self._paths)}.db"

    def run(self, path, study, *, edge=None, after=None, told=None):
        """One attempt; whether it was killed, else how many transactions it took."""
        request = {"path": str(path), "study": study, "edge": edge, "after": after, "told": told}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the program ended with exit code {self._process.wait()}"
        answer = json.loads(line)
        assert answer["killed"] or answer["error"] is None, answer["error"]
        return answer

    def steady(self, study):
        """The answer to, and the content of, a study that was never killed."""
        if study not in self._steady:
            path = self.path()
            answer = self.run(path, study)
            self._steady[study] = answer, content(path)
        return self._steady[study]


@pytest.fixture(scope="module")
def attempts():
    with contextlib.ExitStack() as stack:
        memory = MEMORY if os.path.isdir(MEMORY) else None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, Path(__file__).with_name("kill_driver.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        )
        stack.callback(process.kill)
        assert process.stdout.readline() == "ready\n"
        yield Attempts(process, folder)


@pytest.fixture(params=SEARCHERS)
def searcher(request):
    try:
        load("searchers", request.param)
    except LoadError as error:
        pytest.skip(str(error))
    return request.param


QUERIES = {
    "studies": "SELECT name, spec, trials FROM studies WHERE id = ?",
    "events": "SELECT seq, kind, n FROM events WHERE study = ? ORDER BY seq",
    "trials": "SELECT number, params, seed, state, epochs, value, value_kind, reason FROM trials WHERE study = ?"
    " ORDER BY number",
    "evaluations": "SELECT id, number, asked, told, start, target, info, state, epochs, charged, value, value_kind,"
    " reason, error, curve FROM evaluations WHERE study = ? ORDER BY id",
}


def content(path, study=1):
    """All that a store holds of a study apart from times and owners, the file itself found in order."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = {name: connection.execute(query, (study,)).fetchall() for name, query in QUERIES.items()}
    for name in ("events", "trials", "evaluations"):
        assert [row[0] for row in found[name]] == list(range(len(found[name])))
    return found


def finish(attempts, path, study, **kill):
    """Attempts until one gets through; returns how many were killed."""
    for killed in itertools.count():
        if not attempts.run(path, study, **kill)["killed"]:
            return killed
    return None


def test_the_studies_have_trials_of_every_kind(attempts, searcher):
    _, found = attempts.steady(searcher)
    ends = {(state, reason) for _, _, _, state, _, _, _, reason in found["trials"]}
    assert ends >= {("done", None), ("failed", "exception"), ("failed", "non_finite")}
    assert len(found["trials"]) >= 10
    assert found["events"][-1][1] == "told"


def test_a_study_that_is_run_twice_is_the_same(attempts, searcher):
    path = attempts.path()
    attempts.run(path, searcher)
    assert content(path) == attempts.steady(searcher)[1]


@pytest.mark.parametrize("edges", [EDGES[1:2], pytest.param((EDGES[0], EDGES[2]), marks=pytest.mark.slow)])
def test_killed_at_every_edge_of_every_transaction(attempts, searcher, edges):
    answer, expected = attempts.steady(searcher)
    assert answer["transactions"] >= 8
    for n, edge in itertools.product(range(1, answer["transactions"] + 1), edges):
        path = attempts.path()
        assert attempts.run(path, searcher, edge=[edge, n])["killed"]
        attempts.run(path, searcher)
        assert content(path) == expected, f"killed {edge} of transaction {n}"


@pytest.mark.ci
def test_killed_again_and_again_after_one_step_forward(attempts, searcher):
    """The first two transactions of an attempt find the study; then each attempt records one thing and dies."""
    answer, expected = attempts.steady(searcher)
    path = attempts.path()
    killed = finish(attempts, path, searcher, edge=["after COMMIT", 3])
    assert killed == answer["transactions"] - 2
    assert content(path) == expected


def storm(attempts, study, chance):
    """Killed at random times until an attempt gets through."""
    answer, expected = attempts.steady(study)
    path = attempts.path()
    while attempts.run(path, study, after=chance.uniform(0.0, 1.5) * answer["seconds"])["killed"]:
        pass
    assert content(path) == expected


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_killed_at_random_times(attempts, searcher, seed):
    storm(attempts, searcher, random.Random(seed))


@pytest.mark.slow
def test_killed_at_random_times_in_a_long_storm(attempts, searcher):
    chance = random.Random(0)
    for _ in range(200):
        storm(attempts, searcher, chance)


@pytest.mark.ci
def test_a_study_that_was_told_another_ones_trials_goes_on_as_if_never_killed(attempts, searcher):
    old = attempts.path()
    attempts.run(old, "random")
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("UPDATE studies SET name = 'old'")

    def copied():
        return Path(shutil.copy(old, attempts.path()))

    path = copied()
    answer = attempts.run(path, searcher, told="old")
    expected = content(path, study=2)
    told = len(attempts.steady("random")[1]["trials"]) if searcher != "nas" else 3  # it trains fewer epochs than most
    assert [event[1:] for event in expected["events"][:2]] == [("asked", 0), ("told", told)]
    for n in range(1, answer["transactions"] + 1):
        path = copied()
        assert attempts.run(path, searcher, edge=["before COMMIT", n], told="old")["killed"]
        attempts.run(path, searcher, told="old")
        assert content(path, study=2) == expected, f"killed before COMMIT of transaction {n}"


@pytest.mark.parametrize("edge", ["before COMMIT", pytest.param("after COMMIT", marks=pytest.mark.ci)])
def test_the_shared_objective_killed_and_resumed_equals_never_killed(attempts, edge):
    _, expected = attempts.steady("simplenn")
    assert {(start, target) for _, _, _, _, start, target, *_ in expected["evaluations"]} == {(0, 1), (1, 2)}
    for n in itertools.count(3):  # outcomes that come close together share a transaction: their number varies
        path = attempts.path()
        killed = attempts.run(path, "simplenn", edge=[edge, n])["killed"]
        if killed:
            attempts.run(path, "simplenn")
        assert content(path) == expected, f"killed {edge} of transaction {n}"
        if not killed:
            break
    assert n > 6, "two rounds are asked for and told: four transactions, after the two that find the study"
