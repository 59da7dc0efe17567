"""A chunk on its way through a thread, and what it tells on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpo.executors.base import Event
from hpo.executors.ending import Evaluation, out_of_memory
from hpo.objective import Step
from hpo.training.modules.building import precision
from hpo.training.modules.chunk import Chunk
from hpo.training.modules.company import Candidate, agreeing
from hpo.training.modules.dropout import layers_of
from hpo.training.modules.member import Member
from hpo.training.modules.stacked import Layout
from hpo.training.population.paused import Paused
from hpo.trial import Outcome

if TYPE_CHECKING:
    from hpo.training.modules.objective import TorchObjective


@dataclass(eq=False)
class Message:
    """What a chunk has to tell.

    Attributes:
        work: whose.
        events: of its jobs; with the last message all their outcomes.
        strangers: trials that others do not stand for, and so train alone.
        reason: why.
        last: whether nothing follows.
        error: what ended it before its time.
    """

    work: Work
    events: list[Event] = field(default_factory=list)
    strangers: list[Candidate] = field(default_factory=list)
    reason: str = ""
    last: bool = False
    error: BaseException | None = None


class Work:
    """A chunk to be trained from where its trials were left to their target.

    Args:
        objective: theirs.
        candidates: of one structure and the same epochs.
        paused: trials that go on; where one of the chunk was lost, all train again from their seeds.

    Attributes:
        candidates: those given.
        members: by the trial's number; without those that train alone.
        stopped: set to leave at the next step.
    """

    def __init__(self, objective: TorchObjective, candidates: Sequence[Candidate], paused: Paused[Member]) -> None:
        self.candidates = list(candidates)
        self.stopped = False
        self._objective = objective
        for each in candidates:
            if each.module is None:
                each.module = objective.module(each.job)
        fresh = {each.job.number: _member(each) for each in candidates}
        if candidates[0].job.start == 0:
            self.members = fresh
        else:
            self.members = {
                each.job.number: paused.take((each.job.study, each.job.number, 0), _member(each)) for each in candidates
            }
            if any(member.last is None for member in self.members.values()):
                self.members = fresh

    def run(self, tell: Callable[[Message], None]) -> None:
        """Train; in a thread.

        Args:
            tell: takes messages, the last one at the end.
        """
        try:
            outcomes = self._train(tell)
        except BaseException as error:  # handed to the thread that waits
            # the traceback would hold on to the tensors that there was no memory for
            tell(Message(self, last=True, error=error.with_traceback(None) if out_of_memory(error) else error))
            return
        tell(Message(self, outcomes, last=True))

    def _train(self, tell: Callable[[Message], None]) -> list[Event]:
        objective, begin = self._objective, time.perf_counter()
        feed = objective.feed(precision(self.candidates[0].built))
        same = agreeing(self.candidates, feed, objective.scoring)
        strangers = [each for each, agrees in zip(self.candidates, same, strict=True) if not agrees]
        if strangers:
            name = type(strangers[0].built).__name__
            reason = f"{name} gives other outputs in company than by itself (it depends on more than its attributes)"
            for each in strangers:
                del self.members[each.job.number]
            tell(Message(self, strangers=strangers, reason=reason))
        for each in self.candidates[1:]:
            each.module = None  # its numbers are the member's
        jobs = {self.members[each.job.number]: each.job for each in self.candidates if each.job.number in self.members}
        evaluations = {member: Evaluation(job, member.last) for member, job in jobs.items()}
        ended: dict[Member, Outcome] = {}
        for member, evaluation in evaluations.items():
            if member.over:  # it stopped early before
                ended[member] = evaluation.end()
        going = [member for member in jobs if member not in ended]
        if going:
            first = self.candidates[0]
            chunk = Chunk(going, first.built, feed, objective.scoring, first.traits.calls)
            while len(ended) < len(jobs):
                steps = chunk.train_epoch(lambda: self.stopped)
                if steps is None:
                    return []
                spent, begin = time.perf_counter() - begin, time.perf_counter()
                tell(Message(self, _record(steps, evaluations, ended, spent / len(going))))
        return [(job, ended[member]) for member, job in jobs.items()]


def _record(
    steps: Mapping[Member, Step],
    evaluations: Mapping[Member, Evaluation],
    ended: dict[Member, Outcome],
    seconds: float,
) -> list[Event]:
    """Take note of an epoch's steps; gives the events that are no outcomes, which wait in `ended`."""
    events: list[Event] = []
    for member, step in steps.items():
        evaluation = evaluations[member]
        evaluation.seconds += seconds
        event = evaluation.record(step)
        if isinstance(event, Outcome):
            ended[member] = event
        elif event is not None:
            events.append((evaluation.job, event))
    return events


def _member(candidate: Candidate) -> Member:
    """The trial before its first epoch."""
    module, job = candidate.built, candidate.job
    p = tuple(layer.p for layer in layers_of(module))
    return Member(candidate.settings, job.seed, job.epochs, p, Layout(module).tensors(module))
