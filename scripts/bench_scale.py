"""How trials scale over workers, and what a trial costs the one driver.

    python scripts/bench_scale.py [--quick] [--folder DIR]

Trials sleep, or compute with one thread, for about a tenth of a second. They run on worker processes of this machine
and on single-threaded workers of a Dask cluster on loopback, scheduler and workers in processes of their own. Sleeping
trials show what handing out costs; computing ones cannot be faster than the cores are.

The driver's own cost is that of 10,000 trials of a second each, 512 at a time, one to a task: the processor time of
the driver's process for searcher, loop, store and Dask, and what it waits for the disk on top of that: each commit is
synced. One worker process stands for 512 here, whose threads only wait. Trials of T seconds keep T / cost workers busy.
"""

# ruff: noqa: E402  (threads are pinned before NumPy is imported)

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import distributed

from hpo.domains import Float
from hpo.driver import Driver
from hpo.execution import DEFAULT, Execution
from hpo.executors.base import Event, Executor
from hpo.executors.choose import make_executor
from hpo.function_objective import FunctionObjective
from hpo.loop import run
from hpo.registry import make_searcher
from hpo.signals import Stop
from hpo.space import Space
from hpo.store import Store
from hpo.study_spec import StudySpec
from hpo.trial import Job, Outcome, State

SECONDS = 0.1  # of a sleeping or computing trial
SPACE = Space({name: Float(0.0, 1.0) for name in ("learning_rate", "momentum", "dropout", "weight_decay", "noise")})
LONG = 1.0  # seconds of a trial whose cost to the driver is taken
AT_ONCE = 512  # of them
MOST_SECONDS = 0.001  # target: what a trial costs the driver
LENGTHS = (1, 10, 100)  # seconds of trials


def sleeping(params: dict[str, float]) -> float:
    time.sleep(SECONDS)
    return params["noise"]


def computing(params: dict[str, float]) -> float:
    end = time.thread_time() + SECONDS
    total = 0.0
    while time.thread_time() < end:
        total += sum(i * params["noise"] for i in range(1000))
    return total


def reward(params: dict[str, float]) -> float:
    return params["noise"]


class Ready(Executor):
    """Has every answer at once: what is left is the driver."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def submit(self, jobs: Sequence[Job]) -> None:
        self._events += [(job, done(job)) for job in jobs]

    def wait(self, timeout: float) -> list[Event]:
        events, self._events = self._events, []
        return events

    @property
    def busy(self) -> bool:
        return bool(self._events)

    def cancel(self, jobs: Iterable[Job]) -> None:
        self._events = []


class Waiting(Ready):
    """Has each answer LONG seconds after the question, however many there are."""

    def __init__(self) -> None:
        self._answers: list[tuple[float, Job]] = []

    def submit(self, jobs: Sequence[Job]) -> None:
        self._answers += [(time.monotonic() + LONG, job) for job in jobs]

    def wait(self, timeout: float) -> list[Event]:
        time.sleep(0.01)
        now = time.monotonic()
        ended = [job for end, job in self._answers if end <= now]
        self._answers = [(end, job) for end, job in self._answers if end > now]
        return [(job, done(job)) for job in ended]

    def cancel(self, jobs: Iterable[Job]) -> None:
        self._answers = []


class Long(FunctionObjective):
    """Of trials that take LONG seconds and nothing else."""

    def executor(self, execution: Execution = DEFAULT) -> Executor:
        return Waiting()


def done(job: Job) -> Outcome:
    return Outcome(job.number, job.params, State.DONE, job.params["noise"], seconds=LONG, evaluation=job.evaluation)


class Silent:
    """Is shown what happens, and says nothing."""

    def progress(self, driver: Driver, event: Any) -> None:
        pass

    def outcomes(self, driver: Driver, outcomes: Sequence[Outcome]) -> None:
        pass


def drive(
    folder: Path, objective: FunctionObjective, executor: Executor, trials: int, batch: int
) -> tuple[float, float]:
    """Wall clock and the driver's processor time, in seconds, of a run of random search with a store on disk."""
    kind, searcher = make_searcher("random")
    spec = StudySpec(objective.describe(), SPACE, kind, searcher.settings(), "minimize", 1, batch, None)
    with tempfile.TemporaryDirectory(dir=folder) as path, contextlib.ExitStack() as cleanup:
        store = Store(Path(path) / "hpo.db", "create")
        cleanup.callback(store.close)
        row = store.create_study("bench", spec.to_json(), trials=trials, source=None, if_taken="return")
        driver = Driver(store, row, trials=trials)
        cleanup.callback(driver.close)
        begin = time.perf_counter(), time.process_time()
        run([driver], executor, Silent(), Stop())
        return time.perf_counter() - begin[0], time.process_time() - begin[1]


