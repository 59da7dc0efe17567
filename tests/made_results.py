"""Results of comparisons made by hand, for what works on them."""

import math

import numpy as np

from hpo.comparison.results import Results, Run, Task
from hpo.seeding import generator


def task(name="moons", *, direction="maximize", reference=(0.5, 0.6, 0.7, 0.4, 0.6), budget=100, unit="epochs"):
    return Task(name, direction, "accuracy", unit, budget, 10, tuple(reference))


def run(on, label, seed, incumbent, *, spent=None, trials=None, test=None, failed=0, exhausted=False):
    """One whose entries are evenly spread over the budget unless said otherwise."""
    count = len(incumbent)
    spent = [on.budget * (i + 1) // count for i in range(count)] if spent is None else spent
    trials = range(1, count + 1) if trials is None else trials
    study = f"made-{on.name}-{label}-{seed}"
    values = tuple(map(float, incumbent))
    return Run(on.name, label, seed, study, tuple(spent), tuple(trials), values, test or {}, 0.5, failed, exhausted)


def results(tasks, incumbents, *, look=1, **more):
    """All runs: `incumbents` maps (task, label) to the paths by seed; `more` maps settings of `run` to such a map."""
    labels = list(dict.fromkeys(label for _, label in incumbents))
    seeds = tuple(range(len(next(iter(incumbents.values())))))
    runs = {
        (on.name, label, seed): run(
            on,
            label,
            seed,
            incumbents[on.name, label][seed],
            **{name: values[on.name, label] for name, values in more.items() if (on.name, label) in values},
        )
        for on in tasks
        for label in labels
        for seed in seeds
    }
    return Results("made", tuple(tasks), tuple(labels), seeds, runs, look, False, {})


def finals(tasks, values, **more):
    """Results whose runs have one entry: `values` maps (task, label) to the final values by seed."""
    return results(tasks, {key: [[value] for value in of] for key, of in values.items()}, **more)


def random_results(key, *, searchers=3, seeds=8, tasks=2, entries=12, gain=0.0, direction="maximize", failing=0.0):
    """Searchers alike but for the first, whose values are better by `gain`; some runs never succeed."""
    rng = generator("made results", key)
    s = 1 if direction == "maximize" else -1
    on = [task(f"task {t}", direction=direction, reference=rng.normal(size=20)) for t in range(tasks)]
    paths = {}
    for one in on:
        for k in range(searchers):
            drawn = s * np.maximum.accumulate(rng.normal(size=(seeds, entries)) + gain * (k == 0), axis=1)
            drawn[rng.random(seeds) < failing] = math.nan
            paths[one.name, f"s{k}"] = drawn.tolist()
    return results(on, paths)
