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
    weight = draws.initial(draws.trial_keys([7]), 1, draws.padded(fan_in), draws.padded(fan_out))
    assert weight.shape == (1, 32, 512)
    assert weight.dtype == torch.float64
    assert stats.kstest(weight.flatten().numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    flat = (weight[:, :fan_in, :fan_out] / math.sqrt(fan_in)).flatten().numpy()  # of the true size
    assert stats.kstest(flat, stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.01


@pytest.mark.parametrize("fan_in", [2, 20, 256])
def test_scaled_first_weights_have_variance_one_third_of_one_over_fan_in(fan_in: int) -> None:
    fan_out = 40_000 // fan_in
    drawn = draws.initial(draws.trial_keys([3]), 2, draws.padded(fan_in), draws.padded(fan_out))
    weight = drawn[:, :fan_in, :fan_out] / math.sqrt(fan_in)
    count = weight.numel()
    # the variance of a mean of squares of U(-b, b) is 4 b^4 / 45 n
    assert float((weight**2).mean()) == pytest.approx(1 / (3 * fan_in), abs=4 * math.sqrt(4 / 45 / count) / fan_in)


def test_first_weights_are_the_draws_of_their_layer_input_by_input() -> None:
    weight = draws.initial(draws.trial_keys([8]), 4, 16, 48)
    expected = 2 * seeding.uniform(seeding.fold(torch.tensor([8]), "init", 4), 16 * 48) - 1
    assert torch.equal(weight[0], expected.reshape(16, 48))


def test_first_weights_differ_between_trials_layers_and_projections() -> None:
    keys = draws.trial_keys([1, 2])
    names = [*range(7), *(f"projection {layer}" for layer in range(1, 7))]  # the output layer is number 0
    rows = [row for name in names for row in draws.initial(keys, name, 16, 16).flatten(1)]
    assert len({tuple(row.tolist()) for row in rows}) == 26
    assert len({tuple(row[:16].tolist()) for row in rows}) == 26


# -- a trial by itself and in company


def test_a_trial_in_a_population_draws_what_it_draws_alone() -> None:
    seeds = [5, 2**63 - 1, 0]
    keys = draws.trial_keys(seeds)
    rates, epochs = rate(0.1, 0.5, 0.7), torch.tensor([4, 0, 9])
    weight = draws.initial(keys, 1, 16, 32)
    order = draws.order(keys, epochs, 50)
    layers = draws.dropout_words(keys, epochs, 3, 50, 32)
    kept = [draws.kept(rows[:, 7:37], units, rates) for rows, units in layers]
    for k, seed in enumerate(seeds):
        alone, epoch = draws.trial_keys([seed]), int(epochs[k])
        assert torch.equal(weight[k], draws.initial(alone, 1, 16, 32)[0])
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


# -- rrelu, noise, mixup


def test_slopes_of_rrelu_are_uniform_between_an_eighth_and_a_third() -> None:
    [words] = draws.slope_words(draws.trial_keys([1]), 0, 1, 300, 64)
    found = draws.slopes(*words).flatten().double().numpy()
    assert stats.kstest(found, stats.uniform(1 / 8, 1 / 3 - 1 / 8).cdf).pvalue > 0.01


def test_noise_is_standard_normal_and_finite() -> None:
    found = draws.noise(*draws.noise_words(draws.trial_keys([1]), 0, 2000, 32)).double().flatten()
    assert found.isfinite().all()
    assert stats.kstest(found.numpy(), stats.norm.cdf).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_of_mixup_are_beta(alpha: float) -> None:
    found = draws.mixup_shares(draws.trial_keys([1, 2]), 0, torch.tensor([alpha, alpha]).double(), 2000)
    assert found.shape == (2, 2000)
    for row in found.numpy():
        assert stats.kstest(row, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_techniques_draw_from_streams_of_their_own() -> None:
    keys = draws.trial_keys([1])
    words = [
        draws.dropout_words(keys, 0, 1, 40, 20)[0],
        draws.slope_words(keys, 0, 1, 40, 20)[0],
        draws.noise_words(keys, 0, 40, 20),
        draws.noise_words(keys, 1, 40, 20),
    ]
    assert len({tuple(each[0].tolist()) for rows_and_units in words for each in rows_and_units}) == 8
