"""Anytime curves, final values, seconds and the table of runs show what the analysis holds."""

import math

import numpy as np
import pytest
from hand_made_analysis import NAN, analysis, band, over_tasks
from made_results import task

from hpo.report.comparisons import anytime, final, runs, seconds
from hpo.report.comparisons.anytime import CEILING, POINTS, is_log, stops
from hpo.report.comparisons.shared import Box, box, colours, short_names
from hpo.report.style import MUTED, PALETTE

VALUES = {"moons": {"tpe": (0.9, 0.8, 0.7), "random": (0.6, NAN, 0.8)}}


# -- anytime


def test_curves_are_medians_and_means_as_steps():
    bands = {"tpe": band(NAN, 0.9, 0.4), "random": band(1.0, 0.8, 0.5)}
    (shown,) = [figure for figure in anytime.figures(analysis(VALUES, bands=bands)) if figure.key == "anytime-1"]
    drawn = shown.draw()
    named = {(trace.name, trace.yaxis): trace for trace in drawn.data if trace.name}
    median = named["tpe", "y"]
    assert (list(median.x), list(median.y)) == ([2, 3], pytest.approx([0.9, 0.4]))  # not begun before
    assert list(named["random", "y2"].y) == pytest.approx([1.01, 0.81, 0.51])
    assert {trace.line.shape for trace in drawn.data} == {"hv"}
    low, high = drawn.data[:2]
    assert (list(low.y), list(high.y)) == (pytest.approx([0.8, 0.3]), pytest.approx([1.0, 0.5]))
    assert high.fill == "tonexty"


def test_the_table_has_where_a_curve_stands_and_ends():
    bands = {"tpe": band(NAN, *np.linspace(1, 0.5, 50))}
    rows = stops(bands)
    assert len(rows) == 10
    assert rows[0] == ("tpe", 2, 1.0, 0.9, 1.1, *map(pytest.approx, (1.01, 0.91, 1.11)))
    assert rows[-1][1:3] == (51, 0.5)
    many = {f"s{i}": band(*range(50)) for i in range(80)}
    assert len(stops(many)) == 160
    assert stops({"tpe": band(NAN, NAN)}) == []


def test_a_log_axis_needs_ends_above_zero_and_far_from_where_curves_begin():
    assert is_log({"a": band(1.0, 0.01), "b": band(1.0, 0.5)})
    assert is_log({"a": band(0.4, 0.001), "b": band(0.4, 0.05)})
    assert not is_log({"a": band(1.0, 0.0), "b": band(1.0, 0.5)})
    assert not is_log({"a": band(1.0, 0.2)})
    assert not is_log({"a": band(1e6, 0.2)})  # what is above the ceiling says nothing
    assert not is_log({"a": band(NAN)})


def test_regret_far_above_that_of_random_trials_is_cut_and_told():
    (shown,) = anytime.figures(analysis(VALUES, bands={"tpe": band(90, 0.5), "random": band(1, 0.5)}))[:1]
    assert list(shown.draw().layout.yaxis.range) == [0, CEILING]
    assert "Regret above 1.5 is cut off" in shown.text


def test_a_curve_that_rises_is_explained():
    rising, falling = band(NAN, 0.5, 0.6), band(0.6, 0.5, 0.5)
    assert anytime.rises({"a": falling, "b": rising})
    assert not anytime.rises({"a": falling})
    shown = anytime.figures(analysis(VALUES, bands={"tpe": rising, "random": falling}))[0]
    assert "A curve rises where a trial reaches a later epoch" in shown.text


def test_long_curves_are_thinned_to_their_ends():
    bands = {name: band(*np.linspace(1, 0, 5000)) for name in ("tpe", "random")}
    drawn = anytime.figures(analysis(VALUES, bands=bands))[0].draw()
    assert {len(trace.x) for trace in drawn.data} == {POINTS}
    assert {trace.x[-1] for trace in drawn.data} == {5000}


def test_the_picture_over_trials_is_left_out_where_it_is_the_same():
    (same,) = anytime.figures(analysis(VALUES, budget=10))  # ten epochs for the one trial of each run
    assert "over trials begun is the same" in same.text
    assert [figure.key for figure in anytime.figures(analysis(VALUES))] == ["anytime-1", "anytime-1-trials"]
    (trials,) = anytime.figures(analysis(VALUES, unit="trials"))
    assert "trials spent" in trials.title
    values = {"a": VALUES["moons"], "b": VALUES["moons"]}
    found = anytime.figures(analysis(values, budget=10, across=over_tasks({"tpe": 1.0, "random": 2.0})))
    assert [figure.key for figure in found] == ["anytime-all", "anytime-1", "anytime-2"]
    assert list(found[0].draw().data[-1].x) == [0.5, 1]


def test_of_many_searchers_the_best_have_colours():
    values = {"moons": {f"s{i}": (i / 20, i / 20, NAN) for i in range(10)}}
    found = colours(analysis(values))
    assert [name for name in found if found[name] != MUTED] == [f"s{i}" for i in range(3, 10)]
    assert found["s9"] == PALETTE[0]
    drawn = anytime.figures(analysis(values))[0].draw()
    assert [trace.name for trace in drawn.data if trace.showlegend] == [f"s{i}" for i in range(3, 10)]


