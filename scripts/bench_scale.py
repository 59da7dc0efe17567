"""How trials scale over workers, and what a trial costs the one driver.

    python scripts/bench_scale.py [--quick] [--folder DIR]

Trials sleep, or compute with one thread, for about a tenth of a second. They run on worker processes of this machine
and on single-threaded workers of a Dask cluster on loopback, scheduler and workers in processes of their own. Sleeping
trials show what handing out costs; computing ones cannot be faster than the cores are.

Rounds and free-running are compared on 4 worker processes of this machine and the same trials, which sleep for 0.05 to
0.5 s, 4 at a time.

The driver's own cost is that of 10,000 trials of a function, of a second each, 512 at a time, one to a task: the time
that searcher, loop and store take, with each commit synced to the disk, and the processor time that Dask takes in the
driver's process beside that. One worker process stands for 512 here, whose threads only wait. Trials of T seconds would
keep T / cost workers busy; so many were not tried.
"""

# ruff: noqa: E402  (threads are pinned before NumPy is imported)

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
UNEVEN = (0.05, 0.5)  # seconds of the shortest and the longest trial
CREW = 4  # workers for them, and trials at a time


def sleeping(params: dict[str, float]) -> float:
    time.sleep(SECONDS)
    return params["noise"]


def uneven(params: dict[str, float]) -> float:
    shortest, longest = UNEVEN
    time.sleep(shortest + (longest - shortest) * params["noise"])
    return params["noise"]


def computing(params: dict[str, float]) -> float:
    end = time.thread_time() + SECONDS
    total = 0.0
    while time.thread_time() < end:
        total += sum(i * params["noise"] for i in range(1000))
    return total


def reward(params: dict[str, float]) -> float:
    return params["noise"]


class Waiting(Executor):
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

    @property
    def busy(self) -> bool:
        return bool(self._answers)

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

    def note(self, line: str) -> None:
        pass


class Clocked(Executor):
    """Another executor, and how long the driver was with it.

    Attributes:
        wall: seconds in `wait`.
        processor: seconds that the driver's thread worked there.
    """

    def __init__(self, inner: Executor) -> None:
        self._inner, self.wall, self.processor = inner, 0.0, 0.0

    def submit(self, jobs: Sequence[Job]) -> None:
        self._inner.submit(jobs)

    def wait(self, timeout: float) -> list[Event]:
        wall, processor = time.perf_counter(), time.thread_time()
        try:
            return self._inner.wait(timeout)
        finally:
            self.wall += time.perf_counter() - wall
            self.processor += time.thread_time() - processor

    @property
    def busy(self) -> bool:
        return self._inner.busy

    def cancel(self, jobs: Iterable[Job]) -> None:
        self._inner.cancel(jobs)


@dataclass(frozen=True)
class Spent:
    """Seconds of a run.

    Attributes:
        wall: from its beginning to its end.
        own: of them outside the executor.
        processor: of the driver's process at work outside the executor.
        executor: of it at work for the executor, in all threads.
    """

    wall: float
    own: float
    processor: float
    executor: float


def drive(
    folder: Path, objective: FunctionObjective, executor: Executor, trials: int, batch: int, free_running: bool = False
) -> Spent:
    """A run of random search with a store on disk."""
    kind, searcher = make_searcher("random")
    settings = searcher.settings()
    spec = StudySpec(objective.describe(), SPACE, kind, settings, "minimize", 1, batch, None, free_running)
    with tempfile.TemporaryDirectory(dir=folder) as path, contextlib.ExitStack() as cleanup:
        store = Store(Path(path) / "hpo.db", "create")
        cleanup.callback(store.close)
        row = store.create_study("bench", spec.to_json(), trials=trials, source=None, if_taken="return")
        driver = Driver(store, row, trials=trials)
        cleanup.callback(driver.close)
        clocked = Clocked(executor)
        wall, thread, process = time.perf_counter(), time.thread_time(), time.process_time()
        run([driver], clocked, Silent(), Stop())
        wall, thread, process = time.perf_counter() - wall, time.thread_time() - thread, time.process_time() - process
        processor = thread - clocked.processor
        return Spent(wall, wall - clocked.wall, processor, process - processor)


