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
from hpo.trial import Job, Outcome

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
        members: by the trial's number; without those that train alone or could not be built.
        stopped: set to leave at the next step.
    """

    def __init__(self, objective: TorchObjective, candidates: Sequence[Candidate], paused: Paused[Member]) -> None:
        self.candidates = list(candidates)
        self.stopped = False
        self._objective = objective
        self._failed: list[Event] = []  # outcomes of trials that could not be built
        self.members = {each.job.number: _member(each) for each in candidates}
        if candidates[0].job.start > 0:
            kept = {job.number: paused.take((job.study, job.number, 0), self.members[job.number]) for job in self._jobs}
            if all(member.last is not None for member in kept.values()):
                self.members = kept
            else:  # some may have come from a file
                self.members = {each.job.number: _member(each) for each in candidates}

    @property
    def _jobs(self) -> list[Job]:
        return [each.job for each in self.candidates]

    def run(self, tell: Callable[[Message], None]) -> None:
        """Train; in a thread.

        Args:
            tell: takes messages, the last one at the end.
        """
        try:
            outcomes = self._train(tell)
        except BaseException as error:  # handed to the thread that waits
            # the traceback would hold on to the tensors that there was no memory for
            error = error.with_traceback(None) if out_of_memory(error) else error
            tell(Message(self, self._failed, last=True, error=error))
            return
        tell(Message(self, outcomes, last=True))

    def _train(self, tell: Callable[[Message], None]) -> list[Event]:
        objective, begin = self._objective, time.perf_counter()
        built = self._built()
        if not built or self.stopped:
            return self._failed
        first = built[0]
        feed = objective.feed(precision(first.built))
        same = agreeing(built, feed, objective.scoring)
        strangers = [each for each, agrees in zip(built, same, strict=True) if not agrees]
        if strangers:
            why = "it depends on more than its attributes"
            reason = f"{first.name} gives other outputs in company than by itself ({why})"
            for each in strangers:
                del self.members[each.job.number]
            tell(Message(self, strangers=strangers, reason=reason))
        for each in built[1:]:
            each.module = None  # its numbers are the member's
        jobs = {self.members[job.number]: job for job in self._jobs if job.number in self.members}
        evaluations = {member: Evaluation(job, member.last) for member, job in jobs.items()}
        ended: dict[Member, Outcome] = {}
        for member, evaluation in evaluations.items():
            if member.over:  # it stopped early before
                ended[member] = evaluation.end()
        going = [member for member in jobs if member not in ended]
        if going:
            chunk = Chunk(going, first.built, feed, objective.scoring, first.traits.calls)
            while len(ended) < len(jobs):
                steps = chunk.train_epoch(lambda: self.stopped)
                if steps is None:
                    return []
                spent, begin = time.perf_counter() - begin, time.perf_counter()
                tell(Message(self, _record(steps, evaluations, ended, spent / len(going))))
        return [*self._failed, *((job, ended[member]) for member, job in jobs.items())]

    def _built(self) -> list[Candidate]:
        """Build modules that were let go, and take their numbers over; those that can be built."""
        built = []
        for each in self.candidates:
            number = each.job.number
            try:
                if self.stopped:
                    return []
                if each.module is None:
                    each.module = self._objective.module(each.job)
            except Exception as error:
                if out_of_memory(error):
                    raise
                del self.members[number]
                self._failed.append((each.job, Evaluation(each.job).fail(error)))
                continue
            member = self.members[number]
            member.p = tuple(layer.p for layer in layers_of(each.module))
            if member.last is None:
                member.tensors = Layout(each.module).tensors(each.module)
            built.append(each)
        return built


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
    """The trial before its first epoch, without what is known when its module is built."""
    return Member(candidate.settings, candidate.job.seed, candidate.job.epochs)
