"""Jobs on a Dask cluster: real scheduler and worker processes on loopback, some of which are killed."""

import math
import os
import random
import signal
import time

import pytest

distributed = pytest.importorskip("distributed")

import own_modules as own  # noqa: E402
from executors.dask_cluster import Cluster  # noqa: E402

from hpo.domains import Float, Int  # noqa: E402
from hpo.driver import Driver  # noqa: E402
from hpo.errors import ClusterError  # noqa: E402
from hpo.execution import Execution  # noqa: E402
from hpo.executors.choose import make_executor  # noqa: E402
from hpo.executors.dask import station  # noqa: E402
from hpo.function_objective import FunctionObjective  # noqa: E402
from hpo.loop import Ending, run  # noqa: E402
from hpo.objective import Objective, Run, Step  # noqa: E402
from hpo.registry import make_searcher  # noqa: E402
from hpo.signals import Stop  # noqa: E402
from hpo.space import Space  # noqa: E402
from hpo.store import Store  # noqa: E402
from hpo.study_spec import StudySpec  # noqa: E402
from hpo.training.objective import SimpleNNObjective  # noqa: E402
from hpo.trial import Job, Outcome, Reason, State  # noqa: E402

SPACE = Space({"x": Float(0.0, 1.0), "units": Int(1, 8)})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("dask"), 2)
    yield made
    made.close()


@pytest.fixture
def two(cluster):
    """The cluster with two workers."""
    cluster.keep(2)
    return cluster


def bowl(params, seed):
    time.sleep(0.01)
    return (params["x"] - 0.3) ** 2 + random.Random(seed).random() / 100 + seed % 7 + params["units"]


def climb(params, seed):
    noise = random.Random(seed).random()
    for epoch in range(1, 10):
        if params["x"] > 0.9 and epoch == 3:
            raise ValueError("too large")
        value = -((params["x"] - 0.3) ** 2) / epoch + noise + params["units"] / 100 + seed % 7
        yield math.nan if params["x"] < 0.1 and epoch == 2 else value


class Own(Objective):
    """A generator that runs in the worker's own process, as whatever is not a function does."""

    has_epochs = True

    def __init__(self, function):
        self.function, self.name = function, function.__name__

    def describe(self):
        return {"own": self.name}

    def start(self, job):
        return OwnRun(self.function(job.params))


class OwnRun(Run):
    def __init__(self, values):
        self._values, self._epoch = values, 0

    def advance(self, target):
        while self._epoch < target:
            self._epoch += 1
            yield Step(self._epoch, next(self._values), {})


class Watcher:
    """Calls a function with the number of outcomes so far."""

    def __init__(self, act=None):
        self.count, self._act = 0, act or (lambda count: None)

    def progress(self, driver, event):
        pass

    def outcomes(self, driver, outcomes):
        self.count += len(outcomes)
        self._act(self.count)


def study(path, objective, searcher, space, trials, execution, act=None):
    """The trials of a study that was run, apart from the time that they took; how often each evaluation ended."""
    kind, made = make_searcher(searcher)
    epochs = 9 if objective.has_epochs else None
    spec = StudySpec(objective.describe(), space, kind, made.settings(), "maximize", 3, 8, epochs)
    path.mkdir()
    store = Store(path / "hpo.db", "create")
    row = store.create_study("study", spec.to_json(), trials=trials, source=None, if_taken="return")
    driver = Driver(store, row, trials=trials, restarts=objective.restarts)
    executor = make_executor(objective, execution)
    watcher = Watcher(act)
    try:
        assert run([driver], executor, watcher, Stop()) is Ending.COMPLETE
        return [
            (trial.params, trial.seed, str(trial.state), repr(trial.value), trial.epochs, repr(trial.curve))
            for trial in store.trials(row.id)
        ]
    finally:
        executor.close()
        driver.close()
        store.close()


def jobs(params, epochs=1, first=0, start=0, target=None):
    return [
        Job(1, i, i - first, values, i - first, start, epochs if target is None else target, epochs)
        for i, values in enumerate(params, first)
    ]


def ended(executor, count, seconds=60):
    """The next `count` outcomes, in order of their trials."""
    found, deadline = [], time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} outcomes"
        found += [event for _, event in executor.wait(0.1) if isinstance(event, Outcome)]
    return sorted(found, key=lambda outcome: outcome.number)


def stations(cluster):
    """How many executors of ours the workers hold."""

    def count():
        from hpo.executors.dask import station

        return len(station._stations)

    return sum(cluster.client.run(count).values())


