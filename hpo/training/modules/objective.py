"""`TorchObjective`: a user's own modules, trained by our loop, many together where they are alike."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpo import seeding
from hpo.errors import UsageError
from hpo.execution import DEFAULT, Execution
from hpo.function_objective import FunctionObjective
from hpo.objective import Objective
from hpo.space import Space
from hpo.training.hyperparameters import METRICS
from hpo.training.modules import settings
from hpo.training.objective import check_device
from hpo.trial import Job
from hpo.values import brief

if TYPE_CHECKING:
    import torch

    from hpo.executors.base import Executor
    from hpo.training.modules.company import Candidate, Company
    from hpo.training.modules.data import Source
    from hpo.training.modules.feeds import Feed
    from hpo.training.modules.run import ModuleRun
    from hpo.training.modules.scoring import Scoring


class TorchObjective(Objective):
    """Train modules of your own; the value is their metric on validation data.

    The training loop is hpo's. These names in a space are its hyperparameters, with the meaning, ranges and defaults
    that they have for the shared objective: optimizer, learning_rate, momentum, beta1, beta2, alpha, rho, eps,
    weight_decay, schedule, step_size, gamma, warmup_epochs, clip_norm, clip_value, batch_size, early_stopping,
    patience, label_smoothing, l1 and l2 (on parameters of two dimensions or more). All others are for `build` to use.

    Args:
        build: (params) -> a new `torch.nn.Module`, given the whole configuration, with Python's, NumPy's and torch's
            global generators seeded for the trial.
        data: a pair (X, y) of arrays or tensors with a row for each example, split by us; ((X, y), (X_valid,
            y_valid)), split by you; two map-style Datasets of pairs (x, y), training and validation, whose items are
            read once; or two DataLoaders, which keep their batches. Inputs of any shape: floats get the precision of
            the module, whole numbers become int64. Targets: numbers of classes from 0, or numbers. A study is refused
            under other data; of DataLoaders it knows the numbers of their batches and the first ones alone. What
            they draw depends on the epoch alone: the generator that a loader was given is seeded anew for each.
        loss: "cross_entropy", "hinge" or "mse" of classes, for outputs (B, C); "mse", "mae" or "huber" of numbers,
            for outputs (B, 1) or (B,); or a function (outputs, targets) -> a scalar or the losses of the rows.
        metric: a metric of the shared objective by name, or a function (outputs, targets) -> a number, which is given
            all validation rows at once.
        direction: "maximize" or "minimize"; for a metric that is a function.
        validation: share of the rows that validate where one pair (X, y) is given, in (0, 1).
        data_seed: fixes that split, apart from the study's seed, in [0, 2^63).
        device: "auto", "cpu", "cuda" or "mps": where trials train.

    Raises:
        UsageError: an argument that is none of these.
        DataError: data that cannot be trained on.
    """

    has_epochs = True
    default_epochs = 30
    company_shows = True

    def __init__(
        self,
        build: Callable[..., Any],
        data: Any,
        loss: str | Callable[..., Any] = "cross_entropy",
        metric: str | Callable[..., Any] = "accuracy",
        *,
        direction: str | None = None,
        validation: float = 0.2,
        data_seed: int = 0,
        device: str = "auto",
    ) -> None:
        import torch

        from hpo.training.modules.data import read
        from hpo.training.modules.scoring import scoring_of

        if isinstance(build, torch.nn.Module) or not callable(build):
            found = f"{type(build).__name__}"
            raise UsageError(f"build is a {found}, expected a function (params) -> a new torch.nn.Module")
        if not isinstance(validation, float) or not 0 < validation < 1:
            raise UsageError(f"validation is {brief(validation)}, expected a share of the rows, > 0 and < 1")
        check_device(device)
        self.build, self.loss, self.metric, self.device = build, loss, metric, device
        self._function = FunctionObjective(build)  # knows what it is called and where it stands
        self.name = self._function.name
        self.data_seed = data_seed
        self.source_data: Source = read(data, validation, data_seed)
        self.scoring: Scoring = scoring_of(loss, metric, self.source_data.targets)
        self.direction = self._direction(direction)
        self._forget()

    def _direction(self, given: str | None) -> str | None:
        known = {name: way for names in METRICS.values() for name, way in names.items()}
        own = known[self.metric] if isinstance(self.metric, str) else None
        if given not in (None, "maximize", "minimize"):
            raise UsageError(f"direction is {brief(given)}, expected 'maximize' or 'minimize'")
        if own is not None and given not in (None, own):
            raise UsageError(f"direction is {given!r}, but metric {self.metric!r} is to {own}: leave it out")
        return own or given

    def _forget(self) -> None:
        """What is computed when it is first needed, on this machine and device."""
        self._feeds: dict[torch.dtype, Feed] = {}
        self._company: Company | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_feeds": {}, "_company": None}

    def describe(self) -> dict[str, Any]:
        """Where `build` is to be found, the data's digest, and how trials are scored."""
        scored = {"loss": self.loss, "metric": self.metric}
        named = {key: each if isinstance(each, str) else _path(each) for key, each in scored.items()}
        return {"build": self._function.path, "data": self.source_data.digest, **named}

    def source(self) -> str | None:
        """Hash of the source text of `build`; None where Python cannot find it."""
        return self._function.source()

    @property
    def torch_device(self) -> torch.device:
        """Where trials train."""
        from hpo.training.population.machine import choose_device

        return choose_device(self.device)

    def feed(self, dtype: torch.dtype) -> Feed:
        """The data in a precision."""
        if dtype not in self._feeds:
            self._feeds[dtype] = self.source_data.feed(self.torch_device, dtype, self.scoring.targets)
        return self._feeds[dtype]

    def module(self, job: Job) -> torch.nn.Module:
        """The module of a trial before its first epoch; raises what `build` raises."""
        from hpo.training.modules.building import build_module

        return build_module(self.build, job, self.torch_device, self.source_data.inputs)

    def candidate(self, job: Job) -> Candidate:
        """A trial before its first epoch, with whatever decides about its company; raises what `build` raises."""
        from hpo.training.modules.company import Company

        if self._company is None:
            self._company = Company(self.feed, self.scoring)
        return self._company.candidate(job, settings.settings_of(job.params), self.module(job))

    def start(self, job: Job) -> ModuleRun:
        """The trial by itself before its first epoch; raises what `build` raises."""
        from hpo.training.modules.building import precision
        from hpo.training.modules.run import ModuleRun

        found, module = settings.settings_of(job.params), self.module(job)
        return ModuleRun(module, found, self.feed(precision(module)), job.seed, job.epochs, self.scoring)

    def check_execution(self, execution: Execution) -> None:
        """Its threads can be counted; nothing that a trial does needs a process of its own."""
        super().check_execution(replace(execution, workers=None))

    def executor(self, execution: Execution = DEFAULT) -> Executor:
        """Trials that are alike train together, in `execution.workers` threads at once."""
        from hpo.training.modules.executor import ModulesExecutor

        return ModulesExecutor(self, threads=execution.workers)

    def bundles(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """The chunks that an executor would train; trials that train alone, or cannot be built, each alone."""
        from hpo.training.modules.company import Company

        candidates, alone = [], []
        for job in jobs:
            try:
                candidates.append(self.candidate(job))
            except Exception:  # told where it is trained
                alone.append([job])
        return [[each.job for each in chunk] for chunk in Company.cut(candidates)] + alone

    def resplit(self, seed: int) -> TorchObjective:
        """Another split of the rows; raises UsageError where they came split."""
        again = self.source_data.again
        if again is None:
            raise UsageError(
                f"objective {self.name!r} was given data that are split already: compare without resplit, or give one "
                "pair (X, y)"
            )
        found = copy.copy(self)
        found.source_data = again(seeding.derive(self.data_seed, seed, "resplit"))
        found._forget()
        return found

    def check_space(self, space: Space) -> None:
        """Raise SpaceError for a training hyperparameter that may take illegal values, or that would do nothing."""
        settings.check_space(space, self.source_data.own_batches, self.loss)

    def on_device(self, device: str) -> TorchObjective:
        """The same objective on "auto", "cpu", "cuda" or "mps"."""
        check_device(device)
        found = copy.copy(self)
        found.device = device
        found._forget()
        return found

    def numerics(self) -> str:
        """The device of training; the precision is the modules' own, and company may show in the last bits."""
        return f"{self.torch_device.type} (last bits depend on company)"

    def notices(self) -> Sequence[str]:
        """What users should know about how their data were split."""
        return [f"data: {notice}" for notice in self.source_data.notices]


def _path(function: Callable[..., Any]) -> str:
    """What a loss or metric is called in a study: "module:name"."""
    kind = type(function)
    return f"{getattr(function, '__module__', kind.__module__)}:{getattr(function, '__qualname__', kind.__qualname__)}"
