"""What a report on a large study takes: seconds, memory, and the size of the page.

    python scripts/bench_report.py [--quick] [--trials N] [--searcher NAME] [--keep FILE]

The study has 8 hyperparameters, numbers, choices and conditional ones, and learning curves of 9 epochs; its function is
computed, nothing is trained. What is measured is the command `hpo report -o FILE` in a process of its own, from its
start to its end: reading the store, every figure, the table of trials, and writing.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hpo
from hpo import Choice, Float, Int

MOST_SECONDS = 20  # target, with 20,000 trials
MOST_MEMORY = 2**30  # bytes
MOST_SIZE = 8_000_000  # bytes
EPOCHS = 9
SPACE = {
    "learning_rate": Float(1e-5, 1.0, log=True),
    "optimizer": Choice(("sgd", "momentum", "adam", "adamw")),
    "momentum": Float(0.0, 0.99, when={"optimizer": ["momentum"]}),
    "weight_decay": Float(1e-6, 0.1, log=True, when={"optimizer": ["adamw"]}),
    "depth": Int(1, 6),
    "width": Int(8, 1024, log=True),
    "dropout": Float(0.0, 0.8),
    "activation": Choice(("relu", "tanh", "gelu", "silu")),
}


def score(params: dict[str, Any]) -> Iterator[float]:
    """Rises with the epochs to where the configuration takes it; some configurations diverge."""
    most = math.exp(-((math.log10(params["learning_rate"]) + 2.5) ** 2) / 4) - 0.1 * abs(params["dropout"] - 0.2)
    most -= 0.02 * abs(params["depth"] - 3) + 0.01 * (params["activation"] != "relu")
    for epoch in range(1, EPOCHS + 1):
        yield math.nan if params["learning_rate"] > 0.5 else most * (1 - math.exp(-epoch / 3))


def timed_report(store: Path, page: Path) -> tuple[float, int]:
    """Seconds and greatest memory, in bytes, of the command."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "hpo", "report", "--store", str(store), "-o", str(page)]
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"hpo report ended with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - begin, usage.ru_maxrss * unit


def met(condition: bool) -> str:
    return "met" if condition else "NOT MET"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 trials")
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--searcher", default="random")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="where to leave the page")
    arguments = parser.parse_args()
    trials = 2_000 if arguments.quick else arguments.trials
    with tempfile.TemporaryDirectory() as folder:
        store, page = Path(folder) / "hpo.db", Path(folder) / "report.html"
        begin = time.perf_counter()
        study = hpo.search(
            score, SPACE, arguments.searcher, trials, EPOCHS, direction="maximize", store=store, progress=False
        )
        count, filling = sum(study.counts().values()), time.perf_counter() - begin
        study.close()
        size = store.stat().st_size / 2**20
        print(f"a study of {count:,} trials ({arguments.searcher}), made in {filling:.1f} s, {size:.0f} MiB")
        seconds, memory = timed_report(store, page)
        size = page.stat().st_size
        if arguments.keep is not None:
            arguments.keep.write_bytes(page.read_bytes())
    print(f"  hpo report  {seconds:8.1f} s     target <= {MOST_SECONDS} s: {met(seconds <= MOST_SECONDS)}")
    print(f"  memory      {memory / 2**20:8.0f} MiB   target <= {MOST_MEMORY >> 20} MiB: {met(memory <= MOST_MEMORY)}")
    print(f"  page        {size / 1e6:8.2f} MB    target <= {MOST_SIZE / 1e6:.0f} MB: {met(size <= MOST_SIZE)}")


if __name__ == "__main__":
    main()
