"""What a trial costs when many train together, beside the tutorial's plain loop, which trains one after another.

    python scripts/bench_population.py [--quick] [--only ROW] [--huge] [--gpu]

The loop is `train_loop` of tutorial_loop.py: `nn.Sequential`, `torch.optim` with its defaults, `nn.CrossEntropyLoss`,
a Python loop over shuffled batches. Like the engine it evaluates the validation rows once an epoch and reads both
losses. It runs on the number of threads that suits it best: tried for each kind of trial before the rounds and, beside
one, in them.
The engine is the objective's executor, timed from before it is made to its last outcome, on all cores and on one.
All take turns in every round; shown are medians over the rounds, for ratios also the lowest and the highest round.
In a round the engine trains all configurations, the loop a few of them and others in the next.

* K trials of one configuration; a mixed draw: widths, depths, batch sizes, optimizers, activations all differ; a draw
  from the space of the study `everything`, beside the one-trial path, which is the only loop that knows all of it.
* The share of the machine's matrix-multiply limit: the operations that the trial's own sizes need, padding not
  counted, beside what a product of 512 x 512 float32 reaches on one thread, times threads.
* The solo path, `hpo.training.solo`, beside the loop in CPU time, both on one thread. It has torch's fused optimizers.
* From how many trials on the engine pays; peak memory by K, each in a process of its own, helpers' not counted.
* Studies of 10^2 to 10^4 tiny trials (10^5: `--huge`), the same way, in rounds of at most 1024.

`--gpu` measures the engine alone. Targets are for the full run on an idle machine; `--quick` shows that all works.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import torch
from tutorial_loop import Params, flops, train_loop

from hpo import Choice, Float, Int, Space, seeding
from hpo.executors.base import Executor
from hpo.study_file import shipped
from hpo.training.data import Data, load_data, load_dataset
from hpo.training.hyperparameters import complete
from hpo.training.objective import SimpleNNObjective
from hpo.training.population.parallel import ParallelExecutor
from hpo.training.solo import train_and_evaluate
from hpo.trial import Job, Outcome, Reason, State

Train = Callable[[Params, Data, int, int], float]
Cost = tuple[float, float]  # milliseconds a trial, mean accuracy

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
DATA = "classification"
SOLO_LIMIT = 1.3  # times the loop's CPU time
ALONE_LIMIT = 1.5  # times the loop's time, for one trial in the engine
FLAT = 1.2  # times the first count's time of a trial
AT_ONCE = 1024  # trials of the growing study
MIXED = Space(
    {
        "width": Int(16, 256, log=True),
        "depth": Int(1, 3),
        "batch_size": Choice((32, 64, 128)),
        "optimizer": Choice(("sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop")),
        "activation": Choice(("relu", "tanh", "sigmoid", "leaky_relu")),
        "dropout": Float(0.0, 0.5),
        "learning_rate": Float(1e-3, 3e-2, log=True),
        "weight_decay": Float(1e-5, 1e-2, log=True),
    }
)


@dataclass(frozen=True)
class Size:
    trials: int = 256
    epochs: int = 10
    rounds: int = 5
    sample: int = 24  # mixed trials that the loop trains in a round
    crossover: tuple[int, ...] = (1, 4, 16, 64, 256, 1024)
    growth: tuple[int, ...] = (100, 1_000, 10_000)
    gpu: tuple[int, ...] = (256, 1024, 4096)


QUICK = Size(64, 2, 1, 6, (1, 64), (100, 1_000), (64, 256))


def train_solo(params: Params, data: Data, seed: int, epochs: int) -> float:
    """The one-trial path, which knows every technique; returns the accuracy."""
    steps = train_and_evaluate(params, load_dataset(DATA, 0).prepared(complete(params).preparation), seed, epochs)[1]
    return steps[-1].value


def mean(values: Sequence[float]) -> float:
    """Of those that are finite: some trials of the space of everything diverge, on both sides."""
    return statistics.fmean(value for value in values if math.isfinite(value))


def run_loop(configs: Sequence[Params], threads: int, epochs: int, train: Train = train_loop) -> Cost:
    """A loop over trials on so many threads."""
    data = load_data(DATA, 0)
    torch.set_num_threads(threads)
    begin = time.perf_counter()
    accuracies = [train(params, data, seed, epochs) for seed, params in enumerate(configs, start=1)]
    return 1000 * (time.perf_counter() - begin) / len(configs), mean(accuracies)


def best_threads(configs: Sequence[Params], rounds: int, epochs: int, train: Train = train_loop) -> int:
    """The number of threads on which the loop trains `configs` fastest."""
    counts = sorted({*(1 << i for i in range(CORES.bit_length())), CORES})
    train(configs[0], load_data(DATA, 0), 0, 1)  # torch imports much at the first step
    tried = [[run_loop(configs, count, epochs, train) for count in counts] for _ in range(rounds)]
    fastest = [min(costs) for costs in zip(*tried, strict=True)]
    return counts[fastest.index(min(fastest))]


def together(executor: Executor, configs: Sequence[Params], epochs: int, first: int = 0) -> list[float]:
    """Train all `configs` at once; accuracies in the order they come."""
    numbered = enumerate(configs, first)
    executor.submit([Job(1, number, number, params, number + 1, 0, epochs, epochs) for number, params in numbered])
    values: list[float] = []
    while len(values) < len(configs):
        for _, event in executor.wait(0.1):
            if isinstance(event, Outcome):
                if event.state is not State.DONE and event.reason != Reason.NON_FINITE:
                    sys.exit(f"trial {event.number} with {event.params} failed, so times mean nothing: {event.error}")
                values.append(math.nan if event.value is None else event.value)
    return values


def make_engine(threads: int | None = None, device: str = "cpu") -> Executor:
    objective = SimpleNNObjective(device=device)
    return objective.executor() if threads is None else ParallelExecutor(objective, threads=threads)


def run_engine(configs: Sequence[Params], threads: int | None, epochs: int, device: str = "cpu") -> Cost:
    """The engine on so many threads, or on all the device has."""
    begin = time.perf_counter()
    with closing(make_engine(threads, device)) as executor:
        values = together(executor, configs, epochs)
        return 1000 * (time.perf_counter() - begin) / len(configs), mean(values)


def median_ms(costs: Sequence[Cost]) -> float:
    return statistics.median(ms for ms, _ in costs)


def times_as_fast(loop: Sequence[Cost], engine: Sequence[Cost]) -> tuple[float, str]:
    """The median of the rounds' ratios, and in words: with the lowest and the highest."""
    found = [slow / fast for (slow, _), (fast, _) in zip(loop, engine, strict=True)]
    median = statistics.median(found)
    return median, f"{median:.2f} x ({min(found):.2f}-{max(found):.2f})"


