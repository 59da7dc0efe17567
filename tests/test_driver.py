"""The driver: its state is a fold over stored events, within a budget."""

import dataclasses
import itertools
import math
import os
import re
import socket
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from hpo.domains import Choice, Float, Int
from hpo.driver import Driver
from hpo.errors import LockedError
from hpo.registry import make_searcher
from hpo.space import Space
from hpo.store import Store
from hpo.study_spec import StudySpec
from hpo.trial import Outcome, Reason, State
from hpo.values import canonical

SPACE = Space({"x": Float(0.0, 1.0), "units": Int(1, 8), "kind": Choice(("a", "b"))})
SEARCHERS = ("grid", "random", "tpe", "halving", "nas", "optuna:CmaEsSampler", "optuna:QMCSampler")
EPOCHS = 9


def spec(searcher="random", *, batch=4, epochs=EPOCHS, seed=3, **settings):
    kind, made = make_searcher(searcher, settings)
    return StudySpec({"by_hand": True}, SPACE, kind, made.settings(), "minimize", seed, batch, epochs)


def result(job, restarts=False):
    """The outcome of an objective that depends on its parameters alone, with failures of every kind."""
    value = (job.params["x"] - 0.3) ** 2 + job.params["units"] / job.target
    outcome = Outcome(
        number=job.number,
        params=job.params,
        state=State.DONE,
        value=value,
        epochs=job.target,
        charged=job.target if restarts else job.target - job.start,
        curve={"value": [value] * (job.target - job.start)},
        evaluation=job.evaluation,
    )
    if job.number % 7 == 3:
        return dataclasses.replace(outcome, state=State.FAILED, value=math.nan, reason=Reason.NON_FINITE)
    if job.number % 7 == 5:
        return dataclasses.replace(outcome, state=State.FAILED, value=None, reason=Reason.EXCEPTION, error="Error")
    return outcome


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "hpo.db", "create")
    yield opened
    opened.close()


@pytest.fixture
def drive(store, monkeypatch):
    """Makes drivers of the study `name`, and closes them."""
    monkeypatch.setattr("hpo.driver.environment", lambda device: {})  # looks at every installed package
    drivers = []

    def make(specification=None, *, trials=100, name="study", initial=(), **more):
        specification = specification or spec()
        row = store.create_study(
            name, specification.to_json(), trials=trials, source=None, initial=initial, if_taken="return"
        )
        drivers.append(Driver(store, row, trials=trials, **more))
        return drivers[-1]

    yield make
    for driver in drivers:
        driver.close()


def begun(driver):
    """The jobs of the next round; may be none."""
    found = driver.next_round()
    return [] if found is None else driver.begin(found)


def run(driver, rounds=None):
    """Rounds until nothing is left; returns the jobs."""
    jobs = []
    for _ in itertools.count() if rounds is None else range(rounds):
        found = begun(driver)
        if not found:
            break
        jobs += found
        driver.record([result(job, driver._restarts) for job in found])
    return jobs


def proposed(driver):
    return [canonical([dict(p.params), p.epochs, p.continues]) for p in driver.searcher.propose(5)]


def facts(driver):
    """All that a driver knows."""
    return {
        "next": driver.searcher.next_number,
        "pending": [n for n in range(99) if driver.searcher.is_pending(n)],
        "reached": [driver.searcher.reached(n) for n in range(99)],
        "exhausted": driver.searcher.exhausted,
        "charged": driver.charged,
        "outstanding": [dataclasses.replace(job, study=0) for job in driver.outstanding],
        "waiting": sorted(driver._outcomes),
        "proposals": [] if driver.outstanding or driver.searcher.replays_asks else proposed(driver),
    }


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_after_any_prefix_of_events_a_new_driver_knows_what_the_old_one_did(store, drive, searcher):
    """Closed and made again after every transaction, against one driver that was never closed."""
    steady = drive(spec(searcher), name="steady", initial=[{"x": 0.5, "units": 2, "kind": "a"}])
    again = drive(spec(searcher), name="again", initial=[{"x": 0.5, "units": 2, "kind": "a"}])

    def reopened():
        nonlocal again
        again.close()
        again = drive(spec(searcher), name="again")
        found, expected = facts(again), facts(steady)
        assert found == expected

    for _ in range(5):
        jobs, same = begun(steady), begun(again)
        assert len(jobs) > 0
        assert [dataclasses.replace(job, study=steady.study) for job in same] == jobs
        reopened()
        for part in (slice(0, 1), slice(1, 3), slice(3, None)):
            steady.record([result(job) for job in jobs[part]])
            again.record([result(job) for job in same[part]])
            reopened()


