"""The draws of training have the distributions they claim and do not depend on what else is trained."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from scipy import stats
from torch import Tensor

from hpo import seeding
from hpo.training import draws
from hpo.training.hyperparameters import MAX_DROPOUT


def rate(*dropout: float) -> Tensor:
    return torch.tensor(dropout)


def test_sizes_are_padded_to_the_next_multiple_of_16() -> None:
    assert [draws.padded(size) for size in (1, 2, 15, 16, 17, 32, 33, 1023, 1024)] == [
        *(16, 16, 16, 16, 32, 32, 48, 1024, 1024)
    ]


# -- first weights


def test_first_weights_scaled_by_the_root_of_the_fan_in_follow_the_uniform_distribution_of_torch_linear() -> None:
    fan_in, fan_out = 20, 500
    bound = 1 / math.sqrt(fan_in)
    weight, bias = draws.initial(draws.trial_keys([7]), 1, draws.padded(fan_in), draws.padded(fan_out))
    assert weight.shape == (1, 32, 512)
    assert bias.shape == (1, 512)
    assert weight.dtype == bias.dtype == torch.float64
    for draw in (weight, bias):
        assert stats.kstest(draw.flatten().numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    for draw in (weight[:, :fan_in, :fan_out], bias[:, :fan_out]):  # of the true size
        flat = (draw / math.sqrt(fan_in)).flatten().numpy()
        assert stats.kstest(flat, stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.01


@pytest.mark.parametrize("fan_in", [2, 20, 256])
def test_scaled_first_weights_have_variance_one_third_of_one_over_fan_in(fan_in: int) -> None:
    fan_out = 40_000 // fan_in
    drawn, _ = draws.initial(draws.trial_keys([3]), 2, draws.padded(fan_in), draws.padded(fan_out))
    weight = drawn[:, :fan_in, :fan_out] / math.sqrt(fan_in)
    count = weight.numel()
    # the variance of a mean of squares of U(-b, b) is 4 b^4 / 45 n
    assert float((weight**2).mean()) == pytest.approx(1 / (3 * fan_in), abs=4 * math.sqrt(4 / 45 / count) / fan_in)


def test_first_weights_are_the_draws_of_their_layer_input_by_input() -> None:
    weight, bias = draws.initial(draws.trial_keys([8]), 4, 16, 48)
    key = seeding.fold(torch.tensor([8]), "init", 4)
    expected = 2 * seeding.uniform(seeding.fold(key, "weight"), 16 * 48) - 1
    assert torch.equal(weight[0], expected.reshape(16, 48))
    assert torch.equal(bias, 2 * seeding.uniform(seeding.fold(key, "bias"), 48) - 1)


def test_first_weights_differ_between_trials_layers_and_biases() -> None:
    keys = draws.trial_keys([1, 2])
    layers = [draws.initial(keys, layer, 16, 16) for layer in range(7)]  # the output layer is number 0
    rows = [row for weight, _ in layers for row in weight.flatten(1)]
    assert len({tuple(row.tolist()) for row in rows}) == 14
    firsts = {tuple(row.tolist()) for weight, bias in layers for row in (*weight[:, 0], *bias)}
    assert len(firsts) == 28


# -- a trial by itself and in company


def test_a_trial_in_a_population_draws_what_it_draws_alone() -> None:
    seeds = [5, 2**63 - 1, 0]
    keys = draws.trial_keys(seeds)
    rates, epochs = rate(0.1, 0.5, 0.7), torch.tensor([4, 0, 9])
    weight, bias = draws.initial(keys, 1, 16, 32)
    order = draws.order(keys, epochs, 50)
    layers = draws.dropout_words(keys, epochs, 3, 50, 32)
    kept = [draws.kept(rows[:, 7:37], units, rates) for rows, units in layers]
    for k, seed in enumerate(seeds):
        alone, epoch = draws.trial_keys([seed]), int(epochs[k])
        assert torch.equal(weight[k], draws.initial(alone, 1, 16, 32)[0][0])
        assert torch.equal(bias[k], draws.initial(alone, 1, 16, 32)[1][0])
        assert torch.equal(order[k], draws.order(alone, epoch, 50)[0])
        for layer, (rows, units) in enumerate(draws.dropout_words(alone, epoch, 3, 50, 20)):
            narrow = draws.kept(rows[:, 7:37], units, rates[k : k + 1])  # without the padding of others
            assert torch.equal(kept[layer][k, :, :20], narrow[0])


def test_trials_at_one_epoch_may_share_its_number() -> None:
    keys = draws.trial_keys([5, 6])
    epochs = torch.tensor([3, 3])
    assert torch.equal(draws.order(keys, 3, 50), draws.order(keys, epochs, 50))
    both = draws.dropout_words(keys, 3, 2, 8, 4), draws.dropout_words(keys, epochs, 2, 8, 4)
    assert all(torch.equal(a, b) for one, other in zip(*both, strict=True) for a, b in zip(one, other, strict=True))


# -- order


def test_an_epochs_order_visits_every_row_once_and_changes_with_the_epoch() -> None:
    keys = draws.trial_keys([11])
    first, second = (draws.order(keys, epoch, 800)[0] for epoch in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(800))
    assert not torch.equal(first, second)


# -- dropout


def kept(seeds: Sequence[int], epoch: int, rows: int, units: int, dropout: Tensor) -> Tensor:
    """The decisions after the first layer."""
    [words] = draws.dropout_words(draws.trial_keys(seeds), epoch, 1, rows, units)
    return draws.kept(*words, dropout)


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.8])
def test_dropout_drops_at_its_rate(dropout: float) -> None:
    found = kept([1], 0, 3125, 32, rate(dropout))
    assert found.shape == (1, 3125, 32)
    assert found.dtype == torch.float32
    share = 1 - float(found.double().mean())
    assert share == pytest.approx(dropout, abs=4 * math.sqrt(dropout * (1 - dropout) / 100_000))


def test_nothing_is_dropped_at_rate_0_and_not_everything_next_to_1() -> None:
    found = kept(range(4), 0, 2**14, 64, rate(0, *[MAX_DROPOUT] * 3)).flatten(1)
    assert found[0].all()
    for row in found[1:]:
        assert stats.binomtest(int(row.sum()), 2**20, 1 - MAX_DROPOUT).pvalue > 1e-3


def test_each_layer_and_epoch_of_each_trial_has_its_own_decisions() -> None:
    keys = draws.trial_keys([1, 2])
    layers = [words for epoch in range(4) for words in draws.dropout_words(keys, epoch, 6, 50, 32)]
    drawn = torch.cat([draws.kept(*words, rate(0.5, 0.5)) for words in layers]).flatten(1)  # (48, 1600)
    pvalues = [
        stats.binomtest(int((one == other).sum()), 1600).pvalue for one, other in itertools.combinations(drawn, 2)
    ]
    assert min(pvalues) > 1e-6  # 1128 pairs


def test_a_shallower_and_narrower_network_draws_what_a_greater_one_draws_there() -> None:
    keys = draws.trial_keys([1, 2])
    small, large = draws.dropout_words(keys, 3, 2, 40, 16), draws.dropout_words(keys, 3, 6, 50, 48)
    assert (len(small), len(large)) == (2, 6)
    for (rows, units), (more_rows, more_units) in zip(small, large, strict=False):
        assert torch.equal(rows, more_rows[:, :40])
        assert torch.equal(units, more_units[:, :16])


def test_rows_and_units_draw_from_streams_of_their_own() -> None:
    for number, (rows, units) in enumerate(draws.dropout_words(draws.trial_keys([7]), 2, 3, 10, 10)):
        key = seeding.fold(torch.tensor([7]), "dropout", 2, number)
        assert torch.equal(rows, seeding.words(key, 10).int())
        assert torch.equal(units, seeding.words(seeding.fold(key, "unit"), 10).int())
