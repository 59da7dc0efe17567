"""Processes that train are killed at random moments, also while they start.

Worker processes: searches in four workers, of a function that reports and of generators under halving in turn; one of
the workers is killed with SIGKILL up to three times a second, less often while none gets anything done. Helpers:
searches of the shared objective whose population trains in helper processes, which are killed likewise. Each search is
run once more undisturbed: lost are trials that are then other or missing, doubled are evaluations with more than one
outcome.
"""

import collections
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from hpo import Choice, Float, FunctionObjective, search
from hpo.execution import Execution
from hpo.executors.base import Event, Executor
from hpo.executors.in_process import InProcessExecutor
from hpo.executors.workers.executor import WorkersExecutor
from hpo.objective import Objective
from hpo.trial import Outcome

WORKERS = 4
SPACE = {"x": Float(0, 1), "y": Float(0, 1)}
PAUSE_SECONDS = 0.02  # of each epoch of a function
RATE = 3.0  # kills a second
UNFRUITFUL = 0.25  # share of them that come although no evaluation has ended since the last: some must come to an end


def reporting(p: dict[str, float], trial: Any) -> None:
    for step in range(3):
        trial.report(p["x"] + trial.seed % 997 / (step + 1), step)
        time.sleep(PAUSE_SECONDS)


def yielding(p: dict[str, float], seed: int) -> Iterator[float]:
    value = p["y"]
    while True:
        value = 0.9 * value + seed % 997
        time.sleep(PAUSE_SECONDS)
        yield value


class Counting:
    """Another executor, and the outcomes of every evaluation, counted."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.outcomes: collections.Counter[tuple[int, int]] = collections.Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def wait(self, timeout: float) -> list[Event]:
        events = self.inner.wait(timeout)
        self.outcomes.update((job.study, job.evaluation) for job, event in events if isinstance(event, Outcome))
        return events


class Killer(threading.Thread):
    """Kills processes of the latest executor at random moments.

    Args:
        kills: how many.
        crew: the attribute of an executor that has its processes.
    """

    def __init__(self, kills: int, crew: str) -> None:
        super().__init__(daemon=True)
        self.kills, self.killed, self._crew = kills, 0, crew
        self.executor: Counting | None = None

    def run(self) -> None:
        chance, ended = np.random.default_rng(0), 0
        while self.killed < self.kills:
            time.sleep(chance.exponential(1 / RATE))
            if (executor := self.executor) is None:
                continue
            if executor.outcomes.total() == ended and chance.random() > UNFRUITFUL:
                continue
            ended = executor.outcomes.total()
            victims = list(getattr(executor.inner, self._crew))
            if victims and (process := victims[chance.integers(len(victims))]._process).poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                self.killed += 1


def facts(study: Any) -> dict[int, Any]:
    return {t.number: (t.params, t.seed, t.state, t.value, t.epochs, t.curve) for t in study.trials}


@dataclass(frozen=True)
class Search:
    """A search to be disturbed.

    Attributes:
        objective: of its trials.
        executor: what runs them while they are disturbed.
        calm: what runs them undisturbed.
        arguments: of `hpo.search`.
    """

    objective: Objective
    executor: Callable[[Objective], Executor]
    calm: Callable[[Objective], Executor]
    arguments: Mapping[str, Any]

    def run(self, name: str, store: Path, killer: Killer | None) -> tuple[Any, Counting]:
        """The study, and the executor that ran it."""
        made: list[Counting] = []

        def make(objective: Objective, execution: Execution) -> Any:
            made.append(Counting((self.calm if killer is None else self.executor)(objective)))
            if killer is not None:
                killer.executor = made[0]
            return made[0]

        with mock.patch("hpo.api.make_executor", make):
            found = search(self.objective, name=name, store=store, progress=False, **self.arguments)
        if killer is not None:
            killer.executor = None
        return found, made[0]


def storm(
    what: str, killer: Killer, searching: Callable[[int], Search], store: Path, say: Callable[[str], None]
) -> bool:
    """Searches, until enough processes were killed; whether nothing was lost and nothing doubled."""
    begin, lost, doubled, told, trials, searches = time.monotonic(), 0, 0, 0, 0, 0
    killer.start()
    while killer.is_alive():
        disturbed = searching(searches)
        found, counting = disturbed.run(f"{what}-{searches}", store, killer)
        there = facts(found)
        expected = facts(disturbed.run(f"{what}-{searches}-calm", store, None)[0])
        lost += sum(there.get(number) != fact for number, fact in expected.items())
        doubled += counting.outcomes.total() - len(counting.outcomes) + len(there.keys() - expected.keys())
        told += len(counting.outcomes)
        trials += len(there)
        searches += 1
    seconds = time.monotonic() - begin
    say(
        f"{killer.killed} {what} killed in {searches} searches, {trials} trials, {told} evaluations, {seconds:.0f} s: "
        f"trials lost {lost}, doubled {doubled}"
    )
    return lost == doubled == 0


def storm_of_workers(folder: Path, kills: int, trials: int, say: Callable[[str], None]) -> bool:
    """Kill worker processes; whether nothing was lost and nothing doubled."""

    def searching(nth: int) -> Search:
        function, how = [
            (reporting, {"searcher": "tpe", "batch": 8}),
            (yielding, {"searcher": "halving", "epochs": 9, "batch": 9}),
        ][nth % 2]
        return Search(
            FunctionObjective(function, direction="minimize"),
            lambda objective: WorkersExecutor(objective, Execution(workers=WORKERS, retries=1000)),
            InProcessExecutor,
            {"space": SPACE, "seed": nth, "trials": trials, **how},
        )

    return storm("workers", Killer(kills, "_workers"), searching, folder / "workers.db", say)


def storm_of_helpers(folder: Path, kills: int, trials: int, say: Callable[[str], None]) -> bool:
    """Kill helper processes of the population engine; whether nothing was lost and nothing doubled."""
    from hpo.training.objective import SimpleNNObjective
    from hpo.training.population import parallel
    from hpo.training.population.parallel import ParallelExecutor

    parallel._TRIES = 1000  # type: ignore[misc] # two is what a trial survives otherwise
    space = {"learning_rate": Float(1e-3, 0.3, log=True), "width": Choice((8, 16)), "batch_size": Choice((4, 8))}

    def searching(nth: int) -> Search:
        how = {"searcher": "halving"} if nth % 2 else {"searcher": "random", "batch": trials}
        return Search(
            SimpleNNObjective(device="cpu"),
            lambda objective: ParallelExecutor(objective, threads=3, start_seconds=0.0),
            lambda objective: ParallelExecutor(objective, threads=1, start_seconds=1e9),
            {"space": space, "seed": nth, "trials": trials, "epochs": 9, **how},
        )

    return storm("helpers", Killer(kills, "_helpers"), searching, folder / "helpers.db", say)
