"""Names of studies: unique, numbered, and inert whatever they hold."""

import pytest

from hpo.store import Store

HOSTILE = [
    "it's",
    'a "b"',
    "'; DROP TABLE studies; --",
    "100%_",
    "\U0001f600",
    "[red]",
    "../../x",
    "-n",
    "a`b",
    "x" * 1000,
    "مرحبا",
    "$HOME ? : @p ?1 {0}",
]


@pytest.fixture
def store(path):
    return Store(path, "create")


def test_a_taken_name_returns_its_study(store, new_study):
    first = new_study(store, "a", trials=3)
    again = new_study(store, "a", trials=9, initial=[{"x": 1}])
    assert again == first
    assert store.counts(first.id) == {}


def test_a_taken_name_is_numbered(store, new_study):
    names = [new_study(store, "a", if_taken="number").name for _ in range(4)]
    assert names == ["a", "a-2", "a-3", "a-4"]


def test_numbering_passes_over_names_that_are_taken(store, new_study):
    new_study(store, "a-3")
    names = [new_study(store, "a", if_taken="number").name for _ in range(3)]
    assert names == ["a", "a-2", "a-4"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_inert(store, new_study, name):
    other = new_study(store, "other")
    row = new_study(store, name)
    assert (row.name, store.study(name).id) == (name, row.id)
    assert new_study(store, name, if_taken="number").name == f"{name}-2"
    assert [s.name for s in store.studies()] == ["other", name, f"{name}-2"]
    assert store.study("other") == other


def test_names_are_matched_exactly(store, new_study):
    for name in ("a%", "ab", "A%"):
        new_study(store, name)
    assert [store.study(name).name for name in ("a%", "ab", "A%")] == ["a%", "ab", "A%"]


def test_the_latest_study_is_the_one_made_last(store, new_study):
    for name in ("b", "c", "a"):
        new_study(store, name)
    assert store.study().name == "a"
