"""The loop: studies in lockstep through one executor, whatever the order in which results arrive."""

import contextlib
import functools
import random
import sqlite3

import pytest

import hpo
from hpo.domains import Float, Int
from hpo.driver import Driver
from hpo.errors import Interrupt
from hpo.executors.base import Executor
from hpo.executors.in_process import InProcessExecutor
from hpo.function_objective import FunctionObjective
from hpo.loop import Ending, run
from hpo.registry import make_searcher
from hpo.signals import Stop
from hpo.space import Space
from hpo.store import Store
from hpo.study_spec import StudySpec
from hpo.trial import Outcome, Progress

SPACE = Space({"x": Float(0.0, 1.0), "units": Int(1, 8)})
SEARCHERS = ("random", "tpe", "halving", "grid")
EPOCHS = 9
TRIALS = 14


def climb(params, seed):
    """A generator that improves with every epoch; some configurations fail, each in its own way."""
    noise = random.random()
    for epoch in range(1, EPOCHS + 1):
        if params["x"] > 0.9 and epoch == 3:
            raise ValueError("too large")
        value = -((params["x"] - 0.3) ** 2) / epoch + noise + params["units"] / 100 + seed % 7
        yield float("nan") if params["x"] < 0.1 and epoch == 2 else value


class Silent:
    """A watcher that keeps what it was shown."""

    def __init__(self):
        self.seen = []

    def progress(self, driver, event):
        self.seen.append((driver.name, event))

    def outcomes(self, driver, outcomes):
        self.seen += [(driver.name, outcome) for outcome in outcomes]


class Shuffled(Executor):
    """Runs everything that waits, then gives the outcomes back in random order, a few at a time."""

    def __init__(self, objective, seed):
        self._inner = InProcessExecutor(objective)
        self._chance = random.Random(seed)
        self._ended = []

    @property
    def busy(self):
        return self._inner.busy or bool(self._ended)

    def submit(self, jobs):
        self._inner.submit(jobs)

    def wait(self, timeout):
        self._ended += [event for event in self._inner.wait(1e9) if isinstance(event[1], Outcome)]
        self._chance.shuffle(self._ended)
        count = self._chance.randint(1, len(self._ended))
        given, self._ended = self._ended[:count], self._ended[count:]
        return given

    def cancel(self, jobs):
        gone = {(job.study, job.evaluation) for job in jobs}
        self._ended = [(job, event) for job, event in self._ended if (job.study, job.evaluation) not in gone]
        self._inner.cancel(jobs)


@pytest.fixture
def objective():
    return FunctionObjective(climb, direction="maximize")


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "hpo.db", "create")
    yield opened
    opened.close()


def driver_of(store, objective, searcher, name=None, trials=TRIALS, batch=4, free_running=False):
    """A driver of the study `name`."""
    kind, made = make_searcher(searcher)
    spec = StudySpec(objective.describe(), SPACE, kind, made.settings(), "maximize", 3, batch, EPOCHS, free_running)
    row = store.create_study(name or searcher, spec.to_json(), trials=trials, source=None, if_taken="return")
    return Driver(store, row, trials=trials)


@pytest.fixture
def drive(store, objective):
    """Makes drivers, and closes them."""
    drivers = []

    def make(*args, **more):
        drivers.append(driver_of(store, objective, *args, **more))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


def trials(store, name):
    """All that a study's trials are, apart from the time they took; NaN is a text."""
    found = []
    for trial in store.trials(store.study(name).id):
        curve = {metric: [repr(value) for value in values] for metric, values in trial.curve.items()}
        facts = (trial.params, trial.seed, str(trial.state), repr(trial.value), trial.epochs, curve, trial.reason)
        found.append((trial.number, *facts, trial.info))
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The trials that a searcher gives in a study that is driven alone, and to its end at once."""

    @functools.cache
    def trials_alone(searcher):
        objective = FunctionObjective(climb, direction="maximize")
        store = Store(tmp_path_factory.mktemp(searcher) / "hpo.db", "create")
        with contextlib.closing(store), contextlib.closing(driver_of(store, objective, searcher)) as driver:
            assert run([driver], InProcessExecutor(objective), Silent(), Stop()) is Ending.COMPLETE
            return trials(store, searcher)

    return trials_alone


def test_studies_in_lockstep_give_the_trials_that_each_gives_alone(drive, store, objective, alone):
    drivers = [drive(searcher) for searcher in SEARCHERS]
    assert run(drivers, InProcessExecutor(objective), Silent(), Stop()) is Ending.COMPLETE
    for searcher in SEARCHERS:
        together = trials(store, searcher)
        assert together == alone(searcher)
        states = {state for _, _, _, state, *_ in together}
        assert {"done", "failed"} <= states


@pytest.mark.parametrize("seed", range(3))
def test_the_order_in_which_outcomes_arrive_changes_nothing(drive, store, objective, alone, seed):
    drivers = [drive(searcher) for searcher in SEARCHERS]
    assert run(drivers, Shuffled(objective, seed), Silent(), Stop()) is Ending.COMPLETE
    for searcher in SEARCHERS:
        assert trials(store, searcher) == alone(searcher)


def test_studies_do_not_wait_for_each_other(drive, objective):
    """The first study's jobs never end; the second goes on to its budget all the same."""

    class Stuck(InProcessExecutor):
        def submit(self, jobs):
            super().submit([job for job in jobs if job.study != stuck.study])

    def stop_at_the_end():
        stop.requested = free.budget - free.charged < EPOCHS

    stuck, free, stop = drive("random", "stuck"), drive("random", "free"), Stop()
    assert run([stuck, free], Stuck(objective), Watching(1, stop_at_the_end), stop) is Ending.STOPPED
    assert stuck.charged == 0


