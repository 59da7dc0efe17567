"""What a run does while its store cannot be written: it waits for room, and loses no result without a word.

A full disk often has room again a moment later: another program has ended, or someone made room. So a run
tries again for a while, in which nothing new begins. If that does not help, the results go into a file of their own,
and the message says where it is.
"""

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from hpo.driver import Driver
from hpo.errors import DiskError, HpoError, Interrupt
from hpo.files import sync_folder
from hpo.signals import Stop
from hpo.store import codec
from hpo.store.store import trial_seed
from hpo.text import counted, duration
from hpo.trial import Outcome, State

WAIT_SECONDS: Final = 60.0  # that a run waits for room
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0  # between two tries, each twice as long as the one before
_LOOK_SECONDS = 0.05  # between two looks at whether the user wants to stop

T = TypeVar("T")


class User(Protocol):
    """Whoever shows the run."""

    def note(self, line: str) -> None:
        """Something that the user should know."""


def insist(write: Callable[[], T], stop: Stop, user: User, seconds: float | None = None) -> T:
    """What `write()` gives, tried again while the disk is full or fails.

    Args:
        write: leaves everything as it was when it raises.
        stop: a request ends the waiting.
        user: is told of it, and may make room.
        seconds: to wait; None: `WAIT_SECONDS`.

    Raises:
        DiskError: there was no room in time, or a stop was requested.
    """
    until = time.monotonic() + (WAIT_SECONDS if seconds is None else seconds)
    pause, waited = FIRST_PAUSE_SECONDS, False
    while True:
        try:
            result = write()
        except DiskError as error:
            now = time.monotonic()
            if stop.requested or now >= until:
                raise
            if not waited:
                user.note(
                    f"{error}; waiting up to {duration(until - now)} for it, nothing new begins; Ctrl-C ends the wait"
                )
                waited = True
            _sleep(min(pause, until - now), stop)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            if waited:
                user.note("the store can be written again: the run goes on")
            return result


def save(
    write: Callable[[], None],
    results: Mapping[Driver, Sequence[Outcome]],
    stop: Stop,
    user: User,
) -> None:
    """Store results by `write`; those that cannot be stored are spilled.

    Args:
        write: see `insist`.
        results: what it stores.
        stop: see `insist`.
        user: see `insist`.

    Raises:
        HpoError: of the kind that `write` raised, saying where the results are now.
    """
    trouble: list[DiskError] = []

    def attempt() -> None:
        try:
            write()
        except DiskError as error:
            trouble[:] = [error]
            raise

    try:
        insist(attempt, stop, user)
    except HpoError as error:
        raise type(error)(f"{error}; {_spilled(results)}") from error
    except Interrupt:  # it ended the wait
        if not trouble:
            raise
        raise DiskError(f"{trouble[0]}; {_spilled(results)}") from trouble[0]


def _sleep(seconds: float, stop: Stop) -> None:
    until = time.monotonic() + seconds
    while not stop.requested and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_SECONDS))


def _spilled(results: Mapping[Driver, Sequence[Outcome]]) -> str:
    """Write results into a new file; says where they are, or that they are lost."""
    count = sum(len(outcomes) for outcomes in results.values())
    what = f"{counted(count, 'result')} not saved"
    again = "those trials run again, with the same seeds"
    try:
        return f"{what}, at {spill(results)}: {again}"
    except OSError as error:
        return f"{what}, and no file for them could be written either ({error.strerror or error}): {again}"


def spill(results: Mapping[Driver, Sequence[Outcome]]) -> Path:
    """Write results as JSON lines, one a trial, into a new file that only this user may read.

    It lies in the folder for temporary files, which TMPDIR names, and is on the disk when this returns.

    Raises:
        OSError: there is no such folder, or no room in it.
    """
    lines = [
        json.dumps({"study": driver.name, **_trial(driver, outcome)}, allow_nan=False) + "\n"
        for driver, outcomes in results.items()
        for outcome in outcomes
    ]
    file, name = tempfile.mkstemp(prefix="hpo-unsaved-", suffix=".jsonl")  # O_EXCL, mode 0600
    try:
        with open(file, "w", encoding="utf-8") as out:
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
        sync_folder(Path(name))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    return Path(name)


def _trial(driver: Driver, outcome: Outcome) -> dict[str, Any]:
    paused = outcome.state == State.DONE and outcome.epochs < driver.spec.trial_epochs
    return {
        "number": outcome.number,
        "state": str(State.PAUSED if paused else outcome.state),
        "params": dict(outcome.params),
        "value": codec.json_float(outcome.value),
        "epochs": outcome.epochs,
        "seed": trial_seed(driver.spec.seed, outcome.number),
        "error": codec.cut(outcome.error),
    }
