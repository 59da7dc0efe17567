"""What a trial of a module of one's own costs when many train together, beside each by itself.

    python scripts/bench_modules.py [--quick] [--threads N]

Three sides train the same modules with Adam and cross-entropy, and evaluate the validation rows once an epoch:

* fused: `TorchObjective`'s executor, from before it is made to its last outcome, on all cores: building included.
* solo: `TorchObjective.start(job)`, hpo's own loop in plain torch with the same draws, one trial after another.
* loop: what one would write by hand: `torch.optim`, `nn.CrossEntropyLoss`, a Python loop over shuffled batches.

All take turns in every round; shown are medians over the rounds, for ratios also the lowest and the highest round. In
a round fused trains all K trials, the others a few of them, on one thread, since modules this small lose by sharing a
step among threads. Targets are for the full run on an idle machine; `--quick` shows that all works.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from hpo import TorchObjective, seeding
from hpo.execution import Execution
from hpo.trial import Job, Outcome, State

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
BATCH = 32
Arrays = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def build_mlp(params: Mapping[str, Any]) -> nn.Module:
    """Two hidden layers of 64 units with LayerNorm and dropout; 20 inputs, 2 classes."""
    layers: list[nn.Module] = []
    for inputs in (20, 64):
        layers += [nn.Linear(inputs, 64), nn.LayerNorm(64), nn.ReLU(), nn.Dropout(params["dropout"])]
    return nn.Sequential(*layers, nn.Linear(64, 2))


def build_cnn(params: Mapping[str, Any]) -> nn.Module:
    """Two convolutions with pooling, for 8 x 8 images; 10 classes."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(params["dropout"]), nn.Linear(64, 10)),
    )


def tables() -> Arrays:
    """Two clouds of points: 800 rows to train and 200 to validate, 20 inputs."""
    chance = seeding.generator(0, "bench_modules")
    y = chance.integers(0, 2, 1000)
    x = (chance.normal(size=(1000, 20)) + y[:, None] * 0.5).astype(np.float32)
    return (x[:800], y[:800]), (x[800:], y[800:])


def images() -> Arrays:
    """scikit-learn's digits: 1437 images to train and 360 to validate."""
    from sklearn.datasets import load_digits

    found = load_digits()
    x = (found.images[:, None] / 16).astype(np.float32)
    return (x[:1437], found.target[:1437]), (x[1437:], found.target[1437:])


@dataclass(frozen=True)
class Row:
    """A kind of module, and how many times as fast as solo it should train in company."""

    name: str
    build: Callable[[Mapping[str, Any]], nn.Module]
    data: Arrays
    at_least: float

    @property
    def objective(self) -> TorchObjective:
        return TorchObjective(self.build, self.data, device="cpu")


def configurations(count: int) -> list[dict[str, Any]]:
    chance = seeding.generator(0, "bench_modules", "configurations")
    return [
        {
            "dropout": float(chance.uniform(0, 0.5)),
            "learning_rate": float(10 ** chance.uniform(-3, -2)),
            "optimizer": "adam",
            "batch_size": BATCH,
        }
        for _ in range(count)
    ]


def jobs(configs: Sequence[dict[str, Any]], epochs: int) -> list[Job]:
    return [Job(1, k, k, params, k + 1, 0, epochs, epochs) for k, params in enumerate(configs)]


def run_fused(row: Row, configs: Sequence[dict[str, Any]], epochs: int, threads: int) -> tuple[float, float]:
    """Milliseconds a trial, mean accuracy."""
    objective, values = row.objective, []
    begin = time.perf_counter()
    with closing(objective.executor(Execution(workers=threads))) as executor:
        executor.submit(jobs(configs, epochs))
        while len(values) < len(configs):
            for _, event in executor.wait(0.1):
                if isinstance(event, Outcome):
                    if event.state is not State.DONE:
                        sys.exit(f"trial {event.number} failed, so times mean nothing: {event.error}")
                    values.append(event.value or 0.0)
        return 1000 * (time.perf_counter() - begin) / len(configs), statistics.fmean(values)


