"""A store whose bytes were changed, cut off or written by another version: refused in words, never changed."""

import contextlib
import json
import os
import random
import sqlite3
from pathlib import Path

import pytest

import hpo
from hpo.errors import DataError, HpoError
from hpo.store import Store
from hpo.store.damage import way_out
from hpo.store.schema import VERSION

PAGE = 4096


def objective(params):
    if params["x"] > 0.8:
        raise ValueError("too large")
    yield from (params["x"] / epoch for epoch in range(1, 10))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a store with a searched study, and with pages that are free."""
    path = tmp_path_factory.mktemp("good") / "hpo.db"

    hpo.search(
        objective, {"x": hpo.Float(0, 1), "kind": hpo.Choice(("a", (1, 2)))}, searcher="searchers.halving:Halving",
        epochs=9, trials=10, direction="maximize", store=path, name="study", progress=False,
    )  # fmt: skip
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(40000)); DROP TABLE large;"
        )
        assert connection.execute("PRAGMA freelist_count").fetchone()[0] > 5
    return path.read_bytes()


def root_page(path, table):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return int(found[0])


def page(number):
    return slice((number - 1) * PAGE, number * PAGE)


def several_pages(data, path):
    for table in ("trials", "evaluations", "evaluations_by_told"):
        begin = page(root_page(path, table)).start
        data[begin] ^= 0x0A
        data[begin + 5] ^= 0xFF


def header(data, path):
    data[28:32] = (2**31).to_bytes(4, "big")  # how many pages the file has
    data[16:18] = b"\x00\x03"  # how large they are


def freelist(data, path):
    first = int.from_bytes(data[32:36], "big")
    data[page(first)] = bytes(PAGE - 8) + b"\xff" * 8
    data[(first - 1) * PAGE : (first - 1) * PAGE + 8] = (7).to_bytes(4, "big") + (2**20).to_bytes(4, "big")


def cut_off(data, path):
    del data[-3 * PAGE - 100 :]


@pytest.mark.parametrize("damage", [several_pages, header, freelist, cut_off])
def test_a_damaged_store_is_refused_with_what_saves_the_rest_and_never_modified(good, path, damage):
    path.write_bytes(good)
    data = bytearray(good)
    damage(data, path)
    path.write_bytes(data)

    def run():
        study = hpo.load_study("study", path)
        study.resume(objective, trials=20, progress=False)

    with pytest.raises(DataError) as caught:
        run()
    assert caught.value.exit_code == 65
    assert f"store {path} is damaged (" in str(caught.value)
    assert f"it is left as it is; `hpo doctor --store {path} --salvage OUT` saves what can be read" in str(caught.value)
    assert path.read_bytes() == data
    assert sum(file.stat().st_size for file in path.parent.iterdir()) == len(data)  # and nothing of weight beside it


def read_all(path):
    study = hpo.load_study("study", path)
    study.trials, study.summaries(), study.evaluations(), study.counts(), study.failures(), study.ranking(5)
    study.spans(), study.environments, study.known_winner(), study.best, study.log(0), study.health()
    list(study._store.history(study._id)), study._store.open_round(study._id, 9)
    study.close()


@pytest.mark.parametrize("count", [20, pytest.param(400, marks=pytest.mark.ci)])
@pytest.mark.filterwarnings("ignore:store")  # bits of the header may say WAL, or a newer version
def test_flipped_bits_are_never_more_than_an_error_of_ours_and_the_file_stays(good, path, count):
    chance, refused = random.Random(7), 0
    for _ in range(count):
        data = bytearray(good)
        for _ in range(chance.choice([1, 3, 20])):
            place = chance.randrange(len(data) if chance.random() < 0.8 else 100)
            data[place] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        for read in (read_all, lambda path: Store(path, "write").db.check()):
            try:
                read(path)
            except HpoError as error:
                assert error.exit_code in (3, 4, 65), error  # noqa: PT017  (a name may be what was changed)
                refused += 1
        assert path.read_bytes() == data
        for file in path.parent.iterdir():
            file.unlink()
    assert refused > count / 5


@pytest.mark.parametrize("text", ["[1]", "{", "5", b"{}"])
def test_values_that_hpo_did_not_write_are_an_error_in_words(one, text):
    one.start({"x": 1})
    with contextlib.closing(sqlite3.connect(one.path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE trials SET params = CAST(? AS TEXT)", (text,))
        if isinstance(text, bytes):
            connection.execute("UPDATE trials SET state = 'nowhere'")
    with pytest.raises(DataError, match="a value that hpo did not write"):
        one.store.trials(1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (
            "UPDATE evaluations SET number = 0 WHERE id = 3",
            "evaluation 3 goes on from epoch 0, the one before reached 1",
        ),
        ("UPDATE events SET seq = 90 WHERE seq = 0", "there are .* events, the last is number 90"),
        ("UPDATE evaluations SET told = 1 WHERE id = 9", "evaluation 9 was told by event 1, which is no such event"),
    ],
)
def test_a_history_that_hpo_did_not_write_is_not_blamed_on_the_searcher(good, path, change, what):
    path.write_bytes(good)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(change)
    with pytest.raises(DataError, match=rf"a value that hpo did not write \({what}"):
        hpo.load_study("study", store=path).resume(trials=12, objective=objective, progress=False)


def versioned(path, version, *statements, by=None):
    """A store that another version of hpo wrote."""
    Store(path, "create").create_study("study", {"seed": 1}, trials=1, source=None, if_taken="return")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        if by is not None:
            noted = json.dumps({"packages": {"hpo-arena": by}})
            connection.execute("INSERT INTO runs VALUES (1, 0, 5, ?)", (noted,))
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("mode", ["read", "write", "create"])
def test_an_older_store_is_refused_with_both_versions_named(path, mode):
    versioned(path, VERSION - 1, by="0.1.7")
    said = rf"has schema {VERSION - 1}, written by hpo 0\.1\.7; this is hpo .*schema {VERSION}: install an older hpo"
    with pytest.raises(DataError, match=said):
        Store(path, mode)


@pytest.mark.parametrize("mode", ["write", "create"])
@pytest.mark.parametrize(("by", "named"), [("9.8", "hpo 9.8"), (None, "a newer hpo"), ([1], "a newer hpo")])
def test_a_newer_store_is_not_written(path, mode, by, named):
    versioned(path, VERSION + 1, by=by)
    before = path.read_bytes()
    said = (
        f"has schema {VERSION + 1}, written by {named}; this is hpo .*, which writes schema {VERSION}: install a newer"
    )
    with pytest.raises(DataError, match=said):
        Store(path, mode)
    assert path.read_bytes() == before


def test_a_newer_store_that_only_has_more_is_read_with_a_warning(path):
    more = "ALTER TABLE studies ADD COLUMN note TEXT", "CREATE TABLE notes (x)", "ALTER TABLE trials ADD COLUMN y TEXT"
    versioned(path, VERSION + 1, *more, "ALTER TABLE comparisons ADD COLUMN z TEXT", by="9.8")
    with pytest.warns(UserWarning, match=r"written by hpo 9\.8; this is hpo .*: it is read as far as this hpo knows"):
        store = Store(path)
    assert store.study("study").name == "study"


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ("DROP TABLE tests", "table 'tests'"),
        ("DROP INDEX trials_by_state", "index 'trials_by_state'"),
        ("ALTER TABLE tests RENAME COLUMN metrics TO scores", "column 'metrics' of table 'tests'"),
    ],
)
def test_a_newer_store_that_lacks_something_is_refused(path, change, lacking):
    versioned(path, VERSION + 1, change)
    with pytest.raises(DataError, match=f"misses {lacking}: install a newer hpo"):
        Store(path)


@pytest.mark.parametrize("mode", ["read", "write", "create"])
def test_the_log_of_another_file_beside_a_store_is_not_mixed_into_it(one, path, tmp_path, mode):
    """SQLite would: a -wal file that lies beside a store in rollback mode is taken for its own."""
    one.store.close()
    other = tmp_path / "other.db"
    other.write_bytes(path.read_bytes())
    with contextlib.closing(sqlite3.connect(other)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE studies SET name = 'of the other file'")
        connection.commit()
        log = (tmp_path / "other.db-wal").read_bytes()
    (tmp_path / "hpo.db-wal").write_bytes(log)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"hpo\.db-wal lies beside it, left by another file.*move the -wal file"):
        Store(path, mode)
    assert (path.read_bytes(), (tmp_path / "hpo.db-wal").read_bytes()) == (before, log)
    os.truncate(tmp_path / "hpo.db-wal", 0)
    assert Store(path, mode).study().name == "study"


def test_a_copy_without_its_log_is_read_as_of_its_last_checkpoint_with_a_warning(one, tmp_path):
    one.store.close()
    copy = tmp_path / "copy.db"
    with contextlib.closing(sqlite3.connect(one.path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE studies SET name = 'later'")
        connection.commit()
        copy.write_bytes(one.path.read_bytes())
    with pytest.warns(UserWarning, match="a copy without copy.db-wal lacks the latest"):
        assert Store(copy).study().name == "study"


def test_the_advice_about_a_damaged_store_can_be_typed():
    assert way_out(Path("my runs.db")).startswith("`hpo doctor --store 'my runs.db' --salvage OUT` saves")
