"""Random trials and ways to train them, for the tests of the engine."""

import functools
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from hpo import seeding
from hpo.objective import Step
from hpo.torch_mode import own_mode
from hpo.training.activations import ACTIVATIONS
from hpo.training.data import Data, Dataset, Part, load_dataset
from hpo.training.hyperparameters import KNOWN, LOSSES, Preparation, complete
from hpo.training.metrics import METRICS
from hpo.training.objective import SimpleNNObjective
from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import InputsCache
from hpo.training.population.member import Member, member_of, shape_of
from hpo.trial import Job, Outcome

CPU = torch.device("cpu")
AS_IT_IS = Preparation()
EPOCHS = 9  # the most that trials may train unless said otherwise
RANGES: dict[str, tuple[float, float]] = {  # of numbers, where training goes well; drawn on a log scale above zero
    "noise_std": (0, 1),
    "mixup_alpha": (0.1, 2),
    "init_scale": (0.02, 0.3),
    "dropout": (0, 0.7),
    "label_smoothing": (0, 0.5),
    "l1": (1e-5, 1e-3),
    "l2": (1e-5, 1e-2),
    "learning_rate": (1e-3, 0.02),
    "momentum": (0, 0.95),
    "beta1": (0, 0.95),
    "beta2": (0.5, 0.999),
    "alpha": (0.5, 0.999),
    "rho": (0.3, 0.95),
    "eps": (1e-6, 1e-3),  # see BASE in test_equivalence.py
    "weight_decay": (1e-4, 1e-2),
    "step_size": (1, 3),
    "gamma": (0.3, 0.9),
    "warmup_epochs": (0, 4),
    "clip_norm": (0.1, 3),
    "clip_value": (1e-3, 1),
    "patience": (1, 3),
    "pca_components": (2, 9),
}
OFTEN_OFF = ("dropout", "label_smoothing", "l1", "l2", "weight_decay", "clip_norm", "clip_value", "pca_components")
SHAPED = ("depth", "width", "activation", "batch_size")  # drawn with the shape
Params = Mapping[str, Any]
Result = tuple[list[Step], tuple[torch.Tensor, ...]]  # of every epoch; all that a trial is at the end


@functools.cache
def dataset(name: str = "classification", rows: int = 97, folds: int = 1) -> Dataset:
    """A data set cut short, for speed; of folds, so many training rows each."""
    found = load_dataset(name, 0, folds)
    return replace(
        found,
        train=found.train[:rows],
        validation=found.validation[:150],
        test=found.test[:150],
        folds=tuple((train[:rows], held[:150]) for train, held in found.folds),
    )


@functools.cache
def small(
    rows: int = 200,
    dtype: torch.dtype = torch.float32,
    name: str = "classification",
    how: Preparation = AS_IT_IS,
    part: int | str = "holdout",
    folds: int = 1,
) -> Data:
    """What networks see of it; the same object for the same arguments."""
    data = dataset(name, rows, folds).prepared(how, part)

    def exact(whole: Part) -> Part:
        return Part(whole.x.to(dtype), whole.y.to(dtype) if data.task == "regression" else whole.y)

    return replace(data, train=exact(data.train), validation=exact(data.validation), test=exact(data.test))


@dataclass(eq=False)
class Small(SimpleNNObjective):
    """The shared objective on few rows."""

    rows: int = 97

    @functools.cached_property
    def dataset(self) -> Dataset:
        """See `dataset`."""
        return dataset(self.data, self.rows, self.folds)


def random_params(
    *key: int | str, shape: tuple[int, int] | None = None, kind: str | None = None, task: str = "classification"
) -> dict[str, Any]:
    """A random configuration of all hyperparameters but early stopping.

    Args:
        key: what it is for.
        shape: greatest width and batch size, of which trials can share a chunk.
        kind: "plain", "extended" or "residual": those of one kind can share a chunk, too.
        task: which decides about losses.
    """
    chance = seeding.generator("random_params", *key)
    widest, batch_size = shape or (int(chance.integers(1, 150)), int(chance.integers(1, 90)))
    kind = kind or str(chance.choice(["plain", "extended", "residual"]))
    found: dict[str, Any] = {"batch_size": batch_size, "depth": int(chance.integers(1 + (kind == "residual"), 5))}
    for name, known in KNOWN.items():
        if name in SHAPED or name.startswith(("width_", "activation_")):
            continue
        options = LOSSES[task] if name == "loss" else known.options
        found[name] = options[chance.integers(len(options))] if options else _number(name, chance)
    found |= {"residual": kind == "residual", "early_stopping": False}
    if task == "regression":
        found["class_weights"] = "none"
    if kind == "plain":
        found["normalization"] = "none"
    widths = [int(chance.integers(1, widest + 1)) for _ in range(found["depth"])]
    widths[int(chance.integers(found["depth"]))] = widest
    activations = list(ACTIVATIONS) if kind == "plain" else list(KNOWN["activation"].options)
    for layer, width in enumerate(widths, start=1):
        found[f"width_{layer}"] = width
        found[f"activation_{layer}"] = str(chance.choice(activations))
    if kind == "extended":
        found["activation_1"] = "prelu"
    return found


