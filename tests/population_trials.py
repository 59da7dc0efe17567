"""Random trials and ways to train them, for the tests of the engine."""

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hpo import seeding
from hpo.objective import Step
from hpo.training import draws
from hpo.training.activations import ACTIVATIONS
from hpo.training.data import Data, Part, load_data
from hpo.training.hyperparameters import complete
from hpo.training.optimizers import OPTIMIZERS
from hpo.training.population.chunk import Chunk, Member
from hpo.training.population.inputs import Inputs
from hpo.trial import Job, Outcome

CPU = torch.device("cpu")
Params = Mapping[str, Any]
Result = tuple[list[Step], torch.Tensor]  # of every epoch, parameters at the end


def small(rows: int = 200, dtype: torch.dtype = torch.float32, name: str = "classification") -> Data:
    """A data set cut short, for speed."""
    data = load_data(name, 0)

    def part(whole: Part, count: int) -> Part:
        return Part(whole.x[:count].to(dtype), whole.y[:count])

    return Data(part(data.train, rows), part(data.validation, 150), part(data.test, 150), data.n_inputs, data.n_outputs)


def random_params(*key: int | str, shape: tuple[int, int] | None = None) -> dict[str, Any]:
    """A random configuration; `shape`: greatest width and batch size, of which trials can share a chunk."""
    chance = seeding.generator("random_params", *key)
    widest, batch_size = shape or (int(chance.integers(1, 150)), int(chance.integers(1, 90)))
    depth = int(chance.integers(1, 5))
    widths = [int(chance.integers(1, widest + 1)) for _ in range(depth)]
    widths[int(chance.integers(depth))] = widest
    found: dict[str, Any] = {
        "depth": depth,
        "optimizer": str(chance.choice(list(OPTIMIZERS))),
        "learning_rate": float(10 ** chance.uniform(-3, -1)),
        "momentum": float(chance.uniform(0, 0.99)),
        "beta1": float(chance.uniform(0, 0.95)),
        "beta2": float(chance.uniform(0.5, 0.999)),
        "alpha": float(chance.uniform(0.5, 0.999)),
        "eps": float(10 ** chance.uniform(-9, -4)),
        "weight_decay": float(chance.choice([0.0, 1e-3, 1e-2])),
        "dropout": float(chance.choice([0.0, chance.uniform(0, 0.7)])),
        "batch_size": batch_size,
    }
    for layer, width in enumerate(widths, start=1):
        found[f"width_{layer}"] = width
        found[f"activation_{layer}"] = str(chance.choice(list(ACTIVATIONS)))
    return found


def member(params: Params, seed: int) -> Member:
    """The trial (params, seed) before its first epoch."""
    return Member(complete(params), draws.trial_keys([seed]))


def train(trials: Sequence[tuple[Params, int]], data: Data, epochs: int) -> list[Result]:
    """Train trials (params, seed) of one shape in one chunk; results in their order."""
    members = [member(params, seed) for params, seed in trials]
    chunk = Chunk(members, Inputs.of(data, CPU))
    curves: dict[Member, list[Step]] = {each: [] for each in members}
    for _ in range(epochs):
        assert chunk.train_epoch(lambda: False) is not None
        for each in members:
            assert each.last is not None
            curves[each].append(each.last)
    return [(curves[each], row_of(each)) for each in members]


def row_of(each: Member) -> torch.Tensor:
    """A copy of a member's parameters."""
    return each.tensors[0].clone()


def equal(one: Result, other: Result) -> bool:
    """To the last bit; NaN equals NaN."""
    metrics = (
        torch.tensor([list(step.metrics.values()) for step in steps], dtype=torch.float64) for steps, _ in (one, other)
    )
    pairs = [tuple(metrics), (one[1], other[1])]
    return all(
        torch.equal(a.nan_to_num(7e7), b.nan_to_num(7e7)) and torch.equal(a.isnan(), b.isnan()) for a, b in pairs
    )


def shapes(count: int) -> list[tuple[int, int]]:
    """Some shapes (greatest width, batch size), ragged ones first."""
    wanted = itertools.chain([(1, 1), (5, 7), (33, 10), (64, 32), (100, 33), (192, 64)], itertools.repeat((20, 500)))
    return list(itertools.islice(wanted, count))


def job(number, target=3, start=0, epochs=9, study=1, params=None, evaluation=None):
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
