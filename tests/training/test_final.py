"""The network that is taken home, and what it is worth on test data."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from population_trials import train_members
from scipy import stats

from hpo import seeding
from hpo.training.final import train_final, train_finals
from hpo.training.metrics import METRICS
from hpo.training.objective import SimpleNNObjective
from hpo.training.scoring import interval, score
from hpo.training.solo import SoloRun
from hpo.trial import Job

PARAMS: dict[str, Any] = {"width": 12, "batch_size": 30, "preprocessing": "standardize", "learning_rate": 0.02}
STOPPING: dict[str, Any] = {**PARAMS, "early_stopping": True, "patience": 1, "learning_rate": 0.2}
DIVERGING: dict[str, Any] = {"optimizer": "sgd", "learning_rate": 1e6, "weight_decay": 1e4, "early_stopping": True}


def job(params: dict[str, Any], target: int = 4, epochs: int = 9) -> Job:
    return Job(study=1, evaluation=0, number=0, params=params, seed=5, start=0, target=target, epochs=epochs)


@pytest.mark.parametrize("params", [PARAMS, {**PARAMS, "normalization": "batch"}, STOPPING])
def test_of_one_validation_part_it_is_the_very_network_of_the_trial(params: dict[str, Any]) -> None:
    objective = SimpleNNObjective(data="wine")
    each = job(params, 8)
    final = train_final(objective, each)
    [member], [other] = objective.members(each), objective.members(job({**params, "width": 20}))
    steps, _ = train_members([other, member], 8)[1]
    assert final is not None
    assert final.epochs == len(steps) == (8 if params is not STOPPING else len(steps))
    found, wanted = final.model.state_dict(), member.model().state_dict()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    value = METRICS["accuracy"].of(final.outputs(final.data.validation.x).T[None], final.data.validation.y[None, None])
    assert float(value) == steps[-1].value


def test_it_takes_inputs_as_its_transform_prepares_them() -> None:
    objective = SimpleNNObjective(data="wine")
    final = train_final(objective, job(PARAMS))
    assert final is not None
    raw = torch.from_numpy(final.transform.apply(objective.dataset.x, objective.dataset.test))
    assert torch.equal(raw, final.data.test.x)
    with torch.no_grad():
        assert torch.equal(final.outputs(raw), final.model(raw))


@pytest.mark.parametrize(("folds", "everything"), [(3, False), (3, True), (1, True)])
def test_without_rows_held_back_it_trains_on_all_that_it_may(folds: int, everything: bool) -> None:
    objective = SimpleNNObjective(data="wine", folds=folds)
    dataset = objective.dataset
    rows = len(dataset.train) + len(dataset.validation) + everything * len(dataset.test)
    final = train_final(objective, job(PARAMS), everything)
    assert final is not None
    assert len(final.data.train.y) == rows
    assert final.epochs == 4
    run = SoloRun(objective.settings(PARAMS), final.data, 5, 9)
    list(run.advance(4))
    found, wanted = final.model.state_dict(), run.model.state_dict()
    assert all(torch.allclose(found[name], wanted[name], rtol=1e-3, atol=1e-4) for name in wanted)


@pytest.mark.parametrize("folds", [1, 3])
def test_early_stopping_is_replaced_by_the_mean_of_the_best_epochs(folds: int) -> None:
    objective = SimpleNNObjective(data="wine", folds=folds)
    best = []
    for member in objective.members(job(STOPPING, 9)):
        run = SoloRun(member.settings, member.data, int(member.key), 9)
        list(run.advance(9))
        best.append(run.history.best_epoch)
    final = train_final(objective, job(STOPPING, 9), everything=True)
    assert final is not None
    assert final.epochs == max(1, round(sum(best) / len(best))) < 9
    assert not final.data.train.y.equal(objective.members(job(STOPPING))[0].data.train.y)


@pytest.mark.parametrize("folds", [1, 3])
def test_training_that_diverges_gives_no_network_and_the_score_is_nan(folds: int) -> None:
    objective = SimpleNNObjective(data="wine", folds=folds)
    bad = job(DIVERGING, 9)
    assert train_final(objective, bad) is None
    result = score(None, METRICS["accuracy"], 1)
    assert all(map(math.isnan, [*result.metrics.values(), result.low, result.high]))


# -- the bootstrap


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_the_interval_of_an_accuracy_is_binomial(share: float) -> None:
    n = 400
    y = torch.zeros(n, dtype=torch.int64)
    outputs = torch.tensor([[1.0, 0.0]]).repeat(n, 1)
    outputs[: round((1 - share) * n)] = torch.tensor([0.0, 1.0])
    found = interval(METRICS["accuracy"], outputs, y, 1.0, seed=3)
    wanted = stats.binom(n, share).ppf([0.025, 0.975]) / n
    error = 4 * math.sqrt(0.025 * 0.975 / 1000) / (stats.norm.pdf(1.96) / math.sqrt(share * (1 - share) / n))
    assert found == pytest.approx(tuple(wanted), abs=error + 1 / n)


def test_the_interval_of_a_mean_error_is_normal_and_in_the_units_of_the_target() -> None:
    n = 500
    errors = torch.from_numpy(seeding.generator("interval").normal(size=n)).abs()
    low, high = interval(METRICS["mae"], errors[:, None], torch.zeros(n), 10.0, seed=3)
    mean, half = 10 * float(errors.mean()), 19.6 * float(errors.std()) / math.sqrt(n)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.15 * half)


def test_the_interval_is_a_function_of_its_seed_however_much_is_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = torch.from_numpy(seeding.generator("logits").normal(size=(50, 3)))
    y = torch.arange(50) % 3
    first = interval(METRICS["f1_macro"], outputs, y, 1.0, seed=3)
    assert interval(METRICS["f1_macro"], outputs, y, 1.0, seed=4) != first
    monkeypatch.setattr("hpo.training.scoring._AT_ONCE", 1000)
    assert interval(METRICS["f1_macro"], outputs, y, 1.0, seed=3) == first


def test_resamples_in_which_the_metric_is_undefined_are_left_out() -> None:
    y = torch.tensor([1, *[0] * 5])  # in one of three resamples the only positive row is missing
    outputs = torch.stack([torch.zeros(6), torch.tensor([2.0, 1.0, 3.0, 0.0, 0.5, 0.2])], dim=1)
    low, high = interval(METRICS["roc_auc"], outputs, y, 1.0, seed=1)
    assert 0 <= low < high <= 1


@pytest.mark.parametrize(("data", "metric"), [("wine", "balanced_accuracy"), ("line", "rmse")])
def test_the_score_is_that_of_the_final_network_on_the_test_rows(data: str, metric: str) -> None:
    objective = SimpleNNObjective(data=data, metric=metric, folds=3)
    final = train_final(objective, job(PARAMS))
    result = objective.test(job(PARAMS))
    assert final is not None
    outputs = final.outputs(final.data.test.x)
    value = METRICS[metric].of(outputs.T[None], final.data.test.y[None, None], final.data.target_scale)
    assert result.metrics[metric] == float(value)
    assert set(result.metrics) == {metric, "loss"}
    assert result.low <= result.metrics[metric] <= result.high


def test_trained_together_every_network_is_the_one_that_it_is_alone() -> None:
    objective = SimpleNNObjective(data="wine")
    kinds = [PARAMS, STOPPING, {**PARAMS, "width": 40, "normalization": "layer"}, DIVERGING]
    jobs = [replace(job(params, target), seed=number) for number, params in enumerate(kinds) for target in (2, 5)]
    together, alone = objective.test_all(jobs), [objective.test(each) for each in jobs]
    assert repr(together) == repr(alone)  # repr: of a training that diverges all is NaN
    finals = train_finals(objective, jobs)
    assert [final is None for final in finals] == [number == 3 for number in range(4) for _ in (2, 5)]
    for final, each in zip(finals, jobs, strict=True):
        other = train_final(objective, each)
        if final is not None and other is not None:
            found, wanted = final.model.state_dict(), other.model.state_dict()
            assert all(torch.equal(found[name], wanted[name]) for name in wanted)
