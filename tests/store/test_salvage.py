"""What a damaged store still holds comes into a new one: nothing made up, and no more lost than was hit."""

import random
import sqlite3
from dataclasses import replace

import pytest
from sound import wrong

import hpo
from hpo import Choice, Float, LiveTrial
from hpo.errors import DataError, StorageError
from hpo.store import Store
from hpo.store.pages import Pages, record, varint
from hpo.store.rescue import TABLES, Rescued
from hpo.store.salvage import salvage
from hpo.trial import State

PAGE = 4096
SPACE = {"x": Float(0.0, 1.0), "kind": Choice(("a", ("b", 1)))}


def noting(params, trial: LiveTrial):
    if params["x"] > 0.9:
        raise ValueError("a long story " * 800)  # more than a page holds
    trial.set_user_attr("seed", trial.seed)
    for step in range(9):
        trial.report(params["x"] / (step + 1), step)
        if trial.should_prune():
            return None
    return params["x"]


def make(path, trials, batch):
    for searcher, more in (("random", {}), ("halving", {"epochs": 9})):
        hpo.search(noting, SPACE, searcher, trials, direction="maximize", batch=batch, store=path, name=searcher,
                   progress=False, **more)  # fmt: skip
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make(tmp_path_factory.mktemp("small") / "hpo.db", 12, 6)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return make(tmp_path_factory.mktemp("large") / "hpo.db", 40, 9)


def rescue(data, folder):
    """(what was saved, the new store) of a file with these bytes, which are untouched."""
    bad, out = folder / "bad.db", folder / "out.db"
    bad.write_bytes(data)
    out.unlink(missing_ok=True)
    with out.open("xb") as file:
        done = salvage(bad, file)
    assert bad.read_bytes() == data
    store = Store(out)
    store.db.check()
    assert store.db.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert store.db.query("PRAGMA foreign_key_check") == []
    for row in store.studies():
        assert wrong(out, row.id) == []
    return {saved.study: saved for saved in done.studies}, store


def content(path, name):
    """(Number to trial, evaluations) of a study."""
    study = hpo.load_study(name, path)
    return {trial.number: trial for trial in study.trials}, study.evaluations()


def assert_nothing_is_made_up(store, original):
    """All that was saved is as it was, but for what was cut off at a trial's end. How many trials have their result."""
    found = {}
    for name in ("random", "halving"):
        if name not in {row.name for row in store.studies()}:
            found[name] = 0
            continue
        trials, evaluations = content(original, name)
        kept, kept_evaluations = content(store.path, name)
        assert kept_evaluations == evaluations[: len(kept_evaluations)]
        for number, trial in kept.items():
            was = trials[number]
            assert (trial.params, trial.seed, trial.info) == (was.params, was.seed, was.info)
            assert trial.user_attrs in (was.user_attrs, {})  # their page may be the one that is lost
            assert replace(trial, user_attrs=was.user_attrs) == was or trial.epochs < was.epochs
        results = {number for number, trial in kept.items() if trial.epochs == trials[number].epochs}
        rest = f"{name}-rest"
        if rest in {row.name for row in store.studies()}:
            for trial in content(store.path, rest)[0].values():
                was = trials[trial.info["salvaged_number"]]
                assert (trial.params, trial.seed) == (was.params, was.seed)
                if trial.epochs < was.epochs:  # what it had before it was trained on
                    continue
                for column in ("state", "value", "reason", "error", "curve"):
                    assert getattr(trial, column) == getattr(was, column)
                results.add(was.number)
        found[name] = len(results)
    return found


def zeroed(data, page):
    return data[: (page - 1) * PAGE] + bytes(PAGE) + data[page * PAGE :]


def roots(path):
    with sqlite3.connect(path) as connection:
        found = dict(connection.execute("SELECT name, rootpage FROM sqlite_master").fetchall())
    connection.close()
    return found


def test_of_a_sound_store_everything_is_saved(small, tmp_path):
    saved, store = rescue(small.read_bytes(), tmp_path)
    assert all(one.whole and one.rest is None for one in saved.values())
    for name in ("random", "halving"):
        assert content(store.path, name) == content(small, name)
    assert {row.id: row.name for row in store.studies()} == {row.id: row.name for row in Store(small).studies()}


def test_without_its_first_page_everything_is_saved(small, tmp_path):
    saved, store = rescue(zeroed(small.read_bytes(), 1), tmp_path)
    assert all(one.whole for one in saved.values())
    assert_nothing_is_made_up(store, small)
    assert content(store.path, "halving") == content(small, "halving")


def test_a_lost_page_of_trials_costs_those_and_the_study_goes_on(small, tmp_path):
    data = small.read_bytes()
    pages = Pages(data)
    leaf = max(pages.children(roots(small)["trials"]))
    lost = sum(cell.values[0] == 1 for cell in pages.cells(leaf))
    pages.close()
    saved, store = rescue(zeroed(data, leaf), tmp_path)
    found = assert_nothing_is_made_up(store, small)
    total = len(content(small, "random")[0])
    assert found["random"] == total - lost
    assert saved["random"].lost_trials == lost or saved["random"].whole
    for row in Store(store.path).studies():
        study = hpo.load_study(row.name, store.path)
        study.resume(objective=noting, progress=False)
        assert set(study.counts()) <= {State.DONE, State.FAILED, State.PAUSED}
    again = content(store.path, "random")[0]
    assert {n: (t.params, t.value) for n, t in again.items()} == {
        n: (t.params, t.value) for n, t in content(small, "random")[0].items()
    }