def run_solo(row: Row, configs: Sequence[dict[str, Any]], epochs: int) -> tuple[float, float]:
    objective = row.objective
    torch.set_num_threads(1)
    begin = time.perf_counter()
    values = [list(objective.start(job).advance(epochs))[-1].value for job in jobs(configs, epochs)]
    return 1000 * (time.perf_counter() - begin) / len(configs), statistics.fmean(values)


def run_loop(row: Row, configs: Sequence[dict[str, Any]], epochs: int) -> tuple[float, float]:
    torch.set_num_threads(1)
    (x, y), (x_valid, y_valid) = ((torch.from_numpy(x), torch.from_numpy(y)) for x, y in row.data)
    begin = time.perf_counter()
    values = [loop(row.build, params, seed, epochs, (x, y, x_valid, y_valid)) for seed, params in enumerate(configs)]
    return 1000 * (time.perf_counter() - begin) / len(configs), statistics.fmean(values)


def loop(
    build: Callable[[Mapping[str, Any]], nn.Module],
    params: Mapping[str, Any],
    seed: int,
    epochs: int,
    data: tuple[torch.Tensor, ...],
) -> float:
    """Train by hand; the accuracy after the last epoch."""
    x, y, x_valid, y_valid = data
    chance = torch.Generator().manual_seed(seed)
    model, loss_of = build(params), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=params["learning_rate"])
    accuracy = 0.0
    for _ in range(epochs):
        model.train()
        losses = []
        for rows in torch.randperm(len(x), generator=chance).split(BATCH):
            optimizer.zero_grad()
            loss = loss_of(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        float(torch.stack(losses).mean())
        model.eval()
        with torch.no_grad():
            z = model(x_valid)
            float(loss_of(z, y_valid))
            accuracy = float((z.argmax(1) == y_valid).float().mean())
    return accuracy


def ratio(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, str]:
    found = [a / b for a, b in zip(slow, fast, strict=True)]
    median = statistics.median(found)
    return median, f"{median:.2f} x ({min(found):.2f}-{max(found):.2f})"


def bench(row: Row, trials: int, epochs: int, rounds: int, sample: int, threads: int) -> None:
    configs = configurations(trials)
    run_fused(row, configs[:2], 1, threads)  # warms up
    run_solo(row, configs[:1], 1)
    run_loop(row, configs[:1], 1)
    sides: dict[str, list[tuple[float, float]]] = {"fused": [], "solo": [], "loop": []}
    for index in range(rounds):
        few = configs[index * sample % trials :][:sample]
        sides["solo"].append(run_solo(row, few, epochs))
        sides["fused"].append(run_fused(row, configs, epochs, threads))
        sides["loop"].append(run_loop(row, few, epochs))
    times = {side: [ms for ms, _ in costs] for side, costs in sides.items()}
    of_solo, words = ratio(times["solo"], times["fused"])
    verdict = "met" if of_solo >= row.at_least else "missed"
    print(f"\n{row.name}, K = {trials}: {words} as fast as solo, at least {row.at_least}: {verdict}")
    print(f"  beside the loop by hand: {ratio(times['loop'], times['fused'])[1]}")
    for side, count in (("fused", threads), ("solo", 1), ("loop", 1)):
        accuracy = statistics.fmean(value for _, value in sides[side])
        print(
            f"  {side:<6}{statistics.median(times[side]):8.2f} ms a trial (threads: {count}), accuracy {accuracy:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small: shows that all works")
    parser.add_argument("--threads", type=int, default=CORES, help="of the fused side")
    given = parser.parse_args()
    trials, epochs, rounds, sample = (16, 2, 1, 1) if given.quick else (256, 5, 3, 4)
    print(f"torch {torch.__version__}, {CORES} cores; medians of {rounds} rounds, {epochs} epochs, batches of {BATCH}")
    for row in (
        Row("MLP with LayerNorm and dropout", build_mlp, tables(), 5),
        Row("small CNN on digits", build_cnn, images(), 2.5),
    ):
        bench(row, trials, epochs, rounds, sample, given.threads)


if __name__ == "__main__":
    main()
