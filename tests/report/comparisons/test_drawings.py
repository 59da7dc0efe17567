"""Nothing that a searcher or a task is called is taken for markup, and large comparisons stay small drawings."""

import math

import pytest
from drawn_text import MARKUP, TEMPLATE, check_drawing
from hand_made_analysis import NAN, analysis, band, over_tasks, pair, target
from made_results import results, task

from hpo.comparison.analyse import analyse
from hpo.report.comparisons import KEYS, comparison_figure
from hpo.report.figure import MAX_POINTS
from hpo.seeding import generator


def analysed(labels, tasks, seeds, *, failing=False, direction="maximize"):
    rng = generator("drawings", len(labels))
    on = [task(f"{MARKUP} {i}", direction=direction, reference=rng.random(20)) for i in range(tasks)]
    paths, tests = {}, {}
    for one in on:
        for label in labels:
            paths[one.name, label] = rng.random((seeds, 4)).round(2).tolist()
            tests[one.name, label] = {"accuracy": 0.5}
    if failing:
        paths[on[0].name, labels[0]] = [[NAN] * 4] * seeds
    return analyse(results(on, paths, test=tests))


@pytest.fixture(scope="module")
def hostile():
    return analysed([MARKUP, TEMPLATE, "<b>a</b>", "&lt;\x1b[31m"], 2, 5, failing=True, direction="minimize")


@pytest.fixture(scope="module")
def large():
    """Twenty searchers that anything may be said of."""
    labels = [f"searcher {i}, of a long name {i % 3}" for i in range(20)]
    rng = generator("drawings", "large")
    values = {f"task {t}": {label: tuple(rng.random(20)) for label in labels} for t in range(9)}
    pairs = [pair(a, b, 0.5, None) for i, a in enumerate(labels) for b in labels[:i]]
    bands = {label: band(*rng.random(400)) for label in labels}
    targets = {whose: {label: target(float(rng.random()), 10.0) for label in labels} for whose in labels}
    across = over_tasks({label: i + 1.0 for i, label in enumerate(labels)}, [labels[:15], labels[5:]], None, pairs)
    return analysis(values, pairs=pairs, bands=bands, targets=targets, across=across)


def all_figures(made):
    return [figure for key in KEYS for figure in comparison_figure(key, made)]


def test_foreign_text_is_escaped_in_every_drawing(hostile):
    seen = []
    for figure in all_figures(hostile):
        if figure.draw is not None:
            seen += check_drawing(figure)
    assert any("&lt;img" in text for text in seen)
    assert not any("\x1b" in text for text in seen)


def test_keys_are_unique_and_come_from_places(hostile, large):
    for made in (hostile, large):
        keys = [figure.key for figure in all_figures(made)]
        assert len(set(keys)) == len(keys)
        assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for key in keys)
    assert "final-9" in keys
    assert {"anytime-all", "matrix-all", "ranks", "seconds", "runs"} <= set(keys)


def test_large_comparisons_are_drawn_small(large):
    for figure in all_figures(large):
        assert len(figure.table.rows) <= (MAX_POINTS if figure.key == "runs" else 200)
        assert all(len(row) == len(figure.table.head) for row in figure.table.rows)
        if figure.draw is not None and not set(figure.key) & set("23456789"):  # of the tasks the first
            assert len(figure.draw().to_json()) < 250_000


def test_cells_of_tables_are_text_finite_numbers_or_nothing(hostile):
    for figure in all_figures(hostile):
        for cell in (cell for row in figure.table.rows for cell in row):
            assert cell is None or isinstance(cell, str) or math.isfinite(cell)


def test_a_single_searcher_with_one_seed_is_drawn():
    assert [figure.key for figure in all_figures(analysed(["tpe"], 1, 1))] == [
        "anytime-1",
        "anytime-1-trials",
        "final-1",
        "target-1",
        "seconds",
        "runs",
    ]
