"""`Comparison`: what is stored of searchers beside each other, for reading."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.comparison.reading import results
from hpo.comparison.results import Results
from hpo.store import Store
from hpo.store.comparisons import ComparisonRow, Comparisons

if TYPE_CHECKING:
    import pandas as pd

    from hpo.comparison.analysis import Analysis


class Comparison:
    """A stored comparison of searchers; get one from `compare` or `load_comparison`.

    Attributes:
        name: its name in the store.
        path: the store's file.
    """

    def __init__(self, store: Store, row: ComparisonRow) -> None:
        self._store, self._row = store, row
        self.name = row.name
        self.path = store.path

    @functools.cached_property
    def results(self) -> Results:
        """All runs, as plain records.

        Raises:
            NoResultError: not all runs have ended.
        """
        return results(self._store, self._row)

    @functools.cached_property
    def analysis(self) -> Analysis:
        """What the statistics say.

        Raises:
            NoResultError: not all runs have ended.
        """
        from hpo.comparison.analyse import analyse

        return analyse(self.results)

    @property
    def verdict(self) -> str:
        """Which searchers are better than which, and what cannot be told, in sentences."""
        return " ".join(self.analysis.sentences)

    @property
    def studies(self) -> list[str]:
        """Names of the studies of all runs, the reference trials' included; `load_study` loads them."""
        return [run.name for run in Comparisons(self._store).runs(self._row.id)]

    def to_frame(self) -> pd.DataFrame:
        """A row for each evaluation of each run, in the order asked, with the run's state after it.

        Columns: task, searcher (its label), seed, study, evaluation (from 0 on), spent (units of the budget so far),
        trials (begun so far), incumbent (value of the best trial so far, NaN before one has succeeded), regret (the
        same, normalised: 0 is the best value that any run saw, 1 the median reference trial).
        """
        import pandas as pd

        from hpo.comparison.curves import RegretCurve, Scale

        parts = []
        for task in self.results.tasks:
            runs = [run for label in self.results.searchers for run in self.results.of(task.name, label)]
            scale = Scale.of(task, runs)
            for run in runs:
                columns: dict[str, Any] = {
                    "task": run.task,
                    "searcher": run.searcher,
                    "seed": run.seed,
                    "study": run.study,
                    "evaluation": range(len(run.spent)),
                    "spent": run.spent,
                    "trials": run.trials,
                    "incumbent": run.incumbent,
                    "regret": RegretCurve.of(run, scale).regret,
                }
                parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def to_latex(self) -> str:
        """A table of searchers by tasks for a paper; needs the package `booktabs`."""
        from hpo.comparison.latex import latex

        return latex(self.analysis)

    def report(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write one HTML file with verdict, figures and all studies' winners, which opens without network.

        Raises:
            CannotCreateError: the file exists, or cannot be created.
            NoResultError: not all runs have ended.
        """
        from hpo.report.build import write_comparison

        write_comparison(self, Path(path), overwrite)

    def __repr__(self) -> str:
        plan = self._row.plan
        tasks, searchers = ", ".join(plan["tasks"]), ", ".join(plan["searchers"])
        return f"Comparison({self.name!r}: {searchers} on {tasks}, {plan['seeds']} seeds, store {str(self.path)!r})"


def load_comparison(name: str | None = None, store: str | Path | None = None) -> Comparison:
    """A stored comparison, by name; None: the latest.

    Args:
        name: of the comparison.
        store: its file; None: `HPO_STORE`, else `hpo.db` in the working directory.

    Raises:
        NotFoundError: no such store or comparison.
    """
    opened = Store(store)
    return Comparison(opened, Comparisons(opened).get(name))
