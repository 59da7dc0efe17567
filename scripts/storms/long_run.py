"""A long run: whether memory and the cost of storing a trial stay what they were.

    python -m storms.long_run STORE TRIALS

is the run itself, in a process of its own: random search of a batched function that does nothing. It prints a line
of JSON for every tenth of the run: trials so far, resident memory in MiB, wall-clock seconds of these trials, and
those of them that were spent in write transactions.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpo import Choice, Float, Int

SPACE = {"x": Float(0.0, 1.0), "rate": Float(1e-4, 1.0, log=True), "units": Int(1, 512), "kind": Choice(("a", "b"))}
BATCH = 500
MOST_GROWTH = 1.1  # of memory from a tenth of the run to its end: numbers take no room, and trials are not kept
MOST_COST = 1.5  # of the last tenth beside the first: B-trees get deeper, and this machine is not alone


def nothing(many: list[dict[str, Any]]) -> list[float]:
    """A batched objective."""
    return [params["x"] for params in many]


def resident() -> float:
    """Memory of this process, in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Clock:
    """Prints a line at every `every` trials; `stored` is how long transactions took since the last one."""

    def __init__(self, every: int) -> None:
        self.every, self.next, self.trials = every, every, 0
        self.stored, self.begun = 0.0, time.process_time()

    def __call__(self, many: list[dict[str, Any]]) -> list[float]:
        self.look()
        self.trials += len(many)
        return nothing(many)

    def look(self) -> None:
        if self.trials >= self.next:
            now = time.process_time()
            print(json.dumps([self.trials, resident(), now - self.begun, self.stored]), flush=True)
            self.stored, self.begun, self.next = 0.0, now, self.next + self.every


def main() -> None:
    from hpo import FunctionObjective, search
    from hpo.store.database import Database

    store, trials = sys.argv[1], int(sys.argv[2])
    clock = Clock(trials // 10)
    transaction = Database.transaction

    @contextlib.contextmanager
    def timed(self: Database) -> Iterator[Any]:
        begin = time.process_time()
        try:
            with transaction(self) as connection:
                yield connection
        finally:
            if not connection.in_transaction:  # the outermost
                clock.stored += time.process_time() - begin

    Database.transaction = timed  # type: ignore[method-assign]
    objective = FunctionObjective(clock, direction="minimize", batched=True)
    search(objective, SPACE, "random", trials, store=store, name="long", batch=BATCH, progress=False)
    clock.look()


if __name__ == "__main__":
    main()
