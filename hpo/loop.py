"""The loop: drives any number of studies side by side through one executor.

A round belongs to one study, and studies never wait for each other: whichever has no open round is asked
again, and jobs of all of them are under way together. A free-running study has no rounds: it is asked again as soon as
one of its jobs has ended. What studies begin at one time is stored in one transaction,
and so is what ends.
"""

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from hpo.driver import Driver, Round
from hpo.errors import DiskError, NoPermissionError, StorageError
from hpo.executors.base import Executor
from hpo.signals import Stop
from hpo.store import Store
from hpo.trial import Job, Outcome, Progress
from hpo.unsaved import insist, save

WAIT_SECONDS = 0.1  # outcomes of this long are stored together, and so is what searchers propose in this time


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

    def note(self, line: str) -> None:
        """Something that the user should know."""


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
    to_ask = deque(drivers)  # something may have changed for them since they were last asked
    stops_at: float | None = None  # once a stop was requested
    try:
        for driver in drivers:
            executor.submit(driver.outstanding)
        while True:
            if stops_at is None:
                _begin(to_ask, executor, stop, watcher)
            if not (any(driver.outstanding for driver in drivers) or (to_ask and stops_at is None)):
                return Ending.COMPLETE if stops_at is None else Ending.STOPPED
            arrived: dict[int, list[Outcome]] = {}
            for job, event in executor.wait(0.0 if to_ask else WAIT_SECONDS):
                if isinstance(event, Outcome):
                    arrived.setdefault(job.study, []).append(event)
                else:
                    watcher.progress(by_study[job.study], event)
            for store, group in _by_store([by_study[study] for study in arrived]):
                _save(store, {driver: arrived[driver.study] for driver in group}, stop, watcher)
            for study, outcomes in arrived.items():
                driver = by_study[study]
                driver.tell()
                executor.release(study, driver.searcher.may_continue)
                watcher.outcomes(driver, outcomes)
                if driver not in to_ask:
                    to_ask.append(driver)
            if stop.requested and stops_at is None:
                stops_at = time.monotonic() + executor.finish()
            if stops_at is not None and (time.monotonic() >= stops_at or not executor.busy):
                return Ending.STOPPED
            if deadline is not None and time.monotonic() >= deadline:
                return Ending.TIMEOUT
    finally:
        for driver in drivers:
            executor.cancel(driver.outstanding)
        for store, group in _by_store([driver for driver in drivers if driver.outstanding]):
            # a store that cannot be written has them running still, and they run again all the same
            with contextlib.suppress(StorageError, NoPermissionError), store.together():
                for driver in group:
                    driver.cancel()


def _begin(to_ask: deque[Driver], executor: Executor, stop: Stop, watcher: Watcher) -> None:
    """Ask the first of the studies, as many as fit into `WAIT_SECONDS` of thinking: those that train do not wait."""
    until, rounds = time.perf_counter() + WAIT_SECONDS, dict[Driver, Round]()
    while to_ask and (not rounds or time.perf_counter() < until):
        driver = to_ask.popleft()
        if (found := driver.next_round()) is not None:
            rounds[driver] = found
    for store, group in _by_store(list(rounds)):

        def write(store: Store = store, group: list[Driver] = group) -> list[Job]:
            with store.together():
                return [job for driver in group for job in driver.begin(rounds[driver])]

        try:
            executor.submit(insist(write, stop, watcher))
        except DiskError:
            if not stop.requested:
                raise
            to_ask.extend(group)  # nothing is lost, and the loop is about to see the request


def _save(store: Store, results: Mapping[Driver, Sequence[Outcome]], stop: Stop, watcher: Watcher) -> None:
    """Store what arrived for studies of one store, in one transaction."""

    def write() -> None:
        with store.together():
            for driver, outcomes in results.items():
                driver.save(outcomes)

    save(write, results, stop, watcher)


def _by_store(drivers: Sequence[Driver]) -> Iterator[tuple[Store, list[Driver]]]:
    """Those that write through one connection, together."""
    for _, group in itertools.groupby(sorted(drivers, key=lambda driver: id(driver.store)), lambda d: id(d.store)):
        together = list(group)
        yield together[0].store, together
