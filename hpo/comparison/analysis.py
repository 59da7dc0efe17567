"""What the statistics say of a comparison, as plain records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hpo.comparison.results import Results, Task


@dataclass(frozen=True)
class Band:
    """How the runs of one searcher stand as their budget is spent; all arrays (G,), NaN where no run has begun.

    Attributes:
        x: units spent, or trials begun, ascending.
        median: of the normalised regret over the runs.
        low: lower end of the median's 95 % bootstrap band.
        high: its upper end.
        iqm: interquartile mean of the same.
        iqm_low: lower end of its 95 % bootstrap band.
        iqm_high: its upper end.
    """

    x: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    iqm: np.ndarray
    iqm_low: np.ndarray
    iqm_high: np.ndarray


@dataclass(frozen=True)
class Pair:
    """Two searchers, on one task or over tasks.

    Attributes:
        task: name of the task; None: over tasks.
        a: label of one.
        b: label of the other.
        n: pairs that were compared: seeds, or over tasks tasks.
        probability: P(a better than b), ties counted half, in [0, 1].
        p: of the paired two-sided Wilcoxon test; NaN where none is made.
        adjusted: the same after Holm's correction and for repeated looks, to be compared with 0.05; NaN where none.
        better: label of the one that is better beyond chance; None: they cannot be told apart.
    """

    task: str | None
    a: str
    b: str
    n: int
    probability: float
    p: float
    adjusted: float
    better: str | None


@dataclass(frozen=True)
class Target:
    """What it takes a searcher to reach a value.

    Attributes:
        value: to be reached.
        costs: units that each run had spent when it first reached it, by seed; infinite for those that never did.
        median: of the costs, the lower one of two; infinite if less than half of the runs reached the value.
        reached: runs that did.
    """

    value: float
    costs: tuple[float, ...]
    median: float
    reached: int


@dataclass(frozen=True)
class TaskAnalysis:
    """One task.

    Attributes:
        task: the task.
        final: label to the incumbents' values at the end, by seed; NaN of a run without success.
        regret: label to the same as normalised regret: 0 is the best value that any run saw, 1 the median of the
            reference trials.
        test: label to the incumbents' values on test data, by seed; empty without test data.
        by_spent: label to the band over units spent.
        by_trials: label to the band over trials begun.
        targets: label of the searcher whose median final value is the target, to label of the one that reaches it.
        pairs: every two searchers, in the order of `Results.searchers`.
        detectable: smallest P(better) that these tests would see in four of five comparisons; NaN: none.
        why_not: why no test was made, to follow "No test is made: "; None: tests were made.
        has_scale: whether the reference trials give regret a scale; without one all regrets are 0.
    """

    task: Task
    final: Mapping[str, tuple[float, ...]]
    regret: Mapping[str, tuple[float, ...]]
    test: Mapping[str, tuple[float, ...]]
    by_spent: Mapping[str, Band]
    by_trials: Mapping[str, Band]
    targets: Mapping[str, Mapping[str, Target]]
    pairs: tuple[Pair, ...]
    detectable: float
    why_not: str | None
    has_scale: bool = True


@dataclass(frozen=True)
class AcrossTasks:
    """All tasks together; tasks are the sample, seeds are not.

    Attributes:
        ranks: label to mean rank over tasks, 1 is best, ties shared.
        by_share: label to the band over the share of the budget that was spent, in [0, 1], stratified by task.
        friedman: p of Friedman's test; NaN where none is made.
        pairs: every two searchers.
        groups: labels that cannot be told apart, in the order of their ranks: the bars of a critical-difference
            picture, none within another.
        why_not: why no test was made, to follow "No test is made: "; None: tests were made.
        iman_davenport: p of Friedman's test by Iman's and Davenport's F; NaN where none is made.
        detectable: smallest P(better) that these tests would see in four of five comparisons; NaN: none.
    """

    ranks: Mapping[str, float]
    by_share: Mapping[str, Band]
    friedman: float
    pairs: tuple[Pair, ...]
    groups: tuple[tuple[str, ...], ...]
    why_not: str | None
    iman_davenport: float = math.nan
    detectable: float = math.nan


@dataclass(frozen=True)
class Analysis:
    """Everything that verdict, figures and tables say.

    Attributes:
        results: what was analysed.
        tasks: by name, in the order of `Results.tasks`.
        across: all tasks together; None: there is only one.
        sentences: the verdict.
    """

    results: Results
    tasks: Mapping[str, TaskAnalysis]
    across: AcrossTasks | None
    sentences: tuple[str, ...]
