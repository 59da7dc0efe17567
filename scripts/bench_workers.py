"""What worker processes survive, and what they cost.

    python scripts/bench_workers.py [--quick] [--kills N]

The storm: searches in four workers, of which one is killed with SIGKILL at random moments, also while it starts. Each
search, of a function that reports and of generators under halving in turn, is run once more in one process and
undisturbed: lost are trials that are then other or missing, doubled are evaluations with more than one outcome.

The mixture: a search whose trials hang (also holding the interpreter's lock), leak, crash or exit, beside good ones.

The cost: how long a worker takes to start, and what 10,000 trials that do nothing take, in time that passes and of the
driver's processor.
"""

import argparse
import collections
import ctypes
import functools
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

from hpo import Choice, Float, FunctionObjective, search
from hpo.execution import DEFAULT, Execution
from hpo.executors.base import Event
from hpo.executors.in_process import InProcessExecutor
from hpo.executors.workers.executor import WorkersExecutor
from hpo.trial import Job, Outcome, State

WORKERS = 4
SPACE = {"x": Float(0, 1), "y": Float(0, 1)}
PAUSE = "BENCH_PAUSE_SECONDS"  # of each epoch; the undisturbed run needs none
TIMEOUT_SECONDS = 4.0
MEMORY = 256 << 20  # bytes


def reporting(p, trial):
    for step in range(3):
        trial.report(p["x"] + trial.seed % 997 / (step + 1), step)
        time.sleep(float(os.environ.get(PAUSE, "0")))


def yielding(p, seed):
    value = p["y"]
    while True:
        value = 0.9 * value + seed % 997
        time.sleep(float(os.environ.get(PAUSE, "0")))
        yield value


def mixed(p):
    match p["kind"]:
        case "hangs":
            time.sleep(1000)
        case "locks":
            ctypes.PyDLL(None).sleep(1000)
        case "leaks":
            sys.modules["leak"] = [bytearray(1 << 20) for _ in range(100_000)]
        case "crashes":
            ctypes.string_at(0)
        case "exits":
            os._exit(0)
    time.sleep(0.02)
    return p["x"]


class Counting(WorkersExecutor):
    """Counts the outcomes of every evaluation."""

    def __init__(self, objective: FunctionObjective, execution: Execution) -> None:
        super().__init__(objective, execution)
        self.outcomes: collections.Counter[tuple[int, int]] = collections.Counter()

    def wait(self, timeout: float) -> list[Event]:
        events = super().wait(timeout)
        self.outcomes.update((job.study, job.evaluation) for job, event in events if isinstance(event, Outcome))
        return events


class Bench(FunctionObjective):
    """A function in an executor that the bench can look into."""

    def executor(self, execution: Execution = DEFAULT):
        executors.append(executors.pop()(self))
        return executors[-1]


executors: list = []  # how to make the next one, and then the one that was made


class Killer(threading.Thread):
    """Kills workers of the latest executor at random moments."""

    def __init__(self, kills: int) -> None:
        super().__init__(daemon=True)
        self.kills, self.killed = kills, 0

    def run(self) -> None:
        chance = np.random.default_rng(0)
        while self.killed < self.kills:
            time.sleep(chance.exponential(1 / 3))
            workers = list(getattr(executors[-1], "_workers", ())) if executors else []
            if workers and (victim := workers[chance.integers(len(workers))])._process.returncode is None:
                os.kill(victim.pid, signal.SIGKILL)
                self.killed += 1


def run(make, function, folder: Path, name: str, seed: int, trials: int, **arguments):
    """A study, and the executor that ran it."""
    executors[:] = [make]
    found = search(
        Bench(function, direction="minimize"), arguments.pop("space", SPACE), trials=trials, seed=seed, name=name,
        progress=False, store=folder / "bench.db", **arguments,
    )  # fmt: skip
    return found, executors[-1]


def facts(study) -> dict:
    return {t.number: (t.params, t.seed, t.state, t.value, t.epochs, t.curve) for t in study.trials}


