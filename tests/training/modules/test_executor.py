"""The executor of modules: whole chunks, halving, endings of all kinds."""

import threading
import warnings
from contextlib import closing
from dataclasses import replace

import own_modules as own
import pytest
import torch
from torch import nn

from hpo import Choice, Float, search
from hpo.errors import StorageError
from hpo.store import Store
from hpo.training.modules import company, work
from hpo.training.modules import executor as modules_executor
from hpo.training.modules.executor import ModulesExecutor
from hpo.trial import Outcome, Progress, State


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(company, "MOST", 4)


def on(some, start, target):
    """The same trials from another epoch on."""
    return [replace(job, evaluation=100 + job.evaluation, start=start, target=target) for job in some]


def test_outcomes_of_a_chunk_come_together(small_chunks):
    found = own.objective(own.linear)
    with closing(ModulesExecutor(found, threads=2)) as executor:
        outcomes, together = own.run(executor, own.jobs(own.different(10)))
    assert len(outcomes) == 10
    chunks = [{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}]
    assert all(any(chunk <= set(each) for each in together) for chunk in chunks)


def test_what_is_left_of_a_round_is_cut_into_the_same_chunks(small_chunks):
    found, some = own.objective(own.linear), own.jobs(own.different(11))
    chunks = found.bundles(some)
    assert [len(chunk) for chunk in chunks] == [4, 4, 3]
    assert found.bundles([*chunks[0], *chunks[2]]) == [chunks[0], chunks[2]]
    for chunk in chunks:
        assert found.bundles(chunk) == [chunk]


def test_modules_that_are_too_many_to_wait_are_built_again(small_chunks, monkeypatch):
    found, some = own.objective(own.linear), own.jobs(own.different(9))
    expected = own.fused(found, some)
    monkeypatch.setattr(modules_executor, "_WAITING_BYTES", 1000)
    assert {n: outcome.curve for n, outcome in own.fused(found, some).items()} == {
        n: outcome.curve for n, outcome in expected.items()
    }


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_a_build_that_fails_when_it_is_its_turn_fails_its_trial_alone(small_chunks, monkeypatch, error):
    calls = []

    def build(params):
        calls.append(params["trial"])
        if params["trial"] in (1, 8) and calls.count(params["trial"]) > 1:
            raise error("not again")
        return own.linear(params)

    monkeypatch.setattr(modules_executor, "_WAITING_BYTES", 0)
    some = own.jobs([{"trial": number} for number in range(9)])  # the last one is a chunk of its own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short of memory to the last trial of a chunk, this one trains alone
        outcomes = own.fused(own.objective(build), some, threads=2)
    assert [number for number in range(9) if outcomes[number].state != State.DONE] == [1, 8]
    assert all("not again" in outcomes[number].error for number in (1, 8))
    for job in some[2:8]:
        own.check_same(outcomes[job.number], own.alone(own.objective(own.linear), job))


def test_batch_sizes_and_epochs_divide_trials():
    found = own.objective(own.linear)
    sizes = own.jobs([{"batch_size": size} for size in (16, 48, 999, 16)])  # 48 rows train
    assert [[job.number for job in chunk] for chunk in found.bundles(sizes)] == [[0, 3], [1, 2]]
    targets = [*own.jobs([{}], target=1), *own.jobs([{}], target=2), *own.jobs([{}], study=2, target=1)]
    assert len(found.bundles(targets)) == 3


@pytest.mark.filterwarnings("ignore:lstm is LSTM")
@pytest.mark.parametrize("kind", ["layer_norm", "batch_norm", "lstm"])
def test_training_on_after_a_rung_equals_training_through(kind):
    found, some = own.objective(getattr(own, kind)), own.jobs(own.different(8), epochs=5)
    through = own.fused(found, some)
    with closing(ModulesExecutor(found, threads=1)) as executor:
        first, _ = own.run(executor, on(some, 0, 2))
        kept = [job for job in some if job.number % 2 == 0]  # other company
        second, _ = own.run(executor, on(kept, 2, 5))
    for job in kept:
        early, late, whole = first[job.number], second[job.number], through[job.number]
        for name, values in whole.curve.items():
            assert [*early.curve[name], *late.curve.get(name, [])] == pytest.approx(values, rel=1e-9, abs=1e-9)
        assert late.value == pytest.approx(whole.value)
        assert early.charged + late.charged == whole.charged


