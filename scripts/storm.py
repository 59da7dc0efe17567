"""Storms: what hpo survives. Processes killed at random moments, disks that fail, power that goes, a crowd, a long run.

    python scripts/storm.py [--quick] [--folder DIR] [MODE ...]

Every mode says what it did in a line or more, and what was lost: nothing may be.

    drivers     the command killed by SIGKILL, SIGTERM and Ctrl-C until its study is done, and what it has come to
                compared with an undisturbed run: every searcher; trials in this process, in workers, as a population
    workers     worker processes, and helpers of the population engine, killed
    errors      an input/output error, a full disk, a lock that stays at the n-th operation, n = 1, 2, 3, ...
    power       the power cut before the n-th operation, n = 1, 2, 3, ...; unsynced writes dropped, kept by chance, torn
    contention  eight studies in one store, each driven by a process of its own, and a reader that polls
    long        100,000 trials: memory and what it costs to store one

`--quick` has fewer of everything. The exit code is 1 if something was lost or a target missed.
"""

# ruff: noqa: E402  (threads are pinned before NumPy is imported)

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import signal
import sqlite3
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from storms import contention, drivers, faults, long_run, workers
from storms.studies import SEARCHERS, STUDIES


def say(line: str) -> None:
    """Print a line."""
    print(line, flush=True)


def modes(quick: bool) -> dict[str, Callable[[Path], bool]]:
    """What can be run in an empty folder, by name; each returns whether all was as it must be."""
    return {
        "drivers": lambda folder: drivers.storm(
            folder, 24 if quick else 500, say, studies=STUDIES[: len(SEARCHERS)] if quick else STUDIES
        ),
        "workers": lambda folder: (
            workers.storm_of_workers(folder, 10 if quick else 500, 16 if quick else 100, say)
            & workers.storm_of_helpers(folder, 4 if quick else 50, 24 if quick else 64, say)
        ),
        "errors": lambda folder: faults.storm_of_errors(folder, 1.0 if quick else 0.0, say),
        "power": lambda folder: faults.storm_of_power_cuts(folder, 0.25 if quick else 0.0, say),
        "contention": lambda folder: contention.storm(folder, 40 if quick else 400, say),
        "long": lambda folder: long_run.storm(
            folder,
            *((10_000, say, 2.5) if quick else (100_000, say)),  # so short a run is mostly noise
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", nargs="*", help="some of them only", metavar="MODE")
    parser.add_argument("--quick", action="store_true", help="fewer of everything")
    parser.add_argument(
        "--folder", type=Path, help="of the stores, on the disk to be measured; default: a temporary one"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # that the environment may have changed
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as under nohup: then no Ctrl-C would reach the drivers
        signal.signal(signal.SIGINT, signal.default_int_handler)
    say(f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores")
    begin, held = time.monotonic(), True
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder  # what killed processes leave behind goes with it
        known = modes(options.quick)
        if strange := [name for name in options.mode if name not in known]:
            parser.error(f"no mode {strange[0]!r}, expected some of {', '.join(known)}")
        for name in dict.fromkeys(options.mode or known):
            say(f"\n{name}")
            place = Path(folder) / name
            place.mkdir()
            held &= known[name](place)
    say(f"\nall in {time.monotonic() - begin:.0f} s: {'nothing was lost' if held else 'NOT AS IT MUST BE'}")
    sys.exit(not held)


if __name__ == "__main__":
    main()
