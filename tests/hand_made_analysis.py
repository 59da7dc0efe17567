"""An analysis of which every number is known, for what is drawn from it."""

import math

import numpy as np
from made_results import finals, task

from hpo.comparison.analysis import AcrossTasks, Analysis, Band, Pair, Target, TaskAnalysis

NAN = math.nan


def band(*median, x=None):
    """A median with a band of +-0.1 around it, and an interquartile mean that is 0.01 greater."""
    middle = np.array(median, dtype=float)
    x = np.arange(1.0, len(middle) + 1) if x is None else np.array(x, dtype=float)
    mean = middle + 0.01
    return Band(x, middle, middle - 0.1, middle + 0.1, mean, mean - 0.1, mean + 0.1)


def analysis(values, *, bands=None, pairs=(), targets=None, tests=None, across=None, why_not=None, **of_task):
    """From `values`: task name to label to final values by seed; the rest is as given, for every task."""
    names = list(values)
    labels = list(next(iter(values.values())))
    results = finals(
        [task(name, **of_task) for name in names],
        {(name, label): of for name in names for label, of in values[name].items()},
    )
    bands = bands or {label: band(0.9, 0.5, 0.2) for label in labels}
    tasks = {
        on.name: TaskAnalysis(
            task=on,
            final={label: tuple(of) for label, of in values[on.name].items()},
            regret={label: tuple(1 - value for value in of) for label, of in values[on.name].items()},
            test=tests or dict.fromkeys(labels, ()),
            by_spent=bands,
            by_trials=bands,
            targets=targets or {},
            pairs=tuple(pairs),
            detectable=0.9,
            why_not=why_not,
        )
        for on in results.tasks
    }
    return Analysis(results, tasks, across, ("Nothing is said.",))


def pair(a, b, probability, better=None, adjusted=0.01, task="moons", n=3):
    return Pair(task, a, b, n, probability, adjusted / 2, adjusted, better)


def target(value, *costs):
    ordered = sorted(costs)
    return Target(value, costs, ordered[(len(costs) - 1) // 2], sum(map(math.isfinite, costs)))


def over_tasks(ranks, groups=(), why_not=None, pairs=()):
    return AcrossTasks(ranks, {label: band(0.9, 0.1, x=[0.5, 1]) for label in ranks}, 0.01, pairs, groups, why_not)