def test_a_lost_trial_is_trained_again_and_not_charged():
    found, some = own.objective(own.linear), own.jobs(own.different(4, early_stopping=False), epochs=5)
    through = own.fused(found, some)
    for job, outcome in zip(some, own.fused(found, on(some, 3, 5)).values(), strict=True):
        assert outcome.charged == 2
        assert outcome.value == pytest.approx(through[job.number].value)
        assert outcome.curve["train_loss"] == pytest.approx(through[job.number].curve["train_loss"][3:], rel=1e-9)


def test_a_trial_that_stopped_early_has_reached_its_target():
    found = own.objective(own.linear)
    stopping = {"early_stopping": True, "patience": 1, "learning_rate": 5.0, "optimizer": "sgd"}
    some = own.jobs([stopping, {"learning_rate": 0.01}], epochs=12)
    with closing(ModulesExecutor(found, threads=1)) as executor:
        first, _ = own.run(executor, on(some, 0, 10))
        assert (first[0].state, first[0].epochs) == (State.DONE, 10)
        assert len(first[0].curve["train_loss"]) < 10
        second, _ = own.run(executor, on(some, 10, 12))
    assert (second[0].charged, second[0].value) == (0, first[0].value)
    assert second[1].charged == 2
    own.check_same(first[0], own.alone(found, some[0]))


def test_a_diverging_trial_harms_no_other():
    found = own.objective(own.linear)
    wild = {"optimizer": "sgd", "learning_rate": 1e6, "weight_decay": 1e6, "batch_size": 16}
    some = own.jobs([wild if k == 2 else params for k, params in enumerate(own.different(5))], epochs=12)
    outcomes = own.fused(found, some)
    assert (outcomes[2].state, outcomes[2].reason) == (State.FAILED, "non_finite")
    for job in [some[k] for k in (0, 1, 3, 4)]:
        own.check_same(outcomes[job.number], own.alone(found, job))


def test_progress_is_told_after_each_epoch():
    found = own.objective(own.linear)
    with closing(ModulesExecutor(found, threads=1)) as executor:
        executor.submit(own.jobs([{}, {}], epochs=3))
        events = []
        while sum(isinstance(event, Outcome) for _, event in events) < 2:
            events += executor.wait(1.0)
    told = [(job.number, event.epoch) for job, event in events if isinstance(event, Progress)]
    assert sorted(told) == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_cancelled_jobs_give_no_events_and_their_company_goes_on():
    found, some = own.objective(own.linear), own.jobs(own.different(4), epochs=3)
    alone = own.fused(found, some)
    with closing(ModulesExecutor(found, threads=1)) as executor:
        executor.submit(some)
        executor.cancel(some[:2])
        events = []
        while sum(isinstance(event, Outcome) for _, event in events) < 2:
            events += executor.wait(1.0)
        executor.cancel(some[2:])
        assert executor.wait(0.05) == []
    outcomes = {job.number: event for job, event in events if isinstance(event, Outcome)}
    assert {job.number for job, _ in events} == {2, 3}
    assert all(outcomes[number].curve == alone[number].curve for number in (2, 3))


def test_closing_stops_the_threads_at_the_next_step():
    found, before = own.objective(own.linear), torch.get_num_threads()
    executor = ModulesExecutor(found, threads=2)
    executor.submit(own.jobs([{"batch_size": 1}] * 4, epochs=10**6))
    executor.wait(0.01)
    executor.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("hpo-modules")]
    assert torch.get_num_threads() == before


