"""Which trials share the next chunk: the trials of one shape, cut as the machine likes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hpo.executors.ending import out_of_memory
from hpo.objective import Step
from hpo.training.population.chunk import Chunk
from hpo.training.population.member import Member


@dataclass(eq=False)
class Group:
    """The trials of one shape that are under way.

    Attributes:
        limit: members of a chunk that suit the machine.
        loose: members that belong to no chunk: new ones, and those whose chunk others have left.
        loose_since: turn at which the first of them came.
        chunks: whole chunks that wait for their next epoch, each with the turn at which it was last trained, the one
            that has waited longest first.
        running: members of the chunks that are training.
    """

    limit: int
    loose: list[Member] = field(default_factory=list)
    loose_since: int = 0
    chunks: list[tuple[int, Chunk]] = field(default_factory=list)
    running: int = 0

    @property
    def waits_since(self) -> int:
        """Turn since which the first of those that wait has waited."""
        return min(([self.loose_since] if self.loose else []) + [turn for turn, _ in self.chunks[:1]])

    def add(self, members: list[Member], turn: int) -> None:
        """Take on loose members."""
        if members and not self.loose:
            self.loose_since = turn
        self.loose += members

    def may_start(self, limit: int) -> bool:
        """Whether a chunk should start: not if what waits will fit into the chunk that is under way."""
        return self.waiting > 0 and (self.running == 0 or self.running + self.waiting > limit)

    @property
    def waiting(self) -> int:
        """Members that could train now."""
        return len(self.loose) + sum(len(chunk.members) for _, chunk in self.chunks)

    @property
    def begun(self) -> bool:
        """Whether any of its trials is amid its training."""
        return bool(self.running or self.chunks) or any(member.tensors for member in self.loose)

    def next(self, limit: int, most: int) -> Pass:
        """Loose members and the small chunks that fit in with them, or the chunk that has waited longest.

        Args:
            limit: members that are put together.
            most: members that a chunk may keep; a greater one is cut.
        """
        if not self.loose and len(self.chunks[0][1].members) > most:
            turn, chunk = self.chunks.pop(0)
            self.add(chunk.members, turn)
        loose, self.loose = self.loose[:limit], self.loose[limit:]
        room, taken = limit - len(loose), []
        for _, chunk in self.chunks:
            if len(chunk.members) <= room:
                taken.append(chunk)
                room -= len(chunk.members)
        if not loose and not taken:
            taken = [self.chunks[0][1]]
        self.chunks = [(turn, chunk) for turn, chunk in self.chunks if chunk not in taken]
        if not loose and len(taken) == 1:
            return Pass(self, taken[0].members, taken[0])
        return Pass(self, loose + [member for chunk in taken for member in chunk.members])


@dataclass(eq=False)
class Pass:
    """An epoch of a chunk on its way through a thread.

    Attributes:
        group: whose.
        members: in the chunk's order.
        chunk: theirs; None until they are put together.
        stopped: set to leave at the next step.
        steps: what came out, one of each member.
        error: what came instead.
        lost: whether the members' training was lost with it.
        seconds: how long it took.
    """

    group: Group
    members: list[Member]
    chunk: Chunk | None = None
    stopped: bool = False
    steps: list[Step] | None = None
    error: BaseException | None = None
    lost: bool = False
    seconds: float = 0.0

    def run(self, make: Callable[[list[Member]], Chunk], is_over: Callable[[Member], bool]) -> None:
        """Train the epoch; in a thread.

        Args:
            make: puts members together.
            is_over: whether a member's training has ended with the epoch.
        """
        begin = time.perf_counter()
        try:
            if self.chunk is None:
                self.chunk = make(self.members)
                self.members = self.chunk.members
            self.steps = self.chunk.train_epoch(lambda: self.stopped, is_over)
        except BaseException as error:  # handed to the thread that waits
            self.lost, self.chunk = self.chunk is not None, None
            # the traceback would hold on to the tensors that there was no memory for
            self.error = error.with_traceback(None) if out_of_memory(error) else error
        self.seconds = time.perf_counter() - begin
