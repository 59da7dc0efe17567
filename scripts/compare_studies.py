"""Compares searchers on the shipped studies and writes the answer down.

    python scripts/compare_studies.py [-o studies/RESULTS.md] [--store FILE] [--seeds N] [--trials N] [STUDY ...]

It is `hpo compare` with the same arguments, then a page of Markdown of what it found: the verdict, who stands where
on each study, and where each searcher is among the worst. Interrupted, it goes on; in the same store, more seeds train
only what is missing.
"""

import argparse
import math
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from hpo import load_comparison
from hpo.comparison.analysis import Analysis, TaskAnalysis
from hpo.comparison.curves import quantile
from hpo.study_file import shipped

SEARCHERS = "grid,random,tpe,halving,nas"


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="*", default=sorted(shipped()))
    parser.add_argument("-o", "--output", type=Path, default=Path("studies/RESULTS.md"))
    parser.add_argument("--store", default="results.db")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=20)
    given = parser.parse_args()
    command = ["hpo", "compare", *given.study, "--searchers", SEARCHERS, "--seeds", str(given.seeds)]
    command += ["--trials", str(given.trials), "--name", "shipped", "--store", given.store]
    done = subprocess.run([sys.executable, "-m", *command], check=False, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(done.returncode)
    analysis = load_comparison("shipped", given.store).analysis
    given.output.write_text("\n".join(page(analysis, shlex.join(command))) + "\n", "utf-8")
    print(f"{given.output} written")


def page(analysis: Analysis, command: str) -> Iterator[str]:
    """The lines of the page."""
    results = analysis.results
    yield "# Which searcher for which study?"
    yield ""
    yield (
        f"{len(results.searchers)} searchers on {len(results.tasks)} shipped studies, {len(results.seeds)} seeds each, "
        f"the budget of each search: {results.tasks[0].budget // results.tasks[0].trial_epochs} full trainings."
    )
    yield "Made, and made again, by `python scripts/compare_studies.py`, which runs"
    yield ""
    yield f"    {command}"
    yield ""
    yield "and then `hpo report shipped -o report.html` shows the curves."
    yield ""
    yield "## The verdict"
    yield ""
    yield from (f"- {sentence}" for sentence in analysis.sentences)
    yield ""
    yield "## Final scores"
    yield ""
    yield (
        "Median over seeds of the best validation value at the end of the budget; in brackets, over the same runs, the "
        "median test score of their best trials, on data that no searcher saw. A run without success counts as worse "
        "than any other, and – is a median at such a run. ↑ more is better, ↓ less; **bold**: the best median."
    )
    yield ""
    yield from _table(
        ["study", *results.searchers], [_scores(one, results.searchers) for one in analysis.tasks.values()]
    )
    yield ""
    yield from _on_test_data(analysis)
    yield "## Where each searcher loses"
    yield ""
    yield (
        "Studies on which a searcher's median final score is the worst of all, and those on which its seeds are told "
        "apart as worse than another searcher's (paired Wilcoxon tests, p adjusted by Holm's method over all of them, "
        "and for looks)."
    )
    yield ""
    yield from _table(
        ["searcher", "worst median on", "told apart as worse on"],
        [_losses(analysis, label) for label in results.searchers],
    )
    yield ""
    yield "## What the searchers cost themselves"
    yield ""
    yield "Median processor seconds that a searcher took for all its proposals in a run; training is not in it."
    yield ""
    yield from _table(["study", *results.searchers], [_seconds(analysis, name) for name in analysis.tasks])


def _scores(one: TaskAnalysis, searchers: Sequence[str]) -> list[str]:
    medians = {label: quantile(one.task, one.final[label], 0.5) for label in searchers}
    best = max((one.task.sign * value for value in medians.values() if math.isfinite(value)), default=math.nan)
    cells = []
    for label in searchers:
        text = _median(medians[label])
        text = f"**{text}**" if one.task.sign * medians[label] == best else text
        cells.append(text + (f" ({_median(quantile(one.task, one.test[label], 0.5))})" if one.test else ""))
    return [f"{one.task.name} ({one.task.metric} {'↑' if one.task.sign > 0 else '↓'})", *cells]


def _on_test_data(analysis: Analysis) -> Iterator[str]:
    """How the searchers rank by data that they did not choose by."""
    tested = [one for one in analysis.tasks.values() if one.test]
    searchers, across = analysis.results.searchers, analysis.across
    if not tested or across is None:
        return
    medians = [[one.task.sign * quantile(one.task, one.test[label], 0.5) for label in searchers] for one in tested]
    ranks = np.mean(stats.rankdata(-np.array(medians), axis=1, nan_policy="omit"), axis=0)
    yield (
        "The more trials a searcher chooses among, the more its best validation value is luck, and halving chooses "
        "among most. Mean ranks over studies by median test score, no test made: "
        + ", ".join(f"{searchers[i]} {ranks[i]:.1f}" for i in np.argsort(ranks, kind="stable"))
        + " (by validation value: "
        + ", ".join(f"{label} {rank:.1f}" for label, rank in sorted(across.ranks.items(), key=lambda item: item[1]))
        + ")."
    )
    yield ""


def _median(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _losses(analysis: Analysis, label: str) -> list[str]:
    worst, worse = [], []
    for name, one in analysis.tasks.items():
        medians = {each: one.task.sign * quantile(one.task, final, 0.5) for each, final in one.final.items()}
        medians = {each: -math.inf if math.isnan(median) else median for each, median in medians.items()}
        if medians[label] == min(medians.values()) < max(medians.values()):
            worst.append(name)
        by = [pair.better for pair in one.pairs if label in (pair.a, pair.b) and pair.better not in (None, label)]
        if by:
            worse.append(f"{name} (than {', '.join(map(str, by))})")
    return [label, ", ".join(worst) or "none", ", ".join(worse) or "none"]


def _seconds(analysis: Analysis, task: str) -> list[str]:
    results = analysis.results
    medians = [np.median([run.searcher_seconds for run in results.of(task, label)]) for label in results.searchers]
    return [task, *(f"{seconds:.2g}" if math.isfinite(seconds) else "" for seconds in medians)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main()
