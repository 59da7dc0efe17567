"""Drivers killed at random moments, again and again, until their study is done.

Every searcher; trials of the shared objective (population engine), of a function in this process and in worker
processes. An attempt is the real command, `hpo run` or `hpo resume`: some in processes of their own from the first
import to the last destructor, the others in forks of a process that has imported everything, where more of the time
is the study's. The moment is uniform over the undisturbed command's duration. The signals: SIGKILL, SIGTERM, SIGTERM
and then SIGKILL, Ctrl-C once and twice.

After every kill: the store is in order, nothing that was in it is gone, and what `--verbose` said is there. In half of
the cases a copy is looked at, so that the next driver finds what the dead one left. At the end: the same trials,
events and evaluations as the undisturbed command.
"""

import collections
import contextlib
import itertools
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from storms.attempts import ROOT, Attempt, Server, plain, server
from storms.content import BrokenStoreError, Content, check_growth, check_told, content, differences
from storms.studies import STUDIES, Study

PAUSE = 0.01  # seconds of each epoch of a function
PLAIN_SHARE = 0.4  # of the attempts are processes of their own
ORPHAN_SECONDS = 20.0  # after which no process of a storm may be left
PATIENCE = 8  # attempts at a study after which the moment is drawn from twice the duration, so that it ends some day
MARK = "STORM_MARK"  # in the environment of every process of this storm
KILLS: dict[str, tuple[int, ...]] = {
    "SIGKILL": (signal.SIGKILL,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGTERM, SIGKILL": (signal.SIGTERM, signal.SIGKILL),
    "Ctrl-C": (signal.SIGINT,),
    "Ctrl-C twice": (signal.SIGINT, signal.SIGINT),
}
BY_SIGNAL = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 130, 143}  # exit codes of what was killed


@dataclass
class Tally:
    """What a storm of drivers came to."""

    kills: collections.Counter[str] = field(default_factory=collections.Counter)
    kinds: collections.Counter[str] = field(default_factory=collections.Counter)
    studies: int = 0
    evaluations: int = 0
    lost: int = 0
    doubled: int = 0
    told: int = 0
    problems: list[str] = field(default_factory=list)


class Storm:
    """Disturbs one study after another.

    Args:
        folder: for stores.
        fork: makes attempts from forks.
        chance: of kills.
    """

    def __init__(self, folder: Path, fork: Server, chance: np.random.Generator) -> None:
        self.folder, self.fork, self.chance = folder, fork, chance
        self.tally = Tally()
        self._steady: dict[Study, tuple[Content, dict[bool, float]]] = {}

    def steady(self, study: Study) -> tuple[Content, dict[bool, float]]:
        """What the undisturbed command leaves, and seconds that it takes: in a process of its own, and in a fork."""
        if study not in self._steady:
            seconds, found = {}, []
            for own in (False, True):
                path = self.folder / f"steady-{len(self._steady)}-{own}.db"
                begin = time.monotonic()
                code = self._start(study.run(str(path)), path, own).code()
                seconds[own] = time.monotonic() - begin
                if code != 0:
                    raise BrokenStoreError(f"{study.label}: {code}: {path.with_suffix('.err').read_text()[-2000:]}")
                found.append(content(path))
            if found[0] != found[1]:
                raise BrokenStoreError(f"{study.label}: another study in a fork than in a process of its own")
            self._steady[study] = found[0], seconds
        return self._steady[study]

    def disturb(self, study: Study) -> None:
        """One study from its beginning to its end, through kills."""
        expected, seconds = self.steady(study)
        path = self.folder / f"{self.tally.studies}.db"
        before = content(path)
        for nth in itertools.count():
            own = self.chance.random() < PLAIN_SHARE
            resumes = bool(before["studies"]) and self.chance.random() < 0.5
            argv = study.resume(str(path)) if resumes else study.run(str(path))
            longest = seconds[own] * (1 + nth / PATIENCE)
            code = self._attempt(argv, path, own, self.chance.uniform(0.0, longest))
            after = content(path, copied=code != 0 and self.chance.random() < 0.5)
            check_growth(before, after)
            said = path.with_suffix(".err")
            self.tally.told += check_told(said.read_text(errors="replace"), after)
            said.unlink()
            before = after
            if code == 0:
                break
        lost, doubled = differences(after, expected)
        self.tally.lost += len(lost)
        self.tally.doubled += len(doubled)
        self.tally.evaluations += len(after["evaluations"])
        self.tally.studies += 1
        if lost or doubled:
            first = "\n    ".join([*(f"lost {row}" for row in lost[:3]), *(f"doubled {row}" for row in doubled[:3])])
            self.tally.problems.append(f"{study.label}: {len(lost)} lost, {len(doubled)} doubled\n    {first}")

    def _start(self, argv: list[str], path: Path, own: bool) -> Attempt:
        said = path.with_suffix(".err")
        said.touch()
        return plain(argv, said, PAUSE) if own else self.fork.start(argv, said)

    def _attempt(self, argv: list[str], path: Path, own: bool, after: float) -> int:
        """An attempt that is killed, unless it ends first; its exit code."""
        name = str(self.chance.choice(list(KILLS)))
        pause = self.chance.uniform(0.0, 0.1)
        attempt = self._start(argv, path, own)
        for number in KILLS[name]:
            if attempt.ends_within(after):
                break
            attempt.kill(number)
            after = pause
        code = attempt.code()
        said = path.with_suffix(".err").read_text(errors="replace")
        if code in BY_SIGNAL or (code == 1 and _before_its_first_line(said)):
            self.tally.kills[name] += 1
            self.tally.kinds["own" if own else "fork"] += 1
        elif code != 0:
            what = f"exit code {code} after {name}, own process {own}: {' '.join(argv)}"
            self.tally.problems.append(f"{what}\n{said[-3000:]}")
        return code


