"""What hostile trials do to worker processes, and what workers cost; `storm.py workers` kills them.

    python scripts/bench_workers.py [--quick]

The mixture: a search whose trials hang (also holding the interpreter's lock), leak, crash or exit, beside good ones.

The cost: how long a worker takes to start, and what 10,000 trials that do nothing take, in time that passes and of the
driver's processor.
"""

import argparse
import collections
import ctypes
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

from hpo import Choice, Float, FunctionObjective, search
from hpo.execution import Execution
from hpo.executors.workers.executor import WorkersExecutor
from hpo.trial import Job, Outcome, State

WORKERS = 4
TIMEOUT_SECONDS = 4.0
MEMORY = 256 << 20  # bytes


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


def mixture(folder: Path, trials: int) -> bool:
    kinds = [*(f"good {i}" for i in range(5)), "hangs", "locks", "leaks", "crashes", "exits"]
    space = {"kind": Choice(kinds), "x": Float(0, 1)}
    study = search(
        FunctionObjective(mixed, direction="minimize"), space, "random", trials, workers=WORKERS,
        trial_timeout=TIMEOUT_SECONDS, trial_memory=MEMORY, store=folder / "bench.db", progress=False,
    )  # fmt: skip
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
    parser.add_argument("--quick", action="store_true", help="fewer trials")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that the environment may have changed
    with tempfile.TemporaryDirectory() as folder:
        held = [
            mixture(Path(folder), 16 if options.quick else 80),
            cost(1000 if options.quick else 10_000),
        ]
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
