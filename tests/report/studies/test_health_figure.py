"""The health figure shows the shares that `hpo.comparison.health` counts."""

from types import SimpleNamespace

from hpo.comparison.health import summarize
from hpo.report.studies.health import figure, shares
from hpo.trial import State, Trial


def data(trials):
    study = SimpleNamespace(spec=SimpleNamespace(direction="maximize"))
    return SimpleNamespace(trials=trials, study=study)


def trial(number, value=0.5, params=None, **found):
    state = State.DONE if value == value else State.FAILED
    return Trial(number, params or {}, 0, state, value, health=found)


def test_bars_are_the_shares_of_the_trials_that_tell():
    trials = [trial(i, train_accuracy=0.9, gap=0.3 if i < 3 else 0.0) for i in range(4)] + [trial(4, float("nan"))]
    shown = figure(data(trials))
    assert shown.table.rows == (("overfit, by accuracy", 3, 4, 0.75), ("diverged", 1, 5, 0.2))
    bars = shown.draw().data[0]
    assert (list(bars.x), list(bars.text)) == ([0.75, 0.2], ["3 of 4", "1 of 5"])
    assert "3 of 4 trials overfit" in shown.text
    assert [name for name, _ in shares(summarize(trials, "maximize"))] == ["overfit, by accuracy", "diverged"]


def test_regions_of_divergence_are_in_the_table():
    trials = [trial(i, float("nan") if i < 10 else 0.5, {"<b>": "bad" if i < 10 else "good"}) for i in range(40)]
    assert figure(data(trials)).table.rows[-1] == ("diverged where <b> = bad", 10, 10, 1.0)


def test_a_study_that_tells_nothing_has_no_figure():
    assert figure(data([trial(0), trial(1)])) is None
    assert figure(data([])) is None


def test_health_without_faults_says_so():
    assert "Nothing stands out" in figure(data([trial(0, train_accuracy=0.5, gap=0.0)])).text
