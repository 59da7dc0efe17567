"""Clusters from the command line that are none."""

import pytest

pytest.importorskip("distributed")

from hpo.executors import choose

RUN = ("run", "objectives:square", "--direction", "minimize", "--trials", 4)


@pytest.fixture(autouse=True)
def nothing_is_left(home):
    yield
    assert [path.name for path in home.iterdir() if path.name.startswith("hpo")] == []


def test_a_text_that_is_no_address_is_said_in_one_line(call):
    found = call(*RUN, "--dask", "nonsense")
    assert (found.code, found.out, len(found.err.splitlines())) == (2, "", 1), found.err
    assert "'nonsense' is no address of a Dask scheduler" in found.err


def test_a_scheduler_that_does_not_answer_is_said_in_one_line(hpo, monkeypatch):
    monkeypatch.setattr(choose, "CONNECT_SECONDS", 0.5)
    found = hpo(*RUN, "--dask", "tcp://127.0.0.1:9")
    assert (found.code, found.out, len(found.err.splitlines())) == (69, "", 1), found.err
    assert "no Dask scheduler answers at tcp://127.0.0.1:9 within 0.5 s" in found.err


def test_workers_of_this_machine_and_a_cluster_do_not_go_together(hpo):
    found = hpo(*RUN, "--workers", 4, "--dask", "tcp://127.0.0.1:9")
    assert (found.code, found.out) == (2, "")
    assert "workers are processes of this machine; a cluster has its own: leave one of them out" in found.err
