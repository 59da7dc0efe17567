"""The verdict of a comparison in words, which never claim more than the tests give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from hpo.comparison import statistics
from hpo.comparison.analysis import AcrossTasks, Pair, TaskAnalysis
from hpo.comparison.results import Results, Run
from hpo.text import value_text

_WORTH_SAYING = 1.1  # ratio of costs


def sentences(results: Results, tasks: Mapping[str, TaskAnalysis], across: AcrossTasks | None) -> tuple[str, ...]:
    """The verdict: what can be told apart, what cannot, and what else to know when reading it.

    That one searcher is better than another is said only where a `Pair.better` says so: of the pairs over tasks if
    they were tested, else of those on single tasks.

    Args:
        results: what was analysed.
        tasks: by name.
        across: all tasks together; None: there is only one.
    """
    first = next(iter(tasks.values()))
    if all(math.isnan(run.final) for run in results.runs.values()):
        found = ["No trial of any run succeeded, so nothing can be said of the searchers."]
        return (*found, *_exhausted(results), *_failed_trials(results))
    if first.why_not is not None:
        found = [f"No test is made: {first.why_not}. The curves show what happened, not which searcher is better."]
    elif across is not None and across.why_not is None:
        found = _over_tasks(results, across)
    else:
        found = _on_tasks(results, tasks)
    if across is not None and len(results.searchers) > 1:
        found.append(_ranks(across, first))
    if first.why_not is None:
        tested = [across] if across is not None and across.why_not is None else list(tasks.values())
        pairs = [pair for one in tested for pair in one.pairs]
        if results.look > 1 or any(pair.better is not None for pair in pairs):
            found.append(_adjusted(len(pairs), results.look))
    return (*found, *_scales(tasks, across), *_exhausted(results), *_failures(results), *_failed_trials(results))


def smallest_text(detectable: float) -> str:
    """`P = 0.88`: what tests can see, rounded up, in verdict and captions alike."""
    return f"P = {math.ceil(detectable * 100) / 100:.2f}"


# -- claims


def _over_tasks(results: Results, across: AcrossTasks) -> list[str]:
    n = len(results.tasks)
    order = sorted(across.ranks, key=across.ranks.__getitem__)
    found = [f"{_beats(winner, beaten, f'over {n} tasks', '')}." for winner, beaten in _claims(across.pairs, order)]
    blind = _blind(n, "tasks", across.detectable, len(across.pairs), results)
    return found + _untold(across.pairs, order, f"over {n} tasks", blind)


def _on_tasks(results: Results, tasks: Mapping[str, TaskAnalysis]) -> list[str]:
    found, seeds = [], f"{len(results.seeds)} seeds"
    blinds = {name: _blind_on_task(results, tasks, name) for name in tasks}
    claimed = [name for name, one in tasks.items() if any(pair.better is not None for pair in one.pairs)]
    for name in claimed:
        one = tasks[name]
        order = _order(one)
        for winner, beaten in _claims(one.pairs, order):
            found.append(f"{_beats(winner, beaten, f'on {_name(name)}', seeds)}{_cheaper(one, winner, beaten)}.")
        found += _untold(one.pairs, order, f"on {_name(name)}", blinds[name])
    void = [name for name, one in tasks.items() if all(math.isnan(v) for of in one.final.values() for v in of)]
    if void:
        found.append(f"On {_list(map(_name, void))} no trial succeeded, so nothing can be said.")
    rest = [name for name in tasks if name not in claimed and name not in void]
    if rest:
        where = f"on {_list(map(_name, rest))}"
        found += _untold(tasks[rest[0]].pairs, list(results.searchers), where, blinds[rest[0]])
    return found


def _blind_on_task(results: Results, tasks: Mapping[str, TaskAnalysis], name: str) -> str:
    family = sum(len(one.pairs) for one in tasks.values())
    return _blind(len(results.seeds), "seeds", tasks[name].detectable, family, results)


def _claims(pairs: Sequence[Pair], order: Sequence[str]) -> list[tuple[str, list[Pair]]]:
    """Each winner with the pairs that it wins, both in `order`; who beats most comes first."""
    won: dict[str, list[Pair]] = {label: [] for label in order}
    for loser in order:
        for pair in pairs:
            if pair.better is not None and _other(pair, pair.better) == loser:
                won[pair.better].append(pair)
    return sorted(((label, beaten) for label, beaten in won.items() if beaten), key=lambda each: -len(each[1]))


def _beats(winner: str, beaten: Sequence[Pair], where: str, n: str) -> str:
    """`tpe beats random on moons (P = 0.91, adjusted p = 0.002, 20 seeds)`, or several of them."""
    told = [(_name(_other(pair, winner)), _evidence(pair, winner)) for pair in beaten]
    if len(told) == 1:
        (loser, evidence), more = told[0], f", {n}" if n else ""
        return f"{_name(winner)} beats {loser} {where} ({evidence}{more})"
    losers = _list(f"{loser} ({evidence})" for loser, evidence in told)
    return f"{_name(winner)} beats {losers} {where}" + (f" ({n})" if n else "")


def _evidence(pair: Pair, winner: str) -> str:
    probability = pair.probability if winner == pair.a else 1 - pair.probability
    return f"P = {probability:.2f}, adjusted {_p(pair.adjusted)}"


def _cheaper(one: TaskAnalysis, winner: str, beaten: Sequence[Pair]) -> str:
    """What the winner saves on the way to the losers' final values, where the medians say that it does."""
    saved = {}
    for loser in (_other(pair, winner) for pair in beaten):
        own, costs = one.targets[loser][loser].median, one.targets[loser][winner].median
        if math.isfinite(own) and math.isfinite(costs) and costs > 0 and own / costs >= _WORTH_SAYING:
            saved[loser] = own / costs
    if not saved:
        return ""
    least, most = (
        f"{ratio:.1f}x" if ratio < 10 else f"{ratio:.0f}x" for ratio in (min(saved.values()), max(saved.values()))
    )
    times = least if least == most else f"{least} to {most}"
    whose = (
        f"{_name(next(iter(saved)))}'s final score"
        if len(saved) == 1
        else f"the final scores of {_list(map(_name, saved))}"
    )
    return f" and in the median needs {times} fewer {one.task.unit} for {whose}"


