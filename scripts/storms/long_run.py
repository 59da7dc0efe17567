"""A long run: whether memory and the cost of a trial stay what they were.

    python -m storms.long_run STORE TRIALS

is the run itself, in a process of its own: random search of a batched function that does nothing. It prints a line
of JSON for every tenth of the run, and one once the finished study was opened again: trials so far, resident memory
and SQLite's part of it in MiB, processor seconds of these trials, and those of them that write transactions took.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hpo import Choice, Float, FunctionObjective, Int, search
from storms.attempts import environment
from storms.vfs import library, reason_against

SPACE = {"x": Float(0.0, 1.0), "rate": Float(1e-4, 1.0, log=True), "units": Int(1, 512), "kind": Choice(("a", "b"))}
BATCH = 500
MOST_BYTES = 64  # a trial, beside SQLite's cache: nothing of it is kept, but memory is never without gaps
MOST_COST = 1.25  # of later tenths beside early ones: B-trees get deeper, and this machine is not alone


class Clock:
    """A batched objective that prints a line at every `every` trials."""

    def __init__(self, every: int) -> None:
        self.every, self.next, self.trials = every, every, 0
        self.stored, self.begun = 0.0, time.process_time()
        self.sqlite = None if reason_against() else library()

    def __call__(self, many: list[dict[str, Any]]) -> list[float]:
        if self.trials >= self.next:
            self.look()
        self.trials += len(many)
        return [params["x"] for params in many]

    def look(self) -> None:
        """Print a line, and begin anew."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        cache = 0 if self.sqlite is None else self.sqlite.sqlite3_memory_used()
        seconds = time.process_time() - self.begun
        print(json.dumps([self.trials, pages * 4096 / 2**20, cache / 2**20, seconds, self.stored]), flush=True)
        self.stored, self.begun, self.next = 0.0, time.process_time(), self.next + self.every


def main() -> None:
    """The run."""
    from hpo.store.database import Database

    store, trials = sys.argv[1], int(sys.argv[2])
    clock = Clock(trials // 10)
    transaction = Database.transaction

    @contextlib.contextmanager
    def timed(self: Database) -> Iterator[Any]:
        begin = time.process_time()
        with transaction(self) as connection:
            yield connection
        if not connection.in_transaction:  # else it is a part of one
            clock.stored += time.process_time() - begin

    Database.transaction = timed  # type: ignore[method-assign]

    def run() -> None:
        objective = FunctionObjective(clock, direction="minimize", batched=True)
        search(objective, SPACE, "random", trials, store=store, name="long", batch=BATCH, progress=False)

    run()
    clock.look()
    run()
    clock.look()


def storm(folder: Path, trials: int, say: Callable[[str], None], most_cost: float = MOST_COST) -> bool:
    """Make a long run; whether memory is flat, and cost grows by no more than `most_cost`."""
    command = [sys.executable, "-m", "storms.long_run", str(folder / "long.db"), str(trials)]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
    *tenths, again = [json.loads(line) for line in done.stdout.splitlines()]
    say(f"{'trials':>8} {'memory, MiB':>12} {'of it SQLite':>13} {'a trial, ms':>12} {'storing it, ms':>15}")
    each = trials / 10
    for number, memory, cache, seconds, stored in tenths:
        say(f"{number:8,} {memory:12.1f} {cache:13.1f} {1e3 * seconds / each:12.3f} {1e3 * stored / each:15.3f}")
    say(f"opened and found complete again in {again[3]:.1f} s of the processor")
    first, last = tenths[1], tenths[-2]  # the very first fills caches, at the very end the store is closed already
    grown = 2**20 * ((last[1] - last[2]) - (first[1] - first[2])) / (last[0] - first[0])
    cost = statistics.median(tenth[4] for tenth in tenths[6:9]) / statistics.median(tenth[4] for tenth in tenths[1:4])
    say(f"beside SQLite's cache, 64 MiB at most, memory grew by {grown:.0f} bytes a trial; at most {MOST_BYTES} wanted")
    say(
        f"storing a trial of the seventh to ninth tenth costs {cost:.2f} times one of the second to fourth; "
        f"at most {most_cost} wanted"
    )
    return grown <= MOST_BYTES and cost <= most_cost


if __name__ == "__main__":
    main()