def test_the_searcher_is_told_when_the_round_is_complete(store, drive):
    driver = drive(spec(batch=4))
    jobs = begun(driver)
    driver.record([result(job) for job in (jobs[3], jobs[1])])
    assert [driver.searcher.is_pending(job.number) for job in jobs] == [True] * 4
    driver.record([result(job) for job in (jobs[2], jobs[0])])
    assert [driver.searcher.is_pending(job.number) for job in jobs] == [False] * 4
    asked, told = store.history(driver.study)
    assert (asked.kind, told.kind) == ("asked", "told")
    assert [outcome.number for outcome in told.outcomes] == [0, 1, 2, 3]


def test_proposals_beyond_the_budget_are_not_started(drive):
    driver = drive(spec(batch=4), trials=10)
    jobs = run(driver)
    assert [job.number for job in jobs] == list(range(10))
    assert (driver.charged, driver.budget) == (10 * EPOCHS, 10 * EPOCHS)
    assert begun(driver) == []


def test_a_budget_of_none_starts_nothing(store, drive):
    driver = drive(trials=0)
    assert begun(driver) == []
    assert store.counts(driver.study) == {}


def test_without_a_budget_everything_is_started(drive):
    driver = drive(trials=None)
    assert driver.budget is None
    assert len(run(driver, rounds=30)) == 120


def test_what_is_outstanding_counts_as_spent(drive):
    driver = drive(spec(batch=4), trials=6)
    assert len(driver.ask(4)) == 4
    assert len(driver.ask(4)) == 2
    assert driver.ask(4) == []


def test_epochs_that_a_failure_did_not_train_are_spent_on_other_trials(drive):
    driver = drive(spec(batch=2), trials=2)
    first, second = begun(driver)
    short = dataclasses.replace(result(first), state=State.FAILED, value=None, epochs=0, charged=1)
    driver.record([short, result(second)])
    assert driver.charged == 1 + EPOCHS
    assert begun(driver) == []  # 8 of 9 epochs are left: a whole trial does not fit
    driver.trials = 3
    assert len(begun(driver)) == 1


def test_a_promotion_costs_only_its_new_epochs(drive):
    driver = drive(spec("halving", batch=9), trials=3)
    jobs = run(driver)
    assert [(job.start, job.target) for job in jobs] == [(0, 1)] * 9 + [(1, 3)] * 3 + [(3, 9)] + [(0, 1)] * 6
    assert driver.charged == 9 + 3 * 2 + 6 + 6


def test_a_promotion_of_an_objective_that_restarts_costs_all_its_epochs(drive):
    driver = drive(spec("halving", batch=9), trials=3, restarts=True)
    jobs = run(driver)
    assert [(job.start, job.target) for job in jobs] == [(0, 1)] * 9 + [(1, 3)] * 3 + [(3, 9)]
    assert driver.charged == 9 + 3 * 3 + 9


@pytest.mark.parametrize(("restarts", "promoted"), [(False, [(1, 3)]), (True, [])])
def test_a_budget_that_ends_within_a_rung_starts_its_beginning(drive, restarts, promoted):
    driver = drive(spec("halving", batch=4, epochs=6, eta=2), trials=1, restarts=restarts)
    assert [(job.start, job.target) for job in run(driver)] == [(0, 1)] * 4 + promoted  # of two


def test_an_objective_without_epochs_costs_one_an_evaluation(drive):
    driver = drive(spec(epochs=None), trials=5)
    jobs = run(driver)
    assert [(job.start, job.target, job.epochs) for job in jobs] == [(0, 1, 1)] * 5
    assert driver.charged == driver.budget == 5


INITIAL = [{"x": i / 10, "units": i + 1, "kind": "a"} for i in range(5)]


@pytest.mark.parametrize("searcher", ["random", "tpe", "halving", "grid"])
def test_enqueued_trials_come_first_and_in_order(drive, searcher):
    driver = drive(spec(searcher, batch=2), initial=INITIAL, trials=40)
    jobs = run(driver, rounds=6)
    assert [dict(job.params) for job in jobs[:5]] == INITIAL
    assert [job.number for job in jobs] == list(range(len(jobs)))
    assert len(jobs) > 5


def test_enqueued_trials_train_in_full(drive):
    driver = drive(spec("halving", batch=9), initial=INITIAL)
    assert [(job.start, job.target) for job in begun(driver)] == [(0, EPOCHS)] * 5


