"""A whole search of our default study, beside Optuna driving a plain torch loop through the same space.

    python scripts/bench_end_to_end.py [--quick] [--trials N] [--optuna-trials N] [--rounds N]

Ours is `hpo.search(searcher=...)`: SimpleNN on synthetic classification data, 30 epochs, each trial and its curves
stored. Optuna has `RandomSampler`, or `TPESampler` with the settings of our `tpe`, and `RDBStorage`. It runs one trial
after another, each the tutorial's loop (`train_loop` of `bench_population.py`, which ends as early as ours when a loss
is not finite), on the number of threads that suits the loop best, and stores parameters and one value. Both store in a
fresh SQLite file on the same disk, and each search is a process of its own: interpreter and imports count. Sides and
searchers take turns, with another seed in every round; shown are medians over the rounds.

NOTE: 1,000 trials of Optuna's would take many minutes: it runs the first of them only, and the wall clock of all is
that of this prefix, and for every further trial the mean of the prefix without its first trial (in which torch imports
much). TPE's cost of a trial grows with the trials told, so for `tpe` the sum is less than Optuna would need.

More trials have a better best: it is shown after as many trials as Optuna ran, and for ours also after all. The
two sides draw other configurations and other weights, and ours proposes in batches, so bests agree only roughly.
The target is for the full run on an idle machine; `--quick` only shows that everything works.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AT_LEAST = 10  # times as fast as Optuna, with random
SEARCHERS = ("random", "tpe")


@dataclass(frozen=True)
class Search:
    """One search by one side.

    Attributes:
        seconds: wall clock of the process.
        further: seconds of each trial after the first; NaN for ours, whose trials train together.
        values: of the trials in order, NaN for failures.
        batch: proposals a round.
    """

    seconds: float
    further: float
    values: list[float]
    batch: int

    def wall(self, trials: int) -> float:
        """Seconds that `trials` take, if not all were run as the mean of the others."""
        missing = trials - len(self.values)
        return self.seconds + missing * self.further if missing > 0 else self.seconds

    def best(self, trials: int) -> float:
        return max((value for value in self.values[:trials] if math.isfinite(value)), default=math.nan)


def search_ours(searcher: str, trials: int, seed: int, folder: Path) -> dict[str, Any]:
    import hpo

    study = hpo.search(searcher=searcher, trials=trials, seed=seed, store=folder / "hpo.db", progress=False)
    values = [trial.value if trial.state == "done" and trial.value is not None else math.nan for trial in study.trials]
    return {"values": values, "batch": study.spec.batch, "further": math.nan}


def search_optuna(searcher: str, trials: int, seed: int, folder: Path, threads: int) -> dict[str, Any]:
    import optuna
    import torch
    from bench_population import DATA
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import BaseSampler, RandomSampler, TPESampler
    from optuna.trial import TrialState
    from tutorial_loop import train_loop

    from hpo.domains import Choice, Domain, Float, Int
    from hpo.training.data import load_data
    from hpo.training.objective import SimpleNNObjective
    from hpo.training.spaces import default_space

    torch.set_num_threads(threads)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", ExperimentalWarning)  # `group` and `constant_liar` are experimental
    space, data = default_space(), load_data(DATA, 0)
    ends: list[float] = []

    def objective(trial: optuna.Trial) -> float:
        def suggest(name: str, domain: Domain) -> Any:
            if isinstance(domain, Float):
                return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
            if isinstance(domain, Int):
                return trial.suggest_int(name, domain.low, domain.high, log=domain.log)
            assert isinstance(domain, Choice)
            if domain.ordered:
                return domain.options[trial.suggest_int(name, 0, domain.size - 1)]
            return trial.suggest_categorical(name, domain.options)

        return train_loop(space.build(suggest), data, trial.number, SimpleNNObjective.default_epochs)

    sampler: BaseSampler = RandomSampler(seed=seed)
    if searcher == "tpe":
        joint = space.conditional
        sampler = TPESampler(seed=seed, n_startup_trials=10, multivariate=joint, group=joint, constant_liar=True)
    study = optuna.create_study(storage=f"sqlite:///{folder / 'optuna.db'}", sampler=sampler, direction="maximize")
    study.optimize(objective, trials, callbacks=[lambda *_: ends.append(time.perf_counter())])
    values = [trial.value if trial.state == TrialState.COMPLETE else math.nan for trial in study.trials]
    return {"values": values, "batch": 1, "further": (ends[-1] - ends[0]) / max(1, trials - 1)}


def best_threads(rounds: int) -> int:
    """The number of threads on which the loop trains configurations of the space fastest."""
    import bench_population

    from hpo import seeding
    from hpo.training.spaces import default_space

    chance = seeding.generator(0, "bench_end_to_end")
    return bench_population.best_threads([default_space().sample(chance) for _ in range(8)], rounds, epochs=3)


def search(side: str, searcher: str, trials: int, seed: int, threads: int) -> Search:
    """One search in a process of its own, with a fresh store."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--side", side, json.dumps([searcher, trials, seed, folder, threads])]
        begin = time.perf_counter()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return Search(time.perf_counter() - begin, **json.loads(done.stdout))


