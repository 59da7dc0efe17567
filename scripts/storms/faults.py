"""Input/output errors and power cuts at the n-th operation, for n = 1, 2, 3, ... until a run gets through unharmed.

The run is `hpo run` of a short study that makes its store, in a fork of a process that has everything imported,
with `storms.vfs` under its SQLite. An error strikes once, or at every operation of its kind from then on. The command
must end as if nothing had been, or with an exit code of its own and a line that says what is wrong. After that, or
after the power cut, the store is in order, holds every transaction that had returned, and `hpo run` without a fault
goes on to the same trials, events and evaluations as the undisturbed command.
"""

import collections
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storms.attempts import Server, server
from storms.content import BrokenStoreError, Content, check_told, content, differences, ended
from storms.layers import CUT, FAULTS
from storms.studies import Study
from storms.vfs import reason_against

STUDY = Study("random", "in process", 8)  # two rounds
OURS = {73, 74, 75, 77}  # cannot create, input/output or disk full, locked, permission
KEEPS = ("nothing", "some", "torn")


@dataclass
class Tally:
    """What faults of one kind came to."""

    injected: int = 0
    codes: collections.Counter[int] = field(default_factory=collections.Counter)
    acknowledged: int = 0
    problems: list[str] = field(default_factory=list)


class Bench:
    """Runs the short study under faults.

    Args:
        folder: for stores.
        fork: makes attempts.
    """

    def __init__(self, folder: Path, fork: Server) -> None:
        self.folder, self.fork = folder, fork
        self._numbers = itertools.count()
        path, said = self._new()
        if self.fork.run(STUDY.run(str(path)), said) != 0:
            raise RuntimeError(said.read_text())
        self.expected: Content = content(path)

    def strike(self, tally: Tally, shim: dict[str, Any]) -> bool:
        """One run under a fault, and one after it; whether the fault was met."""
        path, said = self._new()
        report = path.with_name("report")
        shim |= {"report": str(report), "folder": str(path.parent)}
        code = self.fork.run(STUDY.run(str(path)), said, shim)
        notes = report.read_text().split("\n") if report.exists() else []
        if not ("met" in notes or code == CUT):
            if code != 0:
                tally.problems.append(f"{shim}: exit code {code} without a fault: {said.read_text()[-2000:]}")
            return False
        tally.injected += 1
        tally.codes[code] += 1
        try:
            tally.acknowledged += self._check(path, said.read_text(), notes, code)
        except BrokenStoreError as error:
            tally.problems.append(f"{shim}: exit code {code}: {error}")
        else:
            for leftover in path.parent.iterdir():
                leftover.unlink()
            path.parent.rmdir()
        return True

    def _check(self, path: Path, said: str, notes: Iterable[str], code: int) -> int:
        """What was acknowledged: transactions."""
        if code not in OURS | {0, CUT} or "Traceback" in said:
            raise BrokenStoreError(f"said {said[-2000:]}")
        found = content(path, copied=True)
        there = (len(found["events"]), len(ended(found)))
        returned = [tuple(map(int, note.split())) for note in notes if note and note != "met"]
        if returned and (there[0] < returned[-1][0] or there[1] < returned[-1][1]):
            raise BrokenStoreError(f"events and results were {returned[-1]}, are {there}")
        check_told(said, found)
        again = path.with_suffix(".again")
        if (code := self.fork.run(STUDY.run(str(path)), again)) != 0:
            raise BrokenStoreError(f"cannot go on: exit code {code}: {again.read_text()[-2000:]}")
        lost, doubled = differences(content(path), self.expected)
        if lost or doubled:
            raise BrokenStoreError(f"lost {lost[:3]}, doubled {doubled[:3]}")
        return len(returned)

    def _new(self) -> tuple[Path, Path]:
        folder = self.folder / f"fault-{next(self._numbers)}"
        folder.mkdir()
        return folder / "hpo.db", folder / "said"


def places(growth: float) -> Iterator[int]:
    """1, 2, 3, ...; the greater `growth`, the more are left out, ever more of them."""
    n = 1
    while True:
        yield n
        n += 1 + int(growth * n)


def storm_of_errors(folder: Path, growth: float, say: Callable[[str], None]) -> bool:
    """Let the n-th operation of every kind fail, `n` of `places(growth)`; whether all was as it must be."""
    if reason := reason_against():
        say(f"input/output errors: skipped: {reason}")
        return True
    begin, held, total = time.monotonic(), True, 0
    with server() as fork:
        bench = Bench(folder, fork)
        for kind, codes in FAULTS.items():
            for (name, code), forever in itertools.product(codes, (False, True)):
                tally = Tally()
                for n in places(growth):
                    if not bench.strike(
                        tally, {"what": "fail", "kind": kind, "n": n, "code": code, "forever": forever}
                    ):
                        break
                    if len(tally.problems) >= 3:
                        break
                ends = ", ".join(f"{count} x {_ending(code)}" for code, count in sorted(tally.codes.items()))
                how = "from the n-th on" if forever else "at the n-th"
                say(f"  {name:<15} {how:<16} of {tally.injected:>4} {kind}s: {ends}")
                for problem in tally.problems:
                    say(f"  PROBLEM {problem}")
                held &= not tally.problems
                total += tally.injected
    say(f"{total} input/output errors in {time.monotonic() - begin:.0f} s: {_verdict(held)}")
    return held


def storm_of_power_cuts(folder: Path, growth: float, say: Callable[[str], None]) -> bool:
    """Cut the power before the n-th operation that changes the disk, `n` of `places(growth)`; whether all held."""
    if reason := reason_against():
        say(f"power cuts: skipped: {reason}")
        return True
    begin, held, total = time.monotonic(), True, 0
    with server() as fork:
        bench = Bench(folder, fork)
        for keep in KEEPS:
            tally = Tally()
            for n in places(growth):
                met = bench.strike(tally, {"what": "cut", "n": n, "keep": keep, "seed": n})
                if not met or len(tally.problems) >= 3:
                    break
            say(
                f"  {tally.injected} power cuts that left {keep} of what was not synced: "
                f"{tally.acknowledged} transactions had returned, {_verdict(not tally.problems)}"
            )
            for problem in tally.problems:
                say(f"  PROBLEM {problem}")
            held &= not tally.problems
            total += tally.injected
    say(f"{total} power cuts in {time.monotonic() - begin:.0f} s: {_verdict(held)}")
    return held


def _ending(code: int) -> str:
    return "survived" if code == 0 else f"exit {code}"


def _verdict(held: bool) -> str:
    return "store in order, nothing acknowledged lost, same trials after resuming" if held else "PROBLEMS"
