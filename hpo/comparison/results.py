"""What came out of a comparison, as plain records: what statistics, verdict and figures work on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpo.comparison.statistics import MIN_SEEDS


@dataclass(frozen=True)
class Task:
    """A problem that all searchers were given.

    Attributes:
        name: what it is called, unique within the comparison.
        direction: "maximize" or "minimize".
        metric: what the values are: "accuracy", say, or "value".
        unit: what is spent: "epochs", or "trials" of an objective without epochs.
        budget: units that each run may spend.
        trial_epochs: units that a full training takes.
        reference: finite values of the reference random trials, trained outside every budget, in their order; may be
            empty if all of them failed.
        reference_study: name of their study, in which objective and space are as all searchers were given them.
    """

    name: str
    direction: str
    metric: str
    unit: str
    budget: int
    trial_epochs: int
    reference: tuple[float, ...]
    reference_study: str = ""

    @property
    def sign(self) -> float:
        """What values are multiplied by so that greater is better."""
        return 1.0 if self.direction == "maximize" else -1.0


@dataclass(frozen=True)
class Run:
    """One search: one searcher on one task with one seed; its study is in the store.

    The three tuples have an entry for each evaluation that ended, in the order asked, so that the order of arrival
    changes nothing.

    Attributes:
        task: name of the task.
        searcher: label of the searcher.
        seed: of the study; runs of one seed are paired.
        study: name of the study.
        spent: units spent by then, non-decreasing, at most the budget.
        trials: trials begun by then.
        incumbent: value of the best trial by then, among those at the greatest epoch that any had reached; NaN
            before one has succeeded. It may worsen where a trial reaches a greater epoch.
        test: metric to the incumbent's value on test data, as it was trained in the search; empty without test data.
        searcher_seconds: processor time of the searcher itself.
        failed: trials that failed.
        exhausted: whether the searcher had nothing left to propose before the budget was spent.
    """

    task: str
    searcher: str
    seed: int
    study: str
    spent: tuple[int, ...]
    trials: tuple[int, ...]
    incumbent: tuple[float, ...]
    test: Mapping[str, float]
    searcher_seconds: float
    failed: int
    exhausted: bool

    @property
    def final(self) -> float:
        """The incumbent's value at the end; NaN if no trial has succeeded."""
        return self.incumbent[-1] if self.incumbent else math.nan


@dataclass(frozen=True)
class Results:
    """All runs of a comparison, every searcher with every seed on every task.

    Attributes:
        name: of the comparison.
        tasks: in the order given.
        searchers: labels, in the order given.
        seeds: ascending.
        runs: by task, searcher and seed.
        look: how many different states of this comparison were tested, this one included; from 1 on.
        resplit: whether each seed had a split of the data of its own.
        facts: what else is known, for people, e.g. the searchers' settings or where spaces differ: name to text.
    """

    name: str
    tasks: tuple[Task, ...]
    searchers: tuple[str, ...]
    seeds: tuple[int, ...]
    runs: Mapping[tuple[str, str, int], Run]
    look: int
    resplit: bool
    facts: Mapping[str, Any]

    @property
    def testable(self) -> bool:
        """Whether there are enough searchers and seeds for any test."""
        return len(self.searchers) > 1 and len(self.seeds) >= MIN_SEEDS

    def of(self, task: str, searcher: str) -> list[Run]:
        """The runs of a searcher on a task, by seed."""
        return [self.runs[task, searcher, seed] for seed in self.seeds]
