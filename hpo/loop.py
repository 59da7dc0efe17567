"""The loop: drives any number of studies side by side through one executor.

A round belongs to one study, and studies never wait for each other: whichever has no open round is asked
again, and jobs of all of them are under way together. A free-running study has no rounds: it is asked again as soon as
one of its jobs has ended.
"""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from hpo.driver import Driver
from hpo.executors.base import Executor
from hpo.signals import Stop
from hpo.trial import Outcome, Progress

WAIT_SECONDS = 0.1  # outcomes of this long are stored together


class Ending(StrEnum):
    """Why the loop ended."""

    COMPLETE = "complete"  # the budgets are spent, or the searchers have nothing left to propose
    TIMEOUT = "timeout"
    STOPPED = "stopped"


class Watcher(Protocol):
    """Is shown what happens, after it was stored."""

    def progress(self, driver: Driver, event: Progress) -> None:
        """A trial has reached an epoch."""

    def outcomes(self, driver: Driver, outcomes: Sequence[Outcome]) -> None:
        """Evaluations ended."""


def run(
    drivers: Sequence[Driver], executor: Executor, watcher: Watcher, stop: Stop, timeout: float | None = None
) -> Ending:
    """Run studies until their budgets are spent, the time is up or a stop is requested.

    After a request to stop nothing new begins, and the executor says how long what is under way may take to end.
    Whatever is under way at the end is cancelled, also when an exception leaves: it runs again on resume.

    Args:
        drivers: the studies.
        executor: of the objective that they share.
        watcher: is shown what happens.
        stop: looked at between events.
        timeout: in seconds of wall clock.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    by_study = {driver.study: driver for driver in drivers}
    going: list[Driver] = list(drivers)
    stops_at: float | None = None  # once a stop was requested
    try:
        for driver in drivers:
            executor.submit(driver.outstanding)
        while True:
            for driver in going if stops_at is None else ():
                executor.submit(driver.next_jobs())
            going = [driver for driver in going if driver.outstanding]  # the others are complete: not asked again
            if not going:
                return Ending.COMPLETE if stops_at is None else Ending.STOPPED
            arrived: dict[int, list[Outcome]] = {}
            for job, event in executor.wait(WAIT_SECONDS):
                if isinstance(event, Outcome):
                    arrived.setdefault(job.study, []).append(event)
                else:
                    watcher.progress(by_study[job.study], event)
            for study, outcomes in arrived.items():
                by_study[study].record(outcomes)
                executor.release(study, by_study[study].searcher.may_continue)
                watcher.outcomes(by_study[study], outcomes)
            if stop.requested and stops_at is None:
                stops_at = time.monotonic() + executor.finish()
            if stops_at is not None and (time.monotonic() >= stops_at or not executor.busy):
                return Ending.STOPPED
            if deadline is not None and time.monotonic() >= deadline:
                return Ending.TIMEOUT
    finally:
        for driver in drivers:
            executor.cancel(driver.outstanding)
            driver.cancel()