def test_enqueued_trials_beyond_the_budget_wait_for_a_larger_one(store, drive):
    driver = drive(spec(batch=2), initial=INITIAL, trials=3)
    assert [job.number for job in run(driver)] == [0, 1, 2]
    assert store.counts(driver.study) == {"done": 3, "pending": 2}
    driver.close()
    driver = drive(spec(batch=2), trials=7)
    assert [job.number for job in run(driver)] == [3, 4, 5, 6]


def test_a_larger_budget_continues(drive):
    whole = run(drive(spec(batch=5), name="whole", trials=20))
    for trials, numbers in ((10, range(10)), (15, range(10, 15)), (20, range(15, 20))):
        driver = drive(spec(batch=5), name="parts", trials=trials)
        jobs = run(driver)
        assert [job.number for job in jobs] == list(numbers)
        assert [(job.params, job.seed) for job in jobs] == [(j.params, j.seed) for j in whole if j.number in numbers]
        driver.close()


def test_a_smaller_budget_starts_nothing_more(drive):
    driver = drive(trials=10)
    run(driver, rounds=2)
    driver.close()
    assert begun(drive(trials=5)) == []


def test_a_used_up_space_ends_the_study(drive):
    driver = drive(spec("grid", points=2, batch=7))
    assert len(run(driver)) == driver.searcher.size
    assert driver.searcher.exhausted


def test_by_hand_trials_are_told_one_by_one_in_any_order(drive):
    driver = drive(trials=None)
    first, second = driver.ask(1) + driver.ask(1)
    driver.record([result(second)], tell_at_once=True)
    assert [job.number for job in driver.outstanding] == [0]
    driver.close()
    driver = drive(trials=None)
    assert driver.outstanding == [first]
    driver.record([result(first)], tell_at_once=True)
    assert driver.ask(1)[0].number == 2


def test_by_hand_enqueued_trials_keep_their_numbers_to_themselves(drive):
    """Asked for while enqueued ones are outstanding, the searcher would number its own trials like those."""
    driver = drive(trials=None, initial=INITIAL[:2])
    first, second = driver.ask(1) + driver.ask(1)
    assert driver.ask(1) == []
    driver.record([result(second)], tell_at_once=True)
    third = driver.ask(1)
    driver.record([result(first)], tell_at_once=True)
    (fourth,) = driver.ask(1)
    assert [job.number for job in [first, second, *third, fourth]] == [0, 1, 2, 3]
    assert [job.params for job in (first, second)] == INITIAL[:2]
    assert driver.searcher.is_pending(2)


def test_cancelled_trials_run_again(store, drive):
    driver = drive(trials=6)
    jobs = begun(driver)
    driver.record([result(jobs[0])])
    driver.cancel()
    driver.close()
    assert store.counts(driver.study) == {"done": 1, "cancelled": 3}
    driver = drive(trials=6)
    assert driver.outstanding == jobs[1:]
    assert store.counts(driver.study) == {"done": 1, "running": 3}
    driver.record([result(job) for job in jobs[1:]])
    run(driver)
    assert sum(store.counts(driver.study).values()) == 6


def test_a_second_driver_of_a_study_is_refused_naming_host_and_process(store, drive):
    driver = drive()
    row = store.study("study")
    with pytest.raises(LockedError, match=re.escape(f"process {os.getpid()} on host {socket.gethostname()}")):
        Driver(store, row, trials=1)
    driver.close()
    Driver(store, row, trials=1).close()


def test_a_driver_of_another_study_is_not_refused(drive):
    drive(name="a")
    drive(name="b")


def test_a_driver_in_another_process_is_refused_naming_host_and_process(store, drive):
    driver = drive()
    code = """
        import sys
        from hpo.driver import Driver
        from hpo.errors import LockedError
        from hpo.store import Store

        store = Store(sys.argv[1], "write")
        try:
            Driver(store, store.study(), trials=1)
        except LockedError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), store.path]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"process {os.getpid()} on host {socket.gethostname()}" in said
    driver.close()
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_a_driver_that_cannot_begin_gives_its_lock_back(store, drive, monkeypatch):
    driver = drive()
    driver.close()
    monkeypatch.setattr(StudySpec, "bound_searcher", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drive()
    monkeypatch.undo()
    drive()


def test_what_was_started_and_what_was_recorded_is_on_the_disk_when_the_call_returns(store, drive):
    driver = drive()

    def stored():
        with sqlite3.connect(store.path) as connection:
            return connection.execute("SELECT state, count(*) FROM evaluations GROUP BY state").fetchall()

    jobs = begun(driver)
    assert stored() == [("running", 4)]
    driver.record([result(job) for job in jobs[:2]])
    assert stored() == [("done", 2), ("running", 2)]
