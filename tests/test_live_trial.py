"""What a function that reports while it runs sees, and what becomes of its reports."""

import math
import random

import numpy as np
import pytest

from hpo import Float, FunctionObjective, LiveTrial, search
from hpo import signals as signals_module
from hpo.errors import UsageError
from hpo.execution import Execution
from hpo.executors.in_process import InProcessExecutor
from hpo.live_trial import MAX_POINTS, Reports
from hpo.trial import Job, State


def job(start=0, target=1, epochs=1, number=0, params=None):
    return Job(1, number, number, params or {"x": 0.5}, 7, start, target, epochs)


def outcome(function, *args, execution=None, **kwargs):
    """The one outcome of a function in this process."""
    executor = InProcessExecutor(FunctionObjective(function), execution or Execution())
    executor.submit([job(*args, **kwargs)])
    [(_, found)] = executor.wait(0.1)
    return found


# -- reports


def test_reports_become_the_curve_and_the_returned_value_counts():
    def f(p, trial):
        for step in range(3):
            trial.report(1 / (step + 1), step)
        return 0.25

    found = outcome(f)
    assert (found.state, found.value, found.charged) == (State.DONE, 0.25, 1)
    assert found.curve == {"value": [1.0, 0.5, 1 / 3], "step": [0.0, 1.0, 2.0]}


def test_returning_nothing_means_the_last_reported_value():
    assert outcome(lambda p, trial: trial.report(0.5, 3)).value == 0.5


def test_returning_nothing_without_a_report_is_refused():
    assert "NoneType" in outcome(lambda p, trial: None).error


def test_a_repeated_report_changes_nothing_and_another_value_is_an_error():
    live = LiveTrial(job())
    live.report(1, 4)
    live.report(np.float32(1), np.int64(4))
    live.report(math.nan, 5)
    live.report(math.nan, 5)
    assert repr(live.reports.points()) == "[(4, 1.0), (5, nan)]"
    with pytest.raises(UsageError, match=r"step 4 is reported as 2\.0, but was reported as 1\.0"):
        live.report(2.0, 4)


@pytest.mark.parametrize("step", [-1, 1.0, math.nan, "1", None, True, 2**53 + 1])
def test_a_step_that_is_no_count_is_refused(step):
    with pytest.raises(UsageError, match=r"expected an integer in \[0, 2\^53\]"):
        LiveTrial(job()).report(1.0, step)


def test_a_value_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="trial 0 reported"):
        LiveTrial(job()).report("1", 0)


@pytest.mark.parametrize("spread", [1, 2, 1000, 2**40])
def test_very_many_reports_are_thinned_alike_in_any_order(spread):
    steps = [spread * i + 1 for i in range(5000)]
    kept = []
    for shuffled in (False, True):
        if shuffled:
            random.Random(1).shuffle(steps)
            steps.append(steps.pop(steps.index(spread * 4999 + 1)))
        reports = Reports()
        for step in steps:
            reports.add(step, float(step))
        kept.append(reports.points())
    assert kept[0] == kept[1]
    assert MAX_POINTS / 4 < len(kept[0]) <= MAX_POINTS + 1
    assert (kept[0][0][0], kept[0][-1][0]) == (1, spread * 4999 + 1)


def test_a_failure_keeps_its_curve():
    def f(p, trial):
        trial.report(0.5, 0)
        raise ValueError("no")

    found = outcome(f, target=4, epochs=9)
    assert (found.state, found.epochs, found.curve) == (State.FAILED, 1, {"value": [0.5], "step": [0.0]})


# -- pruning


def test_it_is_to_end_once_the_target_is_reached():
    live = LiveTrial(job(target=3, epochs=9))
    told = []
    for step in range(4):
        live.report(0.0, step)
        told.append(live.should_prune())
    assert told == [False, False, True, True]


def test_without_epochs_it_is_never_to_end():
    live = LiveTrial(job())
    live.report(0.0, 1000)
    assert not live.should_prune()


def train(p, trial):
    for step in range(100):
        trial.report(p["x"] + 1 / (step + 1), step)
        if trial.should_prune():
            return None
    return p["x"]


def search_(tmp_path, function, searcher="random", trials=4, **more):
    return search(
        function, {"x": Float(0, 1)}, searcher, trials, direction="minimize", progress=False,
        store=tmp_path / "hpo.db", **more,
    )  # fmt: skip


def test_epochs_are_optional(tmp_path):
    study = search_(tmp_path, train)
    assert study.spec.epochs is None
    assert all(len(trial.curve["step"]) == 100 and trial.value == trial.params["x"] for trial in study.trials)


def test_under_halving_it_starts_anew_and_its_curve_has_every_epoch_once(tmp_path):
    study = search_(tmp_path, train, "halving", 6, epochs=9, batch=9)
    assert {trial.epochs for trial in study.trials} >= {1, 3, 9}
    for trial in study.trials:
        assert trial.curve["step"] == list(range(trial.epochs))
        assert trial.value == trial.params["x"] + 1 / trial.epochs
    assert study.epochs_spent > sum(trial.epochs for trial in study.trials)  # charged for each start


def test_a_function_that_stops_because_the_user_did_has_not_ended(monkeypatch):
    monkeypatch.setattr(signals_module, "_listening", [signals_module.Stop()])

    def f(p, trial):
        signals_module._listening[0].requested = True
        trial.report(1.0, 0)
        return 1.0 if trial.should_prune() else 2.0

    executor = InProcessExecutor(FunctionObjective(f))
    executor.submit([job(), job(number=1)])
    assert executor.wait(10) == []
    assert executor.busy


# -- what else it has


def test_it_knows_its_trial_and_shares_no_params(tmp_path):
    def f(p, trial):
        trial.params["x"] = 9
        (trial.directory / "checkpoint").write_text("x")
        return p["x"] + trial.number + trial.seed

    given = {"x": 0.5}
    assert outcome(f, number=3, params=given, execution=Execution(files=tmp_path)).value == 10.5
    assert given == {"x": 0.5}
    assert (tmp_path / "study-1" / "trial-3" / "checkpoint").exists()


def test_a_directory_is_made_only_when_asked_for(tmp_path):
    live = LiveTrial(job(), tmp_path / "files")
    assert not (tmp_path / "files").exists()
    assert live.directory == live.directory
    with pytest.raises(UsageError, match="no folder for files"):
        _ = LiveTrial(job()).directory


def test_generators_and_batched_functions_take_no_trial():
    def generator(p, trial):
        yield 1.0

    with pytest.raises(UsageError, match="yields its values"):
        FunctionObjective(generator)
    with pytest.raises(UsageError, match="called once for many"):
        FunctionObjective(lambda p, trial: [], batched=True)