@contextlib.contextmanager
def dask(workers: int, threads: int = 1) -> Iterator[Execution]:
    """A Dask cluster, whose scheduler and workers are processes of their own."""
    with (
        distributed.SubprocessCluster(
            n_workers=workers,
            worker_kwargs={"nthreads": threads, "dashboard": False},
            scheduler_kwargs={"dashboard": False},
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(workers)
        yield Execution(cluster=client)


def rate(execution: Execution, function: Any, workers: int, folder: Path, seconds: float) -> float:
    """Trials a second, in rounds of 8 for each worker, once all workers have begun."""
    objective = FunctionObjective(function, direction="minimize")
    batch = 8 * workers
    with contextlib.closing(make_executor(objective, execution)) as executor:
        drive(folder, objective, executor, 4 * workers, batch)  # starts what has to be started
        trials = max(batch, round(seconds / SECONDS) * workers // batch * batch)
        return trials / drive(folder, objective, executor, trials, batch).wall


def rounds_and_free_running(folder: Path, trials: int) -> tuple[float, float]:
    """Trials a second of uneven durations: in rounds, then free-running."""
    objective = FunctionObjective(uneven, direction="minimize")
    with contextlib.closing(make_executor(objective, Execution(workers=CREW))) as executor:
        drive(folder, objective, executor, 4 * CREW, 4 * CREW)  # starts all workers
        rounds, free = (drive(folder, objective, executor, trials, CREW, free).wall for free in (False, True))
    return trials / rounds, trials / free


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer workers, fewer trials, shorter runs")
    parser.add_argument("--folder", type=Path, help="of the stores; default: the system's for temporary files")
    arguments = parser.parse_args()
    workers, seconds, trials = ((1, 2), 2.0, 1000) if arguments.quick else ((1, 2, 4, 8), 8.0, 10_000)
    uneven_trials = 48 if arguments.quick else 400

    print(f"trials of {SECONDS} s a second, {os.cpu_count()} cores")
    print(f"{'workers':>8} {'asleep, here':>14} {'asleep, Dask':>14} {'computing, here':>16} {'computing, Dask':>16}")
    for count in workers:
        with dask(count) as cluster:
            found = [
                rate(execution, function, count, arguments.folder, seconds)
                for function in (sleeping, computing)
                for execution in (Execution(workers=count), cluster)
            ]
        print(f"{count:8d} {found[0]:14.1f} {found[1]:14.1f} {found[2]:16.1f} {found[3]:16.1f}", flush=True)

    rounds, free = rounds_and_free_running(arguments.folder, uneven_trials)
    print(
        f"\n{uneven_trials} trials of {UNEVEN[0]:g} to {UNEVEN[1]:g} s a second, {CREW} workers here, {CREW} at a time"
    )
    print(f"{rounds:8.2f} in rounds")
    print(f"{free:8.2f} free-running, {free / rounds:.2f} times as many", flush=True)

    objective = Long(reward, direction="minimize")
    with dask(1, AT_ONCE) as cluster, contextlib.closing(make_executor(objective, cluster)) as executor:
        drive(arguments.folder, objective, executor, AT_ONCE, 2 * AT_ONCE)
        spent = drive(arguments.folder, objective, executor, trials, 2 * AT_ONCE)
    own, processor, sending = (seconds / trials for seconds in (spent.own, spent.processor, spent.executor))
    cost = own + sending
    print(f"\nthe driver's own cost of a trial of a function, {trials} in a run, {trials / spent.wall:.0f} a second:")
    print(f"{own * 1e3:8.3f} ms searcher, loop and store, {processor * 1e3:.3f} ms of it at work, else for the disk")
    print(f"{sending * 1e3:8.3f} ms sending and receiving by Dask")
    print(f"{cost * 1e3:8.3f} ms together (target: at most {MOST_SECONDS * 1e3:g} ms)")
    for length in LENGTHS:
        print(f"{length / cost:10,.0f} workers would be kept busy by trials of {length} s")


if __name__ == "__main__":
    main()
