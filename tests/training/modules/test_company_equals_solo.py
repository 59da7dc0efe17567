"""Trials in company are those that each would be alone, whatever is different between them."""

import functools
import warnings

import numpy as np
import own_modules as own
import pytest
import torch
from torch import nn

from hpo.training.modules.dropout import calls_of, layers_of, take_over_dropout, words_of_steps

SOLO = {"lstm": "lstm is LSTM, for which torch.vmap has no rule"}
DATA = {"convolution": own.images, "embedding": own.tokens}
KINDS = ("linear", "layer_norm", "batch_norm", "convolution", "embedding")


def objective(kind, **given):
    return own.objective(getattr(own, kind), DATA.get(kind, own.table)(), **given)


@pytest.mark.parametrize("kind", KINDS)
def test_trials_in_company_equal_trials_alone(kind):
    found, some = objective(kind), own.jobs(own.different(10))
    outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_trained_as_one(kind):
    assert [len(bundle) for bundle in objective(kind).bundles(own.jobs(own.different(10)))] == [10]


def test_in_float32_they_agree_up_to_rounding():
    def build(params):
        return own.layer_norm(params).float()

    found, some = own.objective(build, own.table(dtype=np.float32)), own.jobs(own.different(6))
    outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job), 1e-3)


def test_an_lstm_trains_alone_and_is_told_of_once():
    found, some = own.objective(own.lstm), own.jobs([{"learning_rate": 0.01 * (1 + k)} for k in range(3)])
    with pytest.warns(UserWarning, match="train one after another") as told:
        outcomes = own.fused(found, some)
    assert [str(each.message).partition(":")[0] for each in told] == [SOLO["lstm"]]
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job), 0)


def test_a_mask_depends_on_the_trial_alone():
    found = own.objective(own.layer_norm)
    some = own.jobs(own.different(5))
    together = own.fused(found, some)
    apart = [own.fused(found, [job])[job.number] for job in some]
    for one in apart:
        np.testing.assert_allclose(one.curve["train_loss"], together[one.number].curve["train_loss"], rtol=1e-12)


def test_dropout_drops_its_share_and_keeps_the_mean():
    layer = nn.Sequential(nn.Dropout(0.3))
    take_over_dropout(layer).train()
    x = torch.ones(500, 40)
    masks, p = layers_of(layer)[0].masks, torch.tensor([[0.3]], dtype=torch.float64)
    steps = words_of_steps(torch.tensor([7]), 0, calls_of(layer, x), p)
    drawn = []
    for words in (next(steps), next(steps)):
        masks.feed([type(words[0])(*(part[0] for part in words[0]))])
        drawn.append(layer(x))
    assert not torch.equal(*drawn)
    for each in drawn:
        assert each.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
        assert each.eq(0).float().mean() == pytest.approx(0.3, abs=0.015)
        assert torch.corrcoef(each)[0, 1:].abs().mean() < 0.2


@pytest.mark.parametrize(("loss", "metric"), [("mse", "rmse"), ("mae", "r2"), ("huber", "mae")])
def test_regressions_in_company_equal_regressions_alone(loss, metric):
    x, _ = own.table()

    def build(params):
        return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0)).double()

    found = own.objective(build, (x, x.sum(1)), loss=loss, metric=metric)
    some = own.jobs(own.different(4, label_smoothing=0.0))
    outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))


def test_functions_score_as_the_names_that_they_stand_for():
    def share_right(outputs, targets):
        return float((outputs.argmax(1) == targets).double().mean())

    some = own.jobs(own.different(4, label_smoothing=0.0))
    named = own.fused(own.objective(own.linear), some)
    loss = functools.partial(nn.functional.cross_entropy, reduction="none")
    mine = own.objective(own.linear, loss=loss, metric=share_right, direction="maximize")
    for number, outcome in own.fused(mine, some).items():
        steps = own.alone(mine, some[number])
        own.check_same(outcome, steps)
        assert outcome.value == pytest.approx(named[number].value)
        np.testing.assert_allclose(outcome.curve["train_loss"], named[number].curve["train_loss"], rtol=1e-9)


def test_solo_training_is_that_of_a_loop_by_hand():
    found = own.objective(own.linear, (own.table(), own.table(30)))
    job = own.jobs([{"optimizer": "momentum", "learning_rate": 0.1, "batch_size": 60}], epochs=2)[0]
    steps = own.alone(found, job)
    torch.manual_seed(job.seed)
    model, (x, y) = own.linear({}), map(torch.from_numpy, own.table())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for step in steps:  # of one batch each, so that the order does not matter
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert step.metrics["train_loss"] == pytest.approx(float(loss.detach()), rel=1e-12)


def test_frozen_and_shared_parameters_train_in_company():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.out = nn.Embedding(7, 7), nn.Linear(7, 7, bias=False)
            self.out.weight = self.table.weight
            self.head = nn.Linear(7, 2)
            self.head.weight.requires_grad_(False)

        def forward(self, x):
            return self.head(self.out(self.table(x).mean(1)))

    found, some = own.objective(lambda params: Tied().double(), own.tokens()), own.jobs(own.different(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))
