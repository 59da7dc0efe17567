"""The shared objective `simplenn`: the accuracy of a small network on synthetic data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hpo.errors import UsageError, did_you_mean
from hpo.objective import Objective, Run, TestScore
from hpo.seeding import generator
from hpo.space import Space
from hpo.training import hyperparameters, spaces
from hpo.training.data import DATA_SETS
from hpo.trial import Job

if TYPE_CHECKING:
    from hpo.executors.base import Executor

METRICS: Final[Mapping[str, str]] = {"accuracy": "maximize"}  # name to direction
DEVICES: Final = ("auto", "cpu", "cuda", "mps")
_RESAMPLES: Final = 10_000
SPACES: Final = {"default": spaces.default_space, "architecture": spaces.architecture_space}


@dataclass(eq=False)
class SimpleNNObjective(Objective):
    """Train a `SimpleNN`; the value is its metric on validation data.

    Args:
        data: "classification", "moons" or "spirals".
        data_seed: fixes data and split, apart from the study's seed, in [0, 2^63).
        metric: "accuracy", in [0, 1], maximised.
        device: "auto", "cpu", "cuda" or "mps": where trials train; not part of what a study is, but noted in it.

    Raises:
        UsageError: a setting that is none of these.
    """

    name = "simplenn"
    has_epochs = True
    default_epochs = 30

    data: str = "classification"
    data_seed: int = 0
    metric: str = "accuracy"
    device: str = "auto"

    def __post_init__(self) -> None:
        for setting, value, known in (
            ("data", self.data, DATA_SETS),
            ("metric", self.metric, METRICS),
            ("device", self.device, DEVICES),
        ):
            if not isinstance(value, str) or value not in known:
                expected = f"expected one of {', '.join(map(repr, known))}: {did_you_mean(str(value), known)}"
                raise UsageError(f"objective 'simplenn': {setting} is {value!r}, {expected}")
        seed = self.data_seed
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            kind = type(seed).__name__
            raise UsageError(f"objective 'simplenn': data_seed is {seed!r} ({kind}), expected an integer in [0, 2^63)")
        self.direction = METRICS[self.metric]
        if self.device in ("cuda", "mps"):
            from hpo.training.population.machine import choose_device

            choose_device(self.device)  # refused before there is a study

    def describe(self) -> dict[str, Any]:
        """Name and settings."""
        return {"name": self.name, "data": self.data, "data_seed": self.data_seed, "metric": self.metric}

    def start(self, job: Job) -> Run:
        """The trial by itself before its first epoch, defaults filled in; raises SpaceError for illegal parameters."""
        from hpo.training.data import load_data
        from hpo.training.solo import SoloRun

        return SoloRun(hyperparameters.complete(job.params), load_data(self.data, self.data_seed), job.seed)

    def executor(self) -> "Executor":
        """All trials train together."""
        from hpo.training.data import load_data
        from hpo.training.population.executor import PopulationExecutor
        from hpo.training.population.machine import choose_device
        from hpo.training.population.parallel import ParallelExecutor

        data, device = load_data(self.data, self.data_seed), choose_device(self.device)
        return ParallelExecutor(self, data) if device.type == "cpu" else PopulationExecutor(self, data, device)

    def space(self, name: str = "default") -> Space | None:
        """The space "default" or "architecture"; None for another name."""
        return SPACES[name]() if name in SPACES else None

    def check_space(self, space: Space) -> None:
        """Raise SpaceError for a hyperparameter that is unknown or may take illegal values."""
        hyperparameters.check_space(space)

    def on_device(self, device: str) -> "SimpleNNObjective":
        """The same objective on "auto", "cpu", "cuda" or "mps"."""
        return replace(self, device=device)

    def numerics(self) -> str:
        """The device and the precision of training."""
        from hpo.training.population.machine import choose_device, describe

        return describe(choose_device(self.device))

    def advice(self) -> str | None:
        """What to install where a GPU lies idle for want of it."""
        from hpo.training.population.machine import driver_without_torch

        return driver_without_torch() if self.device == "auto" else None

    def test_data(self) -> str:
        """Data set and seed, which fix the test part."""
        return f"simplenn: {self.data}, data_seed {self.data_seed}"

    def test(self, job: Job) -> TestScore:
        """Accuracy and loss on test data of the very trial, trained again; all NaN if its training diverges."""
        from hpo.training.data import load_data
        from hpo.training.population.machine import choose_device
        from hpo.training.population.retrain import retrain
        from hpo.training.solo import evaluate

        data = load_data(self.data, self.data_seed)
        model = retrain(job.params, data, job.seed, job.target, choose_device(self.device))
        if model is None:
            return TestScore({"accuracy": math.nan, "loss": math.nan}, math.nan, math.nan)
        loss, accuracy = evaluate(model, data.test)
        # the accuracy of n resampled rows: each of them is right with the probability `accuracy`
        rows = len(data.test.y)
        resampled = generator("bootstrap", job.seed).binomial(rows, accuracy, _RESAMPLES) / rows
        low, high = np.quantile(resampled, [0.025, 0.975])
        return TestScore({"accuracy": accuracy, "loss": loss}, float(low), float(high))