def test_a_complete_study_is_not_asked_again(drive, objective, monkeypatch):
    asked = []
    next_round = Driver.next_round

    def counted(driver):
        if driver.charged == driver.budget:
            asked.append(driver.name)
        return next_round(driver)

    monkeypatch.setattr(Driver, "next_round", counted)
    run([drive("random", "short", 4), drive("random", "long", 40)], InProcessExecutor(objective), Silent(), Stop())
    assert asked.count("short") == 1


def test_the_watcher_sees_progress_and_every_outcome_after_it_was_stored(drive, store, objective):
    class Checking(Silent):
        def outcomes(self, driver, outcomes):
            super().outcomes(driver, outcomes)
            for outcome in outcomes:
                with sqlite3.connect(store.path) as connection:
                    found = connection.execute("SELECT state FROM evaluations WHERE id = ?", (outcome.evaluation,))
                    assert found.fetchone() == (outcome.state,)

    watcher = Checking()
    run([drive("random")], InProcessExecutor(objective), watcher, Stop())
    events = [event for _, event in watcher.seen]
    ended = [event for event in events if isinstance(event, Outcome)]
    assert [outcome.number for outcome in ended] == list(range(len(trials(store, "random"))))
    assert any(isinstance(event, Progress) for event in events)


class Watching(Silent):
    """Calls `action` after `count` outcomes."""

    def __init__(self, count, action):
        super().__init__()
        self.count = count
        self.action = action

    def outcomes(self, driver, outcomes):
        super().outcomes(driver, outcomes)
        if len(self.seen) >= self.count:
            self.action()

    def progress(self, driver, event):
        pass


def one_at_a_time(monkeypatch):
    monkeypatch.setattr("hpo.loop.WAIT_SECONDS", 0.0)


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_time_limit_cancels_and_resume_completes(drive, store, objective, alone, searcher, monkeypatch):
    one_at_a_time(monkeypatch)
    ending, resumed = None, 0
    while ending is not Ending.COMPLETE:
        driver = drive(searcher)
        clock = iter(range(1000))
        with monkeypatch.context() as patch:
            patch.setattr("hpo.loop.time.monotonic", lambda clock=clock: next(clock))
            ending = run([driver], InProcessExecutor(objective), Silent(), Stop(), timeout=30)
        if ending is Ending.TIMEOUT:
            resumed += 1
            counts = store.counts(driver.study)
            assert counts.get("running", 0) == 0
        driver.close()
    assert resumed > 0
    assert trials(store, searcher) == alone(searcher)


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_stop_leaves_cancelled_trials_that_run_again(drive, store, objective, alone, searcher, monkeypatch):
    one_at_a_time(monkeypatch)
    driver, stop = drive(searcher), Stop()
    ending = run([driver], InProcessExecutor(objective), Watching(6, lambda: setattr(stop, "requested", True)), stop)
    assert ending is Ending.STOPPED
    assert store.counts(driver.study)["cancelled"] == 2
    assert sum(store.counts(driver.study).values()) == 8
    driver.close()
    assert run([drive(searcher)], InProcessExecutor(objective), Silent(), Stop()) is Ending.COMPLETE
    assert trials(store, searcher) == alone(searcher)


@pytest.mark.parametrize("error", [Interrupt(143), RuntimeError("a defect")])
def test_what_leaves_the_loop_by_an_exception_is_cancelled_and_runs_again(
    drive, store, objective, alone, error, monkeypatch
):
    one_at_a_time(monkeypatch)

    def leave():
        raise error

    drivers = [drive("random", "a"), drive("tpe", "b")]
    with pytest.raises(type(error)):
        run(drivers, InProcessExecutor(objective), Watching(2, leave), Stop())
    for driver in drivers:
        assert store.counts(driver.study)["cancelled"] >= 2
        driver.close()
    drivers = [drive("random", "a"), drive("tpe", "b")]
    run(drivers, InProcessExecutor(objective), Silent(), Stop())
    assert trials(store, "a") == alone("random")
    assert trials(store, "b") == alone("tpe")


