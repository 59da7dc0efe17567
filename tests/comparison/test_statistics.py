"""Tests and corrections against scipy's, closed forms and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hpo.comparison import statistics
from hpo.comparison.statistics import adjust, detectable, fewest, first_step, friedman, groups, holm, paired, share
from hpo.seeding import generator

NAN = math.nan
SEEDED = settings(deadline=None, derandomize=True)
SMALL = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=9)


def enumerated(d):
    """Two-sided p of the rank sum with Pratt's zeros, by all assignments of signs."""
    ranks = stats.rankdata(np.abs(d))[d != 0]
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product((0, 1), repeat=len(ranks))]
    observed = abs(stats.rankdata(np.abs(d))[d > 0].sum() - ranks.sum() / 2)
    return np.mean([abs(each - ranks.sum() / 2) >= observed - 1e-9 for each in sums])


# -- two searchers


@pytest.mark.parametrize("n", [1, 2, 5, 10, 20, 45])
def test_paired_p_is_scipys_exact_one_where_nothing_is_tied(n):
    rng = generator("wilcoxon", n)
    for _ in range(5):
        a, b = rng.normal(size=(2, n))
        assert paired(a, b).p == pytest.approx(stats.wilcoxon(a, b, method="exact").pvalue, rel=1e-9)


@pytest.mark.parametrize("case", range(8))
def test_paired_p_is_scipys_permutation_of_all_signs_where_many_are_tied(case):
    rng = generator("tied", case)
    a, b = rng.integers(0, 4, size=(2, 8))
    every = stats.PermutationMethod(n_resamples=1_000_000)
    assert paired(a, b).p == pytest.approx(stats.wilcoxon(a, b, zero_method="pratt", method=every).pvalue, rel=1e-9)


@SEEDED
@given(SMALL)
def test_paired_p_is_that_of_all_assignments_of_signs(pairs):
    a, b = np.array(pairs, float).T
    assert paired(a, b).p == pytest.approx(enumerated(a - b), rel=1e-9)


@SEEDED
@given(SMALL)
def test_exchanging_the_two_exchanges_the_answer(pairs):
    a, b = np.array(pairs, float).T
    one, other = paired(a, b), paired(b, a)
    assert (one.n, one.p, one.side) == (other.n, other.p, -other.side)
    assert one.probability == pytest.approx(1 - other.probability)


def test_failures_are_worse_than_anything_and_equal_among_themselves():
    assert paired([0.1, NAN, NAN], [NAN, NAN, 5.0]) == paired([1, 0, 0], [0, 0, 1])
    assert paired([1e300] + [0.0] * 5, [NAN] + [1.0] * 5) == paired([9.0] + [0.0] * 5, [0.0] + [1.0] * 5)
    assert paired([NAN] * 6, [NAN] * 6) == statistics.Paired(6, 0.5, 1.0, 0)


def test_differences_that_only_rounding_tells_apart_are_tied():
    assert 0.3 - 0.2 != 0.2 - 0.1
    assert paired([0.3, 0.1], [0.2, 0.2]).p == 1
    assert paired([0.3, 0.1], [0.2, 0.2]).side == 0
    assert paired([0.1 + 0.2] * 6, [0.3] * 6) == statistics.Paired(6, 0.5, 1.0, 0)


def test_one_diverged_value_does_not_make_all_others_equal():
    assert paired([0.1, 0.2, -1e30], [0.0, 0.1, 0.3]).probability == pytest.approx(2 / 3)


def test_a_side_is_favoured_only_where_rank_sum_and_probability_agree():
    few_great_wins = paired([9, 8, 7, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, 1])
    assert few_great_wins.probability == 3 / 8
    assert few_great_wins.side == 0
    assert paired([2, 3, 4], [1, 1, 1]).side == 1


def test_probability_counts_ties_half():
    assert paired([1, 2, 3, 4], [0, 2, 3, 9]).probability == 0.5


