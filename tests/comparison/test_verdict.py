"""The verdict says what the tests found, and nothing else."""

import dataclasses
import math
import re

import pytest
from made_results import finals, random_results, results, task

from hpo.comparison.analyse import analyse
from hpo.comparison.statistics import holm

NAN = math.nan
EVIDENCE = r" \(P = [\d.]+, adjusted p [=<] [\d.e-]+\)"


def rising(base, n=20):
    """Final values without ties that are about `base`."""
    return [base + i / 1000 for i in range(n)]


def claims(sentences):
    """(winner, loser, task) of all that is claimed; the task is None over tasks. For labels of one letter and digit."""
    found = set()
    for sentence in sentences:
        if match := re.match(r"^(\S+) beats (.*?) (?:on (task \d|moons)|over \d+ tasks)(?: \(|\.| and in)", sentence):
            winner, losers, where = match.groups()
            for loser in re.split(r", (?!adjusted)| and ", re.sub(EVIDENCE, "", losers)):
                found.add((winner, loser, where))
    return found


def told(pairs):
    return {(p.better, p.b if p.better == p.a else p.a, p.task) for p in pairs if p.better is not None}


def on_tasks(analysis):
    return [pair for one in analysis.tasks.values() for pair in one.pairs]


# -- claims


def test_a_clear_winner_is_said_as_people_would_say_it():
    on = task(reference=[0.1, 0.2, 0.3], budget=1000)
    slow = [[0.4, 0.5, 0.6, 0.7, 0.8 + s / 1000] for s in range(20)]
    fast = [[0.81 + s / 999, 0.9, 0.9, 0.9, 0.9 + s / 998] for s in range(20)]
    verdict = analyse(results([on], {("moons", "random"): slow, ("moons", "tpe"): fast})).sentences
    assert verdict == (
        "tpe beats random on moons (P = 1.00, adjusted p < 0.0001, 20 seeds) "
        "and in the median needs 5.0x fewer epochs for random's final score.",
        "Every p is adjusted for one test by Holm's method, then multiplied by 1.25, "
        "which leaves room for later looks at a comparison that grows.",
    )


def test_several_losers_share_a_sentence_and_the_rest_says_what_cannot_be_seen():
    on = task()
    values = {
        ("moons", "a"): rising(0.9),
        ("moons", "b"): [v + (-1) ** i * 0.0002 for i, v in enumerate(rising(0.9))],
        ("moons", "c"): rising(0.5),
        ("moons", "d"): rising(0.3),
    }
    analysis = analyse(finals([on], values))
    p = "adjusted p < 0.0001"
    assert analysis.sentences == (
        f"a beats c (P = 1.00, {p}) and d (P = 1.00, {p}) on moons (20 seeds).",
        f"b beats c (P = 1.00, {p}) and d (P = 1.00, {p}) on moons (20 seeds).",
        f"c beats d on moons (P = 1.00, {p}, 20 seeds).",
        "a and b cannot be told apart on moons: with 20 seeds, effects below "
        f"P = {math.ceil(100 * analysis.tasks['moons'].detectable) / 100} cannot be seen.",
        "Every p is adjusted for 6 tests by Holm's method, then multiplied by 1.25, "
        "which leaves room for later looks at a comparison that grows.",
    )


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("case", range(6))
def test_every_claim_is_that_of_a_pair_and_every_pair_told_apart_is_claimed(case, direction):
    gain = (0, 0.6, 1.5)[case % 3]
    failing = 0.2 if case > 2 else 0
    made = random_results(case, searchers=4, seeds=15, gain=gain, direction=direction, failing=failing)
    analysis = analyse(made)
    assert claims(analysis.sentences) == told(on_tasks(analysis))
    assert told(on_tasks(analysis)) or case != 2
    alike = {sentence for sentence in analysis.sentences if "be told apart" in sentence}
    assert bool(alike) == any(pair.better is None for pair in on_tasks(analysis))


@pytest.mark.parametrize(("tasks", "claimed"), [(9, False), (14, True)])
def test_with_nine_tasks_claims_are_those_over_tasks_alone(tasks, claimed):
    analysis = analyse(random_results("over", tasks=tasks, searchers=4, seeds=7, gain=1.5))
    assert claims(analysis.sentences) == told(analysis.across.pairs)
    assert bool(told(analysis.across.pairs)) or not claimed
    assert not [sentence for sentence in analysis.sentences if re.search(r" on task", sentence)]
    assert "Friedman's test" in " ".join(analysis.sentences)