def test_a_study_without_its_specification_is_told_and_its_trials_are_handed_out(small, tmp_path):
    bad, out = tmp_path / "bad.db", tmp_path / "out.db"
    bad.write_bytes(zeroed(small.read_bytes(), roots(small)["studies"]))
    with out.open("xb") as file:
        done = salvage(bad, file)
    assert [saved.reason for saved in done.studies] == ["its name and specification are lost"] * 2
    trials = content(small, "random")[0]
    first = [found for found in done.homeless if found["study"] == "number 1"]
    assert [(found["params"]["x"], found["seed"]) for found in first] == [
        (trial.params["x"], trial.seed) for trial in trials.values()
    ]


def test_uses_of_test_data_go_on_counting_without_their_study(small, tmp_path):
    bad = tmp_path / "used.db"
    bad.write_bytes(small.read_bytes())
    connection = sqlite3.connect(bad)
    connection.execute("INSERT INTO tests VALUES (1, 3, 5, 1, 'the data', '{}', 7)")
    connection.commit()
    connection.close()
    _, store = rescue(zeroed(bad.read_bytes(), roots(bad)["studies"]), tmp_path)
    assert store.count_uses("the data") == 1
    assert store.studies() == []


@pytest.mark.parametrize("raised", [KeyboardInterrupt, StorageError])
def test_what_ends_the_reading_is_told_as_it_is(small, tmp_path, monkeypatch, raised):
    def end(page, at):
        raise raised

    monkeypatch.setattr("hpo.store.pages.varint", end)
    with pytest.raises(raised), open(tmp_path / "out.db", "wb") as out:
        salvage(small, out)


def test_what_is_no_store_is_an_error(tmp_path):
    for data in (b"", b"hello", bytes(50_000), random.Random(0).randbytes(50_000)):
        with pytest.raises(DataError, match="nothing"):
            rescue(data, tmp_path)


@pytest.mark.ci
def test_each_page_of_a_store_may_be_lost(large, tmp_path):
    data = large.read_bytes()
    trials = {name: len(content(large, name)[0]) for name in ("random", "halving")}
    tables = roots(large)
    rows = {page: _rows(data, page) for page in range(1, len(data) // PAGE + 1)}
    for page, held in rows.items():
        _, store = rescue(zeroed(data, page), tmp_path)
        found = assert_nothing_is_made_up(store, large)
        store.close()
        if page != tables["studies"]:  # confined: at most the trials that had something in this page are lost
            assert sum(found.values()) >= sum(trials.values()) - held, page


def _rows(data, page):
    """How many rows a page has at most, those that go on in it included."""
    pages = Pages(data)
    held = len(list(pages.cells(page))) or 1
    pages.close()
    return held


@pytest.mark.ci
@pytest.mark.parametrize("seed", range(3))
def test_bits_may_flip_and_the_end_may_be_missing(large, tmp_path, seed):
    chance = random.Random(seed)
    data = large.read_bytes()
    for _ in range(15):
        bad = bytearray(data)
        for _ in range(chance.choice((1, 10, 100, 1000))):
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        rescue_or_refuse(bytes(bad), tmp_path)
        store = rescue_or_refuse(data[: chance.randrange(PAGE, len(data))], tmp_path)
        if store is not None:
            assert_nothing_is_made_up(store, large)


def rescue_or_refuse(data, folder):
    """The new store; None: nothing of a study was left."""
    try:
        return rescue(data, folder)[1]
    except DataError as error:
        assert "nothing is saved" in str(error)  # noqa: PT017  (either is right)
        return None


@pytest.mark.ci
def test_the_tables_are_those_of_the_schema(large):
    pages = Pages(large.read_bytes())
    found = Rescued(pages)
    with sqlite3.connect(large) as connection:
        for name in TABLES:
            assert [tuple(row.values()) for row in found.db.query(f"SELECT * FROM {name}")] == connection.execute(
                f"SELECT * FROM {name}"
            ).fetchall()
    connection.close()


def test_rows_are_decoded_as_sqlite_wrote_them(tmp_path):
    values = [
        0,
        1,
        -1,
        127,
        -129,
        2**15,
        -(2**23) - 1,
        2**31,
        2**40,
        2**62,
        -(2**63),
        0.5,
        -1e308,
        None,
        "",
        "ü",
        b"\0",
    ]
    path = tmp_path / "any.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in [*values, "x" * 10_000]])
    connection.commit()
    connection.close()
    pages = Pages(path.read_bytes())
    assert [cell.values[0] for cell in pages.cells(2)] == [*values, "x" * 10_000]
    assert [cell.rowid for cell in pages.cells(2)] == list(range(1, len(values) + 2))
    assert varint(b"\xff" * 9, 0) == (-1, 9)
    assert record(b"\x02\x08") == (0,)
