"""A store with one study, and helpers that write into it."""

import contextlib
import dataclasses
import os
import sqlite3
import stat

import pytest

from hpo.store import Store
from hpo.trial import Outcome, Proposal, State

SPEC = {"seed": 7, "direction": "maximize"}


@dataclasses.dataclass
class OneStudy:
    """A store that holds the study `row`, whose trials train up to 4 epochs."""

    store: Store
    row: object

    @property
    def path(self):
        return self.store.path

    def start(self, *params, n=None, **proposal):
        proposals = [Proposal(p, **proposal) for p in params]
        return self.store.start(self.row.id, len(params) if n is None else n, proposals, SPEC["seed"], 4)

    def end(self, jobs, values, *, tell=False, **outcome):
        outcomes = [ended(job, value, **outcome) for job, value in zip(jobs, values, strict=True)]
        self.store.record(self.row.id, outcomes, 4, [job.evaluation for job in jobs] if tell else [])
        return outcomes

    def trial(self, number):
        return self.store.trial(self.row.id, number)

    def sql(self, query, *parameters):
        """Rows as any SQLite tool reads them."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query, parameters).fetchall()


def ended(job, value, state=State.DONE, **more):
    defaults = {"epochs": job.target, "charged": job.target - job.start, "seconds": 0.5}
    return Outcome(job.number, job.params, state, value, evaluation=job.evaluation, **(defaults | more))


def _new_study(store, name="study", **more):
    arguments = {"trials": 10, "source": None, "if_taken": "return"} | more
    return store.create_study(name, SPEC, **arguments)


@pytest.fixture
def new_study():
    return _new_study


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hpo.db"


@contextlib.contextmanager
def _one_study(path):
    store = Store(path, "create")
    yield OneStudy(store, _new_study(store))
    store.close()


@pytest.fixture(scope="session")
def one_study():
    return _one_study


@pytest.fixture
def one(path):
    with _one_study(path) as found:
        yield found


@pytest.fixture
def reachable(tmp_path):
    """A folder that everybody may read; pytest's own are private, and shared with other tests, so they stay open."""
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & stat.S_ISVTX:
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path