def met(condition: bool) -> str:
    return "met" if condition else "missed"


@dataclass(frozen=True)
class Row:
    """A kind of trials, and how many times as fast as the loop the engine should train them."""

    name: str
    configs: Sequence[Params]
    sample: int  # trials that the loop trains in a round
    at_least: float
    aim: float
    train: Train = train_loop


def uniform(width: int, optimizer: str, count: int) -> list[Params]:
    rate = {"sgd": 0.1, "adam": 0.01}[optimizer]
    return [{"width": width, "depth": 1, "batch_size": 32, "optimizer": optimizer, "learning_rate": rate}] * count


def rows(trials: int, sample: int) -> list[Row]:
    targets = {(64, "sgd"): (12, 25), (64, "adam"): (18, 35), (256, "sgd"): (4, 8), (256, "adam"): (5, 10)}
    found = [Row(f"width {w}, {name}", uniform(w, name, trials), 4, *wanted) for (w, name), wanted in targets.items()]
    chance = seeding.generator(0, "bench_population")
    mixed = sorted((MIXED.sample(chance) for _ in range(trials)), key=itemgetter("batch_size", "depth", "optimizer"))
    everything = Space(shipped()["everything"]["space"])
    drawn = sorted((everything.sample(chance) for _ in range(trials)), key=itemgetter("batch_size", "depth", "width"))
    # sorted by what the loop's time depends on: its samples agree
    return [*found, Row("mixed", mixed, sample, 6, 15), Row("everything", drawn, sample, 4, 8, train_solo)]