@pytest.mark.parametrize("n", [6, 20])
def test_alike_are_told_apart_no_more_often_than_the_level_says(n):
    draws = generator("alike", n).integers(0, 5, size=(800, 2, n)).astype(float)
    ps = np.array([paired(a, b).p for a, b in draws])
    for level in (0.05, 0.01):
        assert np.mean(ps <= level) <= level + 3 * math.sqrt(level * (1 - level) / 800)


# -- many of them


def test_holm_is_its_closed_form():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


@SEEDED
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_stepping_down_rejects(ps):
    for level in (0.05, 0.2):
        rejected, order = set(), sorted(range(len(ps)), key=ps.__getitem__)
        for i, index in enumerate(order):
            if ps[index] * (len(ps) - i) > level:
                break
            rejected.add(index)
        assert {i for i, p in enumerate(holm(ps)) if p <= level} == rejected


def test_the_shares_of_all_looks_sum_to_one():
    assert share(1) == 0.8
    assert sum(map(share, range(1, 100_000))) == pytest.approx(1, abs=1e-5)
    assert sum(map(share, range(1, 100_000))) < 1


def test_a_later_look_needs_smaller_ps():
    assert adjust([0.001, 0.5], 1) == pytest.approx([0.0025, 0.625])
    assert adjust([0.001, 0.5], 3) == pytest.approx([0.06, 1])
    assert adjust([first_step(15, 4), *[1.0] * 14], 4)[0] == pytest.approx(statistics.LEVEL)


def test_groups_are_the_greatest_sets_alike_in_order():
    apart = {frozenset("ac"), frozenset("ad"), frozenset("bd")}
    assert groups("abcd", lambda x, y: frozenset((x, y)) in apart) == [("a", "b"), ("b", "c"), ("c", "d")]
    assert groups("abc", lambda x, y: False) == [("a", "b", "c")]
    assert groups("abc", lambda x, y: True) == []


@pytest.mark.parametrize("case", range(10))
def test_groups_are_those_of_all_subsets(case):
    rng, labels = generator("groups", case), "abcdef"
    apart = {frozenset(pair) for pair in itertools.combinations(labels, 2) if rng.random() < 0.4}

    def alike(subset):
        return all(frozenset(pair) not in apart for pair in itertools.combinations(subset, 2))

    sets = [set(c) for k in range(2, 7) for c in itertools.combinations(labels, k) if alike(c)]
    greatest = [s for s in sets if not any(s < other for other in sets)]
    found = groups(labels, lambda x, y: frozenset((x, y)) in apart)
    assert sorted(map(sorted, found)) == sorted(map(sorted, greatest))


# -- over tasks


@pytest.mark.parametrize(
    ("first", "second", "probability", "p"),
    [
        ([0.0] * 20, [0.0] * 19 + [1e-315], 0.475, 1),
        ([1e-320] * 6, [1e-320] * 6, 0.5, 1),
        ([1.7e308] * 10, [1.5e308] * 10, 1, 2 / 2**10),
        ([1.7e308] * 10, [-1.7e308] * 10, 1, 2 / 2**10),
        ([1e-320 * i for i in range(2, 12)], [1e-320] * 10, 1, 2 / 2**10),
        ([1e308, *[1e-20] * 9], [1e307, *[1e-21] * 9], 1, 2 / 2**10),
    ],
)
def test_values_at_the_ends_of_floats_are_compared_as_any_others(first, second, probability, p):
    found = paired(first, second)
    assert found.probability == pytest.approx(probability)
    assert found.p == pytest.approx(p)
    assert paired(second, first).probability == pytest.approx(1 - probability)


@pytest.mark.parametrize("case", range(6))
def test_friedman_is_scipys_with_and_without_ties(case):
    rng = generator("friedman", case)
    scores = rng.normal(size=(9, 4)) if case % 2 else rng.integers(0, 3, size=(9, 4)).astype(float)
    found, expected = friedman(scores), stats.friedmanchisquare(*scores.T)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.ranks == pytest.approx(stats.rankdata(scores, axis=1).mean(0))
    f = 8 * expected.statistic / (9 * 3 - expected.statistic)
    assert found.p_f == pytest.approx(stats.f.sf(f, 3, 24), rel=1e-9)


