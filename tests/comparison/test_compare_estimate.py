"""What is said before a comparison starts."""

import itertools

import numpy as np
import pytest
from made_results import finals, task

from hpo.comparison.analyse import analyse
from hpo.comparison.estimate import no_claim, rough, size
from hpo.comparison.labels import labelled
from hpo.comparison.plan import ComparisonPlan, TaskPlan
from hpo.seeding import generator


def plan(searchers, tasks, seeds):
    made = labelled([{f"s{i}": "random"} for i in range(searchers)])
    return ComparisonPlan(0, False, {f"t{i}": TaskPlan(f"t{i}", {}) for i in range(tasks)}, made, seeds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "1 s"), (3.2, "4 s"), (59.5, "1 min 00 s"), (61, "1 min 10 s"), (600, "10 min 00 s"), (7201, "2 h 01 min")],
)
def test_durations_are_rounded_up(seconds, text):
    assert rough(seconds) == text


def test_a_plan_is_told_in_numbers():
    assert size(plan(1, 1, 1)) == "1 searcher x 1 seed"
    assert size(plan(3, 2, 20)) == "2 tasks x 3 searchers x 20 seeds"


@pytest.mark.parametrize(
    ("searchers", "tasks", "seeds", "look", "said"),
    [
        (1, 1, 20, 1, "only one searcher"),
        (2, 1, 4, 1, "4 seeds: curves, and no test: --seeds 5 or more (in Python seeds=5)"),
        (4, 1, 8, 1, "8 seeds cannot show any difference in 6 tests: --seeds 9 or more (in Python seeds=9)"),
        (3, 2, 8, 1, "8 seeds cannot show any difference in 6 tests: --seeds 9 or more"),
        (6, 9, 20, 1, "9 tasks cannot show any difference in 15 tests: compare on 10 or more"),
        (4, 1, 9, 2, "9 seeds cannot show any difference in 6 tests: --seeds 12 or more"),
        (4, 1, 9, 1, None),
        (2, 9, 5, 1, None),
    ],
)
def test_a_comparison_that_can_show_nothing_is_told_apart(searchers, tasks, seeds, look, said):
    found = no_claim(plan(searchers, tasks, seeds), look)
    assert found is None if said is None else said in found


@pytest.mark.parametrize(("searchers", "tasks", "seeds"), list(itertools.product((2, 4), (1, 2, 9), (5, 8, 9))))
def test_what_it_says_is_what_the_tests_say_where_one_searcher_is_always_best(searchers, tasks, seeds):
    on = [task(f"t{t}") for t in range(tasks)]
    rng = generator("always best", searchers, tasks, seeds)
    values = {
        (one.name, f"s{k}"): np.linspace(0, 0.1, seeds) + (k == 0) + rng.normal(size=seeds) / 1000
        for one in on
        for k in range(searchers)
    }
    analysis = analyse(finals(on, {key: list(of) for key, of in values.items()}))
    pairs = analysis.across.pairs if tasks >= 9 else [p for one in analysis.tasks.values() for p in one.pairs]
    assert (no_claim(plan(searchers, tasks, seeds), 1) is None) == any(pair.better == "s0" for pair in pairs)
