"""The shared objective `simplenn`: a small network, trained and measured on a generated data set or a user's table."""

import functools
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hpo import seeding
from hpo.errors import ConflictError, LoadError, UsageError, did_you_mean
from hpo.execution import DEFAULT, Execution
from hpo.objective import Objective, Run, TestScore
from hpo.space import Space
from hpo.text import params_text
from hpo.training import hyperparameters, spaces
from hpo.training.hyperparameters import METRICS, Settings
from hpo.training.warm_start import check_space, narrowed
from hpo.trial import Job
from hpo.values import brief

if TYPE_CHECKING:
    from hpo.executors.base import Executor
    from hpo.training.data import Data, Dataset
    from hpo.training.metrics import Metric
    from hpo.training.model import SimpleNN
    from hpo.training.population.member import Member
    from hpo.training.saved import SavedModel

DEVICES: Final = ("auto", "cpu", "cuda", "mps")
SPACES: Final = {"default": spaces.default_space, "architecture": spaces.architecture_space}
MAX_FOLDS: Final = 100
_SCALES: Final = 100  # between columns, from which on networks hardly learn from them as they are
_ARRAYS: Final = "arrays"  # what `data` is called in a study whose data came from Python


def check_device(device: Any) -> None:
    """Refuse what is no device before there is a study.

    Raises:
        UsageError: none of DEVICES, or one that is not here.
    """
    _check_one("device", device, DEVICES)
    if device in ("cuda", "mps"):
        from hpo.training.population.machine import choose_device

        choose_device(device)


def _check_one(setting: str, value: Any, known: Mapping[str, Any] | Sequence[str]) -> None:
    if not isinstance(value, str) or value not in known:
        hint = did_you_mean(str(value), known)
        expected = f"expected one of {', '.join(map(repr, known))}" + (f": {hint}" if hint.startswith("did") else "")
        raise UsageError(f"{setting} is {brief(value)}, {expected}")