def test_friedman_of_all_tied_is_one_and_of_one_order_everywhere_nearly_none():
    assert friedman(np.ones((9, 3))).p == friedman(np.ones((9, 3))).p_f == 1
    same = friedman(np.tile([1.0, 2.0, 3.0], (9, 1)))
    assert same.p == pytest.approx(stats.chi2.sf(18, 2))
    assert same.p_f == 0


# -- what can be seen at all


@pytest.mark.parametrize("level", [0.05, 0.04, 0.04 / 15, 2.0**-7])
def test_fewest_pairs_are_those_whose_least_p_reaches_the_level(level):
    n = fewest(level)
    assert paired(range(1, n + 1), [0] * n).p <= level < paired(range(1, n), [0] * (n - 1)).p


def test_nothing_is_detectable_where_no_p_can_reach_the_level():
    assert math.isnan(detectable(5, 0.04))
    assert detectable(6, 0.04) < 1


@pytest.mark.parametrize(("n", "level"), [(6, 0.04), (20, 0.04 / 15), (31, 0.004)])
def test_an_effect_of_the_detectable_size_is_found_in_four_of_five_samples(n, level):
    count = 1000
    draws = generator("power", n).normal(stats.norm.ppf(detectable(n, level)), 1, size=(count, n))
    found = [(one.p <= level and one.side == 1) for one in (paired(d, np.zeros(n)) for d in draws)]
    error = math.sqrt(0.8 * 0.2 * (1 / count + 1 / 4000))  # of these draws, and of those that gave the size
    assert abs(np.mean(found) - 0.8) < 3 * error


def test_more_pairs_see_smaller_effects():
    sizes = [detectable(n, 0.01) for n in (10, 20, 40, 80)]
    assert sizes == sorted(sizes, reverse=True)
    assert all(0.5 < size < 1 for size in sizes)


# -- beside other packages


@pytest.mark.ci
def test_pairs_over_tasks_are_those_of_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = generator("posthocs").normal(size=(12, 5)) + np.arange(5) * 0.4
    table = np.asarray(posthocs.posthoc_wilcoxon(list(scores.T), p_adjust="holm", zero_method="pratt"))
    pairs = list(itertools.combinations(range(5), 2))
    found = holm([paired(scores[:, i], scores[:, j]).p for i, j in pairs])
    assert found == pytest.approx([table[i, j] for i, j in pairs], rel=1e-9)


@pytest.mark.ci
def test_groups_are_the_bars_of_scikit_posthocs():
    plotting = pytest.importorskip("scikit_posthocs._plotting")
    pandas = pytest.importorskip("pandas")
    for case in range(20):
        rng, labels = generator("bars", case), list("abcdef")
        alike = np.triu(rng.random((6, 6)) < 0.6, 1)
        alike = pandas.DataFrame(alike | alike.T, labels, labels)
        expected = [tuple(sorted(clique)) for clique in plotting._find_maximal_cliques(alike) if len(clique) > 1]
        assert groups(labels, lambda x, y, alike=alike: not alike.loc[x, y]) == sorted(expected)


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore")
def test_ranks_and_friedman_are_those_of_autorank():
    autorank = pytest.importorskip("autorank")
    pandas = pytest.importorskip("pandas")
    scores = generator("autorank").normal(size=(15, 4)) + np.arange(4)
    frame = pandas.DataFrame(scores, columns=list("abcd"))
    expected = autorank.autorank(frame, order="ascending", force_mode="nonparametric")
    found = friedman(scores)
    assert dict(zip("abcd", found.ranks, strict=True)) == pytest.approx(expected.rankdf.meanrank.to_dict())
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
