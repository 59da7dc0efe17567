"""A comparison of five searchers, beside the same runs one after another through the plain loop.

    python scripts/bench_compare.py [--quick] [--seeds N] [--trials N] [--serial-seeds N] [--folder DIR]

One side is `hpo.compare`: grid, random, tpe, halving and nas, 20 seeds each, 50 trials of 30 epochs on the default
study, with its reference trials, its tests of the incumbents, its verdict, and everything stored. The other side is the
same runs, searcher by searcher and seed by seed, each a study of its own through the same loop and store, whose trials
train one after another in plain torch (`InProcessExecutor`). It has neither reference trials nor tests nor a verdict.

NOTE: all of the other side would take half an hour or more: it runs the first seeds of every searcher only, and its
wall clock is scaled to all seeds. Seeds differ in their trials: `--serial-seeds` takes more of them.

Both sides give the same trials: the incumbents' values of the runs that both made are compared, and shown if they
differ by more than rounding. Targets are for the full run on two idle cores; `--quick` only shows that everything
works.
"""

import argparse
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

AT_LEAST, AIM = 4, 8  # times as fast as one after another
MOST_SECONDS = 180.0
SEARCHERS = ("grid", "random", "tpe", "halving", "nas")
EPOCHS = 30


class Silent:
    """A watcher that shows nothing."""

    def progress(self, driver: Any, event: Any) -> None:
        """Shows nothing."""

    def outcomes(self, driver: Any, outcomes: Any) -> None:
        """Shows nothing."""

    def note(self, line: str) -> None:
        """Shows nothing."""


def one_after_another(seeds: int, trials: int, folder: Path) -> tuple[float, dict[tuple[str, int], float]]:
    """Seconds of the first `seeds` of every searcher, and the incumbents' values."""
    from hpo.api import open_study
    from hpo.driver import Driver
    from hpo.executors.in_process import InProcessExecutor
    from hpo.loop import run
    from hpo.plan import Plan, specify
    from hpo.signals import Stop
    from hpo.training.objective import SimpleNNObjective

    objective, finals = SimpleNNObjective(), {}
    began = time.perf_counter()
    for searcher in SEARCHERS:
        for seed in range(seeds):
            spec = specify(objective, None, searcher, epochs=EPOCHS, seed=seed, batch=None)
            study = open_study(Plan(objective, spec, trials), folder / "serial.db")
            store = study.writable_store()
            driver = Driver(store, store.study(study.name), trials=trials, device="cpu")
            run([driver], InProcessExecutor(objective), Silent(), Stop())
            driver.close()
            store.close()
            finals[searcher, seed] = study.best_value
    return time.perf_counter() - began, finals


def in_lockstep(seeds: int, trials: int, folder: Path) -> tuple[float, dict[tuple[str, int], float], Any]:
    """Seconds of the comparison with its verdict, the incumbents' values, and the comparison."""
    import hpo

    began = time.perf_counter()
    found = hpo.compare(
        searchers=SEARCHERS, seeds=seeds, trials=trials, epochs=EPOCHS, store=folder / "compare.db", name="bench"
    )
    print(found.verdict)
    seconds = time.perf_counter() - began
    return seconds, {(run.searcher, run.seed): run.final for run in found.results.runs.values()}, found


def main() -> None:
    """Run both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small comparison, without targets")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--serial-seeds", type=int, default=1, help="of the other side, scaled to all")
    parser.add_argument("--folder", type=Path, help="for the stores; default: a temporary one")
    options = parser.parse_args()
    seeds, trials = (2, 4) if options.quick else (options.seeds, options.trials)
    share = min(options.serial_seeds, seeds)
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        ours, finals, found = in_lockstep(seeds, trials, folder)
        theirs, expected = one_after_another(share, trials, folder)
    scaled = theirs * seeds / share
    thought = statistics.fmean(run.searcher_seconds for run in found.results.runs.values())
    print(f"{len(SEARCHERS)} searchers x {seeds} seeds x {trials} trials of {EPOCHS} epochs on the default study")
    print(f"in lockstep, with reference, tests and verdict: {ours:.1f} s; searchers' own {thought:.2f} s a run")
    print(f"one after another: {theirs:.1f} s for {share} of {seeds} seeds, so {scaled:.1f} s for all")
    print(f"ratio {scaled / ours:.1f} (at least {AT_LEAST}, aim {AIM}); {ours:.0f} s (at most {MOST_SECONDS:.0f})")
    strange = {key: (finals[key], value) for key, value in expected.items() if not math.isclose(finals[key], value)}
    for (searcher, seed), (here, there) in strange.items():
        print(f"other incumbent of {searcher}, seed {seed}: {here} in lockstep, {there} by itself")
    if not options.quick and (scaled / ours < AT_LEAST or ours > MOST_SECONDS):
        print("target missed")
        sys.exit(1)


if __name__ == "__main__":
    main()