def _number(name: str, chance: np.random.Generator) -> float | int:
    low, high = RANGES[name]
    if name in OFTEN_OFF and chance.random() < 0.5:
        return 0 if KNOWN[name].integer else 0.0
    if KNOWN[name].integer:
        return int(chance.integers(low, high + 1))
    return float(np.exp(chance.uniform(np.log(low), np.log(high))) if low > 0 else chance.uniform(low, high))


def member(params: Params, seed: int, data: Data | None = None, epochs: int = EPOCHS) -> Member:
    """The trial (params, seed) before its first epoch, its inputs as they are or prepared already."""
    data = small() if data is None else data
    return member_of(complete(params, data.task), data, seed, epochs)


def chunk(members: Sequence[Member], metric: str | None = None) -> Chunk:
    """A chunk of them."""
    return Chunk(members, InputsCache(CPU).of, METRICS[metric or metric_of(members[0].data)])


def metric_of(data: Data) -> str:
    """The first metric of its task."""
    return "accuracy" if data.task == "classification" else "rmse"


@own_mode()
def train_members(members: Sequence[Member], epochs: int, metric: str | None = None) -> list[Result]:
    """Train all that fit together in one chunk each, up to an epoch; those that stop early leave."""
    curves: dict[Member, list[Step]] = {each: [] for each in members}
    shapes: dict[Any, list[Member]] = {}
    for each in members:
        shapes.setdefault(shape_of(each.settings, each.data), []).append(each)
    for going in shapes.values():
        together = chunk(going, metric)
        while going:
            if len(going) < len(together.members):
                together = chunk(going, metric)
            assert together.train_epoch(lambda: False, lambda each: each.epoch == epochs) is not None
            for each in going:
                assert each.last is not None
                curves[each].append(each.last)
            going = [each for each in going if not (curves[each][-1].ended or each.epoch == epochs)]
    return [(curves[each], state_of(each)) for each in members]


def train(trials: Sequence[tuple[Params, int]], data: Data, epochs: int) -> list[Result]:
    """Train trials (params, seed) in company; results in their order."""
    return train_members([member(params, seed, data) for params, seed in trials], epochs)


def state_of(each: Member) -> tuple[torch.Tensor, ...]:
    """A copy of a member's parameters, statistics and slots, and of those of its best epoch."""
    return tuple(tensor.clone() for tensor in (*each.tensors, *each.best))


def equal(one: Result, other: Result) -> bool:
    """To the last bit; NaN equals NaN."""
    told = [[(step.epoch, step.ended, repr(step)) for step in steps] for steps, _ in (one, other)]
    return told[0] == told[1] and same_bits(one[1], other[1])


def same_bits(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> bool:
    """NaN equals NaN."""
    return len(one) == len(other) and all(
        torch.equal(a.nan_to_num(7e7), b.nan_to_num(7e7)) and torch.equal(a.isnan(), b.isnan())
        for a, b in zip(one, other, strict=True)
    )


def shapes(count: int) -> list[tuple[int, int]]:
    """Some shapes (greatest width, batch size), ragged ones first."""
    wanted = itertools.chain([(1, 1), (5, 7), (33, 10), (64, 32), (100, 33), (192, 64)], itertools.repeat((20, 500)))
    return list(itertools.islice(wanted, count))


def job(number, target=3, start=0, epochs=EPOCHS, study=1, params=None, evaluation=None):
    params = random_params("executor", number) if params is None else params
    evaluation = 100 * target + number if evaluation is None else evaluation
    return Job(study, evaluation, number, params, 1000 * study + number, start, target, epochs)


def drain(executor, count):
    """Events until so many evaluations have ended."""
    events, left, deadline = [], count, time.monotonic() + 120
    while left:
        assert time.monotonic() < deadline, f"{left} evaluations never ended"
        found = executor.wait(5.0)
        left -= sum(isinstance(event, Outcome) for _, event in found)
        events += found
    return events


def results(executor, jobs):
    """What each job ended with, without the time it took."""
    executor.submit(jobs)
    outcomes = (event for _, event in drain(executor, len(jobs)) if isinstance(event, Outcome))
    return {outcome.number: content(outcome) for outcome in outcomes}


def content(outcome):
    curve = {name: [repr(value) for value in values] for name, values in outcome.curve.items()}
    return outcome.state, outcome.value, outcome.epochs, outcome.charged, curve, outcome.reason
