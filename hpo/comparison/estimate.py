"""What is said before a comparison starts: how long it takes at most, and whether it can show anything."""

from __future__ import annotations

import math

from hpo.comparison.plan import ComparisonPlan
from hpo.comparison.statistics import MIN_SEEDS, MIN_TASKS, fewest, first_step
from hpo.text import counted, duration


def rough(seconds: float) -> str:
    """A duration, rounded up to what an estimate is good for: seconds, then tens of seconds, then minutes."""
    step = 1 if seconds < 60 else 10 if seconds < 600 else 60
    return duration(max(1, math.ceil(seconds / step)) * step)


def size(plan: ComparisonPlan) -> str:
    """`2 tasks x 3 searchers x 20 seeds`; one task is not told."""
    factors = [counted(len(plan.searchers), "searcher"), counted(plan.seeds, "seed")]
    if len(plan.tasks) > 1:
        factors.insert(0, counted(len(plan.tasks), "task"))
    return " x ".join(factors)


def no_claim(plan: ComparisonPlan, look: int) -> str | None:
    """Why the verdict will not be able to claim anything, and what to do; None: it may.

    Args:
        plan: what is compared.
        look: number of the look at which the verdict will be given.
    """
    if len(plan.searchers) < 2:
        return "there is only one searcher, so no test will be made: name others to compare it with"
    if plan.seeds < MIN_SEEDS:
        return f"{counted(plan.seeds, 'seed')}: curves, and no test: {_seeds(MIN_SEEDS)}"
    pairs = math.comb(len(plan.searchers), 2)
    over_tasks = len(plan.tasks) >= MIN_TASKS
    tests = pairs if over_tasks else pairs * len(plan.tasks)
    n, what = (len(plan.tasks), "task") if over_tasks else (plan.seeds, "seed")
    least = fewest(first_step(tests, look))
    if n >= least:
        return None
    advice = f"compare on {least} or more" if over_tasks else _seeds(least)
    return f"{counted(n, what)} cannot show any difference in {counted(tests, 'test')}: {advice}"


def _seeds(least: int) -> str:
    return f"--seeds {least} or more (in Python seeds={least})"