def _before_its_first_line(said: str) -> bool:
    """Whether Ctrl-C came while the interpreter itself began, which ends with exit code 1."""
    return said.rstrip().endswith("KeyboardInterrupt") and f"{ROOT / 'hpo'}{os.sep}" not in said


def left_over(mark: str, seconds: float = ORPHAN_SECONDS) -> int:
    """How many processes with `mark` in their environment are still there after a while; Linux only."""
    deadline = time.monotonic() + seconds
    while True:
        count = 0
        for entry in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                count += int(entry.parent.name) != os.getpid() and f"{MARK}={mark}".encode() in entry.read_bytes()
        if count == 0 or time.monotonic() > deadline:
            return count
        time.sleep(0.2)


def storm(folder: Path, kills: int, say: Callable[[str], None], seed: int = 0, studies: list[Study] = STUDIES) -> bool:
    """Kill drivers `kills` times; whether nothing was lost and nothing doubled."""
    begin, mark = time.monotonic(), f"{os.getpid()}-{time.time_ns()}"
    os.environ[MARK] = mark
    with server(PAUSE) as fork:
        disturbing = Storm(folder, fork, np.random.default_rng(seed))
        tally = disturbing.tally
        while tally.kills.total() < kills and len(tally.problems) < 5:
            study = studies[tally.studies % len(studies)]
            try:
                disturbing.disturb(study)
            except BrokenStoreError as error:
                tally.problems.append(f"{study.label}: {error}")
                tally.studies += 1
    orphans = left_over(mark)
    del os.environ[MARK]
    say(
        f"{tally.kills.total()} drivers killed ({tally.kinds['own']} whole processes, {tally.kinds['fork']} forks) in "
        f"{tally.studies} studies of {len(studies)} kinds, {tally.evaluations} evaluations, "
        f"{time.monotonic() - begin:.0f} s"
    )
    say("  " + ", ".join(f"{name} {count}" for name, count in sorted(tally.kills.items())))
    say(f"  {tally.told} results were shown as saved, lost {tally.lost}, doubled {tally.doubled}, orphans {orphans}")
    for problem in tally.problems:
        say(f"  PROBLEM {problem}")
    return not tally.problems and tally.lost == tally.doubled == orphans == 0
