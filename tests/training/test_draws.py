"""The draws of training have the distributions they claim and do not depend on what else is trained."""

import math

import pytest
import torch
from scipy import stats

from hpo.training import draws


def test_initial_weights_follow_the_uniform_distribution_of_torch_linear() -> None:
    fan_in, fan_out = 20, 500
    bound = 1 / math.sqrt(fan_in)
    for draw in draws.initial(draws.trial_keys([7]), 1, fan_in, fan_out):
        flat = draw.flatten().numpy()
        assert stats.kstest(flat, stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.01


@pytest.mark.parametrize("fan_in", [2, 20, 256])
def test_initial_weights_have_variance_one_third_of_one_over_fan_in(fan_in: int) -> None:
    weight, _ = draws.initial(draws.trial_keys([3]), 2, fan_in, 40_000 // fan_in)
    count = weight.numel()
    # the variance of a mean of squares of U(-b, b) is 4 b^4 / 45 n
    assert float((weight**2).mean()) == pytest.approx(1 / (3 * fan_in), abs=4 * math.sqrt(4 / 45 / count) / fan_in)


def test_first_weights_differ_between_trials_layers_and_biases() -> None:
    keys = draws.trial_keys([1, 2])
    first, bias = draws.initial(keys, 1, 8, 8)
    second, _ = draws.initial(keys, 2, 8, 8)
    rows = [*first.flatten(1), *second.flatten(1)]
    assert len({tuple(row.tolist()) for row in rows}) == 4
    assert not torch.equal(bias[0], first[0, 0])


def test_a_trial_in_a_population_draws_what_it_draws_alone() -> None:
    seeds = [5, 2**63 - 1, 0]
    keys = draws.trial_keys(seeds)
    rates, steps = torch.tensor([0.1, 0.5, 0.7]), torch.tensor([4, 0, 9])
    weight, bias = draws.initial(keys, 1, 3, 4)
    order, kept = draws.order(keys, 6, 50), draws.kept(keys, 2, steps, 30, rates)
    for k, seed in enumerate(seeds):
        alone = draws.trial_keys([seed])
        assert torch.equal(weight[k], draws.initial(alone, 1, 3, 4)[0][0])
        assert torch.equal(bias[k], draws.initial(alone, 1, 3, 4)[1][0])
        assert torch.equal(order[k], draws.order(alone, 6, 50)[0])
        assert torch.equal(kept[k], draws.kept(alone, 2, int(steps[k]), 30, float(rates[k]))[0])


def test_an_epochs_order_visits_every_row_once_and_changes_with_the_epoch() -> None:
    keys = draws.trial_keys([11])
    first, second = (draws.order(keys, epoch, 800)[0] for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(800))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.8])
def test_dropout_drops_at_its_rate(dropout: float) -> None:
    count = 100_000
    share = 1 - float(draws.kept(draws.trial_keys([1]), 1, 0, count, dropout).double().mean())
    assert share == pytest.approx(dropout, abs=4 * math.sqrt(dropout * (1 - dropout) / count))


def test_many_steps_at_once_drop_what_each_step_drops() -> None:
    keys = draws.trial_keys([9])
    together = draws.kept(keys, 1, torch.arange(3, 8), 64, 0.4)
    assert all(torch.equal(row, draws.kept(keys, 1, step, 64, 0.4)[0]) for step, row in enumerate(together, start=3))


def test_a_smaller_batch_takes_the_first_of_the_draws() -> None:
    keys = draws.trial_keys([9])
    assert torch.equal(draws.kept(keys, 1, 2, 37, 0.4), draws.kept(keys, 1, 2, 64, 0.4)[:, :37])