def is_clean(cluster, seconds=10):
    """Whether nothing is left on scheduler and workers, after a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = cluster.client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
        if not left and not stations(cluster):
            return True
        time.sleep(0.1)
    return False


MODULES = Space({"learning_rate": Float(0.001, 0.3, log=True), "hidden": [4, 6]})
NETWORK = Space({"width": Int(4, 12), "depth": Int(1, 2), "learning_rate": Float(0.001, 0.3, log=True)})


@pytest.mark.parametrize(
    ("objective", "searcher", "space", "trials"),
    [
        (FunctionObjective(bowl, direction="maximize"), "random", SPACE, 24),
        pytest.param(FunctionObjective(climb, direction="maximize"), "halving", SPACE, 14, marks=pytest.mark.ci),
        pytest.param(SimpleNNObjective(), "halving", NETWORK, 6, marks=pytest.mark.ci),
        pytest.param(own.objective(own.linear), "halving", MODULES, 6, marks=pytest.mark.ci),
    ],
    ids=["function", "generator", "network", "modules"],
)
def test_trials_on_one_and_two_workers_equal_those_run_here(cluster, tmp_path, objective, searcher, space, trials):
    here = study(tmp_path / "here", objective, searcher, space, trials, Execution())
    for workers in (2, 1):
        cluster.keep(workers)
        there = study(tmp_path / f"{workers}", objective, searcher, space, trials, Execution(cluster=cluster.client))
        assert there == here
    assert is_clean(cluster)


def globally(params):
    time.sleep(0.02)  # time for Dask to draw from the same generator, were it in the same process
    return random.random()


@pytest.mark.ci
def test_what_a_function_draws_from_global_generators_is_not_disturbed(two, tmp_path):
    objective = FunctionObjective(globally, direction="maximize")
    there = study(tmp_path / "there", objective, "random", SPACE, 32, Execution(cluster=two.client))
    assert there == study(tmp_path / "here", objective, "random", SPACE, 32, Execution())


def test_workers_killed_during_a_run_change_no_trial(two, tmp_path):
    """Each outcome is stored once: the driver knows no evaluation that has ended."""
    objective = FunctionObjective(climb, direction="maximize")

    def disturb(count):
        if count in (3, 20, 33):
            two.kill(two.workers[0])
            two.add(wait=False)

    execution = Execution(cluster=two.client, retries=100)
    assert study(tmp_path / "there", objective, "halving", SPACE, 14, execution, disturb) == study(
        tmp_path / "here", objective, "halving", SPACE, 14, Execution()
    )
    assert is_clean(two)


def whose(params):
    time.sleep(0.05)
    yield float(os.getpid())


@pytest.mark.ci
def test_a_worker_that_joins_gets_work(cluster):
    cluster.keep(1)
    executor = make_executor(Own(whose), Execution(cluster=cluster.client))
    executor.submit(jobs([{}] * 100))
    first = ended(executor, 2)
    cluster.add(wait=False)
    last = ended(executor, 100 - len(first))
    executor.close()
    assert {outcome.value for outcome in first} == {float(cluster.workers[0].pid)}
    assert {outcome.value for outcome in last} == {float(process.pid) for process in cluster.workers}


def deadly(params):
    if params["x"] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    yield params["x"]


def test_a_trial_that_kills_its_workers_fails_and_harms_no_other(two):
    executor = make_executor(Own(deadly), Execution(cluster=two.client, retries=1))
    two.add(wait=False)
    executor.submit(jobs([{"x": float(i)} for i in range(12)]))
    found = ended(executor, 12)
    executor.close()
    poison = found.pop(5)
    assert (poison.state, poison.reason, poison.charged) == (State.FAILED, Reason.LOST, 1)
    assert poison.attempts in (2, 3)  # it may have been lost in company first
    assert "worker was lost 2 times" in poison.error
    assert {(outcome.state, outcome.value == outcome.number) for outcome in found} == {(State.DONE, True)}
    assert max(outcome.attempts for outcome in found) <= 2


def deadly_once(params):
    if params["x"] == 20 and not os.path.exists(params["file"]):
        open(params["file"], "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    yield params["x"]


def test_trials_lost_in_company_count_as_begun_and_nothing_is_held_against_them(two, tmp_path):
    executor = make_executor(Own(deadly_once), Execution(cluster=two.client, retries=1))
    params = [{"x": float(i), "file": str(tmp_path / "died")} for i in range(40)]
    executor.submit(jobs(params[:8]))
    ended(executor, 8)  # since they are short, more than one makes a task from now on
    executor.submit(jobs(params[8:], first=8))
    found = {outcome.evaluation: outcome for outcome in ended(executor, 32)}
    executor.close()
    twice = {number for number, outcome in found.items() if outcome.attempts == 2}
    assert 20 in twice
    assert len(twice) > 1, "it was alone"
    assert {outcome.state for outcome in found.values()} == {State.DONE}
    assert {outcome.attempts for outcome in found.values()} <= {1, 2}


def pids(params):
    while True:
        with open(params["file"], "a") as file:
            file.write("epoch\n")
        yield float(os.getpid())


def test_paused_trials_go_on_where_they_are_and_are_replayed_uncharged_where_that_is_lost(two, tmp_path):
    params = [{"file": str(tmp_path / f"{i}")} for i in range(4)]
    executor = make_executor(Own(pids), Execution(cluster=two.client))
    executor.submit(jobs(params, epochs=3, target=1))
    first = ended(executor, 4)
    executor.submit(jobs(params, epochs=3, first=4, start=1, target=2))
    second = ended(executor, 4)
    assert [outcome.value for outcome in first] == [outcome.value for outcome in second]
    assert [len((tmp_path / f"{i}").read_text().split()) for i in range(4)] == [2] * 4
    gone = two.workers[0]
    two.kill(gone)
    executor.submit(jobs(params, epochs=3, first=8, start=2, target=3))
    third = ended(executor, 4)
    executor.close()
    assert {outcome.charged for outcome in (*first, *second, *third)} == {1}
    replayed = [5 if outcome.value == gone.pid else 3 for outcome in second]
    assert [len((tmp_path / f"{i}").read_text().split()) for i in range(4)] == replayed
    assert {outcome.value for outcome in third} == {float(two.workers[0].pid)}


@pytest.mark.ci
def test_a_paused_trial_whose_evaluation_is_cancelled_before_it_began_stays_paused(cluster, tmp_path):
    cluster.keep(1)
    params = {"file": str(tmp_path / "epochs")}
    executor = make_executor(Own(pids), Execution(cluster=cluster.client))
    executor.submit(jobs([params], epochs=3, target=1))
    ended(executor, 1)
    blocker = Job(1, 50, 50, {"file": os.devnull}, 50, 0, 10**6, 10**6)
    executor.submit([blocker])
    executor.wait(0.5)
    cluster.add()
    given_up = jobs([params], epochs=3, first=1, start=1, target=2)
    executor.submit(given_up)
    assert executor.wait(0.1) == []
    executor.cancel(given_up)
    executor.submit(jobs([params], epochs=3, first=2, start=1, target=2))
    assert executor.wait(2.0) == []  # though the other worker is free
    executor.cancel([blocker])
    ended(executor, 1)
    executor.close()
    assert len((tmp_path / "epochs").read_text().split()) == 2


def endless(params):
    while True:
        time.sleep(0.01)
        yield 1.0


@pytest.mark.ci
def test_cancelled_jobs_free_their_workers(two):
    executor = make_executor(FunctionObjective(endless), Execution(cluster=two.client))
    forever = jobs([{}] * 6, epochs=10**6)
    executor.submit(forever)
    assert executor.wait(1.0) == []
    executor.cancel(forever)
    executor.submit(jobs([{}] * 2, epochs=3, first=10))
    assert [outcome.value for outcome in ended(executor, 2)] == [1.0, 1.0]
    executor.close()
    assert is_clean(two)


@pytest.mark.ci
def test_workers_forget_a_driver_that_has_gone_and_stop_what_it_began(two):
    with distributed.Client(two.address, set_as_default=False) as client:
        executor = make_executor(FunctionObjective(endless), Execution(cluster=client))
        executor.submit(jobs([{}] * 2, epochs=10**6))
        assert executor.wait(1.0) == []
        assert stations(two) == 2
    assert is_clean(two)


def test_what_differs_on_a_worker_is_refused_or_said(two, monkeypatch):
    here = station.versions(FunctionObjective(bowl))
    there = station.Versions(here.must, {**here.should, "torch": "1.0"})
    monkeypatch.setattr(station, "versions", lambda objective: there)
    executor = make_executor(Own(whose), Execution(cluster=two.client))
    executor.submit(jobs([{}] * 2))
    with pytest.warns(UserWarning, match=r"has torch .* \(driver: 1.0\): trials may differ"):
        assert len(ended(executor, 2)) == 2
    executor.close()
    monkeypatch.setattr(
        station, "versions", lambda objective: station.Versions({**here.must, "Python": "2.7"}, here.should)
    )
    executor = make_executor(Own(whose), Execution(cluster=two.client))
    executor.submit(jobs([{}] * 2))
    with (
        pytest.raises(ClusterError, match=r"it has Python 3.*, the driver 2.7: they must be the same"),
        pytest.warns(UserWarning, match="cannot run objective 'whose'"),
    ):
        ended(executor, 2)
    executor.close()


class Absent(Own):
    """An objective that reads a file where it is made."""

    def __setstate__(self, state):
        raise FileNotFoundError("no such table")


@pytest.mark.filterwarnings("ignore:Dask worker .* cannot run")
def test_what_an_objective_misses_on_the_workers_is_said(two):
    executor = make_executor(Absent(whose), Execution(cluster=two.client))
    executor.submit(jobs([{}] * 2))
    with pytest.raises(ClusterError, match="cannot run objective 'whose': FileNotFoundError: no such table"):
        ended(executor, 2)
    executor.close()
