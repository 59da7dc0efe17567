"""Value against each hyperparameter."""

import pytest

from hpo import Choice, Float, Int
from hpo.report.studies import slice as slices
from hpo.trial import State

SPACE = {
    "rate": Float(1e-4, 1, log=True),
    "kind": Choice(["a", 1, "1"]),
    "only_a": Int(1, 3, when={"kind": ["a"]}),
    "constant": 5,
}
TRIALS = [
    ({"rate": 0.1, "kind": "a", "only_a": 2, "constant": 5}, 0.5),
    ({"rate": 0.01, "kind": 1, "constant": 5}, 0.9),
    ({"rate": 1e-3, "kind": "1", "constant": 5}, 0.3),
    ({"rate": 1.0, "kind": "a", "only_a": 1, "constant": 5}, 0.7),
]


def test_panels_have_every_trial_at_its_place_the_best_first(given):
    rate, kind, only = slices.panels(given(SPACE, TRIALS))
    assert [panel.name for panel in (rate, kind, only)] == ["rate", "kind", "only_a"]
    assert rate.numbers.tolist() == [1, 3, 0, 2]
    assert rate.at.tolist() == [0.01, 1.0, 0.1, 1e-3]
    assert rate.values.tolist() == [0.9, 0.7, 0.5, 0.3]
    assert kind.at.tolist() == [1, 0, 0, 2]
    assert only.numbers.tolist() == [3, 0]
    assert only.at.tolist() == [1, 2]


def test_options_have_their_medians(given):
    rate, kind, _ = slices.panels(given(SPACE, TRIALS))
    assert kind.medians == [(0.0, pytest.approx(0.6)), (1.0, 0.9), (2.0, 0.3)]
    assert rate.medians == []


def test_axes_have_the_scales_of_the_space(given):
    layout = slices.figure(given(SPACE, TRIALS)).draw().layout
    assert layout.xaxis.type == "log"
    assert layout.xaxis2.ticktext == ("a", "1", '"1"')
    assert layout.xaxis3.tickvals == (1, 2, 3)
    assert layout.yaxis2.matches == layout.yaxis3.matches == "y"


def test_the_best_trial_is_marked_where_it_has_the_hyperparameter(given):
    data = slices.figure(given(SPACE, TRIALS)).draw().data
    marked = [(trace.xaxis, trace.x.tolist(), trace.y.tolist()) for trace in data if trace.marker.symbol == "diamond"]
    assert marked == [("x", [0.01], [0.9]), ("x2", [1.0], [0.9])]


def test_trials_at_fewer_epochs_are_not_compared(given):
    trials = [{"params": params, "value": value, "epochs": 9} for params, value in TRIALS]
    trials[1] |= {"epochs": 3, "state": State.PAUSED}
    assert slices.panels(given(SPACE, trials, epochs=9))[0].numbers.tolist() == [3, 0, 2]


def test_twelve_of_many_hyperparameters_are_shown_the_most_important_first(given):
    names = [f"x{i}" for i in range(20)]
    trials = [({name: (7 * i * (k + 1) % 97) / 97 for k, name in enumerate(names)}, 0.0) for i in range(60)]
    trials = [(params, params["x17"]) for params, _ in trials]
    data = given({name: Float(0, 1) for name in names}, trials)
    shown = slices.panels(data)
    assert [panel.name for panel in shown] == data.by_importance[:12]
    assert shown[0].name == "x17"
    assert "Shown are 12 of 20" in slices.figure(data).text


def test_thousands_of_dots_are_thinned_by_rank(given):
    data = given({"x": Float(0, 1)}, [({"x": i / 3_000}, float(i)) for i in range(3_000)], "minimize")
    (panel,) = slices.panels(data)
    assert len(panel.numbers) == 666
    assert panel.numbers[:50].tolist() == list(range(50))
    assert panel.numbers[-1] == 2_999
    assert "At most 666 dots" in slices.figure(data).text


def test_the_table_has_values_and_texts(given):
    table = slices.figure(given(SPACE, TRIALS)).table
    assert table.head == ("trial", "accuracy", "rate", "kind", "only_a")
    assert table.rows[0] == (1, 0.9, 0.01, "1", None)
    assert table.rows[3] == (2, 0.3, 1e-3, '"1"', None)


def test_constants_alone_are_nothing_to_show(given):
    assert slices.figure(given({"c": 1}, [({"c": 1}, 0.5)])) is None
    assert slices.figure(given(SPACE, [])) is None
