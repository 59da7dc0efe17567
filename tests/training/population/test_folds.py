"""Folds of cross-validation in the engine: k networks a trial, whose mean is its value."""

import math
from dataclasses import replace

import pytest
from population_trials import CPU, EPOCHS, Small, content, drain, job, random_params, small

from hpo import seeding
from hpo.training.objective import SimpleNNObjective
from hpo.training.population.executor import PopulationExecutor
from hpo.training.solo import SoloRun
from hpo.trial import Outcome, State

BASE = {"width": 12, "batch_size": 16, "normalization": "batch", "preprocessing": "standardize", "eps": 1e-4}
OBJECTIVE = SimpleNNObjective(data="wine", folds=3)


@pytest.fixture
def engine():
    """Makes executors of objectives with folds, and closes them."""
    made = []

    def make(objective=OBJECTIVE, **settings):
        made.append(PopulationExecutor(objective, CPU, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def outcomes(executor, jobs):
    executor.submit(jobs)
    return {event.number: event for _, event in drain(executor, len(jobs)) if isinstance(event, Outcome)}


def solo_runs(objective, each):
    """The folds of a job one by one, with the seeds of their own."""
    settings = objective.settings(each.params)
    for fold in range(objective.folds):
        data = objective.dataset.prepared(settings.preparation, fold)
        seed = seeding.derive(each.seed, "fold", fold)
        yield list(SoloRun(settings, data, seed, each.epochs, objective.scoring()).advance(each.target))


def test_a_job_has_a_member_for_each_fold_with_rows_and_draws_of_its_own():
    members = OBJECTIVE.members(job(0, params=BASE))
    assert len(members) == 3
    assert len({int(member.key) for member in members}) == 3
    held = [set(OBJECTIVE.dataset.folds[fold][1].tolist()) for fold in range(3)]
    assert set.union(*held) == {*OBJECTIVE.dataset.train.tolist(), *OBJECTIVE.dataset.validation.tolist()}
    assert sum(map(len, held)) == len(set.union(*held))
    assert [len(member.data.validation.y) for member in members] == list(map(len, held))


@pytest.mark.parametrize("data", ["wine", "line"])
def test_the_value_is_the_mean_of_folds_trained_one_by_one(engine, data):
    objective = SimpleNNObjective(data=data, folds=3)
    each = job(0, 4, params={**BASE, "batch_size": 5})
    outcome = outcomes(engine(objective), [each])[0]
    steps = list(solo_runs(objective, each))
    for name, values in outcome.curve.items():
        means = [math.fsum(step.metrics[name] for step in epoch) / 3 for epoch in zip(*steps, strict=True)]
        assert values == pytest.approx(means, rel=1e-3, abs=1e-5)
    assert outcome.value == outcome.curve[objective.metric][-1]
    assert (outcome.epochs, outcome.charged) == (4, 4)


def test_folds_of_different_numbers_of_rows_count_alike(engine):
    objective = SimpleNNObjective(data="line", folds=3)
    sizes = {len(train) for train, _ in objective.dataset.folds}
    assert len(sizes) == 2  # they cannot share a chunk
    executor = engine(objective, threads=1)
    jobs = [job(number, 3, params={**BASE, "width": 9 + number}) for number in range(4)]
    found = {number: content(outcome) for number, outcome in outcomes(executor, jobs).items()}
    for each in jobs:
        alone = outcomes(engine(objective), [each])
        assert found[each.number] == content(alone[each.number])
        last = [steps[-1].value for steps in solo_runs(objective, each)]
        assert found[each.number][1] == pytest.approx(sum(last) / 3, rel=1e-3)


def test_a_run_of_the_objective_is_what_the_engine_trains(engine):
    each = job(0, 5, params={**BASE, "early_stopping": True, "patience": 1, "learning_rate": 0.1})
    outcome = outcomes(engine(), [each])[0]
    steps = list(OBJECTIVE.start(each).advance(5))
    assert len(outcome.curve["accuracy"]) == len(steps)
    assert outcome.curve["validation_loss"] == pytest.approx([s.metrics["validation_loss"] for s in steps], rel=1e-3)
    assert outcome.value == pytest.approx(steps[-1].value, abs=1e-4)
    assert set(steps[-1].health) == {"train_accuracy", "gap", "gradient_first", "gradient_last", "dead_relu"}


def test_a_run_of_folds_goes_on_where_it_paused():
    params = {**BASE, "early_stopping": True, "patience": 1, "learning_rate": 0.1}
    parts, whole = (OBJECTIVE.start(job(0, 6, params=params)) for _ in range(2))
    found = [*parts.advance(1), *parts.advance(3), *parts.advance(6)]
    assert [(s.value, s.metrics) for s in found] == [(s.value, s.metrics) for s in whole.advance(6)]


@pytest.mark.parametrize("paused_bytes", [None, 1])
def test_folds_that_are_promoted_equal_folds_trained_through(engine, paused_bytes):
    trials = [
        {**BASE, "schedule": "plateau", "step_size": 1},
        {**BASE, "early_stopping": True, "patience": 1, "learning_rate": 0.1},
        {**BASE, "early_stopping": True, "patience": 2, "learning_rate": 0.3, "schedule": "cosine"},
    ]
    whole = outcomes(engine(), [job(number, EPOCHS, params=params) for number, params in enumerate(trials)])
    executor, start = engine(paused_bytes=paused_bytes), 0
    curves, charged = {number: [] for number in range(3)}, dict.fromkeys(range(3), 0)
    for target in (1, 3, EPOCHS):
        found = outcomes(executor, [job(n, target, start, params=params) for n, params in enumerate(trials)])
        for number, outcome in found.items():
            curves[number] += outcome.curve.get("train_loss", [])
            charged[number] += outcome.charged
        start = target
    assert len(executor._paused) == 0
    for number, outcome in whole.items():
        assert found[number].value == outcome.value
        assert curves[number] == outcome.curve["train_loss"]
        assert charged[number] == outcome.charged


def test_a_lost_fold_trains_the_trial_again_uncharged(engine):
    executor = engine(paused_bytes=1)
    outcomes(executor, [job(0, 3, params=BASE)])
    executor._paused._spilled[1, 0, 1][0].unlink()
    found = outcomes(executor, [job(0, EPOCHS, 3, params=BASE)])[0]
    whole = outcomes(engine(), [job(0, EPOCHS, params=BASE)])[0]
    assert (found.value, found.charged) == (whole.value, EPOCHS - 3)
    assert found.curve["train_loss"] == whole.curve["train_loss"][3:]


def test_a_fold_that_diverges_fails_the_trial_and_no_other(engine, monkeypatch):
    executor, members = engine(threads=1), OBJECTIVE.members

    def settings_of_their_own(each):
        found = members(each)
        if each.number == 1:
            found[2].settings = replace(found[2].settings, optimizer="sgd", learning_rate=1e6)
        return found

    monkeypatch.setattr(OBJECTIVE, "members", settings_of_their_own)
    jobs = [job(number, 6, params={**BASE, "normalization": "none", "width": 9 + number}) for number in range(3)]
    found = outcomes(executor, jobs)
    assert (found[1].state, found[1].reason) == (State.FAILED, "non_finite")
    assert found[1].charged < 6
    assert not executor._trials
    assert not executor.busy
    for number in (0, 2):
        assert found[number].state == State.DONE
        assert content(found[number]) == content(outcomes(engine(), [jobs[number]])[number])


def test_cancelled_folds_give_no_event(engine):
    executor = engine(threads=2)
    jobs = [job(number, 6, params=random_params("folds", number)) for number in range(4)]
    executor.submit(jobs)
    executor.wait(0.0)
    executor.cancel(jobs[::2])
    found = {event.number: content(event) for _, event in drain(executor, 2) if isinstance(event, Outcome)}
    assert found == {n: content(outcomes(engine(), [jobs[n]])[n]) for n in (1, 3)}
    assert executor.wait(0.2) == []


def test_one_fold_is_a_hold_out():
    [only] = Small().members(job(0, params=BASE))
    assert int(only.key) == job(0).seed
    assert len(only.data.train.y) == len(small(97).train.y)