def run_side(side: str, searcher: str, trials: int, seed: int, folder: str, threads: int) -> dict[str, Any]:
    if side == "hpo":
        return search_ours(searcher, trials, seed, Path(folder))
    return search_optuna(searcher, trials, seed, Path(folder), threads)


def show(searcher: str, ours: list[Search], theirs: list[Search], trials: int) -> None:
    ran = len(theirs[0].values)
    print(f"\n{searcher}: {trials:,} trials")
    for name, searches in (("hpo", ours), ("optuna", theirs)):
        wall = statistics.median(each.wall(trials) for each in searches)
        first = statistics.median(each.best(ran) for each in searches)
        line = f"  {name:<7}{wall:8.1f} s {trials / wall:7.2f} trials a second   best of {ran}: {first:.4f}"
        if name == "hpo":
            line += f", of {trials:,}: {statistics.median(each.best(trials) for each in searches):.4f}"
            line += f"   batch {searches[0].batch}"
        elif ran < trials:
            seconds = statistics.median(each.seconds for each in searches)
            line += f"   from {ran} trials in {seconds:.1f} s"
        print(line)
    found = [other.wall(trials) / own.wall(trials) for own, other in zip(ours, theirs, strict=True)]
    ratio = statistics.median(found)
    words = f"  {ratio:.1f} x as fast ({min(found):.1f}-{max(found):.1f})"
    if searcher == "random":
        print(f"{words}, at least {AT_LEAST}: {'met' if ratio >= AT_LEAST else 'missed'}")
    else:
        print(f"{words}; TPE's cost of a trial grows, which the first {ran} trials do not show: this flatters Optuna")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round, 20 trials of ours and 3 of Optuna's")
    parser.add_argument("--trials", type=int, help="of ours; default: 1000")
    parser.add_argument("--optuna-trials", type=int, help="how many of them Optuna runs; default: 100")
    parser.add_argument("--rounds", type=int, help="default: 3, 1 with --quick")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side is not None:
        side, settings = arguments.side
        print(json.dumps(best_threads(int(settings)) if side == "threads" else run_side(side, *json.loads(settings))))
        return
    begin = time.perf_counter()
    trials = max(2, arguments.trials or (20 if arguments.quick else 1000))
    theirs = min(trials, max(2, arguments.optuna_trials or (3 if arguments.quick else 100)))
    rounds = max(1, arguments.rounds or (1 if arguments.quick else 3))
    command = [sys.executable, __file__, "--side", "threads", str(rounds)]
    threads = int(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    print(f"default study, rounds: {rounds}; threads that suit Optuna's loop best: {threads}")
    found: dict[tuple[str, str], list[Search]] = {(s, side): [] for s in SEARCHERS for side in ("hpo", "optuna")}
    for seed in range(rounds):
        for (searcher, side), searches in found.items():
            searches.append(search(side, searcher, trials if side == "hpo" else theirs, seed, threads))
    for searcher in SEARCHERS:
        show(searcher, found[searcher, "hpo"], found[searcher, "optuna"], trials)
    print(f"\nall in {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
