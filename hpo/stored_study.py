"""What is stored of a study, for reading."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.domains import Int
from hpo.errors import NoResultError
from hpo.execution import Execution
from hpo.store import Store, default_path
from hpo.store.damage import blaming
from hpo.store.reader import StudyRow
from hpo.store.told import told_from
from hpo.study_spec import StudySpec
from hpo.text import command, headline
from hpo.trial import Evaluation, Trial

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from hpo.comparison.health import Health
    from hpo.comparison.winner import Winner
    from hpo.diagnosis import Finding
    from hpo.store.stored_copy import StoredCopy


MOST_HEALTH = 50_000  # trials


class StoredStudy:
    """The results of a study; reading them never imports its objective.

    Attributes:
        name: its name in the store.
        spec: everything that determines its trials.
        path: the store's file.
    """

    def __init__(self, store: Store, row: StudyRow) -> None:
        self._store = store
        self._id = row.id
        self._test_data = row.test_data
        self.name = row.name
        with blaming(store.path):
            self.spec = StudySpec.from_json(row.spec)

    @property
    def path(self) -> Path:
        """The store's file, as it was named."""
        return self._store.path

    def writable_store(self) -> Store:
        """The study's store, opened for writing; to be closed by whoever asks."""
        return self._store.reopened("write")

    @property
    def best(self) -> Trial:
        """The best of the trials at the greatest epoch that any reached.

        Raises:
            NoResultError: no trial has succeeded.
        """
        best = self._store.best(self._id, self.spec.direction)
        if best is None:
            raise NoResultError(self._why_no_result())
        return best

    @property
    def has_result(self) -> bool:
        """Whether a trial has succeeded, so that there is a `best`."""
        return self._store.best(self._id, self.spec.direction) is not None

    @property
    def best_params(self) -> dict[str, Any]:
        """The configuration of `best`."""
        return dict(self.best.params)

    @property
    def best_value(self) -> float:
        """The value of `best`."""
        value = self.best.value
        assert value is not None
        return value

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return self._store.trials(self._id)

    def trial(self, number: int) -> Trial:
        """One trial.

        Raises:
            NotFoundError: there is no such trial.
        """
        return self._store.trial(self._id, operator.index(number))

    def log(self, number: int) -> str:
        """What a trial printed; empty unless it ran in a worker process and printed something.

        Raises:
            NotFoundError: there is no such trial.
        """
        return self._store.log(self._id, self.trial(number).number)

    def summaries(self) -> list[Trial]:
        """All trials by number, without curve, error and info: quick to read."""
        return self._store.summaries(self._id)

    def evaluations(self) -> list[Evaluation]:
        """All evaluations in the order asked, without curves: halving gives a trial several."""
        return self._store.evaluations(self._id)

    def page(self, first: int, count: int) -> list[Trial]:
        """Up to `count` trials from number `first` on."""
        return self._store.trials(self._id, first, count)

    def copied(self) -> StoredCopy:
        """All that is stored of it, as it is now; lines of JSON can be made of that."""
        from hpo.store.stored_copy import StoredCopy

        return StoredCopy.of(self._store, self._store.study(self.name))

    def ranking(self, count: int) -> list[Trial]:
        """Up to `count` of the best trials, `best` first."""
        return self._store.ranking(self._id, self.spec.direction, count)

    def top(self, count: int) -> list[Trial]:
        """The `ranking` of configurations: one that was tried more than once has one place, its best."""
        return self._store.top(self._id, self.spec.direction, count)

    def known_winner(self) -> Winner | None:
        """The study's winner if it is stored and no other trials have become the best since; never trains."""
        from hpo.comparison.winner import CANDIDATES, Winner

        stored = self._store.winners(self._id)
        if not stored:
            return None
        with blaming(self.path):
            winner = Winner.from_json(stored[-1])
        top = self.top(CANDIDATES)
        same = [(c.number, winner.epochs) for c in winner.candidates] == [(t.number, t.epochs) for t in top]
        return winner if same else None

    @property
    def test_uses(self) -> int:
        """How often the objective's test data was used, by all studies of the store together."""
        return 0 if self._test_data is None else self._store.count_uses(self._test_data)

    @property
    def has_test_data(self) -> bool:
        """Whether the objective has test data, so that there can be a `winner`."""
        return self._test_data is not None

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, platform and device of the last run; empty before the first."""
        runs = self.environments
        return runs[-1] if runs else {}

    @property
    def environments(self) -> list[dict[str, Any]]:
        """Versions, platform and device of each run, in order."""
        return self._store.environments(self._id)

    @property
    def execution(self) -> Execution:
        """How trials were run on this machine in the last run."""
        with blaming(self.path):
            return Execution.from_json(self.environment.get("execution", {}))

    def counts(self) -> dict[str, int]:
        """State to number of trials."""
        return self._store.counts(self._id)

    def failures(self) -> dict[str, list[int]]:
        """Reason to the numbers of the trials that failed for it, the most frequent reason first."""
        return self._store.failures(self._id)

    @property
    def epochs_spent(self) -> int:
        """Epochs charged so far."""
        return self._store.charged(self._id)

    @property
    def budget(self) -> int | None:
        """Epochs that may be spent in all; None: asked and told by hand."""
        trials = self._store.study(self.name).trials
        return None if trials is None else trials * self.spec.trial_epochs

    @property
    def enqueued(self) -> int:
        """How many of the first trials are configurations that the user enqueued."""
        return self._store.study(self.name).enqueued

    @property
    def told_from(self) -> tuple[str, int] | None:
        """The study whose trials it was told at its beginning, and how many; None: it was told none."""
        return told_from(self._store, self._id)

    @property
    def created_ms(self) -> int:
        """When it was made, in UTC milliseconds since 1970."""
        return self._store.study(self.name).created_ms

    @property
    def last_run_ms(self) -> int:
        """When it was last driven, or made if it never was."""
        found = self._store.last_run_ms(self._id)
        return self.created_ms if found is None else found

    def spans(self) -> dict[int, tuple[float, float]]:
        """Trial to when its first evaluation began and its last one ended, in UTC milliseconds."""
        return self._store.spans(self._id)

    def health(self) -> Health:
        """How many trials overfit, lost units or gradients, or diverged, and where in the space they did.

        Of a study with more than `MOST_HEALTH` trials the latest so many, so that it is quick to show.
        """
        from hpo.comparison.health import summarize

        first = max(0, sum(self.counts().values()) - MOST_HEALTH)
        return summarize(self._store.summaries(self._id, first), self.spec.direction)

    def diagnose(self) -> list[Finding]:
        """What may be wrong with the study, each finding with its figures and what to try: what `hpo doctor` prints."""
        from hpo.diagnosis import diagnose

        return diagnose(self)

    def to_frame(self) -> pd.DataFrame:
        """A row a trial: number, state, value, epochs, seconds, then the hyperparameters (missing where inactive)."""
        import pandas as pd

        trials = self.trials
        names = ["number", "state", "value", "epochs", "seconds"]
        columns: dict[str, Any] = {name: [getattr(trial, name) for trial in trials] for name in names}
        columns["state"] = [str(trial.state) for trial in trials]
        for name, label in self.labels(names).items():
            values = [trial.params.get(name) for trial in trials]
            whole = isinstance(self.spec.space[name], Int) and None in values
            columns[label] = pd.array(values, dtype="Int64") if whole else values  # floats would round great integers
        return pd.DataFrame(columns)

    def plot(self, key: str) -> go.Figure:
        """A figure of the report as a plotly figure, for notebooks.

        Args:
            key: "history" (value by trial, and the best so far), "curves" (the metric over epochs), "importance" (of
                the hyperparameters), "slice" (value against each of them), "parallel" (whole configurations),
                "heatmap" (of the two most important), or another of `hpo.report.studies.KEYS`.

        Raises:
            NotFoundError: there is no such figure.
            NoResultError: the study has nothing to show in it, or only a table, which `hpo report` has.
        """
        from hpo.report.plot import plot

        return plot(self, key)

    def labels(self, taken: Iterable[str]) -> dict[str, str]:
        """Hyperparameter to the name of its column in a table that has columns `taken`: prefixed where they clash."""
        used, labels = set(taken), {}
        for name in self.spec.space:
            label = name
            while label in used:
                label = f"params.{label}"
            used.add(label)
            labels[name] = label
        return labels

    def _why_no_result(self) -> str:
        counts = self.counts()
        if not counts.get("failed"):
            return f"study {self.name!r} has no result yet: {self.command('resume')} goes on"
        first = self.trial(min(min(numbers) for numbers in self.failures().values()))
        return (
            f"no trial of study {self.name!r} succeeded, {counts['failed']} failed; the first, trial {first.number}, "
            f"with: {headline(first.error) or first.reason} ({self.command('show', first.number)} has it all)"
        )

    def command(self, name: str, *more: object) -> str:
        """What to type in a shell for command `name` of this study, with `more` arguments."""
        return command(name, self.name, self.path, default_path(), *more)

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {sum(self.counts().values())} trials, store {str(self.path)!r})"

    def _repr_html_(self) -> str:
        from hpo.notebook import study_html

        return study_html(self)
