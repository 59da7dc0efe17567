"""What is called when evaluations end."""

import pytest

import hpo
from hpo import Float
from hpo.errors import UsageError


def climb(params):
    value = 0.0
    while True:
        value += params["x"]
        yield value


def square(params):
    if params["x"] > 0.5:
        raise ValueError("too great")
    return params["x"] ** 2


def search(tmp_path, callbacks, function=square, **more):
    settings = {"trials": 6, "store": tmp_path / "hpo.db", "progress": False, "direction": "minimize"} | more
    return hpo.search(function, {"x": Float(0, 1)}, settings.pop("searcher", "random"), callbacks=callbacks, **settings)


class Tracker:
    def __init__(self):
        self.seen = []

    def on_trial_end(self, study, trial):
        self.seen.append((study.name, trial))


def test_callbacks_see_every_trial_as_it_is_stored(tmp_path):
    tracker, called = Tracker(), []
    study = search(tmp_path, [tracker, lambda study, trial: called.append(trial.number)])
    assert [trial for _, trial in tracker.seen] == study.trials
    assert {name for name, _ in tracker.seen} == {study.name}
    assert called == [trial.number for trial in study.trials]
    assert "failed" in {trial.state for trial in study.trials}


def test_a_trial_with_several_evaluations_is_told_after_each(tmp_path):
    tracker = Tracker()
    study = search(tmp_path, [tracker], climb, searcher="halving", epochs=9, trials=3)
    told = [(trial.number, trial.epochs) for _, trial in tracker.seen]
    assert (0, 1) in told
    assert max(epochs for _, epochs in told) == 9
    assert len(told) > len(study.trials)
    states = {trial.number: trial.state for _, trial in tracker.seen}
    assert states == {trial.number: trial.state for trial in study.trials}


def test_a_callback_that_fails_is_warned_about_once_and_fails_no_trial(tmp_path):
    def broken(study, trial):
        raise ConnectionError("tracker is down")

    tracker = Tracker()
    warned = "callback broken raised ConnectionError for trial 0: tracker is down"
    with pytest.warns(UserWarning, match=warned) as found:
        study = search(tmp_path, [broken, tracker])
    assert len(found) == 1
    assert len(tracker.seen) == len(study.trials) == 6


@pytest.mark.parametrize("callbacks", [print, "text", [3], {"a": print}])
def test_what_cannot_be_called_is_refused_before_there_is_a_study(tmp_path, callbacks):
    with pytest.raises(UsageError, match=r"callbacks .*expected a"):
        search(tmp_path, callbacks)
    assert not (tmp_path / "hpo.db").exists()
