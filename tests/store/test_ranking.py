"""Which trial is best."""

import math

import pytest

from hpo.trial import State


def finish(one, *rows):
    """A trial for each (value, epochs, state)."""
    for value, epochs, state in rows:
        one.end(one.start({"x": 0}, epochs=epochs), [value], state=state, epochs=epochs)


def ranking(one, direction="maximize", limit=10):
    return [trial.number for trial in one.store.ranking(one.row.id, direction, limit)]


DONE, FAILED = State.DONE, State.FAILED


@pytest.mark.parametrize(("direction", "order"), [("maximize", [2, 0, 3, 5]), ("minimize", [5, 0, 3, 1])])
def test_at_the_top_a_configuration_has_one_place_its_best(one, direction, order):
    tried = [(1, 0.5), (2, 0.6), (2, 0.9), (1.0, 0.5), (2, 0.9), ((1,), 0.1)]  # 1 and 1.0 are two configurations
    for x, value in tried:
        one.end(one.start({"x": x}), [value])
    one.end(one.start({"x": 9}, epochs=2), [1.0], epochs=2)
    assert [trial.number for trial in one.store.top(one.row.id, direction, 9)] == order
    assert [trial.number for trial in one.store.top(one.row.id, direction, 2)] == order[:2]


@pytest.mark.parametrize(("direction", "order"), [("maximize", [1, 2, 0]), ("minimize", [0, 2, 1])])
def test_trials_are_ranked_by_value_in_the_direction(one, direction, order):
    finish(one, (0.1, 4, DONE), (0.9, 4, DONE), (0.5, 4, DONE))
    assert ranking(one, direction) == order
    assert one.store.best(one.row.id, direction).number == order[0]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_equals_the_earliest_is_first(one, direction):
    finish(one, *[(0.5, 4, DONE)] * 4)
    assert ranking(one, direction) == [0, 1, 2, 3]
    assert ranking(one, direction, limit=1) == [0]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_only_trials_at_the_greatest_epoch_that_any_reached_count(one, direction):
    finish(one, (0.0, 1, DONE), (0.5, 2, DONE), (1.0, 1, DONE), (0.6, 2, DONE))
    assert sorted(ranking(one, direction)) == [1, 3]
    finish(one, (0.5, 4, DONE))
    assert ranking(one, direction) == [4]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_never_best(one, value, direction):
    finish(one, (value, 4, FAILED), (value, 4, DONE), (0.5, 2, DONE))
    assert ranking(one, direction) == [2]


def test_failures_are_never_best_even_with_a_value(one):
    finish(one, (9.0, 4, FAILED), (0.5, 1, DONE), (None, 4, FAILED))
    assert ranking(one) == [1]


def test_a_trial_that_fails_further_on_is_out(one):
    finish(one, (0.9, 1, DONE), (0.5, 1, DONE))
    one.end(one.start({"x": 0}, continues=0, epochs=4), [None], state=FAILED, epochs=1)
    assert ranking(one) == [1]


def test_a_trial_that_is_trained_further_keeps_its_place(one):
    finish(one, (0.9, 1, DONE), (0.5, 1, DONE))
    jobs = one.start({"x": 0}, continues=0, epochs=4)
    assert ranking(one) == [0, 1]
    one.store.cancel(one.row.id, jobs)
    assert ranking(one) == [0, 1]


def test_without_a_success_there_is_no_best(one):
    assert one.store.best(one.row.id, "maximize") is None
    one.start({"x": 0})
    finish(one, (None, 4, FAILED))
    assert one.store.best(one.row.id, "maximize") is None
    assert ranking(one) == []


def test_the_best_come_with_all_their_details(one):
    one.end(one.start({"x": 3}, info={"why": "chance"}), [0.5], curve={"v": [0.1, 0.2, 0.3, 0.5]})
    best = one.store.best(one.row.id, "maximize")
    assert best == one.trial(0)
    assert (best.params, best.info, best.metrics) == ({"x": 3}, {"why": "chance"}, {"v": 0.5})


def test_counts_are_by_state(one):
    finish(one, (0.5, 4, DONE), (0.5, 1, DONE), (None, 4, FAILED), (0.1, 4, DONE))
    one.store.cancel(one.row.id, one.start({"x": 0}))
    one.start({"x": 0}, {"x": 1})
    assert one.store.counts(one.row.id) == {"done": 2, "paused": 1, "failed": 1, "cancelled": 1, "running": 2}
