"""What a study says about the health of its trials is true, and it is silent where all is well."""

import math

import numpy as np
import pytest
from scipy.stats import fisher_exact

from hpo.comparison import health
from hpo.comparison.health import Share, between, divergence, fisher, overfits, summarize, vanishes
from hpo.seeding import generator
from hpo.trial import State, Trial


def trial(number, value=0.5, params=None, state=State.DONE, **found):
    return Trial(number, params or {}, 0, state, value, health=found)


def trials_of(rows):
    """Trials and whether they diverged, from pairs of parameters and that."""
    made = [trial(i, math.nan if failed else 0.5, params) for i, (params, failed) in enumerate(rows)]
    return made, [failed for _, failed in rows]


def rates(above, below):
    """So many (failed, of) trials with learning rates in (0.3, 1] and in [0.001, 0.25]."""
    return [
        ({"learning_rate": float(rate), "width": 8}, place < failed)
        for failed, of, low, high in ((*above, 0.32, 1.0), (*below, 0.001, 0.25))
        for place, rate in enumerate(np.geomspace(low, high, of))
    ]


def test_sentences_count_among_the_trials_that_tell():
    trials = [trial(i, train_accuracy=0.9, gap=0.3 if i < 14 else 0.0, dead_relu=0.6) for i in range(20)]
    trials += [trial(20 + i, train_accuracy=0.9, gap=0.05, gradient_first=1e-9, gradient_last=0.1) for i in range(3)]
    trials += [trial(30, None), trial(31, math.nan, state=State.FAILED, train_accuracy=math.nan, gap=math.nan)]
    found = summarize(trials, "maximize")
    assert found.sentences == [
        "14 of 23 trials overfit (gap in accuracy > 0.1).",
        "20 of 20 trials with relu have more than half of its units dead.",
        "Gradients vanish in the first layer of 3 of 3 trials (norm below 1e-06, and 1000 times smaller than in the "
        "last layer).",
        "1 of 24 trials diverged: their value is not finite.",
    ]
    assert found.to_json()["overfit"] == {"count": 14, "of": 23}


def test_a_study_that_is_well_or_does_not_tell_is_silent():
    well = {"train_rmse": 2.0, "gap": 0.3, "dead_relu": 0.5, "gradient_first": 1e-7, "gradient_last": 1e-6}
    for trials in ([], [trial(0)], [trial(0, **well)]):
        assert summarize(trials, "minimize").sentences == []
    assert summarize([trial(0)], "minimize").metric is None


def test_the_gap_of_an_error_is_relative_to_its_training_value():
    assert not overfits(0.3, 2.0, relative=True)
    assert overfits(0.5, 2.0, relative=True)
    assert overfits(1e-9, 0.0, relative=True)
    assert not overfits(0.0, 0.0, relative=True)
    assert (
        "gap in log_loss > 20% of the training value"
        in (summarize([trial(0, train_log_loss=0.1, gap=0.2)], "minimize").sentences[0])
    )


def test_a_network_that_has_nothing_left_to_learn_does_not_vanish():
    assert vanishes(1e-8, 1e-2)
    assert not vanishes(1e-8, 1e-8)
    assert not vanishes(1e-5, 1e3)


def test_p_is_scipys_one_sided_fisher_test():
    tables = np.array([(9, 11, 1, 49), (0, 5, 3, 7), (5, 5, 0, 5), (2, 9, 4, 9)])
    for p, (a, n, b, m) in zip(fisher(*tables.T), tables, strict=True):
        assert p == pytest.approx(fisher_exact([[a, n - a], [b, m - b]], alternative="greater").pvalue)


def test_the_region_where_training_diverges_is_found_with_its_counts():
    (region,) = divergence(*trials_of(rates((9, 11), (1, 49))))
    assert str(region) == "learning_rate > 0.3 diverged in 9 of 11 (elsewhere 1 of 49)"
    expected = fisher_exact([[9, 2], [1, 48]], alternative="greater").pvalue
    assert region.p == pytest.approx(expected * 2 * 59)  # a cut between each two of 60 values, each with two sides


def test_a_region_below_a_cut_is_found_too():
    rows = [({"batch_size": 2**i}, i < 3) for i in range(8) for _ in range(6)]
    (region,) = divergence(*trials_of(rows))
    assert str(region) == "batch_size <= 6 diverged in 18 of 18 (elsewhere 0 of 30)"


def test_an_option_is_a_region_among_the_trials_that_have_the_hyperparameter():
    rows = [({"optimizer": kind}, kind == "sgd" and i > 1) for kind in ("sgd", "adam", "rmsprop") for i in range(12)]
    rows += [({}, True)] * 5
    (region,) = divergence(*trials_of(rows))
    assert str(region) == "optimizer = sgd diverged in 10 of 12 (elsewhere 0 of 24)"


def test_choices_of_yes_and_no_are_options():
    (region,) = divergence(*trials_of([({"residual": i % 2 == 0}, i % 2 == 1) for i in range(40)]))
    assert str(region) == "residual = False diverged in 20 of 20 (elsewhere 0 of 20)"


@pytest.mark.parametrize(
    "rows",
    [
        rates((0, 11), (0, 49)),
        rates((11, 11), (49, 49)),
        rates((2, 3), (0, 5)),  # too few trials
        [({"kind": kind}, i < count) for kind, count in (("a", 60), ("b", 30)) for i in range(100)],  # twice as many
    ],
    ids=["none", "all", "few", "weak"],
)
def test_nothing_is_said_of_a_region_that_is_not_clear(rows):
    assert divergence(*trials_of(rows)) == ()


def test_chance_alone_makes_a_region_in_at_most_one_study_of_a_hundred():
    false = 0
    for study in range(100):
        random = generator("regions by chance", study)
        rows = [
            (dict(zip("abcdef", random.random(6).tolist(), strict=True)) | {"kind": str(random.integers(3))}, failed)
            for failed in (random.random(60) < 0.2).tolist()
        ]
        false += bool(divergence(*trials_of(rows)))
    assert false <= 100 * health.LEVEL + 3  # and three standard deviations


@pytest.mark.parametrize(
    ("low", "high", "cut"),
    [(0.25, 0.32, 0.3), (0.3, 0.3000001, 0.30000005), (4, 8, 6), (-1, 1, 0), (0, 10, 5), (1e-9, 1e-3, 1e-6)],
)
def test_a_cut_has_few_digits(low, high, cut):
    assert between(low, high) == pytest.approx(cut)
    assert low <= between(low, high) < high


def test_a_cut_separates_neighbouring_floats():
    assert between(1.0, math.nextafter(1.0, 2.0)) == 1.0


def test_shares_read_as_counts():
    assert str(Share(3, 60)) == "3 of 60"