def test_a_budget_of_none_completes_at_once(drive, objective):
    assert run([drive("random", trials=0)], InProcessExecutor(objective), Silent(), Stop()) is Ending.COMPLETE


def test_search_goes_on_where_a_smaller_budget_ended(tmp_path):
    def search(trials, name):
        return hpo.search(
            climb,
            SPACE,
            "tpe",
            trials=trials,
            epochs=EPOCHS,
            direction="maximize",
            batch=4,
            store=tmp_path / "hpo.db",
            name=name,
            progress=False,
        )

    search(8, "parts")
    parts, whole = search(16, "parts"), search(16, "whole")
    found = [[(t.number, t.params, t.seed, t.state, repr(t.value)) for t in study.trials] for study in (parts, whole)]
    assert found[0][:8] == found[1][:8]
    assert parts.epochs_spent <= parts.budget == 16 * EPOCHS


class Patient(InProcessExecutor):
    """Lets what is under way end; drops what waits."""

    def finish(self):
        self._waiting.clear()
        return 1e9


def test_a_stop_lets_what_is_under_way_end_where_the_executor_says_so(drive, store, objective, alone, monkeypatch):
    one_at_a_time(monkeypatch)
    driver, stop = drive("random"), Stop()

    class Stopping(Silent):
        def progress(self, driver, event):
            stop.requested = True

    assert run([driver], Patient(objective), Stopping(), stop) is Ending.STOPPED
    assert store.counts(driver.study) == {"done": 1, "cancelled": 3}
    driver.close()
    run([drive("random")], InProcessExecutor(objective), Silent(), Stop())
    assert trials(store, "random") == alone("random")


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_free_running_study_always_has_its_batch_under_way(drive, store, objective, searcher):
    driver = drive(searcher, free_running=True)
    under_way = []

    class Counting(Shuffled):
        def wait(self, timeout):
            under_way.append(len(driver.outstanding))
            return super().wait(timeout)

    assert run([driver], Counting(objective, 1), Silent(), Stop()) is Ending.COMPLETE
    assert driver.charged <= driver.budget
    assert driver.searcher.exhausted or driver.charged > driver.budget - EPOCHS
    if searcher in ("random", "tpe"):  # those that propose while results are outstanding
        full = driver.budget // EPOCHS - driver.spec.batch  # trials that can still be replaced
        assert under_way[: full // driver.spec.batch] == [4] * (full // driver.spec.batch)


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_free_running_study_goes_on_from_the_order_that_was_stored(drive, store, objective, searcher, monkeypatch):
    """What the searcher was told, in which order, decides what it proposes next."""
    one_at_a_time(monkeypatch)
    driver, stop = drive(searcher, free_running=True), Stop()
    run([driver], Shuffled(objective, 2), Watching(6, lambda: setattr(stop, "requested", True)), stop)
    assert [event.kind for event in store.history(driver.study)].count("told") > 1
    driver.close()
    again, twin = drive(searcher, free_running=True), drive(searcher, "twin", free_running=True)
    events = list(store.history(again.study))
    for event in events:  # the same events, by hand
        if event.kind == "asked":
            assert [job.params for job in twin.ask(event.n)] == [proposal.params for proposal in event.proposals]
        else:
            jobs = {job.evaluation: job for job in twin.outstanding}
            assert all(outcome.evaluation in jobs for outcome in event.outcomes)
            twin.record(event.outcomes)
    assert [job.params for job in again.outstanding] == [job.params for job in twin.outstanding]
    room = again.spec.batch - len(again.outstanding)
    assert again.next_round() == twin.next_round()
    assert room > 0


def test_many_studies_take_as_many_transactions_as_one(drive, store, objective, monkeypatch):
    def commits():  # SQLite's file change counter
        with store.path.open("rb") as file:
            return int.from_bytes(file.read(28)[24:], "big")

    def taken(drivers):
        before = commits()
        run(drivers, Everything(objective), Silent(), Stop())
        return commits() - before

    class Everything(InProcessExecutor):
        def wait(self, timeout):
            return super().wait(1e9)

    monkeypatch.setattr("hpo.loop.WAIT_SECONDS", 60.0)  # of thinking
    one = taken([drive("random", "one")])
    assert one > 4
    assert taken([drive("random", f"many {i}") for i in range(10)]) == one


def test_what_a_searcher_took_to_think_is_stored(drive, store, objective, monkeypatch):
    driver = drive("random")
    clock = iter(range(1000))
    monkeypatch.setattr("hpo.driver.time.thread_time", lambda: next(clock))
    run([driver], InProcessExecutor(objective), Silent(), Stop())
    seconds = [row["seconds"] for row in store.db.query("SELECT seconds FROM events ORDER BY seq")]
    # propose; accept; tell and propose; accept; ...: a second each
    assert seconds == [1.0, 1.0] + [2.0, 1.0] * (len(seconds) // 2 - 1)
