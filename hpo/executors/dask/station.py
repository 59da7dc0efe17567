"""The worker's side: in each worker process one executor of the objective, which tasks hand their jobs to.

Paused trials stay in it. It lives as long as Dask keeps the result of the task that made it, so it ends with the
driver, however that ends.
"""

from __future__ import annotations

import functools
import importlib.metadata
import pickle
import platform
import queue
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from hpo.errors import UsageError
from hpo.execution import Execution
from hpo.executors.base import Executor
from hpo.objective import Objective
from hpo.trial import Job, Outcome

_TURN: Final = 0.05  # seconds that the executor runs between two looks at what is asked of it
_LOOK: Final = 0.5  # seconds between two looks at whether anyone still waits
_OURS: Final = "hpo-arena"

_stations: dict[str, Station] = {}  # of this process


class StrangerError(Exception):
    """A task has come to a process that was not meant: another one listens now where the worker was."""


@dataclass(frozen=True)
class Handle:
    """What the driver knows of a station.

    Attributes:
        token: of this station, unlike that of any other.
        place: host and process, for messages.
        notes: what results may depend on and is not as in the driver's process.
    """

    token: str
    place: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Versions:
    """What driver and workers should have in common.

    Attributes:
        must: name to version: without these nothing runs.
        should: name to version or device: results may depend on them.
    """

    must: dict[str, str]
    should: dict[str, str]


@dataclass(eq=False)
class Request:
    """Jobs of one task and what has come of them."""

    jobs: Sequence[Job]
    outcomes: dict[tuple[int, int], Outcome] = field(default_factory=dict)  # by study and evaluation
    error: BaseException | None = None
    over: threading.Event = field(default_factory=threading.Event)


def versions(objective: Objective) -> Versions:
    """Those of this process."""
    should = {"device": objective.numerics()}
    for package in ("torch", "numpy"):
        should[package] = importlib.metadata.version(package)
    return Versions(_must(), should)


def _must() -> dict[str, str]:
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, _OURS: importlib.metadata.version(_OURS)}


def install(payload: bytes, execution: Execution, drivers: Versions, key: str) -> Handle:
    """Begin to serve in this worker process.

    Args:
        payload: the objective, pickled by cloudpickle.
        execution: as the user gave it.
        drivers: versions that the driver has.
        key: of this task; the station ends when Dask forgets its result.

    Raises:
        UsageError: this process could not give the driver's results.
    """
    import cloudpickle
    from distributed import get_worker

    worker = get_worker()
    place = f"{socket.gethostname()} ({worker.address})"
    for name, found in _must().items():
        if found != drivers.must[name]:
            raise UsageError(f"it has {name} {found}, the driver {drivers.must[name]}: they must be the same")
    objective: Objective = cloudpickle.loads(payload)
    here = versions(objective).should
    notes = [f"{name} {here[name]} (driver: {value})" for name, value in drivers.should.items() if here[name] != value]
    threads = worker.state.nthreads
    station = Station(
        objective, remote_execution(objective, execution, threads), functools.partial(_is_wanted, worker, key)
    )
    _stations[station.token] = station
    return Handle(station.token, place, tuple(notes))


def run(handle: Handle, token: str, content: bytes) -> list[Outcome]:
    """Run jobs in this process's station; their outcomes in the same order, once all have ended.

    Args:
        handle: of the station that Dask has here.
        token: of the station that is meant.
        content: pickled: bundles of jobs; (study, number) of paused trials to let go of.

    Raises:
        StrangerError: the station that is meant has gone.
    """
    from distributed import get_worker

    station = _stations.get(token)
    if station is None or handle.token != token:
        raise StrangerError(f"the process at {handle.place} is not the one that these jobs were meant for")
    worker = get_worker()
    key = worker.get_current_task()
    bundles, forgotten = pickle.loads(content)  # noqa: S301 # from our own driver
    return station.run(
        [job for bundle in bundles for job in bundle], forgotten, functools.partial(_is_wanted, worker, key)
    )


def remote_execution(objective: Objective, execution: Execution, threads: int) -> Execution:
    """How a worker with `threads` threads runs jobs.

    A function runs in processes of its own, one for each thread: in the worker's process Dask draws from Python's
    global generator, too, which would change what the function draws. The shared objective gets the threads.
    """
    wanted = replace(execution, cluster=None, workers=threads)
    try:
        objective.check_execution(wanted)
    except UsageError:  # runs in the worker's process
        return replace(execution, cluster=None, workers=None)
    return wanted


def _is_wanted(worker: Any, key: Any) -> bool:
    """Whether the scheduler still waits for the task, or keeps its result."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state != "cancelled"


class Station:
    """An executor and the thread that it lives in.

    Args:
        objective: what the jobs train.
        execution: how.
        is_kept: whether anyone may still send jobs.

    Attributes:
        token: unlike that of any other station.
    """

    def __init__(self, objective: Objective, execution: Execution, is_kept: Callable[[], bool]) -> None:
        self.token = uuid.uuid4().hex
        self._objective, self._execution, self._is_kept = objective, execution, is_kept
        self._inbox: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._requests: dict[tuple[int, int], Request] = {}
        started = Request(())
        self._thread = threading.Thread(target=self._live, args=(started,), name="hpo-station", daemon=True)
        self._thread.start()
        started.over.wait()
        if started.error is not None:
            raise started.error

    def run(
        self, jobs: Sequence[Job], forgotten: Sequence[tuple[int, int]], is_wanted: Callable[[], bool]
    ) -> list[Outcome]:
        """The outcomes of `jobs`, in their order; called in a thread of a task."""
        request = Request(jobs)
        self._inbox.put(("forget", forgotten))
        self._inbox.put(("run", request))
        while not request.over.wait(_LOOK):
            if not self._thread.is_alive():
                raise StrangerError("the station has ended")
            if not is_wanted():
                self._inbox.put(("cancel", request))
                raise StrangerError("nobody waits for these jobs")
        if request.error is not None:
            raise request.error
        return [request.outcomes[job.study, job.evaluation] for job in jobs]

    def _live(self, started: Request) -> None:
        try:
            executor = self._objective.executor(self._execution)
        except BaseException as error:
            started.error = error
            return
        finally:
            started.over.set()
        try:
            self._serve(executor)
        except BaseException as error:  # of the executor itself: what it had cannot be told apart from what fails it
            for request in set(self._requests.values()):
                request.error = error
                request.over.set()
        finally:
            _stations.pop(self.token, None)
            executor.close()

    def _serve(self, executor: Executor) -> None:
        looked = time.monotonic()
        while True:
            if time.monotonic() - looked > _LOOK:
                if not self._is_kept():
                    return
                looked = time.monotonic()
            try:
                message = self._inbox.get(timeout=None if self._requests else _LOOK, block=not self._requests)
                self._do(executor, *message)
                continue  # everything that was asked before the next turn
            except queue.Empty:
                pass
            if not self._requests:
                continue
            for job, event in executor.wait(_TURN):
                key = job.study, job.evaluation
                if isinstance(event, Outcome) and (request := self._requests.pop(key, None)):
                    request.outcomes[key] = event
                    if len(request.outcomes) == len(request.jobs):
                        request.over.set()

    def _do(self, executor: Executor, what: str, content: Any) -> None:
        match what:
            case "run":
                self._requests |= {(job.study, job.evaluation): content for job in content.jobs}
                executor.submit(content.jobs)
            case "cancel":
                executor.cancel([job for job in content.jobs if self._requests.pop((job.study, job.evaluation), None)])
            case "forget":
                executor.forget(content)