def spread(configs: Sequence[Params], count: int, start: int = 0) -> Sequence[Params]:
    """About `count` of `configs`, evenly over the list; another `start` gives others."""
    step = max(1, len(configs) // count)
    return configs[start % step :: step]


def bench_row(row: Row, size: Size, limit: float) -> int:
    """Measure and print one row; returns the loop's best number of threads."""
    likely = best_threads(spread(row.configs, min(row.sample, 6)), min(3, size.rounds), size.epochs, row.train)
    run_engine(row.configs[:8], CORES, 1)  # warms up
    loop: dict[int, list[Cost]] = {likely: [], 1: []}
    engine: dict[int, list[Cost]] = {CORES: [], 1: []}
    for index in range(size.rounds):
        for threads, costs in loop.items():
            costs.append(run_loop(spread(row.configs, row.sample, index), threads, size.epochs, row.train))
        for threads, costs in engine.items():
            costs.append(run_engine(row.configs, threads, size.epochs))
    best = min(loop, key=lambda threads: median_ms(loop[threads]))
    ratio, words = times_as_fast(loop[best], engine[CORES])
    targets = f"at least {row.at_least}: {met(ratio >= row.at_least)}, aim {row.aim}: {met(ratio >= row.aim)}"
    print(f"\n{row.name}: {words}, {targets}")
    for side, threads, costs in (("loop", best, loop[best]), ("engine", CORES, engine[CORES])):
        accuracy = statistics.fmean(accuracy for _, accuracy in costs)
        print(f"  {side:<7}{median_ms(costs):7.2f} ms a trial (threads: {threads}), accuracy {accuracy:.3f}")
    words = times_as_fast(loop[1], engine[1])[1]
    print(f"  on one thread each: {median_ms(loop[1]):.2f} and {median_ms(engine[1]):.2f} ms, {words}")
    if row.train is not train_loop:
        return best  # its layers are not the tutorial's
    work = statistics.fmean(flops(params, load_data(DATA, 0), size.epochs) for params in row.configs)
    shares = [f"{1000 * work / median_ms(engine[n]) / limit / n:.1%} (threads: {n})" for n in engine]
    print(f"  of the matrix-multiply limit: {', '.join(shares)}; {work / 1e6:.0f} Mflop a trial")
    return best


def matrix_limit() -> float:
    """Operations a second of a 512 x 512 product on one thread: the fastest of many."""
    torch.set_num_threads(1)
    a, b = (torch.linspace(-1, 1, 512 * 512).view(512, 512) for _ in range(2))
    out, times = torch.empty(512, 512), []
    for _ in range(100):
        begin = time.perf_counter()
        torch.mm(a, b, out=out)
        times.append(time.perf_counter() - begin)
    return float(2 * 512**3 / min(times))


def cpu_ms(train: Callable[..., object], params: Params, seed: int, epochs: int) -> float:
    begin = time.process_time()
    train(params, load_data(DATA, 0), seed, epochs)
    return 1000 * (time.process_time() - begin)


def bench_solo(size: Size) -> None:
    print("\nsolo path beside the loop, width 64, CPU time of a trial on one thread")
    torch.set_num_threads(1)
    for optimizer in ("sgd", "adam"):
        (params,) = uniform(64, optimizer, 1)
        train_and_evaluate(params, load_data(DATA, 0), 0, 1)  # warms up
        sides = (train_loop, train_and_evaluate)
        pairs = [[cpu_ms(side, params, seed, size.epochs) for side in sides] for seed in range(2 * size.rounds)]
        ratio = statistics.median(solo / loop for loop, solo in pairs)
        loop, solo = (statistics.median(column) for column in zip(*pairs, strict=True))
        verdict = f"at most {SOLO_LIMIT}: {met(ratio <= SOLO_LIMIT)}"
        print(f"  {optimizer:<5} loop {loop:6.1f} ms, solo {solo:6.1f} ms: {ratio:.2f} x, {verdict}")


def bench_crossover(optimizer: str, threads: int, size: Size) -> None:
    loop: list[Cost] = []
    engine: dict[int, list[Cost]] = {count: [] for count in size.crossover}
    for _ in range(min(3, size.rounds)):
        loop.append(run_loop(uniform(64, optimizer, 3), threads, size.epochs))
        for count, costs in engine.items():
            costs.append(run_engine(uniform(64, optimizer, count), CORES, size.epochs))
    print(f"\nby number of trials, width 64, {optimizer}: the loop takes {median_ms(loop):.1f} ms a trial")
    for count, costs in engine.items():
        ratio, words = times_as_fast(loop, costs)
        end = f", {1 / ratio:.2f} x the time, at most {ALONE_LIMIT}: {met(1 / ratio <= ALONE_LIMIT)}" * (count == 1)
        print(f"  K = {count:>4} {median_ms(costs):7.2f} ms a trial, {words}{end}")


def peak_mib() -> float:
    """The most memory that this process has had, in MiB."""
    if sys.platform == "win32":
        return math.nan
    status = Path("/proc/self/status")
    words = status.read_text().split() if status.exists() else []
    if "VmHWM:" in words:  # Linux, where ru_maxrss begins with what the parent had
        return int(words[words.index("VmHWM:") + 1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measure_alone(params: Params, epochs: int, count: int) -> list[float]:
    """A study of `count` trials: milliseconds a trial, peak MiB before the first, how much more at the end."""
    with closing(make_engine()) as executor:
        before = peak_mib()
        together(executor, [params], 1)  # warms up
        trials, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < 0.5:  # few trials are over too soon to be timed
            for first in range(0, count, AT_ONCE):
                together(executor, [params] * min(AT_ONCE, count - first), epochs, first)
            trials += count
        return [1000 * (time.perf_counter() - begin) / trials, before, peak_mib() - before]


def alone(params: Params, epochs: int, count: int) -> list[float]:
    """`measure_alone` in a process of its own."""
    command = [sys.executable, __file__, "--alone", json.dumps([params, epochs, count])]
    return list(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def bench_memory(size: Size) -> None:
    print("\npeak memory beyond what imports and data take, width 64, adam")
    for count in size.crossover:
        _, before, growth = alone(uniform(64, "adam", 1)[0], size.epochs, count)
        print(f"  K = {count:>4} {growth:6.0f} MiB on top of {before:.0f} MiB")


def bench_growth(counts: Sequence[int], rounds: int) -> None:
    print(f"\na growing study: width 32, 2 epochs, batches of 256, {AT_ONCE} trials at once")
    params = {**uniform(32, "sgd", 1)[0], "batch_size": 256}
    found = [[alone(params, 2, count) for count in counts] for _ in range(rounds)]
    times = [statistics.median(ms for ms, _, _ in column) for column in zip(*found, strict=True)]
    for count, ms, (_, _, growth) in zip(counts, times, found[0], strict=True):
        print(f"  {count:>7,} trials {ms:7.3f} ms a trial, {growth:5.0f} MiB more")
    ratio = times[-1] / times[0]
    print(f"  last / first {ratio:.2f}, flat is at most {FLAT}: {met(ratio <= FLAT)}")


def bench_gpu(size: Size) -> None:
    if not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} finds no CUDA here")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {size.epochs} epochs, the engine alone")
    for row in rows(max(size.gpu), 1):
        for count in size.gpu:
            run_engine(row.configs[:count], None, 1, "cuda")  # warms up
            costs = [run_engine(row.configs[:count], None, size.epochs, "cuda") for _ in range(min(3, size.rounds))]
            ms = f"{median_ms(costs):8.3f} ms a trial, {median_ms(costs) * count / 1000:7.2f} s"
            print(f"  {row.name:<16} K = {count:>4} {ms}, accuracy {costs[0][1]:.3f}")


def bench_cpu(size: Size, *, only: str | None, huge: bool) -> None:
    begin = time.perf_counter()
    limit = matrix_limit()
    print(f"{CORES} cores, torch {torch.__version__}; a product of 512 x 512 on one thread: {limit / 1e9:.0f} GFLOP/s")
    print(f"{size.trials} trials of {size.epochs} epochs, {size.rounds} interleaved rounds")
    wanted = [row for row in rows(size.trials, size.sample) if only in (None, row.name)]
    best = {row.name: bench_row(row, size, limit) for row in wanted}
    if only is not None:
        return
    bench_solo(size)
    for optimizer in ("sgd", "adam"):
        bench_crossover(optimizer, best[f"width 64, {optimizer}"], size)
    bench_memory(size)
    bench_growth((*size.growth, *((100_000,) if huge else ())), min(3, size.rounds))
    print(f"\nall in {time.perf_counter() - begin:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials, epochs and rounds")
    parser.add_argument("--only", help="one kind of trials, for instance everything")
    parser.add_argument("--huge", action="store_true", help="also 100,000 trials in one study")
    parser.add_argument("--gpu", action="store_true", help="the engine alone, on CUDA")
    parser.add_argument("--alone", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else Size()
    if arguments.alone is not None:
        print(json.dumps(measure_alone(*arguments.alone)))
    elif arguments.gpu:
        bench_gpu(size)
    else:
        bench_cpu(size, only=arguments.only, huge=arguments.huge)


if __name__ == "__main__":
    main()
