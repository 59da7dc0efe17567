"""Importance is what Optuna says of the same study."""

import numpy as np
import optuna
import pytest

from hpo import Choice, Float, Int, Space, load_study, search
from hpo.integrations.optuna_export import export
from hpo.optuna_space import quiet
from hpo.report.ped_anova import ped_anova
from hpo.report.studies import importance
from hpo.report.study_data import StudyData
from hpo.trial import State

SPACE = {
    "rate": Float(1e-4, 1, log=True),
    "kind": Choice(["a", "b", "c"]),
    "layers": Choice([[8], [8, 8], 1, True], ordered=True),
    "only_a": Float(0, 1, when={"kind": ["a"]}),
    "size": Int(1, 2**60),
    "noise": Float(0, 1),
}


def objective(p):
    return np.log10(p["rate"]) ** 2 + (p["kind"] == "b") + p.get("only_a", 0.5) + p["noise"] / 100


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_it_is_optunas_own_on_the_exported_study(tmp_path, direction):
    store = tmp_path / "hpo.db"
    study = search(objective, SPACE, "random", trials=60, direction=direction, store=store, name="s", progress=False)
    url = f"sqlite:///{tmp_path}/out.db"
    export(study, url)
    with quiet():
        theirs = optuna.load_study(study_name="s", storage=url)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        expected = optuna.importance.get_param_importances(theirs, evaluator=evaluator)
    ours = StudyData(load_study("s", store=store)).importances
    assert ours == pytest.approx(expected)
    assert list(ours.values()) == sorted(ours.values(), reverse=True)
    assert sum(ours.values()) == pytest.approx(1)


def drawn(given, count, value, space=SPACE, **more):
    rng, whole = np.random.default_rng(3), Space(space)
    return given(space, [(params := whole.sample(rng), value(params)) for _ in range(count)], **more)


def test_what_decides_comes_first(given):
    data = drawn(given, 200, lambda p: p["noise"])
    assert next(iter(data.importances)) == "noise"
    assert data.by_importance[0] == "noise"
    assert sorted(data.by_importance) == sorted(SPACE)


def test_fewer_than_ten_trials_tell_nothing(given):
    assert importance.figure(drawn(given, 9, lambda p: p["noise"])) is None
    assert importance.figure(drawn(given, 10, lambda p: p["noise"])) is not None


def test_equal_values_tell_nothing(given):
    assert importance.figure(drawn(given, 50, lambda p: 1.0)) is None


def test_the_greatest_values_do_no_harm(given):
    assert drawn(given, 50, lambda p: 1e300 * p["noise"]).importances


def test_only_trials_at_the_greatest_epoch_count(given):
    long = drawn(given, 20, lambda p: p["noise"]).trials
    both = [{"params": t.params, "value": t.value, "epochs": 9} for t in long]
    both += [{"params": t.params, "value": -t.value, "epochs": 3, "state": State.PAUSED} for t in long]
    alone = given(SPACE, both[:20], epochs=9)
    assert given(SPACE, both, epochs=9).importances == alone.importances


def test_thousands_of_options_are_left_out_and_named(given):
    space = {"x": Float(0, 1), "many": Choice(list(range(2_000)))}
    figure = importance.figure(drawn(given, 30, lambda p: p["x"], space))
    assert [row[0] for row in figure.table.rows] == ["x"]
    assert "Left out: many" in figure.text


def test_bars_are_the_shares_from_the_top(given):
    figure = importance.figure(drawn(given, 100, lambda p: p["noise"]))
    drawing = figure.draw()
    assert list(drawing.data[0].x) == [share for _, share in figure.table.rows]
    assert list(drawing.layout.yaxis.ticktext) == [name for name, _ in figure.table.rows]
    assert drawing.layout.yaxis.range[0] > drawing.layout.yaxis.range[1]


def test_the_users_own_warnings_and_verbosity_stay(given):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert ped_anova(Space(SPACE), [], "minimize") == {}
    assert drawn(given, 30, lambda p: p["noise"]).importances
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
