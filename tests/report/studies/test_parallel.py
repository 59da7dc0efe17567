"""Configurations as lines through normalised axes."""

import numpy as np
import pytest

from hpo import Choice, Float, Int
from hpo.report.studies import parallel

SPACE = {
    "rate": Float(1e-4, 1, log=True),
    "kind": Choice(["a", "b"]),
    "only_a": Int(1, 4, when={"kind": ["a"]}),
}
TRIALS = [
    ({"rate": 1e-4, "kind": "a", "only_a": 1}, 0.0),
    ({"rate": 1e-2, "kind": "b"}, 1.0),
    ({"rate": 1.0, "kind": "a", "only_a": 4}, 0.25),
]


def test_lines_cross_rows_where_their_values_are_encoded_the_best_first(given):
    found = parallel.lines(given(SPACE, TRIALS))
    assert [row.name for row in found.rows] == ["rate", "kind", "only_a", "accuracy"]
    assert [trial.number for trial in found.trials] == [1, 2, 0]
    expected = [[0.5, 0.75, parallel.INACTIVE, 1.0], [1.0, 0.25, 0.875, 0.25], [0.0, 0.25, 0.125, 0.0]]
    assert found.places == pytest.approx(np.array(expected))
    assert found.shares.tolist() == [0.0, 0.5, 1.0]
    assert [row.gap for row in found.rows] == [False, False, True, False]


def test_rows_have_ticks_in_their_own_units(given):
    rows = parallel.lines(given(SPACE, TRIALS)).rows
    assert [text for _, text in rows[0].ticks] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert rows[1].ticks == [(0.25, "a"), (0.75, "b")]
    assert rows[3].ticks == [(0.0, "0"), (0.5, "0.5"), (1.0, "1")]


def test_a_minimised_value_ranks_the_other_way_round(given):
    found = parallel.lines(given(SPACE, TRIALS, "minimize"))
    assert [trial.number for trial in found.trials] == [0, 2, 1]
    assert found.places[:, -1].tolist() == [0.0, 0.25, 1.0]


def test_the_best_are_kept_and_the_others_thinned_by_rank(given):
    data = given({"x": Float(0, 1)}, [({"x": i / 1_000}, -float(i)) for i in range(1_000)])
    found = parallel.lines(data)
    numbers = [trial.number for trial in found.trials]
    assert len(numbers) == 300
    assert numbers[:30] == list(range(30))
    assert numbers[-1] == 999
    assert "300 of 1,000 lines are drawn" in parallel.figure(data).text


def test_every_line_is_drawn_once_in_the_group_of_its_rank(given):
    data = given({"x": Float(0, 1)}, [({"x": i / 99}, -float(i)) for i in range(100)])
    traces = {trace.name: trace for trace in parallel.figure(data).draw().data}
    groups = {name: set(trace.customdata.tolist()) for name, trace in traces.items() if trace.customdata is not None}
    assert groups["best tenth"] == set(range(1, 10))
    assert groups["better half"] == set(range(10, 50))
    assert groups["worse half"] == set(range(50, 100))
    best = traces["trial 0 (best)"]
    assert best.x.tolist() == [0.0, 1.0]
    assert best.y.tolist() == [0.0, -1.0]


def test_a_value_far_worse_stands_at_the_end_of_its_row(given):
    data = given({"x": Float(0, 1)}, [({"x": 0.5}, value) for value in [1.0, 2.0, 3.0, 4.0, 1e300]], "minimize")
    assert parallel.lines(data).places[:, -1] == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 1])  # of 1 to 7
    assert "(1)" in parallel.figure(data).text


def test_equal_values_stand_at_the_beginning(given):
    data = given(SPACE, [(params, 0.5) for params, _ in TRIALS])
    assert parallel.lines(data).places[:, -1].tolist() == [0.0, 0.0, 0.0]


def test_no_trial_or_nothing_that_varies_is_nothing_to_show(given):
    assert parallel.figure(given(SPACE, [])) is None
    assert parallel.figure(given({"c": 1}, [({"c": 1}, 0.5)])) is None