def test_short_names_differ_and_keep_what_tells_them_apart():
    assert short_names(["tpe", "random"], 10) == ["tpe", "random"]
    long = [f"halving:eta={eta},searcher=tpe" for eta in (2, 3)]
    assert short_names(long, 20) == ["halving:eta=2…er=tpe", "halving:eta=3…er=tpe"]
    ends = [f"{'x' * 50}{end}" for end in "ab"]
    assert all(len(name) == 12 for name in short_names(ends, 12))
    assert len(set(short_names(ends, 12))) == 2
    alike = [f"{'x' * 20}{middle}{'y' * 20}" for middle in "ab"]
    assert short_names(alike, 10) == ["xxxxxxx… 1", "xxxxxxx… 2"]
    assert short_names(["\x1b[31m", "a\nb"], 20) == ["\\x1b[31m", "a\\nb"]


# -- final values


def test_a_box_is_quartiles_in_which_failures_are_worst_and_the_ends_of_what_succeeded():
    values = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert box(values) == box(values, task()) == Box(0, 1, 2, 3, 4)
    assert vars(box([*values, NAN], task())) == pytest.approx(vars(Box(0, 0.25, 1.5, 2.75, 4)))
    assert vars(box([*values, NAN], task(direction="minimize"))) == pytest.approx(vars(Box(0, 1.25, 2.5, 3.75, 4)))
    assert math.isnan(box([NAN]).median)


def test_every_seed_is_seen_and_lines_join_the_runs_of_one():
    tests = {"tpe": (0.85, 0.75, 0.65), "random": (0.5, NAN, 0.7)}
    (shown,) = final.figures(analysis(VALUES, tests=tests))
    pairs, tpe_box, tpe, tpe_test, _, random, random_test = shown.draw().data
    assert list(tpe.x) == [0.9, 0.8, 0.7]
    assert list(tpe_test.x) == [0.85, 0.75, 0.65]
    assert (list(random.x), list(random_test.x)) == ([0.6, 0.8], [0.5, 0.7])
    assert list(pairs.x) == [0.9, 0.6, None, 0.8, None, None, 0.7, 0.8, None]
    assert (tpe_box.q1[0], tpe_box.median[0], tpe_box.q3[0]) == pytest.approx((0.75, 0.8, 0.85))
    assert all(-0.2 < y < 0.2 for y in tpe.y)
    assert [a - b for a, b in zip(random.y, (tpe.y[0], tpe.y[2]), strict=True)] == pytest.approx([1, 1])
    assert "tpe, seed 1: 0.8" in tpe.text
    assert shown.table.rows[1] == ("random", 3, 1, *map(pytest.approx, (0.6, None, 0.6, 0.7, 0.8, None, 0.5, 0.6)))
    assert "Runs without any success (1) count as worse" in shown.text


def test_lines_and_tests_are_spoken_of_only_where_there_are_any(monkeypatch):
    tested, untested = (final.figures(analysis(VALUES, why_not=why))[0] for why in (None, "there are few seeds"))
    assert "Thin lines join the runs of one seed: the tests compare along them." in tested.reading
    assert "Thin lines join the runs of one seed." in untested.reading
    monkeypatch.setattr(final, "MAX_LINES", 2)
    (many,) = final.figures(analysis(VALUES))
    assert "Thin lines" not in many.text
    assert "lines" not in [trace.mode for trace in many.draw().data if trace.type == "scatter"]


def test_a_comparison_without_test_data_does_not_speak_of_it():
    (shown,) = final.figures(analysis(VALUES))
    assert "test" not in "".join(shown.table.head)
    assert "diamonds" not in shown.text
    assert len(shown.draw().data) == 5


def test_values_of_many_magnitudes_get_a_log_axis():
    values = {"moons": {"tpe": (1e-4, 1e-3, 1.0), "random": (0.5, 20.0, 1e3)}}
    (shown,) = final.figures(analysis(values, direction="minimize"))
    assert shown.draw().layout.xaxis.type == "log"
    assert "further left is better" in shown.text


# -- seconds and runs


def test_seconds_are_those_of_all_runs():
    values = dict.fromkeys(("a", "b"), VALUES["moons"])
    (shown,) = seconds.figures(analysis(values))
    assert shown.table.rows[0] == ("tpe", 6, 0.5, 0.5, 0.5, 0.5, 0.5, 500.0)  # half a second for one trial
    points = [trace for trace in shown.draw().data if trace.type == "scatter"]
    assert [len(trace.x) for trace in points] == [6, 6]
    assert "a, seed 0" in points[0].text[0]


def test_all_runs_are_in_the_table_by_task_searcher_and_seed():
    (shown,) = runs.figures(analysis(VALUES))
    assert shown.draw is None
    assert shown.table.rows[0] == ("moons", "tpe", 0, "made-moons-tpe-0", 0.9, None, 0, 1, 100, "no")
    assert [row[:3] for row in shown.table.rows[3:]] == [("moons", "random", seed) for seed in range(3)]
    assert shown.table.rows[4][4] is None