def storm(folder: Path, kills: int, trials: int) -> bool:
    killer, begin = Killer(kills), time.monotonic()
    lost = doubled = told = attempts = searches = 0
    killer.start()
    while killer.is_alive():
        os.environ[PAUSE] = "0.02"
        function, arguments = (
            (reporting, {"searcher": "tpe", "batch": 8})
            if searches % 2 == 0
            else (yielding, {"searcher": "halving", "epochs": 9, "batch": 9})
        )
        how = functools.partial(Counting, execution=Execution(workers=WORKERS, retries=1000))
        found, executor = run(how, function, folder, f"storm-{searches}", searches, trials, **arguments)
        os.environ[PAUSE] = "0"
        calm, _ = run(InProcessExecutor, function, folder, f"calm-{searches}", searches, trials, **arguments)
        there, expected = facts(found), facts(calm)
        lost += sum(there.get(number) != fact for number, fact in expected.items())
        doubled += sum(executor.outcomes.values()) - len(executor.outcomes) + len(there) - len(expected)
        told += len(executor.outcomes)
        attempts += len(there)
        searches += 1
    seconds = time.monotonic() - begin
    print(f"{searches} searches, {attempts} trials, {told} evaluations in {seconds:.0f} s")
    print(f"workers killed {killer.killed}, trials lost {lost}, doubled {doubled}")
    return lost == doubled == 0


def mixture(folder: Path, trials: int) -> bool:
    kinds = [*(f"good {i}" for i in range(5)), "hangs", "locks", "leaks", "crashes", "exits"]
    space = {"kind": Choice(kinds), "x": Float(0, 1)}
    how = functools.partial(
        WorkersExecutor,
        execution=Execution(workers=WORKERS, trial_timeout=TIMEOUT_SECONDS, trial_memory=MEMORY, retries=1),
    )
    study, _ = run(how, mixed, folder, "mixture", 0, trials, space=space, searcher="random")
    ends = collections.Counter((t.params["kind"].split(" ")[0], str(t.state), t.reason or "") for t in study.trials)
    for (kind, state, reason), count in sorted(ends.items()):
        print(f"{kind:>8}: {count:3} {state} {reason}")
    good = [t for t in study.trials if t.params["kind"].startswith("good")]
    done = sum(t.state == State.DONE for t in good)
    bad = sum(t.state == State.DONE for t in study.trials) - done
    print(f"good trials done: {done} of {len(good)}; bad ones done: {bad}; driver alive")
    return done == len(good) > 0 and bad == 0


def nothing(p):
    return 0.0


def cost(trials: int) -> bool:
    def work(executor: WorkersExecutor, jobs: list[Job]) -> None:
        executor.submit(jobs)
        left = len(jobs)
        while left:
            left -= sum(isinstance(event, Outcome) for _, event in executor.wait(1.0))

    starts = []
    for number in range(5):
        executor = WorkersExecutor(FunctionObjective(nothing, direction="minimize"), Execution(workers=1))
        begin = time.perf_counter()
        work(executor, [Job(1, number, number, {"x": 0.5}, number, 0, 1, 1)])
        starts.append(time.perf_counter() - begin)
        executor.close()
    executor = WorkersExecutor(FunctionObjective(nothing, direction="minimize"), Execution(workers=2))
    jobs = [Job(1, number, number, {"x": 0.5}, number, 0, 1, 1) for number in range(trials)]
    work(executor, jobs[:10])
    begin, spent = time.perf_counter(), time.process_time()
    work(executor, jobs)
    seconds, driver = time.perf_counter() - begin, time.process_time() - spent
    executor.close()
    print(f"a worker starts and ends its first trial in {sorted(starts)[2]:.2f} s")
    wall, own = 1e3 * seconds / trials, 1e3 * driver / trials
    print(f"{trials} trials of nothing: {wall:.2f} ms each, {own:.2f} of it the executor's")
    return driver / trials < 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 kills, fewer trials")
    parser.add_argument("--kills", type=int, help="workers to kill")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that the environment may have changed
    kills = options.kills or (10 if options.quick else 200)
    with tempfile.TemporaryDirectory() as folder:
        held = [
            storm(Path(folder), kills, 16 if options.quick else 100),
            mixture(Path(folder), 16 if options.quick else 80),
            cost(1000 if options.quick else 10_000),
        ]
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