def test_over_nine_tasks_a_winner_of_all_of_them_is_named():
    analysis = analyse(random_results("nine", tasks=9, searchers=2, seeds=5, gain=5))
    assert analysis.sentences[0] == "s0 beats s1 over 9 tasks (P = 1.00, adjusted p = 0.0049)."


def test_too_few_tasks_for_so_many_tests_are_said_to_show_nothing():
    analysis = analyse(random_results("many", tasks=9, searchers=6, seeds=5, gain=5))
    assert told(analysis.across.pairs) == set()
    assert analysis.sentences[0] == (
        "No two of the 6 searchers can be told apart over 9 tasks: "
        "9 tasks cannot show any difference in 15 tests; it takes at least 10 tasks."
    )


def test_with_fewer_than_nine_tasks_ranks_stand_alone_and_say_why():
    analysis = analyse(random_results("two", tasks=2, seeds=10, gain=5))
    assert re.fullmatch(
        r"Over tasks no test is made: a test takes at least 9 tasks, and there are 2\. "
        r"Mean ranks, 1 is best: s0 1\.0, s\d \d\.\d and s\d \d\.\d\.",
        analysis.sentences[-2],
    )


# -- nothing to claim


def test_without_any_claim_tasks_are_listed_together():
    analysis = analyse(random_results("alike", tasks=3, searchers=3, seeds=20))
    assert told(on_tasks(analysis)) == set()
    size = math.ceil(100 * analysis.tasks["task 0"].detectable) / 100
    assert analysis.sentences[0] == (
        "No two of the 3 searchers can be told apart on task 0, task 1 and task 2: "
        f"with 20 seeds, effects below P = {size} cannot be seen."
    )


def test_five_identical_runs_are_not_told_apart():
    labels = "abcde"
    analysis = analyse(finals([task()], {("moons", label): rising(0.9) for label in labels}))
    assert all(pair.p == pair.adjusted == 1 and pair.probability == 0.5 for pair in on_tasks(analysis))
    assert [s.split(":")[0] for s in analysis.sentences] == ["No two of the 5 searchers can be told apart on moons"]


def test_five_seeds_cannot_show_anything_and_the_verdict_says_how_many_could():
    values = {("moons", "a"): rising(0.9, 5), ("moons", "b"): rising(0.1, 5)}
    analysis = analyse(finals([task()], values))
    assert analysis.sentences == (
        "a and b cannot be told apart on moons: "
        "5 seeds cannot show any difference in one test; it takes at least 6 seeds.",
    )
    six = {key: [*of, of[-1] + 0.1] for key, of in values.items()}
    assert (
        analyse(finals([task()], six))
        .sentences[0]
        .startswith("a beats b on moons (P = 1.00, adjusted p = 0.039, 6 seeds)")
    )


@pytest.mark.parametrize("tasks", [1, 2, 9])
def test_with_three_seeds_no_test_is_made(tasks):
    analysis = analyse(random_results("three", tasks=tasks, seeds=3, gain=9))
    assert analysis.sentences[0] == (
        "No test is made: a test takes at least 5 seeds, and there are 3. "
        "The curves show what happened, not which searcher is better."
    )
    assert claims(analysis.sentences) == set()
    assert all(math.isnan(p.p) and math.isnan(p.adjusted) and p.better is None for p in on_tasks(analysis))
    assert len(analysis.sentences) == (1 if tasks == 1 else 2)  # and the ranks


def test_one_searcher_is_compared_with_nothing():
    assert analyse(finals([task()], {("moons", "a"): rising(0.9)})).sentences == (
        "No test is made: there is only one searcher. The curves show what happened, not which searcher is better.",
    )


# -- what it costs


def curves(winner, loser):
    on = task(reference=[0.1, 0.2, 0.3], budget=100)
    return analyse(results([on], {("moons", "a"): winner, ("moons", "b"): loser}))


def test_savings_below_a_tenth_or_none_are_not_mentioned():
    late = [[0.1] * 9 + [0.9 + s / 1000] for s in range(20)]
    early = [[0.5 + s / 1000] * 10 for s in range(20)]
    analysis = curves(late, early)
    assert told(on_tasks(analysis)) == {("a", "b", "moons")}
    assert "fewer" not in " ".join(analysis.sentences)


def test_savings_are_not_mentioned_where_a_score_was_never_reached():
    paths = [[0.9 + s / 1000] * 3 if s % 3 else [0.9] for s in range(20)]
    assert "fewer" not in " ".join(curves(paths, [[NAN]] * 20).sentences)


