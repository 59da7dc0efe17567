"""The storms' own checks find what is lost, doubled or gone: else a quiet storm would mean nothing."""

import copy

import pytest
from storms.content import BrokenStoreError, check_growth, check_told, content, differences
from storms.studies import PLACES, SEARCHERS, STUDIES

import hpo
from hpo.text import number


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("storms") / "hpo.db"
    space = {"x": hpo.Float(0.0, 1.0)}
    hpo.search(lambda p: p["x"], space, "random", 6, direction="minimize", batch=3, store=path, progress=False)
    return path


@pytest.fixture
def found(path):
    return {name: list(rows) for name, rows in content(path).items()}


def test_a_store_is_what_it_is(found):
    assert differences(found, found) == ([], [])
    check_growth(found, copy.deepcopy(found))


def test_where_there_is_no_store_there_is_nothing(tmp_path, found):
    nothing = content(tmp_path / "none.db")
    assert not any(nothing.values())
    check_growth(nothing, found)


@pytest.mark.parametrize("name", ["events", "trials", "evaluations"])
def test_a_missing_row_is_lost_and_a_row_too_many_is_doubled(found, name):
    less = found | {name: found[name][:-1]}
    assert [len(rows) for rows in differences(less, found)] == [1, 0]
    assert [len(rows) for rows in differences(found, less)] == [0, 1]


def test_what_vanishes_between_two_looks_is_found(found):
    with pytest.raises(BrokenStoreError, match="events vanished"):
        check_growth(found, found | {"events": found["events"][:-1]})
    with pytest.raises(BrokenStoreError, match="evaluation 5 was"):
        check_growth(found, found | {"evaluations": found["evaluations"][:-1]})


def test_what_was_shown_as_saved_must_be_there(found):
    shown = "".join(f"trial {row[0]}: {number(row[5])} (x=0.5)\n" for row in found["trials"])
    assert check_told(f"study s: new\n{shown}6/6 trials\n", found) == 6
    with pytest.raises(BrokenStoreError, match="trial 5 was shown"):
        check_told(shown, found | {"evaluations": found["evaluations"][:-1]})
    with pytest.raises(BrokenStoreError, match="trial 0 was shown"):
        check_told("trial 0: 77 (x=0.5)\n", found)


def test_a_damaged_file_is_found(path, tmp_path):
    data = bytearray(path.read_bytes())
    data[5 * 4096 + 100 : 6 * 4096] = bytes(3996)
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(data)
    with pytest.raises(BrokenStoreError):
        content(damaged)


def test_every_searcher_is_stormed_in_every_place_and_soon():
    assert {(study.searcher, study.place) for study in STUDIES} == {(s, p) for s in SEARCHERS for p in PLACES}
    first = STUDIES[: len(SEARCHERS)]
    assert ({study.searcher for study in first}, {study.place for study in first}) == (set(SEARCHERS), set(PLACES))
