"""Studies that are made to be diagnosed."""

import pytest

import hpo
from hpo import Float
from hpo.diagnosis import examine

UNIT = {"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}


@pytest.fixture
def made(tmp_path):
    """Runs a search and returns the study."""
    opened = []

    def make(objective, space=None, searcher="random", trials=80, **more):
        store = tmp_path / f"{len(opened)}.db"
        arguments = {"direction": "minimize", "store": store, "progress": False} | more
        opened.append(hpo.search(objective, UNIT if space is None else space, searcher, trials, **arguments))
        return opened[-1]

    make.opened = opened
    yield make
    for study in opened:
        study.close()


@pytest.fixture
def checked():
    """The check of one kind, of a study."""
    return lambda study, kind: next(check for check in examine(study) if check.kind == kind)
