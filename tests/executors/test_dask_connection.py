"""What ends a run on a Dask cluster, or never lets it begin."""

import contextlib
import sys
import threading
import time

import pytest

distributed = pytest.importorskip("distributed")

from executors.dask_cluster import Cluster  # noqa: E402

import hpo  # noqa: E402
from hpo.domains import Float  # noqa: E402
from hpo.driver import Driver  # noqa: E402
from hpo.errors import ClusterError, UsageError  # noqa: E402
from hpo.execution import Execution  # noqa: E402
from hpo.executors import choose  # noqa: E402
from hpo.executors.choose import connected, make_executor  # noqa: E402
from hpo.executors.dask import executor as dask_executor  # noqa: E402
from hpo.executors.in_process import InProcessExecutor  # noqa: E402
from hpo.function_objective import FunctionObjective  # noqa: E402
from hpo.loop import run  # noqa: E402
from hpo.registry import make_searcher  # noqa: E402
from hpo.signals import Stop  # noqa: E402
from hpo.space import Space  # noqa: E402
from hpo.store import Store  # noqa: E402
from hpo.study_spec import StudySpec  # noqa: E402
from hpo.trial import Job, State  # noqa: E402


def half(params):
    time.sleep(0.02)
    return params["x"] / 2


OBJECTIVE = FunctionObjective(half, direction="minimize")


class Watcher:
    def __init__(self, act):
        self._act, self.count = act, 0

    def progress(self, driver, event):
        pass

    def outcomes(self, driver, outcomes):
        self.count += len(outcomes)
        self._act(self.count)


def enter(cluster):
    with connected(Execution(cluster=cluster)):
        raise AssertionError("it is connected")


def test_without_a_cluster_the_objective_chooses():
    with connected(Execution(retries=3)) as execution:
        assert execution == Execution(retries=3)
    assert isinstance(make_executor(OBJECTIVE, execution), InProcessExecutor)


def test_without_dask_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'hpo-arena\[dask\]'"):
        enter("tcp://127.0.0.1:8786")


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (8786, r"executor is 8786 \(int\), expected a dask.distributed.Client, or the address of a scheduler"),
        ("carrier-pigeon://roof", "'carrier-pigeon://roof' is no address of a Dask scheduler"),
        ("nonsense", r"'nonsense' is no address of a Dask scheduler \(missing port number in address 'nonsense'\)"),
        ("tcp://host:eight", "is no address of a Dask scheduler"),
        ("tcp://127.0.0.1:87860", r"is no address of a Dask scheduler \(port 87860\)"),
    ],
)
def test_what_is_no_cluster_is_refused_before_there_is_a_study_or_a_client(tmp_path, monkeypatch, cluster, message):
    monkeypatch.setattr(distributed.Client, "__init__", None)
    with pytest.raises(UsageError, match=message):
        hpo.search(half, {"x": Float(0, 1)}, direction="minimize", executor=cluster, store=tmp_path / "hpo.db")
    assert not (tmp_path / "hpo.db").exists()


def test_a_scheduler_that_does_not_answer_is_said_before_there_is_a_study(tmp_path, monkeypatch):
    monkeypatch.setattr(choose, "CONNECT_SECONDS", 0.5)
    where = {"executor": "tcp://127.0.0.1:9", "store": tmp_path / "hpo.db"}
    with pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 within 0\.5 s"):
        hpo.search(half, {"x": Float(0, 1)}, direction="minimize", **where)
    assert not (tmp_path / "hpo.db").exists()


def test_a_client_is_closed_where_it_was_made(tmp_path):
    cluster = Cluster(tmp_path)
    with connected(Execution(cluster=cluster.client, retries=3)) as given:
        assert given == Execution(cluster=cluster.client, retries=3)
    assert cluster.client.status == "running"
    with connected(Execution(cluster=cluster.address, retries=3)) as made:
        assert (made.cluster.status, made.retries) == ("running", 3)
    assert made.cluster.status == "closed"
    with pytest.raises(ClusterError, match="the Dask client is closed: connect it again"):
        enter(made.cluster)
    cluster.close()


def test_a_batched_function_stays_here():
    with pytest.raises(UsageError, match="'half' is batched, one call for many trials in this process"):
        FunctionObjective(half, batched=True).check_execution(Execution(cluster="tcp://127.0.0.1:9"))


def test_an_objective_that_cannot_be_sent_is_refused_before_there_is_a_study(tmp_path):
    lock = threading.Lock()
    where = {"executor": "tcp://127.0.0.1:9", "store": tmp_path / "hpo.db"}

    def locked(params):
        with lock:
            return 1.0

    with pytest.raises(UsageError, match="objective 'locked' cannot be sent to another process"):
        hpo.search(locked, {"x": Float(0, 1)}, direction="minimize", **where)
    assert not (tmp_path / "hpo.db").exists()


@pytest.mark.ci
def test_a_scheduler_that_goes_ends_the_run_with_everything_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(choose, "CONNECT_SECONDS", 2.0)
    monkeypatch.setattr(dask_executor, "_PATIENCE", 0.0)
    cluster = Cluster(tmp_path)
    kind, searcher = make_searcher("random")
    spec = StudySpec(OBJECTIVE.describe(), Space({"x": Float(0, 1)}), kind, searcher.settings(), "minimize", 1, 8, None)
    store = Store(tmp_path / "hpo.db", "create")
    row = store.create_study("study", spec.to_json(), trials=200, source=None, if_taken="return")
    driver = Driver(store, row, trials=200)
    connection = contextlib.ExitStack()
    execution = connection.enter_context(connected(Execution(cluster=cluster.address)))
    executor = make_executor(OBJECTIVE, execution)
    executor.submit([Job(row.id, 10**6, 10**6, {"x": 1.0}, 0, 0, 1, 1)])
    with pytest.warns(UserWarning, match=f"no worker at the Dask scheduler {cluster.address}: waiting for one"):
        assert executor.wait(1.0) == []
    executor.cancel([Job(row.id, 10**6, 10**6, {"x": 1.0}, 0, 0, 1, 1)])
    cluster.add()
    watcher = Watcher(lambda count: cluster.scheduler.kill() if count >= 20 else None)
    with pytest.raises(ClusterError, match=r"has gone .*: every result that came is saved; resume the study"):
        run([driver], executor, watcher, Stop())
    executor.close()
    connection.close()
    states = [trial.state for trial in store.trials(row.id)]
    assert states.count(State.DONE) == watcher.count >= 20
    assert set(states) <= {State.DONE, State.CANCELLED}
    driver.close()
    store.close()
    cluster.close()
