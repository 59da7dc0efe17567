"""Medians in the plane of two hyperparameters."""

import math

import numpy as np
import pytest

from hpo import Choice, Float, Int
from hpo.report.studies import heatmap

SPACE = {"kind": Choice(["a", "b"]), "rate": Float(1e-3, 1, log=True)}
TRIALS = [  # a rate of 0.005 is in the first of three bins, 0.05 in the second, 0.5 in the third
    ({"kind": "a", "rate": 0.005}, 1.0),
    ({"kind": "a", "rate": 0.002}, 2.0),
    ({"kind": "a", "rate": 0.001}, 4.0),
    ({"kind": "b", "rate": 0.05}, 5.0),
    ({"kind": "b", "rate": 1.0}, 7.0),
]


def test_cells_have_the_median_of_their_trials_or_are_blank(given):
    found = heatmap.plane(given(SPACE, TRIALS))
    assert (found.x, found.y) == ("kind", "rate")
    assert found.x_edges.tolist() == [-0.5, 0.5, 1.5]
    assert found.y_edges == pytest.approx([1e-3, 1e-2, 1e-1, 1])
    blank = math.nan
    assert np.array_equal(found.median, [[2.0, blank], [blank, 5.0], [blank, 7.0]], equal_nan=True)
    assert found.count.tolist() == [[3, 0], [0, 1], [0, 1]]


def test_the_table_has_a_row_for_each_cell_with_a_trial(given):
    table = heatmap.figure(given(SPACE, TRIALS)).table
    assert table.head == ("kind", "rate", "median accuracy", "trials")
    assert table.rows == (
        ("a", "0.001 to 0.01", 2.0, 3),
        ("b", "0.01 to 0.1", 5.0, 1),
        ("b", "0.1 to 1", 7.0, 1),
    )


def test_dots_are_the_trials_the_best_as_a_diamond(given):
    cells, dots, best = heatmap.figure(given(SPACE, TRIALS)).draw().data
    assert dots.customdata.tolist() == [4, 3, 2, 1, 0]
    assert dots.x.tolist() == [1, 1, 0, 0, 0]
    assert (best.x.tolist(), best.y.tolist()) == ([1], [1.0])
    assert cells.hoverongaps is False


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_better_is_brighter(given, direction):
    cells = heatmap.figure(given(SPACE, TRIALS, direction)).draw().data[0]
    colours = [colour for _, colour in cells.colorscale]
    brightness = [sum(int(colour[i : i + 2], 16) for i in (1, 3)) for colour in colours]  # of red and green
    assert brightness == sorted(brightness, reverse=direction == "minimize")


@pytest.mark.parametrize(
    ("domain", "bins", "expected"),
    [
        (Float(0, 1), 4, [0, 0.25, 0.5, 0.75, 1]),
        (Float(0, 1, step=0.5), 4, [-0.25, 0.25, 0.75, 1.25]),
        (Int(1, 4), 3, [0.5, 1.5, 2.5, 3.5, 4.5]),
        (Int(0, 8, step=4), 3, [-2, 2, 6, 10]),
        (Int(1, 100), 4, [0.5, 25.5, 50.5, 75.5, 100.5]),
        (Int(1, 100, log=True), 2, [0.5, 7.5, 100.5]),  # the geometric middle of 0.5 and 100.5 is 7.1
        (Choice(list("abcdefghijklmnopqrst")), 4, [-0.5, 4.5, 9.5, 14.5, 19.5]),
        (Int(2**62, 2**62 + 1), 4, [-0.5, 0.5, 1.5]),
    ],
    ids=repr,
)
def test_bins_are_even_on_the_scale_of_the_space(domain, bins, expected):
    assert heatmap.edges(domain, bins) == pytest.approx(expected)


def test_an_inner_edge_belongs_to_the_bin_above_and_the_end_to_the_last():
    edges = np.array([0.0, 1.0, 2.0])
    assert heatmap.bin_of(edges, np.array([0.0, 0.5, 1.0, 2.0])).tolist() == [0, 0, 1, 1]


def test_more_trials_make_finer_bins(given):
    def grid(count):
        trials = [({"x": i / count, "y": 7 * i % count / count}, float(i)) for i in range(count)]
        return heatmap.plane(given({"x": Float(0, 1), "y": Float(0, 1)}, trials)).median.shape

    assert [grid(count) for count in (2, 48, 3_000)] == [(3, 3), (4, 4), (10, 10)]


def test_hyperparameters_that_never_meet_are_passed_over(given):
    space = {
        "kind": Choice(["a", "b"]),
        "only_a": Float(0, 1, when={"kind": ["a"]}),
        "only_b": Float(0, 1, when={"kind": ["b"]}),
        "x": Float(0, 1),
    }
    trials = [({"kind": "a", "only_a": i / 9, "x": 0.5}, float(i)) for i in range(8)]
    assert heatmap.plane(given(space, trials)) is None  # kind and x are always the same
    trials.append(({"kind": "b", "only_b": 0.5, "x": 0.25}, 1.0))
    found = heatmap.plane(given(space, trials))
    assert (found.x, found.y) == ("kind", "x")


@pytest.mark.parametrize("space", [{"x": Float(0, 1)}, {"x": Float(0, 1), "c": 5}])
def test_one_hyperparameter_is_nothing_to_show(given, space):
    trials = [({"x": i / 5, **({"c": 5} if "c" in space else {})}, float(i)) for i in range(5)]
    assert heatmap.figure(given(space, trials)) is None
