"""Learning curves and the rungs of halving."""

import itertools
import math

import pytest

from hpo import Float, search
from hpo.report.studies import curves
from hpo.report.study_data import StudyData
from hpo.trial import State

SPACE = {"x": Float(0, 1)}


def trained(value, epochs, **more):
    """A trial whose accuracy climbs to `value`."""
    curve = {"loss": [0.0] * epochs, "accuracy": [value * (i + 1) / epochs for i in range(epochs)]}
    return {"value": value, "epochs": epochs, "curve": curve} | more


def test_lines_are_of_the_metric_and_the_best_comes_first(given):
    trials = [trained(0.5, 4), trained(0.9, 2, state=State.PAUSED), trained(0.8, 4)]
    found = curves.curves(given(SPACE, trials, epochs=4))
    assert [line.number for line in found.lines] == [2, 0, 1]
    assert found.lines[0].epochs.tolist() == [1, 2, 3, 4]
    assert found.lines[0].values.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found.lines[2].epochs.tolist() == [1, 2]


def test_reports_at_some_steps_stand_at_their_epochs(given):
    reports = {"step": [0, 4, 9], "value": [1.0, math.nan, 3.0]}
    found = curves.curves(given(SPACE, [{"value": 3.0, "curve": reports}]))
    assert found.lines[0].epochs.tolist() == [1, 10]
    assert found.lines[0].values.tolist() == [1.0, 3.0]


def test_the_best_thirty_are_kept_and_the_others_thinned_evenly_by_rank(given):
    trials = [trained(1 - i / 1_000, 2) for i in range(1_000)]  # trial i has rank i
    figure = curves.figure(given(SPACE, trials, epochs=2))
    lines = curves.curves(given(SPACE, trials, epochs=2)).lines
    numbers = [line.number for line in lines]
    assert len(numbers) == 300
    assert numbers[:30] == list(range(30))
    assert numbers[-1] == 999
    gaps = [second - first for first, second in itertools.pairwise(numbers[29:])]
    assert set(gaps) == {3, 4}
    assert "300 of 1,000 trials are drawn" in figure.text


def test_long_curves_keep_their_ends(given):
    trials = [trained(0.5 + i / 100, 1_000) for i in range(40)]
    found = curves.curves(given(SPACE, trials, epochs=1_000))
    assert not found.every
    assert sum(len(line.epochs) for line in found.lines) <= 12_000
    assert {(line.epochs[0], line.epochs[-1]) for line in found.lines} == {(1, 1_000)}
    figure = curves.figure(given(SPACE, trials, epochs=1_000))
    assert "every so many epochs" in figure.text
    assert figure.table.rows[0][2:] == pytest.approx(
        [0.89 * int(head.split()[-1]) / 1_000 for head in figure.table.head[2:]]
    )


def test_best_trials_have_colours_of_their_own(given):
    drawing = curves.figure(given(SPACE, [trained(i / 10, 3) for i in range(9)], epochs=3)).draw()
    names = [trace.name for trace in drawing.data]
    assert names == ["other trials", "trial 4", "trial 5", "trial 6", "trial 7", "trial 8 (best)"]
    others = drawing.data[0]
    assert len(others.x) == len(others.y) == len(others.customdata) == 4 * (3 + 1)
    assert [math.isnan(value) for value in others.y] == [False, False, False, True] * 4


def test_rungs_of_halving_are_vertical_lines(tmp_path):
    def climbing(p, epochs):
        yield from (p["x"] * epoch for epoch in range(1, epochs + 1))

    arguments = {"epochs": 9, "direction": "maximize", "store": tmp_path / "hpo.db", "progress": False}
    study = search(climbing, SPACE, "halving", trials=6, **arguments)
    figure = curves.figure(StudyData(study))
    assert curves.curves(StudyData(study)).rungs == [1, 3]
    assert curves.curves(StudyData(study)).lines[0].number == study.best.number
    assert [(shape.x0, shape.x1) for shape in figure.draw().layout.shapes] == [(1, 1), (3, 3)]
    assert "(epochs 1, 3)" in figure.text


def test_without_two_points_there_is_nothing_to_show(given):
    assert curves.figure(given(SPACE, [({"x": 0.1}, 1.0)])) is None
    assert curves.figure(given(SPACE, [trained(0.5, 1)], epochs=1)) is None
    assert curves.figure(given(SPACE, [trained(0.5, 3, state=State.FAILED)], epochs=3)) is None
