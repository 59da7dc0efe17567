"""What a trial costs to store, beside Optuna's SQLite storage, and how fast a large study is read.

    python scripts/bench_store.py [--quick] [--folder DIR]

Counted is the time until everything about a trial is durable on the disk: both sides return from a call only after
SQLite has synced the commit (rollback journal, synchronous=FULL). A trial has 5 float parameters and one value.
Here it is `Store.start` and `Store.record`, each one transaction for all trials of a batch; in Optuna the calls
that `study.ask`, `suggest_float` and `study.tell` make of the storage, without sampler: `create_new_trial`, 5 times
`set_trial_param`, `set_trial_state_values`. The three take turns in every round, so that a busy disk or
machine slows all of them; shown are medians over the rounds.
"""

# ruff: noqa: E402  (threads are pinned before NumPy is imported)

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
from numpy.random import Generator
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from hpo import seeding
from hpo.store import Store
from hpo.trial import Outcome, Proposal, State

NAMES = ("learning_rate", "momentum", "dropout", "weight_decay", "noise")
MOST_OF_OPTUNA = 0.1  # target: a trial, at 64 a commit, costs at most so much of Optuna's
MOST_SECONDS = 0.2  # target: each reading of a study of 100,000 trials


def configuration(chance: Generator) -> dict[str, float]:
    return {name: chance.random() for name in NAMES}


def make_study(path: Path) -> tuple[Store, int]:
    store = Store(path, "create")
    spec = {"seed": 1, "direction": "maximize"}
    return store, store.create_study("bench", spec, trials=None, source=None, if_taken="return").id


def write(store: Store, study: int, batch: int, chance: Generator) -> None:
    """One round of `batch` trials, from proposals to outcomes."""
    proposals = [Proposal(configuration(chance), 1) for _ in range(batch)]
    jobs = store.start(study, batch, proposals, 1, 1)
    outcomes = [
        Outcome(job.number, job.params, State.DONE, chance.random(), seconds=0.1, evaluation=job.evaluation)
        for job in jobs
    ]
    store.record(study, outcomes, 1, [job.evaluation for job in jobs])


def optuna_writer(path: Path, chance: Generator) -> Callable[[], None]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = RDBStorage(f"sqlite:///{path}")
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "bench")
    uniform = FloatDistribution(0.0, 1.0)

    def write_one() -> None:
        trial = storage.create_new_trial(study)
        for name, value in configuration(chance).items():
            storage.set_trial_param(trial, name, value, uniform)
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [chance.random()])

    return write_one


def timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def met(condition: bool) -> str:
    return "met" if condition else "NOT MET"


def bench_writing(folder: Path, rounds: int) -> None:
    chance = seeding.generator(0, "writing")
    store, study = make_study(folder / "hpo.db")
    write_one = optuna_writer(folder / "optuna.db", chance)
    count = 8  # trials a round, of those written one by one
    contestants: dict[str, tuple[int, Callable[[], object]]] = {
        "hpo, 1 trial a commit": (count, lambda: [write(store, study, 1, chance) for _ in range(count)]),
        "hpo, 64 trials a commit": (64, lambda: write(store, study, 64, chance)),
        "optuna RDBStorage, SQLite": (count, lambda: [write_one() for _ in range(count)]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for index in range(rounds + 1):
        for name, (trials, action) in contestants.items():
            cost = timed(action) / trials
            if index > 0:  # the first round only warms up
                seconds[name].append(cost)
    optuna_costs = seconds["optuna RDBStorage, SQLite"]
    print(f"storing a trial until it is durable: median of {rounds} interleaved rounds")
    for name, costs in seconds.items():
        ratio = statistics.median(cost / other for cost, other in zip(costs, optuna_costs, strict=True))
        line = f"  {name:<27}{1000 * statistics.median(costs):8.3f} ms   {ratio:6.3f} x optuna"
        if "64" in name:
            line += f"   target <= {MOST_OF_OPTUNA}: {met(ratio <= MOST_OF_OPTUNA)}"
        print(line)


def bench_reading(folder: Path, trials: int, rounds: int) -> None:
    path = folder / "large.db"
    chance = seeding.generator(0, "reading")
    store, study = make_study(path)
    filling = timed(lambda: [write(store, study, 1000, chance) for _ in range(trials // 1000)])
    store.close()
    print(f"\nreading a study of {trials:,} trials: median of {rounds}, each with a new connection")
    print(f"  (filled at 1,000 trials a commit in {filling:.1f} s, {path.stat().st_size / 2**20:.0f} MiB)")
    seconds: dict[str, list[float]] = {"open (file and study)": [], "best trial": [], "list (counts by state)": []}
    for _ in range(rounds):
        begin = time.perf_counter()
        reader = Store(path)
        reader.study()
        seconds["open (file and study)"].append(time.perf_counter() - begin)
        seconds["best trial"].append(timed(partial(reader.best, study, "maximize")))
        seconds["list (counts by state)"].append(timed(partial(reader.counts, study)))
        reader.close()
    for name, values in seconds.items():
        median = statistics.median(values)
        print(
            f"  {name:<27}{1000 * median:8.2f} ms   target < {1000 * MOST_SECONDS:.0f} ms: {met(median < MOST_SECONDS)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and 10,000 trials instead of 100,000")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bench_writing(Path(folder), rounds=5 if arguments.quick else 25)
        bench_reading(Path(folder), trials=10_000 if arguments.quick else 100_000, rounds=5)


if __name__ == "__main__":
    main()
