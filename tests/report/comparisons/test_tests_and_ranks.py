"""Win matrix, targets and the critical-difference picture say what the tests say, and no more."""

import math

import pytest
from hand_made_analysis import analysis, over_tasks, pair, target

from hpo.report.comparisons import matrix, ranks
from hpo.report.comparisons import target as targets
from hpo.report.comparisons.matrix import cells
from hpo.report.comparisons.ranks import Place, bar_levels, places
from hpo.report.comparisons.target import bars, chosen

LABELS = ("tpe", "random", "grid")
VALUES = {"moons": dict.fromkeys(LABELS, (0.9, 0.8, 0.7))}
PAIRS = (
    pair("tpe", "random", 0.9, "tpe"),
    pair("tpe", "grid", 0.25, adjusted=0.3),
    pair("random", "grid", 0.5, adjusted=1.0),
)


# -- matrix


def test_a_cell_is_the_share_of_the_row_over_the_column():
    shares, told = cells(LABELS, PAIRS)
    assert shares == [[None, 0.9, 0.25], [pytest.approx(0.1), None, 0.5], [0.75, 0.5, None]]
    assert told == [[False, True, False], [True, False, False], [False, False, False]]


def test_stars_stand_where_two_are_told_apart():
    (shown,) = matrix.figures(analysis(VALUES, pairs=PAIRS))
    heat = shown.draw().data[0]
    assert [list(row) for row in heat.text] == [["", "90*", "25"], ["10*", "", "50"], ["75", "50", ""]]
    assert "1 of 3 pairs" in shown.text
    assert "Effects below P = 0.90 cannot be seen with so many seeds" in shown.text
    assert shown.table.rows[0] == ("tpe", "random", 3, 0.9, 0.005, 0.01, "tpe is better")
    assert [row[6] for row in shown.table.rows[1:]] == ["no", "no"]


def test_without_a_test_the_caption_says_why_and_no_star_is_drawn():
    pairs = [pair("tpe", "random", 1.0, adjusted=math.nan)]
    values = {"moons": dict.fromkeys(("tpe", "random"), (0.9, 0.8))}
    (shown,) = matrix.figures(analysis(values, pairs=pairs, why_not="a test takes at least 5 seeds, and there are 2"))
    assert "No test is made: a test takes at least 5 seeds, and there are 2; all of it may be chance." in shown.text
    assert shown.table.rows[0][4:6] == (None, None)
    assert "*" not in str(shown.draw().data[0].text)


def test_a_single_searcher_has_no_matrix_and_tasks_have_one_together():
    assert matrix.figures(analysis({"moons": {"tpe": (0.9,)}})) == []
    across = over_tasks({label: i + 1.0 for i, label in enumerate(LABELS)}, pairs=PAIRS)
    found = matrix.figures(analysis({"a": VALUES["moons"], "b": VALUES["moons"]}, pairs=PAIRS, across=across))
    assert [figure.key for figure in found] == ["matrix-1", "matrix-2", "matrix-all"]
    assert "share of tasks" in found[2].text
    assert "too few tasks for these tests to see any difference" in found[2].text


def test_crowded_cells_have_stars_only():
    labels = [f"s{i}" for i in range(20)]
    values = {"moons": dict.fromkeys(labels, (0.9, 0.8))}
    pairs = [pair(a, b, 0.9, a if a == "s0" else None) for i, a in enumerate(labels) for b in labels[i + 1 :]]
    (shown,) = matrix.figures(analysis(values, pairs=pairs))
    assert {text for row in shown.draw().data[0].text for text in row} == {"", "*"}
    assert [row[6] for row in shown.table.rows[:20]] == ["s0 is better"] * 19 + ["no"]


# -- targets


TARGETS = {
    "tpe": {"tpe": target(0.9, 30, 10, 20), "random": target(0.9, math.inf, 90, math.inf)},
    "random": {"tpe": target(0.7, 10, 10, 20), "random": target(0.7, 50, math.inf, 40)},
}


def test_bars_are_medians_and_whole_budgets_where_less_than_half_arrived():
    made = analysis({"moons": dict.fromkeys(("tpe", "random"), (0.9, 0.8, 0.7))}, targets=TARGETS)
    task = made.tasks["moons"]
    assert chosen(task) == ["tpe", "random"]
    assert bars(task, TARGETS["tpe"]) == [(20, True, "20 (3 of 3)"), (100.0, False, "not by half (1 of 3)")]
    (shown,) = targets.figures(made)
    assert shown.table.rows[:2] == (("tpe", 0.9, "tpe", 20, 3, 3), ("tpe", 0.9, "random", None, 1, 3))
    drawn = shown.draw()
    assert [trace.x[0] for trace in drawn.data] == [20, 100, 10, 50]
    assert [bool(trace.marker.pattern.shape) for trace in drawn.data] == [False, True, False, False]
    heights = [trace.y[0] for trace in drawn.data]
    assert heights == sorted(set(heights))


