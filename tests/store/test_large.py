"""A large study is read without reading all of it: counted in steps of SQLite's machine, not in seconds."""

import shutil

import pytest

from hpo.store import Store

MOST_STEPS = 3_000  # reading 4,000 rows takes more than ten times as many


@pytest.fixture(scope="module")
def filled(one_study, tmp_path_factory):
    """The file of 4,000 trials in rounds of 80, and 10 under way."""
    path = tmp_path_factory.mktemp("large") / "hpo.db"
    with one_study(path) as one:
        for _ in range(50):
            jobs = one.start(*({"x": i} for i in range(80)))
            one.end(jobs, [job.number / 7 % 1 for job in jobs], curve={"v": [0.1] * 4}, tell=True)
        one.start(*({"x": i} for i in range(10)))
    return path


@pytest.fixture
def large(filled, one_study, path):
    """A copy of it."""
    shutil.copy(filled, path)
    with one_study(path) as one:
        assert one.sql("SELECT count(*) FROM trials") == [(4_010,)]
        yield one


def steps(store, read):
    """How many steps `read(store)` takes, once the schema is known."""
    store.studies()
    count = 0

    def ten():
        nonlocal count
        count += 10

    store.db._connection().set_progress_handler(ten, 10)
    read(store)
    store.db._connection().set_progress_handler(None, 10)
    return count


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.study("study"),
        lambda store: store.best(1, "maximize"),
        lambda store: store.best(1, "minimize"),
        lambda store: store.trial(1, 3_000),
        lambda store: store.trials(1, 3_000, 20),
        lambda store: store.pending(1, 10),
        lambda store: store.open_round(1, 4),
        lambda store: Store(store.path).study(),
    ],
    ids=["study", "maximum", "minimum", "trial", "page", "pending", "open round", "opening"],
)
def test_a_part_is_read_without_the_rest(large, read):
    assert steps(large.store, read) < MOST_STEPS


def test_history_is_read_in_linear_time(large):
    """Each event finds its own evaluations: 50 rounds would else read 4,000 rows each."""
    assert steps(large.store, lambda store: list(store.history(1))) < 100 * 4_000


def test_a_run_begins_without_reading_all_trials(large):
    assert steps(large.store, lambda store: store.begin_run(1, 1, {})) < MOST_STEPS


def test_what_is_shown_of_a_huge_study_is_read_from_its_latest_trials(large, monkeypatch):
    from hpo import stored_study
    from hpo.store import reader

    monkeypatch.setattr(stored_study, "MOST_HEALTH", 100)
    monkeypatch.setattr(reader, "PAGE", 30)
    study = object.__new__(stored_study.StoredStudy)
    study._store, study._id, study.spec = large.store, 1, type("Spec", (), {"direction": "maximize"})
    assert study.health().diverged.of == 90  # of the latest 100 trials 10 are under way
    assert steps(large.store, lambda store: store.trials(1, 3_000, 60)) < MOST_STEPS  # as `hpo export` pages
