"""From results to what the statistics say of them, against scipy on the same numbers."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from made_results import finals, random_results, results, task
from scipy import stats

from hpo.comparison.analyse import analyse
from hpo.comparison.latex import latex
from hpo.comparison.statistics import adjust, detectable, first_step
from hpo.seeding import generator

NAN = math.nan


def same(a, b):
    """Equality in which NaN equals NaN and arrays compare by what they hold."""
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(same(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float | np.ndarray):
        return np.array_equal(a, b, equal_nan=True)
    return a == b


@pytest.fixture(scope="module")
def made():
    return random_results("analysed", searchers=3, seeds=12, tasks=2, gain=0.7)


@pytest.fixture(scope="module")
def analysis(made):
    return analyse(made)


def test_the_same_results_give_the_same_analysis(made, analysis):
    assert same(analysis, analyse(random_results("analysed", searchers=3, seeds=12, tasks=2, gain=0.7)))
    assert not same(analysis, analyse(random_results("others", searchers=3, seeds=12, tasks=2, gain=0.7)))


def test_analysis_of_numbers_alone_leaves_the_results_as_they_were(made, analysis):
    assert analysis.results is made
    assert list(analysis.tasks) == ["task 0", "task 1"]


def test_finals_and_regrets_are_those_of_the_runs_by_seed(made, analysis):
    for on in made.tasks:
        one = analysis.tasks[on.name]
        for label in made.searchers:
            values = tuple(made.runs[on.name, label, seed].final for seed in made.seeds)
            assert one.final[label] == values
            best = max(max(run.incumbent) for run in made.runs.values() if run.task == on.name)
            best = max(best, *on.reference)
            scale = best - np.median(on.reference)
            assert one.regret[label] == pytest.approx((best - np.array(values)) / scale)


def test_pairs_of_all_tasks_are_one_family(made, analysis):
    pairs = [pair for one in analysis.tasks.values() for pair in one.pairs]
    expected = []
    for pair in pairs:
        final = analysis.tasks[pair.task].final
        expected.append(stats.wilcoxon(final[pair.a], final[pair.b], method="exact").pvalue)
        assert pair.n == 12
        assert pair.probability == np.mean(np.array(final[pair.a]) > np.array(final[pair.b]))
    assert [pair.p for pair in pairs] == pytest.approx(expected)
    assert [pair.adjusted for pair in pairs] == pytest.approx(adjust(expected, 1))
    assert [(pair.a, pair.b) for pair in pairs[:3]] == [("s0", "s1"), ("s0", "s2"), ("s1", "s2")]
    assert {one.detectable for one in analysis.tasks.values()} == {detectable(12, first_step(6, 1))}


def test_a_pair_is_told_apart_where_the_corrected_p_is_small_enough(analysis):
    pairs = [pair for one in analysis.tasks.values() for pair in one.pairs]
    assert {pair.better is not None for pair in pairs} == {True, False}
    for pair in pairs:
        assert (pair.better is not None) == (pair.adjusted <= 0.05)
        if pair.better is not None:
            assert pair.better == (pair.a if pair.probability > 0.5 else pair.b)


@pytest.mark.parametrize("look", [2, 5])
def test_a_later_look_multiplies_the_corrected_p(made, analysis, look):
    later = analyse(dataclasses.replace(made, look=look))
    for one, other in zip(analysis.tasks.values(), later.tasks.values(), strict=True):
        for first, then in zip(one.pairs, other.pairs, strict=True):
            assert then.p == first.p
            assert then.adjusted == pytest.approx(min(1, first.adjusted * 0.8 * 5 * look * (look - 1)))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_direction_is_that_of_the_values_and_changes_nothing_else(direction):
    made = random_results("turned", direction=direction, seeds=12, gain=3)
    one = analyse(made).tasks["task 0"]
    assert {pair.better for pair in one.pairs if "s0" in (pair.a, pair.b)} == {"s0"}
    other = analyse(random_results("turned", direction="maximize", seeds=12, gain=3)).tasks["task 0"]
    assert one.pairs == other.pairs


def test_failed_runs_are_worse_than_any_value_and_no_test_value_is_made_up():
    values = {("moons", "a"): [NAN] * 12, ("moons", "b"): [0.01 * i for i in range(12)]}
    analysis = analyse(finals([task()], values))
    (pair,) = analysis.tasks["moons"].pairs
    assert (pair.better, pair.probability) == ("b", 0)
    assert pair.p == pytest.approx(2 * 0.5**12)
    assert analysis.tasks["moons"].test == {}


def test_test_values_are_those_of_the_metric():
    values = {("moons", label): [0.5] * 6 for label in "ab"}
    tests = {("moons", "a"): {"accuracy": 0.7, "loss": 3.0}}
    assert same(analyse(finals([task()], values, test=tests)).tasks["moons"].test, {"a": (0.7,) * 6, "b": (NAN,) * 6})


def test_targets_are_the_searchers_own_medians(made, analysis):
    for one in analysis.tasks.values():
        assert list(one.targets) == list(made.searchers)
        for whose, of in one.targets.items():
            middle = sorted(one.final[whose])[5]
            assert {found.value for found in of.values()} == {middle}
            assert of[whose].reached >= 6
            assert math.isfinite(of[whose].median)


def test_bands_end_at_the_final_regrets(analysis):
    for one in analysis.tasks.values():
        for label, regret in one.regret.items():
            for found in (one.by_spent[label], one.by_trials[label]):
                assert found.median[-1] == pytest.approx(np.median(regret))
                assert found.iqm[-1] == pytest.approx(stats.trim_mean(regret, 0.25))
                inner = found.median[~np.isnan(found.median)]
                assert (np.diff(inner) <= 1e-12).all()
    pooled = [analysis.tasks[name].regret["s1"] for name in analysis.tasks]
    assert analysis.across.by_share["s1"].median[-1] == pytest.approx(np.median(pooled))


# -- over tasks


def test_one_task_is_no_sample_of_tasks():
    assert analyse(random_results("one", tasks=1)).across is None


@pytest.fixture(scope="module")
def many():
    return analyse(random_results("many", tasks=11, searchers=4, seeds=6, gain=1.2))


def test_over_tasks_the_sample_is_the_median_regret_of_each(many):
    labels = many.results.searchers
    scores = {label: np.array([np.median(one.regret[label]) for one in many.tasks.values()]) for label in labels}
    pairs = list(itertools.combinations(labels, 2))
    expected = [stats.wilcoxon(scores[a], scores[b], method="exact").pvalue for a, b in pairs]
    assert [pair.p for pair in many.across.pairs] == pytest.approx(expected)
    assert [pair.adjusted for pair in many.across.pairs] == pytest.approx(adjust(expected, 1))
    assert [pair.probability for pair in many.across.pairs] == [np.mean(scores[a] < scores[b]) for a, b in pairs]
    assert {(pair.n, pair.task) for pair in many.across.pairs} == {(11, None)}
    table = np.stack(list(scores.values()), axis=1)
    assert list(many.across.ranks.values()) == pytest.approx(stats.rankdata(table, axis=1).mean(0))
    assert many.across.friedman == pytest.approx(stats.friedmanchisquare(*table.T).pvalue)
    assert many.across.iman_davenport < many.across.friedman
    assert many.across.detectable == detectable(11, first_step(6, 1))


def test_groups_are_of_those_that_no_pair_tells_apart(many):
    assert {pair.better for pair in many.across.pairs} == {"s0", None}
    rest = sorted(("s1", "s2", "s3"), key=many.across.ranks.__getitem__)
    assert many.across.groups == (tuple(rest),)


def test_below_nine_tasks_there_are_ranks_and_no_tests():
    across = analyse(random_results("eight", tasks=8, searchers=3, seeds=6, gain=9)).across
    assert across.ranks["s0"] == 1
    assert across.why_not == "a test takes at least 9 tasks, and there are 8"
    assert math.isnan(across.friedman)
    assert math.isnan(across.detectable)
    assert across.groups == ()
    assert all(pair.better is None and math.isnan(pair.p) for pair in across.pairs)


def test_a_searcher_alone_has_curves_and_no_pairs():
    analysis = analyse(random_results("alone", searchers=1))
    assert analysis.across.pairs == analysis.tasks["task 0"].pairs == ()
    assert analysis.tasks["task 0"].why_not == "there is only one searcher"


@pytest.mark.parametrize("case", range(3))
def test_a_task_on_which_everything_failed_is_analysed_all_the_same(case):
    values = {("moons", label): [NAN] * 8 for label in "abc"}
    reference = [(), (0.5,), tuple(generator("reference", case).normal(size=5))][case]
    analysis = analyse(finals([task(reference=reference)], values))
    assert all(pair.better is None for pair in analysis.tasks["moons"].pairs)
    assert all(regret >= 1 for of in analysis.tasks["moons"].regret.values() for regret in of)


@pytest.mark.parametrize("case", range(20))
def test_whatever_the_results_the_analysis_is_within_its_ranges(case):
    rng = generator("whatever", case)
    seeds, tasks = int(rng.integers(1, 9)), int(rng.choice([1, 2, 9]))
    on, paths = [], {}
    for t in range(tasks):
        scale = 10.0 ** rng.integers(-300, 300)
        reference = scale * rng.normal(size=rng.integers(0, 4))
        on.append(task(f"task {t}", direction=str(rng.choice(["maximize", "minimize"])), reference=reference))
        for label in "abcd"[: rng.integers(1, 5)] if t == 0 else list(dict.fromkeys(label for _, label in paths)):
            drawn = [scale * rng.normal(size=rng.integers(0, 6)).round(1) for _ in range(seeds)]
            paths[f"task {t}", label] = [np.where(rng.random(len(run)) < 0.2, NAN, run) for run in drawn]
    analysis = analyse(results(on, paths, look=int(rng.integers(1, 4))))
    pairs = [pair for one in analysis.tasks.values() for pair in one.pairs]
    for pair in [*pairs, *(analysis.across.pairs if analysis.across else ())]:
        assert 0 <= pair.probability <= 1
        assert math.isnan(pair.p) or 0 < pair.p <= pair.adjusted <= 1
        assert pair.better is None or pair.adjusted <= 0.05
    for one in analysis.tasks.values():
        assert all(0 <= regret < math.inf for of in one.regret.values() for regret in of)
        for found in (*one.by_spent.values(), *one.by_trials.values()):
            begun = ~np.isnan(found.median)
            assert (found.low <= found.high)[begun].all()
            assert (found.iqm_low <= found.iqm_high)[begun].all()
    assert analysis.sentences
    assert latex(analysis).count("\n") == len(analysis.results.searchers) + 9