@contextlib.contextmanager
def dask(objective: FunctionObjective, workers: int, threads: int = 1) -> Iterator[Executor]:
    """On a Dask cluster, whose scheduler and workers are processes of their own."""
    with (
        distributed.SubprocessCluster(
            n_workers=workers,
            worker_kwargs={"nthreads": threads, "dashboard": False},
            scheduler_kwargs={"dashboard": False},
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
        closing(make_executor(objective, Execution(cluster=client))) as executor,
    ):
        client.wait_for_workers(workers)
        yield executor


@contextlib.contextmanager
def local(objective: FunctionObjective, workers: int) -> Iterator[Executor]:
    """On worker processes of this machine."""
    with closing(make_executor(objective, Execution(workers=workers))) as executor:
        yield executor


@contextlib.contextmanager
def closing(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    finally:
        executor.close()


def rate(where: Callable[..., Any], function: Any, workers: int, folder: Path, seconds: float) -> float:
    """Trials a second, in rounds of 8 for each worker, once all workers have begun."""
    objective = FunctionObjective(function, direction="minimize")
    batch = 8 * workers
    with where(objective, workers) as executor:
        drive(folder, objective, executor, 4 * workers, batch)  # starts what has to be started
        trials = max(batch, round(seconds / SECONDS) * workers // batch * batch)
        wall, _ = drive(folder, objective, executor, trials, batch)
    return trials / wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer workers, fewer trials, shorter runs")
    parser.add_argument("--folder", type=Path, help="of the stores; default: the system's for temporary files")
    arguments = parser.parse_args()
    workers, seconds, trials = ((1, 2), 2.0, 1000) if arguments.quick else ((1, 2, 4, 8), 8.0, 10_000)

    print(f"trials of {SECONDS} s a second, {os.cpu_count()} cores")
    print(f"{'workers':>8} {'asleep, here':>14} {'asleep, Dask':>14} {'computing, here':>16} {'computing, Dask':>16}")
    for count in workers:
        found = [
            rate(where, f, count, arguments.folder, seconds) for f in (sleeping, computing) for where in (local, dask)
        ]
        print(f"{count:8d} {found[0]:14.1f} {found[1]:14.1f} {found[2]:16.1f} {found[3]:16.1f}", flush=True)

    objective = Long(reward, direction="minimize")
    batch = 2 * AT_ONCE
    runs = [drive(arguments.folder, objective, Ready(), trials, batch) for _ in range(3)]
    wall, own = (statistics.median(run[i] for run in runs) / trials for i in (0, 1))
    with dask(objective, 1, AT_ONCE) as executor:
        drive(arguments.folder, objective, executor, AT_ONCE, batch)
        both = drive(arguments.folder, objective, executor, trials, batch)[1] / trials
    cost = both + wall - own
    print(f"\nthe driver's own cost of a trial, {trials} in a run:")
    print(f"{own * 1e3:8.3f} ms searcher, loop and store")
    print(f"{(wall - own) * 1e3:8.3f} ms waiting for the disk")
    print(f"{(both - own) * 1e3:8.3f} ms sending and receiving by Dask")
    print(f"{cost * 1e3:8.3f} ms together (target: at most {MOST_SECONDS * 1e3:g} ms)")
    for length in LENGTHS:
        print(f"{length / cost:10,.0f} workers are kept busy by trials of {length} s")


if __name__ == "__main__":
    main()