def test_of_many_targets_the_hardest_the_middle_and_the_easiest_are_shown():
    labels = [f"s{i}" for i in range(9)]
    many = {whose: {label: target(float(i), 10.0) for label in labels} for i, whose in enumerate(labels)}
    values = {"moons": dict.fromkeys(labels, (0.9,))}
    assert chosen(analysis(values, targets=many).tasks["moons"]) == ["s8", "s4", "s0"]
    assert chosen(analysis(values, targets=many, direction="minimize").tasks["moons"]) == ["s0", "s4", "s8"]
    alike = {whose: {label: target(0.5, 10.0) for label in labels} for whose in labels}
    assert chosen(analysis(values, targets=alike).tasks["moons"]) == ["s0"]
    nothing = {"s0": {"s0": target(math.nan, math.inf)}}
    assert targets.figures(analysis({"moons": {"s0": (math.nan,)}}, targets=nothing)) == []


def test_a_table_that_is_cut_and_grey_searchers_are_said_so():
    labels = [f"s{i}" for i in range(70)]
    many = {whose: {label: target(float(i), 10.0) for label in labels} for i, whose in enumerate(labels)}
    (shown,) = targets.figures(analysis({"moons": dict.fromkeys(labels, (0.9,))}, targets=many))
    assert len(shown.table.rows) == 200
    assert "The table has the first 200 of 210 rows." in shown.caption
    assert "the others grey" in shown.reading


# -- ranks


def test_the_better_half_stands_on_the_left_and_no_line_crosses_another():
    found = places({"a": 4.0, "b": 1.5, "c": 2.0, "d": 4.5, "e": 3.0})
    assert found == [
        Place("b", 1.5, True, 0),
        Place("c", 2.0, True, 1),
        Place("e", 3.0, True, 2),
        Place("a", 4.0, False, 1),
        Place("d", 4.5, False, 0),
    ]
    for one in found:  # a line goes down to its level, then out: another's way down must not be in its way
        for other in found:
            outside = other.rank < one.rank if one.left else other.rank > one.rank
            if one.left == other.left and outside:
                assert other.level < one.level


def test_bars_of_one_row_do_not_touch():
    spans = [(1.0, 2.0), (1.5, 3.0), (2.1, 4.0), (3.5, 5.0)]
    levels = bar_levels(spans, gap=0.2)
    assert levels == [0, 1, 2, 0]
    assert bar_levels([], gap=0.1) == []
    for i, a in enumerate(spans):
        for j, b in enumerate(spans[:i]):
            assert levels[i] != levels[j] or a[0] > b[1] + 0.2 or b[0] > a[1] + 0.2


def across_nine(why_not=None, groups=(("tpe", "grid"), ("grid", "random"))):
    values = {f"task {i}": VALUES["moons"] for i in range(9)}
    means = {"tpe": 1.25, "random": 2.75, "grid": 2.0}
    return analysis(values, across=over_tasks(means, groups, why_not))


def test_bars_join_the_groups_at_their_ranks():
    (shown,) = ranks.figures(across_nine())
    assert shown.table.rows == (("tpe", 1.25, "1"), ("grid", 2.0, "1, 2"), ("random", 2.75, "2"))
    drawn = shown.draw()
    lines, joined = drawn.data[:3], drawn.data[3:]
    assert [trace.x[0] for trace in lines] == [1.25, 2.0, 2.75]
    assert [trace.x[2] for trace in lines] == [1, 1, 3]
    assert [list(trace.x[1:-1]) for trace in joined] == [[1.25, 2.0], [2.0, 2.75]]
    assert joined[0].y[0] != joined[1].y[0]
    assert max(trace.y[0] for trace in joined) < min(trace.y[1] for trace in lines)
    assert [text.text for text in drawn.layout.annotations] == ["tpe 1.25", "grid 2.00", "random 2.75"]


def test_with_few_tasks_there_are_ranks_and_no_bars():
    (shown,) = ranks.figures(across_nine("a test takes at least 9 tasks, and there are 2", ()))
    assert len(shown.draw().data) == 3
    assert "No test is made: a test takes at least 9 tasks, and there are 2." in shown.text
    assert "Friedman" not in shown.text
    assert ranks.figures(analysis(VALUES)) == []
