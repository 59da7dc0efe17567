"""What a step means for the evaluation under way."""

import math

import pytest

from hpo.executors.ending import Evaluation
from hpo.objective import Step
from hpo.trial import Job, Outcome, Progress, Reason, State

JOB = Job(0, 0, 0, {}, 0, 2, 6, 9)


def record(*steps):
    evaluation = Evaluation(JOB)
    return [evaluation.record(step) for step in steps]


def test_epochs_that_were_charged_before_are_silent_and_later_ones_are_progress():
    events = record(Step(1, 0.1, {"v": 0.1}), Step(2, 0.2, {"v": 0.2}), Step(3, 0.3, {"v": 0.3}))
    assert events == [None, None, Progress(JOB, 3, {"v": 0.3})]


@pytest.mark.parametrize("last", [Step(6, 0.6, {"v": 0.6}), Step(4, 0.6, {"v": 0.5}, ended=True)])
def test_the_target_or_the_trials_own_end_is_the_outcome_with_health_and_target(last):
    *_, outcome = record(Step(3, 0.3, {"v": 0.3}), Step(last.epoch, last.value, last.metrics, last.ended, {"gap": 0.1}))
    assert isinstance(outcome, Outcome)
    assert (outcome.state, outcome.value, outcome.epochs) == (State.DONE, 0.6, 6)
    assert outcome.charged == last.epoch - 2
    assert outcome.curve == {"v": [0.3, last.metrics["v"]]}
    assert outcome.health == {"gap": 0.1}


def test_a_value_that_is_not_finite_fails_with_its_health():
    (outcome,) = record(Step(3, math.nan, {"v": 0.5}, health={"gradient_first": math.inf}))
    assert (outcome.state, outcome.reason, outcome.epochs) == (State.FAILED, Reason.NON_FINITE, 3)
    assert outcome.health == {"gradient_first": math.inf}