def _untold(pairs: Sequence[Pair], order: Sequence[str], where: str, blind: str) -> list[str]:
    """What cannot be told apart: one sentence, or none if everything can."""
    apart = {frozenset((pair.a, pair.b)) for pair in pairs if pair.better is not None}
    alike = statistics.groups(order, lambda a, b: frozenset((a, b)) in apart)
    if not alike:
        return []
    if not apart and len(order) > 2:
        return [f"No two of the {len(order)} searchers can be told apart {where}: {blind}."]
    if len(alike) == 1:
        return [f"{_list(map(_name, alike[0]))} cannot be told apart {where}: {blind}."]
    listed = "; ".join(_list(map(_name, group)) for group in alike)
    return [f"Cannot be told apart {where}: {listed} ({blind})."]


def _blind(n: int, what: str, detectable: float, pairs: int, results: Results) -> str:
    if math.isnan(detectable):
        needed = statistics.fewest(statistics.first_step(pairs, results.look))
        return f"{n} {what} cannot show any difference in {_tests(pairs)}; it takes at least {needed} {what}"
    return f"with {n} {what}, effects below {smallest_text(detectable)} cannot be seen"


def _tests(pairs: int) -> str:
    return "one test" if pairs == 1 else f"{pairs} tests"


# -- what else to know


def _ranks(across: AcrossTasks, first: TaskAnalysis) -> str:
    ranked = sorted(across.ranks.items(), key=lambda item: item[1])
    ranks = _list(f"{_name(label)} {rank:.1f}" for label, rank in ranked)
    if across.why_not in (None, first.why_not):
        p = "" if math.isnan(across.friedman) else f" (Friedman's test that all are alike: {_p(across.friedman)})"
        return f"Mean ranks over tasks, 1 is best: {ranks}{p}."
    return f"Over tasks no test is made: {across.why_not}. Mean ranks, 1 is best: {ranks}."


def _adjusted(pairs: int, look: int) -> str:
    """What p were adjusted for."""
    times = f"{1 / statistics.share(look):.4g}"
    begin = f"Every p is adjusted for {_tests(pairs)} by Holm's method, then multiplied by {times}"
    if look == 1:
        return f"{begin}, which leaves room for later looks at a comparison that grows."
    return (
        f"{begin}, as this is look {look} at a comparison that has grown, "
        "so that looking again and again finds no more by chance."
    )


def _scales(tasks: Mapping[str, TaskAnalysis], across: AcrossTasks | None) -> list[str]:
    """Tasks that say nothing over tasks: without a scale all regrets are 0."""
    if across is None:
        return []
    flat = [_name(name) for name, one in tasks.items() if not one.has_scale]
    if not flat:
        return []
    return [
        f"Over tasks all searchers that succeeded count as equal on {_list(flat)}: "
        "the random reference trials give regret no scale."
    ]


def _exhausted(results: Results) -> list[str]:
    return [
        f"{_name(label)} had nothing left to propose before its budget was spent, in {count} runs ({where})."
        for label, count, where in _runs_that(results, lambda run: run.exhausted)
    ]


def _failures(results: Results) -> list[str]:
    return [
        f"No trial succeeded in {count} runs of {_name(label)} ({where}), which count as worse than any other."
        for label, count, where in _runs_that(results, lambda run: math.isnan(run.final))
    ]


def _runs_that(results: Results, holds: Callable[[Run], bool]) -> Iterator[tuple[str, str, str]]:
    """Labels with runs of which something holds: label, `10 of 130`, the tasks where."""
    for label in results.searchers:
        runs = {task.name: results.of(task.name, label) for task in results.tasks}
        counts = {name: sum(map(holds, of)) for name, of in runs.items()}
        if any(counts.values()):
            where = _list(_name(name) for name, count in counts.items() if count)
            yield label, f"{sum(counts.values())} of {sum(map(len, runs.values()))}", where


def _failed_trials(results: Results) -> list[str]:
    out = []
    for label in results.searchers:
        runs = [run for task in results.tasks for run in results.of(task.name, label)]
        if failed := sum(run.failed for run in runs):
            begun = sum(run.trials[-1] if run.trials else 0 for run in runs)
            out.append(f"{failed:,} of {_name(label)}'s {begun:,} trials")
    return [f"Failed: {_list(out)}."] if out else []


# -- words


def _p(p: float) -> str:
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


def _order(one: TaskAnalysis) -> list[str]:
    """Labels by how often their runs beat the others' with the same seed, best first."""
    score = dict.fromkeys(one.final, 0.0)
    for pair in one.pairs:
        score[pair.a] += pair.probability
        score[pair.b] += 1 - pair.probability
    return sorted(score, key=lambda label: -score[label])


def _other(pair: Pair, label: str) -> str:
    return pair.b if label == pair.a else pair.a


def _name(label: str) -> str:
    return value_text(label)


def _list(items: Iterable[str]) -> str:
    """`a, b and c`."""
    *head, last = items
    return f"{', '.join(head)} and {last}" if head else last