def test_savings_over_several_losers_are_a_range():
    on = task(reference=[0.1, 0.2, 0.3], budget=1200, unit="trials")
    paths = {
        ("moons", "a"): [[0.5, 0.6, 0.95 + s / 1000, 0.96 + s / 1000] for s in range(20)],
        ("moons", "b"): [[0.1, 0.1, 0.1, 0.9 + s / 2000] for s in range(20)],
        ("moons", "c"): [[0.1, 0.1, 0.1, 0.4 + s / 2000] for s in range(20)],
    }
    first = analyse(results([on], paths)).sentences[0]
    assert first.endswith(" and in the median needs 1.3x to 4.0x fewer trials for the final scores of b and c.")


# -- what else to know


def test_a_later_look_says_that_it_is_one_and_claims_less():
    made = random_results("look", tasks=1, searchers=2, seeds=12, gain=0.9)
    first, third = analyse(made), analyse(dataclasses.replace(made, look=3))
    assert told(on_tasks(first)) == {("s0", "s1", "task 0")}
    assert told(on_tasks(third)) == set()
    assert third.sentences[-1] == (
        "Every p is adjusted for one test by Holm's method, then multiplied by 30, "
        "as this is look 3 at a comparison that has grown, so that looking again and again finds no more by chance."
    )
    assert not any("this is look" in sentence for sentence in first.sentences)


def test_an_adjusted_p_is_holms_times_what_the_verdict_says():
    analysis = analyse(random_results("factor", tasks=1, searchers=3, seeds=15, gain=1.5))
    pairs = on_tasks(analysis)
    factor = float(re.search(r"multiplied by ([\d.]+)", " ".join(analysis.sentences)).group(1))
    assert [pair.adjusted for pair in pairs] == pytest.approx([min(1, factor * p) for p in holm([q.p for q in pairs])])


def test_an_exhausted_grid_is_mentioned():
    on = [task("moons"), task("wine")]
    values = {(t.name, label): rising(0.9) for t in on for label in ("grid", "tpe")}
    exhausted = {key: key == ("wine", "grid") for key in values}
    verdict = analyse(finals(on, values, exhausted=exhausted)).sentences
    assert verdict[-1] == "grid had nothing left to propose before its budget was spent, in 20 of 40 runs (wine)."


def test_failures_are_counted_as_runs_and_as_trials():
    values = {("moons", "a"): [NAN] * 3 + rising(0.9, 17), ("moons", "b"): rising(0.95)}
    verdict = analyse(finals([task()], values, failed={("moons", "a"): 2})).sentences
    assert verdict[-2:] == (
        "No trial succeeded in 3 of 20 runs of a (moons), which count as worse than any other.",
        "Failed: 40 of a's 20 trials.",
    )


def test_where_nothing_succeeded_nothing_is_said_of_the_searchers():
    on = [task("moons"), task("wine")]
    failed = {("moons", label): 3 for label in "ab"}
    nothing = {(t.name, label): [NAN] * 20 for t in on for label in "ab"}
    assert analyse(finals(on, nothing, failed=failed)).sentences == (
        "No trial of any run succeeded, so nothing can be said of the searchers.",
        "Failed: 60 of a's 40 trials and 60 of b's 40 trials.",
    )
    some = nothing | {("wine", "a"): rising(0.9), ("wine", "b"): rising(0.1)}
    verdict = analyse(finals(on, some)).sentences
    assert "On moons no trial succeeded, so nothing can be said." in verdict
    assert "told apart" not in " ".join(verdict)


@pytest.mark.parametrize(("reference", "scale"), [((), False), ((0.9, 0.99, 0.99), False), ((0.9, 0.98, 0.99), True)])
def test_tasks_without_a_scale_are_said_to_count_for_nothing_over_tasks(reference, scale):
    on = [task("moons"), task("wine", reference=reference)]
    values = {(t.name, label): rising(0.8 if label == "a" else 0.7) for t in on for label in "ab"}
    expected = (
        "Over tasks all searchers that succeeded count as equal on wine: "
        "the random reference trials give regret no scale."
    )
    assert (expected in analyse(finals(on, values)).sentences) is not scale


def test_names_cannot_move_the_cursor():
    on = task("moo\x1b[2Jns\n")
    verdict = analyse(finals([on], {(on.name, "a\r"): rising(0.9), (on.name, "b"): rising(0.1)})).sentences
    assert verdict[0].startswith(r"a\r beats b on moo\x1b[2Jns\n (")
    assert all(sentence.isprintable() for sentence in verdict)