@dataclass(eq=False)
class SimpleNNObjective(Objective):
    """Train a `SimpleNN`; the value is its metric on validation data.

    Args:
        data: a generated data set (`hpo.training.data.DATA_SETS`), a CSV or Parquet file, a DataFrame, or a pair
            (X, y) of arrays.
        data_seed: fixes data and split, apart from the study's seed, in [0, 2^63).
        metric: one of METRICS of the task; None: accuracy, for a regression rmse.
        folds: 1: one validation part; k: cross-validation, the value is the mean over k folds.
        target: of a table, the column to predict.
        task: of a table, "classification" or "regression"; None: as the target looks.
        test_table: of a table, the test part in a table of its own.
        split: of a table, the column that says train, validation or test.
        group: of a table, the column of which no value may be on two sides.
        ignore: of a table, columns that are no inputs.
        init_from: a saved model whose weights every trial starts from; hyperparameters of its architecture and
            preparation that a configuration leaves out are the model's.
        device: "auto", "cpu", "cuda" or "mps": where trials train; not part of what a study is, but noted in it.
        digest: identifies the content of a table, as `describe` tells it; other content is refused.
        init_digest: the same of the saved model's file.

    Raises:
        UsageError: a setting that is none of these.
        DataError, NotFoundError: a table that cannot be read or learned from.
        ConflictError: the table's content is not that of `digest`, or the saved model's not that of `init_digest`.
    """

    name = "simplenn"
    has_epochs = True
    default_epochs = 30
    saves_models = True
    joins = True

    data: Any = "classification"
    data_seed: int = 0
    metric: str | None = None
    folds: int = 1
    target: str | None = None
    task: str | None = None
    test_table: Any = None
    split: str | None = None
    group: str | None = None
    ignore: Sequence[str] = ()
    init_from: str | None = None
    device: str = "auto"
    digest: str | None = None
    init_digest: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.data, str) and self.data == _ARRAYS:
            raise LoadError(
                "the study's data came from Python: give them again, search(data=(X, y), name=...) or "
                "study.resume(objective=SimpleNNObjective((X, y)))"
            )
        check_device(self.device)
        self.data_seed = _whole("data_seed", self.data_seed, 0, 2**63 - 1)
        self.folds = _whole("folds", self.folds, 1, MAX_FOLDS)
        self.ignore = (self.ignore,) if isinstance(self.ignore, str) else tuple(self.ignore)
        task = self._task
        self.metric = next(iter(METRICS[task])) if self.metric is None else self.metric
        _check_one("objective 'simplenn': metric", self.metric, METRICS[task])
        self.direction = METRICS[task][self.metric]
        if self._is_table:
            if self.digest is not None and self.digest != self.dataset.digest:
                raise ConflictError(
                    f"objective 'simplenn': the content of {self.data!r} has changed since the study was made: put "
                    "the old table back, or start a new study"
                )
            self.digest = self.dataset.digest
        if self.init_from is not None:
            self.init_from = str(Path(self.init_from).absolute())
            self._check_start()

    @property
    def _is_table(self) -> bool:
        from hpo.training.generated import DATA_SETS

        return not (isinstance(self.data, str) and self.data in DATA_SETS)

    @property
    def _task(self) -> str:
        """Of a generated data set without drawing it, for that takes scikit-learn."""
        from hpo.training.generated import DATA_SETS, REGRESSIONS

        if isinstance(self.data, str) and self.data in DATA_SETS and not self._table_settings:
            return "regression" if self.data in REGRESSIONS else "classification"
        return self.dataset.task

    @property
    def _table_settings(self) -> dict[str, Any]:
        """What was given that is for tables alone."""
        names = ("target", "task", "test_table", "split", "group", "ignore")
        return {name: value for name in names if (value := getattr(self, name))}

    @functools.cached_property
    def dataset(self) -> "Dataset":
        """The data, split."""
        from hpo.training.data import load_dataset
        from hpo.training.generated import DATA_SETS

        given = self._table_settings
        if not self._is_table:
            if given:
                raise UsageError(f"objective 'simplenn': {next(iter(given))} is for tables; {self.data!r} is generated")
            return load_dataset(self.data, self.data_seed, self.folds)
        if isinstance(self.data, str) and not (Path(self.data).suffix or os.path.exists(self.data)):
            # a name with a slip in it, rather than a file
            _check_one("objective 'simplenn': data", self.data, DATA_SETS)
        from hpo.training.tables import TableSource

        if "test_table" in given:
            given["test"] = given.pop("test_table")
        return load_dataset(TableSource(self.data, **given), self.data_seed, self.folds)

    def describe(self) -> dict[str, Any]:
        """Name and settings; of tables their paths, which were made absolute, and a digest of their content."""
        found: dict[str, Any] = {"name": self.name, "data": _described(self.data), "data_seed": self.data_seed}
        found |= {"metric": self.metric, "folds": self.folds}
        for setting in ("target", "task", "split", "group", "digest", "init_from", "init_digest"):
            if (value := getattr(self, setting)) is not None:
                found[setting] = value
        if self.test_table is not None:
            found["test_table"] = _described(self.test_table)
        if self.ignore:
            found["ignore"] = list(self.ignore)
        return found

    def scoring(self) -> "Metric":
        """The metric that is optimised."""
        from hpo.training.metrics import METRICS as FUNCTIONS

        assert self.metric is not None
        return FUNCTIONS[self.metric]

    def members(self, job: Job) -> "list[Member]":
        """What the population engine trains for a job: one network, or one for each fold."""
        from hpo.training.population.member import member_of

        return [member_of(settings, data, seed, job.epochs, first) for settings, data, seed, first in self._parts(job)]

    def settings(self, params: Mapping[str, Any]) -> Settings:
        """A configuration with nothing left open; raises SpaceError for illegal parameters."""
        if self._saved is not None:
            params = {**self._saved.architecture, **params}
        return hyperparameters.complete(params, self.dataset.task)

    def _parts(self, job: Job) -> "list[tuple[Settings, Data, int, SimpleNN | None]]":
        """For each network of a trial: settings, what it trains on, its seed, what it starts from."""
        settings = self.settings(job.params)
        parts: list[tuple[int | str, int]] = [("holdout", job.seed)]
        if self.folds > 1:
            parts = [(fold, seeding.derive(job.seed, "fold", fold)) for fold in range(self.folds)]
        return [
            (settings, self.dataset.prepared(settings.preparation, rows), seed, self.first_network(settings, rows))
            for rows, seed in parts
        ]

    def start(self, job: Job) -> Run:
        """The trial by itself before its first epoch, defaults filled in; raises SpaceError for illegal parameters."""
        from hpo.training.folds import FoldedRun
        from hpo.training.solo import SoloRun

        metric = self.scoring()
        runs = [
            SoloRun(settings, data, seed, job.epochs, metric, first) for settings, data, seed, first in self._parts(job)
        ]
        return runs[0] if len(runs) == 1 else FoldedRun(runs)

    def check_execution(self, execution: Execution) -> None:
        """Its threads can be counted; nothing that a trial does needs a process of its own."""
        super().check_execution(replace(execution, workers=None))

    def executor(self, execution: Execution = DEFAULT) -> "Executor":
        """All trials train together, in `execution.workers` threads at once."""
        from hpo.training.routed import executor_of

        return executor_of(self, self.device, execution)

    def bundles(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Parts of jobs of one shape."""
        from hpo.training.population.bundles import bundles_of

        return bundles_of(self, jobs)

    def space(self, name: str = "default") -> Space | None:
        """The space "default" or "architecture", as it suits the table if there is one; None for another name.

        Without what a saved model fixes.
        """
        if name not in SPACES:
            return None
        found = SPACES[name](self._facts() if self._is_table else None)
        return found if self._saved is None else narrowed(found, self._saved.architecture)

    def _facts(self) -> spaces.Facts:
        """What the table is like."""
        found = self.dataset
        counts = Counter(found.y[found.train].tolist()) if found.classes else {}
        return spaces.Facts(found.task, len(found.train), tuple(counts.values()))

    def code(self, params: Mapping[str, Any], title: str) -> str:
        """See `hpo.training.code`; sizes are those of the model that `train_final` gives without test rows."""
        from hpo.training.code import Model, code_of

        settings, dataset = self.settings(params), self.dataset
        transform = dataset.transform(settings.preparation, "holdout" if self.folds == 1 else "development")
        return code_of(Model(title, settings, dataset.schema, transform, len(dataset.classes)))

    def check_space(self, space: Space) -> None:
        """Raise SpaceError for a hyperparameter that is unknown or may take illegal values.

        Warns of a table whose columns differ much in scale where the space leaves them as they are.
        """
        hyperparameters.check_space(space, self.dataset.task)
        if self._saved is not None:
            check_space(space, self._saved)
        if self._is_table and "preprocessing" not in space and (ratio := self.dataset.scale_ratio) > _SCALES:
            warnings.warn(
                f"the columns differ in scale by a factor of {ratio:.0e}, and the space has no preprocessing: give "
                "space.preprocessing, 'standardize' say",
                stacklevel=3,
            )

    def on_device(self, device: str) -> "SimpleNNObjective":
        """The same objective on "auto", "cpu", "cuda" or "mps"."""
        return replace(self, device=device)

    def resplit(self, seed: int) -> "SimpleNNObjective":
        """Another split; of generated data other data, too."""
        if self.split is not None:
            raise UsageError(
                f"objective 'simplenn': column {self.split!r} says how the rows are split: compare without resplit"
            )
        return replace(self, data_seed=seeding.derive(self.data_seed, seed, "resplit"), digest=None)

    def routed(self, objectives: Mapping[int, Objective]) -> Objective:
        """See `Objective.routed`."""
        from hpo.training.routed import Routed

        return Routed(self, {i: found for i, found in objectives.items() if isinstance(found, SimpleNNObjective)})

    def numerics(self) -> str:
        """The device and the precision of training."""
        from hpo.training.population.machine import choose_device, describe

        return describe(choose_device(self.device))

    def advice(self) -> str | None:
        """What to install where a GPU lies idle for want of it."""
        from hpo.training.population.machine import driver_without_torch

        return driver_without_torch() if self.device == "auto" else None

    def notices(self) -> Sequence[str]:
        """What users should know about how their table was read, and what a saved model fixes."""
        found = [f"data: {notice}" for notice in self.dataset.notices]
        if self._saved is not None:
            fixed = params_text(self._saved.architecture)
            found.append(f"trials start from {self._saved.name}, which fixes {fixed}")
        return found

    def test_data(self) -> str | None:
        """The content of the test part and of what it was split from; None without test rows."""
        return f"simplenn: {self.dataset.digest}" if len(self.dataset.test) else None

    def model_file(
        self, job: Job, *, study: str, scores: Mapping[str, Any] | None, everything: bool = False
    ) -> bytes | None:
        """See `Objective.model_file`; of the format in `hpo.training.model_file`."""
        from hpo.training import model_file
        from hpo.training.final import train_final
        from hpo.training.scoring import same, score

        final = train_final(self, job, everything)
        if final is None:
            return None
        if scores is not None and scores["test"] and not everything:
            again = score(final, self.scoring(), job.seed)
            if not same(again.metrics, scores["test"]):
                warnings.warn(
                    f"trained again here, the model scores {params_text(again.metrics)} on test data, not "
                    f"{params_text(scores['test'])}: the device or versions differ from those of the study's check; "
                    "the file tells what its own model scores",
                    stacklevel=4,
                )
            scores = {**scores, "test": dict(again.metrics), "low": again.low, "high": again.high}
        assert self.metric is not None
        return model_file.pack(
            final, self.dataset, params=job.params, metric=self.metric, seed=job.seed, study=study, scores=scores
        )

    def test(self, job: Job) -> TestScore:
        """The metric and the loss on test data of the very trial, trained again; NaN if its training diverges."""
        from hpo.training.final import train_final
        from hpo.training.scoring import score

        return score(train_final(self, job), self.scoring(), job.seed)

    @functools.cached_property
    def _saved(self) -> "SavedModel | None":
        if self.init_from is None:
            return None
        from hpo.training.saved import load_model

        return load_model(self.init_from)

    def first_network(self, settings: Settings, rows: int | str) -> "SimpleNN | None":
        """The network that a trial starts from on some rows, see `Dataset.rows`; None: drawn weights."""
        return None if self._saved is None else self._saved.network_for(settings, self.dataset, rows)

    def _check_start(self) -> None:
        """Refuse a saved model that has changed since the study was made, or does not fit the data."""
        assert self._saved is not None
        if self.init_digest is not None and self.init_digest != self._saved.digest:
            raise ConflictError(
                f"objective 'simplenn': the saved model {self._saved.name} has changed since the study was made: put "
                "the old file back, or start a new study"
            )
        self.init_digest = self._saved.digest
        for rows in ("holdout",) if self.folds == 1 else (*range(self.folds), "development"):
            self.first_network(self._saved.settings, rows)


def _described(table: Any) -> str:
    """A table in a study's specification."""
    if not isinstance(table, (str, os.PathLike)):
        return _ARRAYS
    path = os.fspath(table)
    return str(Path(path).absolute()) if Path(path).suffix else path


def _whole(setting: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        kind = type(value).__name__
        limit = "2^63)" if high == 2**63 - 1 else f"{high}]"
        raise UsageError(
            f"objective 'simplenn': {setting} is {value!r} ({kind}), expected an integer in [{low}, {limit}"
        )
    return value
