"""The driver's connection to a cluster: who is there, what is sent, what comes back.

Everything that waits for the network does so in the client's own event loop; the driver reads an inbox.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import queue
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import distributed

from hpo.errors import ClusterError, UsageError
from hpo.execution import Execution
from hpo.executors.dask import station
from hpo.executors.dask.packing import pack
from hpo.executors.dask.station import Handle, StrangerError
from hpo.objective import Objective
from hpo.trial import Job, Outcome
from hpo.values import brief

CONNECT_SECONDS: Final = 10.0  # to find the scheduler
_SILENT_SECONDS: Final = 30.0  # of the scheduler, after which it is taken to be gone
_LOOK_SECONDS: Final = 0.5  # between two looks at who is there
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
class Answer:
    """What came of what was sent: outcomes, or why there are none."""

    address: str
    ticket: int
    outcomes: list[Outcome] | None = None
    error: BaseException | None = None


@dataclass(frozen=True)
class Gone:
    """The scheduler cannot be reached any more."""

    why: str


Message = Workers | Joined | Refused | Answer | Gone


class Link:
    """A connection.

    Args:
        objective: what the workers run.
        execution: `cluster` is a `distributed.Client` or the address of a scheduler.

    Attributes:
        inbox: what has come, of the kinds of `Message`.
        address: of the scheduler.

    Raises:
        UsageError: `cluster` is neither.
        ClusterError: the scheduler cannot be reached.
    """

    def __init__(self, objective: Objective, execution: Execution) -> None:
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._execution = Execution(**{**vars(execution), "cluster": None})
        self._surroundings = station.surroundings(objective)
        payload = pack(objective)  # refused before anything is sent
        self._client, self._is_ours = _connect(execution.cluster)
        self.address: str = self._client.scheduler.address
        self._run = uuid.uuid4().hex[:8]
        self._payload, self._sent = payload, None
        self._sending = asyncio.Lock()
        self._stations: dict[str, Any] = {}  # futures, by worker
        self._futures: dict[int, Any] = {}
        self._tickets = 0
        self._closing = False
        self._client.loop.add_callback(self._watch)

    def greet(self, address: str) -> None:
        """Have a worker made ready: `Joined` or `Refused` follows."""
        self._client.loop.add_callback(self._greet, address)

    def leave(self, address: str) -> None:
        """Let go of what was made ready at a worker."""
        future = self._stations.pop(address, None)
        if future is not None and self._client.status == "running":
            self._client.loop.add_callback(self._cancel, [future])

    def send(self, joined: Joined, bundles: Sequence[Sequence[Job]], forgotten: Sequence[tuple[int, int]]) -> int:
        """Have a worker run jobs: an `Answer` with this ticket follows, unless it is dropped."""
        ticket, self._tickets = self._tickets, self._tickets + 1
        future = self._client.submit(
            station.run,
            joined.future,
            joined.handle.token,
            list(bundles),
            list(forgotten),
            **self._at(joined.address, f"hpo-{self._run}-{ticket}"),
        )
        self._futures[ticket] = future
        self._client.loop.add_callback(self._follow, joined.address, ticket, future)
        return ticket

    def drop(self, tickets: Sequence[int]) -> None:
        """Wait no longer for these: their workers stop them as soon as they can."""
        futures = [future for ticket in tickets if (future := self._futures.pop(ticket, None)) is not None]
        if futures and self._client.status == "running":
            self._client.loop.add_callback(self._cancel, futures)

    def close(self) -> None:
        """Let go of everything on the cluster; a client that was given stays open."""
        self._closing = True
        self.drop(list(self._futures))
        for address in list(self._stations):
            self.leave(address)
        self._sent = None
        if self._is_ours:
            with contextlib.suppress(Exception):  # of a scheduler that has gone
                self._client.close(timeout=CONNECT_SECONDS)

    def _at(self, address: str, key: str) -> dict[str, Any]:
        """Dask runs it there, once: what is tried again is not for Dask to say."""
        return {"workers": [address], "allow_other_workers": False, "retries": 0, "pure": False, "key": key}

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
        key = f"hpo-station-{self._run}-{uuid.uuid4().hex[:8]}"
        where = {"workers": [address], "asynchronous": True}
        try:
            async with self._sending:  # once for all workers, which pass it on to each other
                if self._sent is None or self._sent.status != "finished":
                    self._sent = await self._client.scatter(self._payload, hash=False, **where)
            future = self._client.submit(
                station.install,
                self._sent,
                self._execution,
                self._surroundings,
                key,
                priority=1,
                **self._at(address, key),
            )
            self._stations[address] = future
            [handle] = await self._client.gather([future], asynchronous=True)
        except (*_CANCELLED, TimeoutError, distributed.KilledWorker):
            self.inbox.put(Refused(address, None))
        except Exception as error:
            self.inbox.put(Refused(address, f"{type(error).__name__}: {error}"))
        else:
            self.inbox.put(Joined(address, handle, future))

    async def _follow(self, address: str, ticket: int, future: Any) -> None:
        try:
            [outcomes] = await self._client.gather([future], asynchronous=True)
        except (Exception, *_CANCELLED) as error:
            answer = Answer(address, ticket, error=error)
        else:
            answer = Answer(address, ticket, outcomes)
        if self._futures.pop(ticket, None) is not None:
            self.inbox.put(answer)

    async def _cancel(self, futures: list[Any]) -> None:
        with contextlib.suppress(Exception):  # of a scheduler that has gone
            await self._client.cancel(futures, asynchronous=True, force=True)


def is_lost(error: BaseException) -> bool:
    """Whether an answer's error says that the worker's process, or the connection to the scheduler, was replaced."""
    return isinstance(error, (StrangerError, distributed.KilledWorker, *_CANCELLED))


def _connect(cluster: Any) -> tuple[Any, bool]:
    """A client, and whether it was made here."""
    if isinstance(cluster, distributed.Client):
        if cluster.asynchronous:
            raise UsageError("the Dask client is asynchronous, expected distributed.Client(address)")
        if cluster.status != "running":
            raise ClusterError(f"the Dask client is {cluster.status}: connect it again")
        return cluster, False
    if not isinstance(cluster, str):
        found = f"{brief(cluster)} ({type(cluster).__name__})"
        raise UsageError(f"the cluster is {found}, expected a distributed.Client or an address, tcp://host:8786 say")
    try:
        return distributed.Client(cluster, timeout=CONNECT_SECONDS, set_as_default=False), True
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {cluster} within {CONNECT_SECONDS:g} s: start one with `dask scheduler`, "
            f"or check the address ({type(error).__name__}: {error})"
        ) from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{cluster!r} is no address of a Dask scheduler ({error}): tcp://host:8786 say") from error
