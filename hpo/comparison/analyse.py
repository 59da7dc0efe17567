"""From the results of a comparison to all that the statistics say of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from hpo.comparison import statistics
from hpo.comparison.analysis import AcrossTasks, Analysis, Pair, TaskAnalysis
from hpo.comparison.curves import RegretCurve, Scale, band_by_share, band_by_spent, band_by_trials, reach, target
from hpo.comparison.results import Results, Task
from hpo.comparison.verdict import sentences

Paths = Mapping[tuple[str, str, int], RegretCurve]  # by task, searcher and seed


def analyse(results: Results) -> Analysis:
    """Everything that verdict, figures and tables say; a function of `results` alone.

    With fewer than 9 tasks the verdict rests on the pairs on single tasks, else on those over tasks. Either family is
    corrected as a whole, so that a verdict is wrong in any of its claims with a chance of at most 5 %.
    """
    scales = {
        task.name: Scale.of(task, [run for label in results.searchers for run in results.of(task.name, label)])
        for task in results.tasks
    }
    why_not = _why_not(results)
    paths = {key: RegretCurve.of(run, scales[run.task]) for key, run in results.runs.items()}
    pairs = _on_tasks(results, why_not)
    tasks = {task.name: _task(results, task, scales[task.name], paths, pairs, why_not) for task in results.tasks}
    across = _across(results, paths, tasks, why_not) if len(tasks) > 1 else None
    return Analysis(results, tasks, across, sentences(results, tasks, across))


def _why_not(results: Results) -> str | None:
    if len(results.searchers) < 2:
        return "there is only one searcher"
    if len(results.seeds) < statistics.MIN_SEEDS:
        return f"a test takes at least {statistics.MIN_SEEDS} seeds, and there are {len(results.seeds)}"
    return None


def _on_tasks(results: Results, why_not: str | None) -> list[Pair]:
    """Every two searchers on every task, in one family of tests."""
    samples = [
        (task.name, {s: task.sign * _finals(results, task.name, s) for s in results.searchers})
        for task in results.tasks
    ]
    return _pairs(samples, results, why_not)


def _pairs(
    samples: Sequence[tuple[str | None, Mapping[str, np.ndarray]]], results: Results, why_not: str | None
) -> list[Pair]:
    """Every two searchers in each of `samples`, label to values of which greater is better, in one family of tests."""
    found = [
        (task, a, b, statistics.paired(values[a], values[b]))
        for task, values in samples
        for a, b in itertools.combinations(results.searchers, 2)
    ]
    if why_not is not None:
        return [Pair(task, a, b, one.n, one.probability, math.nan, math.nan, None) for task, a, b, one in found]
    adjusted = statistics.adjust([one.p for *_, one in found], results.look)
    out = []
    for (task, a, b, one), p in zip(found, adjusted, strict=True):
        better = {1: a, -1: b}.get(one.side) if p <= statistics.LEVEL else None
        out.append(Pair(task, a, b, one.n, one.probability, one.p, p, better))
    return out


def _finals(results: Results, task: str, label: str) -> np.ndarray:
    return np.array([run.final for run in results.of(task, label)])


def _detectable(n: int, pairs: int, look: int, why_not: str | None) -> float:
    return math.nan if why_not is not None else statistics.detectable(n, statistics.first_step(pairs, look))


def _task(
    results: Results, task: Task, scale: Scale, paths: Paths, pairs: Sequence[Pair], why_not: str | None
) -> TaskAnalysis:
    runs = {label: results.of(task.name, label) for label in results.searchers}
    final = {label: tuple(run.final for run in of) for label, of in runs.items()}
    test = {label: tuple(run.test.get(task.metric, math.nan) for run in of) for label, of in runs.items()}
    on = {label: _of(results, paths, task.name, label) for label in runs}
    values = [target(task, of) for of in runs.values()]
    reached = {label: dict(zip(runs, reach(task, of, values), strict=True)) for label, of in runs.items()}
    return TaskAnalysis(
        task=task,
        final=final,
        regret={label: tuple(scale.regret(values).tolist()) for label, values in final.items()},
        test={} if all(math.isnan(value) for values in test.values() for value in values) else test,
        by_spent={label: band_by_spent(of, task.budget) for label, of in on.items()},
        by_trials={label: band_by_trials(of) for label, of in on.items()},
        targets={whose: {label: reached[label][whose] for label in runs} for whose in runs},
        pairs=tuple(pair for pair in pairs if pair.task == task.name),
        detectable=_detectable(len(results.seeds), len(pairs), results.look, why_not),
        why_not=why_not,
        has_scale=scale.width > 0,
    )


def _of(results: Results, paths: Paths, task: str, label: str) -> list[RegretCurve]:
    return [paths[task, label, seed] for seed in results.seeds]


def _across(results: Results, paths: Paths, tasks: Mapping[str, TaskAnalysis], why_not: str | None) -> AcrossTasks:
    if why_not is None and len(tasks) < statistics.MIN_TASKS:
        why_not = f"a test takes at least {statistics.MIN_TASKS} tasks, and there are {len(tasks)}"
    scores = {label: np.array([np.median(one.regret[label]) for one in tasks.values()]) for label in results.searchers}
    pairs = _pairs([(None, {label: -score for label, score in scores.items()})], results, why_not)
    together = statistics.friedman(np.stack(list(scores.values()), axis=1))
    ranks = dict(zip(results.searchers, together.ranks.tolist(), strict=True))
    apart = {frozenset((pair.a, pair.b)) for pair in pairs if pair.better is not None}
    ranked = sorted(ranks, key=ranks.__getitem__)
    return AcrossTasks(
        ranks=ranks,
        by_share={
            label: band_by_share(
                [_of(results, paths, name, label) for name in tasks], [one.task.budget for one in tasks.values()]
            )
            for label in results.searchers
        },
        friedman=math.nan if why_not is not None else together.p,
        iman_davenport=math.nan if why_not is not None else together.p_f,
        pairs=tuple(pairs),
        groups=() if why_not is not None else tuple(statistics.groups(ranked, lambda a, b: frozenset((a, b)) in apart)),
        detectable=_detectable(len(tasks), len(pairs), results.look, why_not),
        why_not=why_not,
    )
