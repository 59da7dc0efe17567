"""Value by trial, and the best so far."""

import math

import pytest

from hpo import Float
from hpo.report.studies import history
from hpo.trial import State

SPACE = {"x": Float(0, 1)}
VALUES = [0.3, 0.2, 0.5, 0.5, 0.1, 0.7, 0.6]


@pytest.fixture
def seven(given):
    def make(direction):
        return given(SPACE, [({"x": 0.5}, value) for value in VALUES], direction)

    return make


@pytest.mark.parametrize(("direction", "steps"), [("maximize", [0, 2, 5]), ("minimize", [0, 1, 4])])
def test_the_incumbent_is_the_first_that_is_better_than_all_before(seven, direction, steps):
    assert [trial.number for trial in history.history(seven(direction)).steps] == steps


def test_only_trials_at_the_greatest_epoch_can_be_the_incumbent(given):
    trials = [
        {"value": 0.9, "epochs": 3, "state": State.PAUSED},
        {"value": 0.5, "epochs": 9},
        {"value": None, "state": State.FAILED, "epochs": 2},
        {"value": 0.8, "epochs": 9, "state": State.FAILED},
        {"value": math.nan, "epochs": 9},
        {"value": None, "epochs": 0, "state": State.RUNNING},
        {"value": 0.4, "epochs": 3, "state": State.RUNNING},
        {"value": 0.6, "epochs": 9},
        {"value": None, "epochs": 0, "state": State.PENDING},
    ]
    found = history.history(given(SPACE, trials, epochs=9))
    numbers = {name: [trial.number for trial in getattr(found, name)] for name in vars(found)}
    assert numbers == {"compared": [1, 7], "shorter": [0, 6], "failed": [2, 3, 4], "unknown": [5, 8], "steps": [1, 7]}


def test_the_line_is_level_between_steps_and_reaches_the_last_trial(seven):
    drawing = history.figure(seven("minimize")).draw()
    line = next(trace for trace in drawing.data if trace.mode == "lines")
    assert line.line.shape == "hv"
    assert list(line.x) == [0, 1, 4, 6]
    assert list(line.y) == [0.3, 0.2, 0.1, 0.1]


def test_the_table_tells_every_trial_and_the_best_so_far(seven):
    table = history.figure(seven("maximize")).table
    assert table.head == ("trial", "state", "epochs", "accuracy", "best so far")
    assert [row[3] for row in table.rows] == VALUES
    assert [row[4] for row in table.rows] == [0.3, 0.3, 0.5, 0.5, 0.5, 0.7, 0.7]


def test_thousands_are_thinned_but_never_the_line(given):
    data = given(SPACE, [({"x": 0.5}, math.sin(i) + i / 5_000) for i in range(5_000)])
    figure = history.figure(data)
    drawing = figure.draw()
    dots = next(trace for trace in drawing.data if trace.mode == "markers")
    line = next(trace for trace in drawing.data if trace.mode == "lines")
    assert len(dots.x) == 2_000
    assert dots.x[0] == 0
    assert dots.x[-1] == 4_999
    assert "at most 2,000 are drawn" in figure.text
    steps, best = [], -math.inf
    for i in range(5_000):
        if math.sin(i) + i / 5_000 > best:
            best = math.sin(i) + i / 5_000
            steps.append(i)
    assert list(line.x) == [*steps, 4_999]
    assert len(figure.table.rows) == 200


def test_one_diverged_training_does_not_press_the_others_onto_a_line(given):
    data = given(SPACE, [({"x": 0.5}, value) for value in [1.0, 2.0, 3.0, 4.0, 1e300]], "minimize")
    figure = history.figure(data)
    assert figure.draw().layout.yaxis.range == pytest.approx((1 - 0.24, 7 + 0.24))
    assert "1 value far worse than the others lies outside" in figure.text


def test_without_a_value_there_is_nothing_to_show(given):
    assert history.figure(given(SPACE, [])) is None
    assert history.figure(given(SPACE, [{"state": State.FAILED}] * 3)) is None