def test_a_build_that_fails_fails_its_trial_alone():
    def build(params):
        if params["bad"] == 1:
            raise RuntimeError("no such network")
        return own.linear(params) if params["bad"] == 0 else "net" if params["bad"] == 2 else nn.ReLU()

    outcomes = own.fused(own.objective(build), own.jobs([{"bad": k} for k in (0, 1, 2, 3, 0)]))
    assert [outcomes[k].state == State.DONE for k in range(5)] == [True, False, False, False, True]
    assert "no such network" in outcomes[1].error
    assert "build returned 'net' (str), expected a torch.nn.Module" in outcomes[2].error
    assert "build returned ReLU without parameters that require gradients" in outcomes[3].error


def test_outputs_of_a_wrong_shape_fail_the_trial_and_say_what_was_expected():
    outcomes = own.fused(own.objective(lambda params: nn.Linear(5, 2).double()), own.jobs([{}, {}]))
    for outcome in outcomes.values():
        assert "expected (32, C) with C >= 3 classes" in outcome.error


def test_an_error_in_company_leaves_the_others_to_train_alone():
    def metric(outputs, targets):
        if float(outputs.mean()) == metric.bad:
            raise ZeroDivisionError("of this trial only")
        return float(outputs.mean())

    metric.bad = None
    found = own.objective(own.linear, metric=metric, direction="maximize")
    some = own.jobs(own.different(3))
    metric.bad = own.alone(found, some[1])[0].metrics["metric"]
    with pytest.warns(UserWarning, match="Sequential failed in company"):
        outcomes = own.fused(found, some)
    assert [outcomes[k].state == State.DONE for k in range(3)] == [True, False, True]
    assert "of this trial only" in outcomes[1].error


def test_short_of_memory_a_chunk_is_halved(monkeypatch):
    sizes = []

    class Greedy(work.Chunk):
        def train_epoch(self, stopped):
            sizes.append(len(self.members))
            if len(self.members) > 2:
                raise MemoryError
            return super().train_epoch(stopped)

    monkeypatch.setattr(work, "Chunk", Greedy)
    found, some = own.objective(own.batch_norm), own.jobs(own.different(4), epochs=1)
    outcomes = own.fused(found, some)
    assert sizes == [4, 2, 2]
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))


SPACE = {
    "learning_rate": Float(1e-3, 1e-1, log=True),
    "optimizer": Choice(["sgd", "adam"]),
    "hidden": Choice([4, 6]),
    "p": Float(0, 0.5),
}


def trials_of(study):
    return [(trial.number, trial.params, trial.value, trial.curve) for trial in study.trials]


@pytest.mark.parametrize("lost", [1, 3])
def test_a_study_that_breaks_off_has_the_same_trials_in_the_end(tmp_path, monkeypatch, small_chunks, lost):
    found = own.objective(own.linear)
    how = {"searcher": "random", "trials": 20, "epochs": 3, "batch": 10, "progress": False, "name": "study"}
    whole = search(found, SPACE, store=tmp_path / "whole.db", **how)
    calls, record = [], Store.record

    def failing(self, *arguments):
        calls.append(arguments)
        if len(calls) == lost:
            raise StorageError("the power went")
        return record(self, *arguments)

    monkeypatch.setattr(Store, "record", failing)
    with pytest.raises(StorageError, match="the power went"):
        search(found, SPACE, store=tmp_path / "broken.db", **how)
    resumed = search(found, SPACE, store=tmp_path / "broken.db", **how)
    assert trials_of(resumed) == trials_of(whole)


def test_halving_through_search_finds_what_the_trials_alone_say(tmp_path):
    found = own.objective(own.layer_norm)
    study = search(found, SPACE, "halving", trials=4, epochs=4, progress=False, store=tmp_path / "s.db")
    assert study.best.epochs == 4
    best = study.best
    job = replace(own.jobs([best.params], epochs=4)[0], seed=best.seed)
    assert own.alone(found, job)[-1].value == pytest.approx(best.value)
