"""A file of any lines is a study that comes through unchanged, or is refused with its line named."""

import json

import pytest
from fuzzing import attempt, damaged, data, deep, fuzz, numbers, scalars
from hypothesis import example, given
from hypothesis import strategies as st

import hpo
from hpo.errors import DataError
from hpo.store import Store
from hpo.store.stored_copy import StoredCopy
from hpo.store.transfer import read_study

pytestmark = pytest.mark.ci


def objective(params):
    if params["x"] > 0.8:
        raise ValueError("no")
    for epoch in range(params.get("n", 1)):
        yield params["x"] + epoch


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """The lines of three studies: random, halving with paused trials and enqueued ones, by hand."""
    path = tmp_path_factory.mktemp("exports") / "hpo.db"
    space = {"x": hpo.Float(0, 1), "c": hpo.Choice(["a", (1, 2), None]), "n": hpo.Int(1, 3, when={"c": ["a"]})}
    more = {"store": path, "direction": "maximize", "progress": False}
    hpo.search(objective, space, searcher="random", trials=6, epochs=4, name="one", **more)
    hpo.search(objective, space, searcher="halving", trials=4, epochs=4, name="two", **more)
    store = Store(path)
    return [[json.loads(line) for line in lines(store, row)] for row in store.studies()]


def lines(store, row):
    """What `hpo export --format jsonl` writes of a study."""
    copy = StoredCopy.of(store, row)
    return [json.dumps(found) for found in copy.objects()]


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Reads lines, adds them to a store and reads them back."""
    path = tmp_path_factory.mktemp("imports") / "hpo.db"
    store = Store(path, "create")

    def outcome(found):
        copy = attempt(read_study, found, "file.jsonl")
        if isinstance(copy, DataError):
            assert "file.jsonl, line " in str(copy)
            return copy
        assert isinstance(copy, StoredCopy), copy
        before = len(store.studies())
        row = attempt(copy.insert, store, f"study {before}")
        assert len(store.studies()) == before + 1, row
        for each in (store.trials, store.evaluations, store.uses, store.winners, store.spans, store.environments):
            attempt(each, row.id)
        attempt(lambda: list(store.history(row.id)))
        again = attempt(lines, store, row)
        once_more = attempt(read_study, again, "again.jsonl")
        assert isinstance(once_more, StoredCopy), once_more
        assert store.db.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        return again

    return outcome


def places(value):
    """Every (container, key) inside JSON."""
    if not isinstance(value, (dict, list)):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


values = st.one_of(numbers, scalars, data, st.integers(-1, 9), st.sampled_from([10**18, -1, 1.0, "nan", "inf", "done"]))


@given(st.data())
@fuzz(400)
def test_a_study_of_other_values_comes_through_or_is_refused(exports, read, data):
    found = json.loads(json.dumps(data.draw(st.sampled_from(exports))))
    for _ in range(data.draw(st.integers(1, 2))):
        at, key = data.draw(st.sampled_from(places(data.draw(st.sampled_from(found)))))
        kind = data.draw(st.sampled_from(["set", "set", "set", "drop", "rename", "swap", "type"]))
        if kind == "set":
            at[key] = data.draw(values)
        elif kind == "type":
            at[key] = data.draw(st.sampled_from([str, bool, lambda v: [v], lambda v: {"x": v}, lambda v: None]))(
                at[key]
            )
        elif kind == "drop":
            del at[key]
        elif kind == "rename" and isinstance(at, dict):
            at[data.draw(st.text(max_size=5))] = at.pop(key)
        else:
            there, other = data.draw(st.sampled_from(places(found)))
            at[key], there[other] = there[other], at[key]
        if any(not places(line) for line in found):
            break
    try:
        text = [json.dumps(line) for line in found]
    except (RecursionError, ValueError):  # a value that was put into itself
        return
    read(text)


@given(st.data())
@fuzz(200)
def test_a_study_of_other_lines_comes_through_or_is_refused(exports, read, data):
    found = [json.dumps(line) for line in data.draw(st.sampled_from(exports))]
    for _ in range(data.draw(st.integers(1, 3))):
        i, j = (data.draw(st.integers(0, len(found) - 1)) for _ in range(2))
        kind = data.draw(st.sampled_from(["drop", "double", "swap", "damage", "other"]))
        if kind == "drop" and len(found) > 1:
            del found[i]
        elif kind == "double":
            found.insert(j, found[i])
        elif kind == "swap":
            found[i], found[j] = found[j], found[i]
        elif kind == "damage":
            found[i] = data.draw(damaged(found[i].encode())).decode(errors="replace")
        else:
            found[i] = json.dumps(data.draw(st.sampled_from(data.draw(st.sampled_from(exports)))))
    read(found)


@given(st.lists(st.text(max_size=30) | data.map(json.dumps), max_size=4))
@example([])
@example(["[" * 100_000])
@example(["9" * 10_000])
@example(['{"study": ' * 50_000])
@fuzz(200)
def test_other_lines_are_refused(read, found):
    assert isinstance(read(found), DataError)


@pytest.mark.parametrize("levels", [21, 400, 900])
def test_lists_inside_each_other_are_no_bomb(exports, read, levels):
    for at, key in places(exports[0][0])[:40] + places(exports[0][1])[:40]:
        kept, at[key] = at[key], deep(levels)
        try:
            text = [json.dumps(line) for line in exports[0]]
        finally:
            at[key] = kept
        read(text)


def test_what_was_not_altered_comes_through(exports, read):
    for found in exports:
        again = read([json.dumps(line) for line in found])
        first = json.loads(again[0])
        first["study"]["name"] = found[0]["study"]["name"]
        assert [first, *map(json.loads, again[1:])] == found
