"""The driver's connection to a cluster: who is there, what is sent, what comes back.

Everything that waits for the network does so in the client's own event loop; the driver reads an inbox.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import pickle
import queue
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hpo.execution import Execution
from hpo.executors.dask import station
from hpo.executors.dask.packing import pack
from hpo.executors.dask.station import Handle, StrangerError
from hpo.objective import Objective
from hpo.trial import Job, Outcome

_SILENT_SECONDS: Final = 30.0  # of the scheduler, after which it is taken to be gone
_LOOK_SECONDS: Final = 0.5  # between two looks at who is there
_DISCONNECTED: Final = "scheduler-connection-lost"  # Dask's reason; else the worker ended or was told to
_CANCELLED: Final = (asyncio.CancelledError, concurrent.futures.CancelledError)


@dataclass(frozen=True)
class Workers:
    """Who is there: threads of each worker, by address."""

    threads: dict[str, int]


@dataclass(frozen=True)
class Joined:
    """A worker is ready; `future` keeps its station."""

    address: str
    handle: Handle
    future: Any


@dataclass(frozen=True)
class Refused:
    """A worker that cannot be used, and why; None: it went, or its process was replaced, meanwhile."""

    address: str
    why: str | None


@dataclass(frozen=True)
class Sending:
    """A task as it is sent to a worker.

    Attributes:
        ticket: unlike that of any other task.
        joined: the worker.
        bundles: jobs.
        forgotten: (study, number) of paused trials that it may let go of.
    """

    ticket: int
    joined: Joined
    bundles: Sequence[Sequence[Job]]
    forgotten: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Answer:
    """What a task came to: outcomes in the order of its jobs, or what it raised."""

    address: str
    ticket: int
    outcomes: list[Outcome] | None = None
    error: BaseException | None = None


@dataclass(frozen=True)
class Lost:
    """A task that nothing more is heard of.

    Attributes:
        address: of its worker, where nothing else is left either.
        ticket: of the task.
        begun: whether the worker's process ended; else the connection to the scheduler broke.
    """

    address: str
    ticket: int
    begun: bool


@dataclass(frozen=True)
class Gone:
    """The scheduler cannot be reached any more."""

    why: str


Message = Workers | Joined | Refused | Answer | Lost | Gone


class Link:
    """A connection.

    Args:
        objective: what the workers run.
        execution: `cluster` is a `distributed.Client` that runs; it stays open.

    Attributes:
        inbox: what has come, of the kinds of `Message`.
        address: of the scheduler.

    Raises:
        UsageError: the objective cannot be sent.
    """

    def __init__(self, objective: Objective, execution: Execution) -> None:
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._execution = replace(execution, cluster=None)
        self._versions = station.versions(objective)
        self._payload, self._sent = pack(objective), None  # refused before anything is sent
        self._client: Any = execution.cluster
        self.address: str = self._client.scheduler.address
        self._run = uuid.uuid4().hex[:8]
        self._sending = asyncio.Lock()
        self._keys: dict[str, str] = {}  # of what makes a worker ready, by its address
        self._stations: dict[str, Any] = {}  # futures of it
        self._futures: dict[int, Any] = {}  # of tasks
        self._closing = False
        self._do(self._watch)

    def greet(self, address: str) -> None:
        """Have a worker made ready: `Joined` or `Refused` follows."""
        self._do(self._greet, address)

    def leave(self, address: str) -> None:
        """Let go of what was made ready at a worker."""
        self._do(self._leave, address)

    def send(self, sendings: Sequence[Sending]) -> None:
        """Have workers run jobs: an `Answer` or `Lost` follows for each, unless it is dropped."""
        self._do(self._submit, sendings)

    def drop(self, tickets: Sequence[int]) -> None:
        """Wait no longer for these: their workers stop them as soon as they can."""
        self._do(self._drop, tickets)

    def close(self) -> None:
        """Let go of everything on the cluster."""
        self._do(self._end)

    def _do(self, what: Callable[..., Any], *arguments: Any) -> None:
        """In the client's event loop, in the order of calls; waking it is dear, so calls are few."""
        self._client.loop.add_callback(what, *arguments)

    # -- in the client's event loop

    async def _watch(self) -> None:
        heard, known = time.monotonic(), None
        while not self._closing:
            try:
                if self._client.status in ("closing", "closed"):
                    raise ConnectionError("the connection was closed")
                found = await asyncio.wait_for(self._client.nthreads(asynchronous=True), _SILENT_SECONDS)
            except Exception as error:
                closed = self._client.status in ("closing", "closed")
                if closed or time.monotonic() - heard > _SILENT_SECONDS:
                    self.inbox.put(Gone(f"{type(error).__name__}: {error}"))
                    return
            else:
                heard = time.monotonic()
                if found != known:
                    known = dict(found)
                    self.inbox.put(Workers(known))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _greet(self, address: str) -> None:
        self._keys[address] = key = f"hpo-station-{self._run}-{uuid.uuid4().hex[:8]}"
        try:
            await self._send_payload(address)
            if self._keys.get(address) != key:
                return
            future = self._client.submit(
                station.install,
                self._sent,
                self._execution,
                self._versions,
                key,
                priority=1,
                **_at(address, key),
            )
        except (Exception, *_CANCELLED):  # scheduler and worker say in many ways that the worker has gone
            self.inbox.put(Refused(address, None))
            return
        self._stations[address] = future
        try:
            [handle] = await self._client.gather([future], asynchronous=True)
        except (Exception, *_CANCELLED) as error:
            tried = future.status == "error" and not _is_killed(error)
            self.inbox.put(Refused(address, f"{type(error).__name__}: {error}" if tried else None))
        else:
            if self._keys.get(address) == key:
                self.inbox.put(Joined(address, handle, future))

    async def _send_payload(self, address: str) -> None:
        """Once for all workers, which pass it on to each other; again if those that had it have gone."""
        async with self._sending:
            if self._sent is None or self._sent.status != "finished":
                where = {"workers": [address], "asynchronous": True}
                self._sent = await self._client.scatter(self._payload, hash=False, **where)

    async def _leave(self, address: str) -> None:
        self._keys.pop(address, None)
        if (future := self._stations.pop(address, None)) is not None:
            await self._cancel([future])

    def _submit(self, sendings: Sequence[Sending]) -> None:
        for sending in sendings:
            address = sending.joined.address
            if self._client.status != "running" or sending.joined.future.status != "finished":
                self.inbox.put(Lost(address, sending.ticket, begun=False))  # the connection broke meanwhile
                continue
            try:
                content = pickle.dumps((sending.bundles, sending.forgotten))  # so that Dask does not look into it
                future = self._client.submit(
                    station.run,
                    sending.joined.future,
                    sending.joined.handle.token,
                    content,
                    **_at(address, f"hpo-{self._run}-{sending.ticket}"),
                )
            except Exception as error:
                self.inbox.put(Answer(address, sending.ticket, error=error))
                continue
            self._futures[sending.ticket] = future
            self._client.loop.add_callback(self._follow, address, sending.ticket, future)

    async def _follow(self, address: str, ticket: int, future: Any) -> None:
        message: Message
        try:
            [outcomes] = await self._client.gather([future], asynchronous=True)
        except (Exception, *_CANCELLED) as error:
            if isinstance(error, StrangerError) or _is_killed(error) or future.status != "error":
                message = Lost(address, ticket, begun=getattr(error, "reason", None) != _DISCONNECTED)
            else:
                message = Answer(address, ticket, error=error)
        else:
            message = Answer(address, ticket, outcomes)
        if self._futures.pop(ticket, None) is not None:
            self.inbox.put(message)

    async def _drop(self, tickets: Sequence[int]) -> None:
        await self._cancel([future for ticket in tickets if (future := self._futures.pop(ticket, None)) is not None])

    async def _cancel(self, futures: list[Any]) -> None:
        if futures and self._client.status == "running":
            with contextlib.suppress(Exception):  # of a scheduler that has gone
                await self._client.cancel(futures, asynchronous=True, force=True)

    async def _end(self) -> None:
        self._closing = True
        futures = [*self._futures.values(), *self._stations.values()]
        self._futures, self._stations, self._keys, self._sent = {}, {}, {}, None
        await self._cancel(futures)


def _at(address: str, key: str) -> dict[str, Any]:
    """Dask runs it there, once: what is tried again is not for Dask to say."""
    return {"workers": [address], "allow_other_workers": False, "retries": 0, "pure": False, "key": key}


def _is_killed(error: BaseException) -> bool:
    """Whether Dask gave a task up because its workers ended."""
    from distributed import KilledWorker

    return isinstance(error, KilledWorker)
