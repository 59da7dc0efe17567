"""Eight studies write to one store, each driven by a process of its own, while a reader polls.

    python -m storms.contention WAITS ARGUMENTS...

is one of the writers: the command `hpo ARGUMENTS...`, which leaves in the file WAITS how long each of its write
transactions took, from the moment it was wanted to the moment it was on the disk, in seconds.
"""

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from storms.attempts import plain

WRITERS = 8


def main() -> None:
    """A writer."""
    import hpo.cli
    from hpo.store.database import Database

    waits: list[float] = []
    transaction = Database.transaction

    @contextlib.contextmanager
    def timed(self: Database) -> Iterator[Any]:
        begin = time.perf_counter()
        with transaction(self) as connection:
            yield connection
        if not connection.in_transaction:  # else it is a part of one
            waits.append(time.perf_counter() - begin)

    Database.transaction = timed  # type: ignore[method-assign]
    target, sys.argv = sys.argv[1], ["hpo", *sys.argv[2:]]
    try:
        hpo.cli.main()
    finally:
        Path(target).write_text(json.dumps(waits))


def look(path: Path) -> None:
    """What `hpo ls`, `hpo best` and a report read."""
    from hpo.store import Store

    store = Store(path)
    for row in store.studies():
        store.counts(row.id)
        store.best(row.id, "minimize")
        store.trials(row.id)
        list(store.history(row.id))
    store.close()


def finished(path: Path) -> dict[str, int]:
    """How many trials of each study are done, the store found in order."""
    from hpo.store import Store

    store = Store(path)
    store.db.check()
    found = {row.name: store.counts(row.id).get("done", 0) for row in store.studies()}
    store.close()
    return found


def storm(folder: Path, trials: int, say: Callable[[str], None]) -> bool:
    """Let them write and read; whether nobody met a lock, and everything is there."""
    path, begin = folder / "shared.db", time.monotonic()
    said, waits = folder / "writers.err", [folder / f"waits-{i}.json" for i in range(WRITERS)]
    program = [sys.executable, "-m", "storms.contention"]
    writers = [
        plain(
            [str(waits[i]), "run", "storms.objectives:instant", "--direction", "minimize", "--searcher", "random",
             "--trials", str(trials), "--batch", "4", "--seed", str(i), "--name", f"writer-{i}", "--store", str(path)],
            said,
            program=program,
        )
        for i in range(WRITERS)
    ]  # fmt: skip
    reads: list[float] = []
    problems: list[str] = []
    while not all(writer.ends_within(0.02) for writer in writers):
        if path.exists():
            start = time.perf_counter()
            try:
                look(path)
            except Exception as error:
                problems.append(f"a reader met {type(error).__name__}: {error}")
            reads.append(time.perf_counter() - start)
    codes = [writer.code() for writer in writers]
    seconds = time.monotonic() - begin
    if any(codes):
        problems.append(f"writers ended with {codes}: {said.read_text()[-2000:]}")
        written = []
    else:
        written = [wait for file in waits for wait in json.loads(file.read_text())]
        done = finished(path)
        problems += [f"trials done: {done}"] * (done != {f"writer-{i}": trials for i in range(WRITERS)})
    say(
        f"{WRITERS} studies in one store, {WRITERS * trials} trials in {len(written)} transactions and {len(reads)} "
        f"polls, {seconds:.0f} s: lock errors {len(problems)}"
    )
    if written and reads:
        say(
            f"  a transaction took {1e3 * statistics.median(written):.1f} ms (median), at most {max(written):.2f} s; "
            f"a poll {1e3 * statistics.median(reads):.1f} ms, at most {max(reads):.2f} s"
        )
    for problem in problems:
        say(f"  PROBLEM {problem}")
    return not problems


if __name__ == "__main__":
    main()
