"""Who trains what: trials that wait, and how they are handed out to those that train, a shape at a time.

So few chunks are under way at once that trials end one after another, but a chunk that begins is filled with what waits
for it, and trials of one shape go to one trainer while that has no more than its share: together they train faster.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from hpo.training.population.executor import GROUPS_AT_ONCE
from hpo.training.population.member import Shape
from hpo.trial import Job

Key = tuple[int, int]  # study and evaluation
K = TypeVar("K")
_ROUNDING: Final = 1e-9


@dataclass(eq=False)
class Work:
    """A job and what it takes.

    Attributes:
        job: what to train.
        shape: trials of one shape train together.
        nbytes: of a chunk's memory, at most all of it.
        epoch_cost: of one epoch, about in proportion to its time.
        epoch: epoch reached.
        tries: how often a helper ended while it trained it.
    """

    job: Job
    shape: Shape
    nbytes: int
    epoch_cost: int
    epoch: int
    tries: int = 0

    @property
    def key(self) -> Key:
        """Of its job."""
        return self.job.study, self.job.evaluation

    @property
    def left(self) -> int:
        """Cost of what is left."""
        return max(1, self.job.target - self.epoch) * self.epoch_cost


class Tally:
    """What some works take.

    Attributes:
        left: cost of what is left of them.
        nbytes: of chunks' memory, for each shape.
        studies: how many there are of each study.
    """

    def __init__(self) -> None:
        self.left = 0
        self.nbytes: Counter[Shape] = Counter()
        self.studies: Counter[int] = Counter()

    def add(self, work: Work, sign: int = 1) -> None:
        """Count one more."""
        self.left += sign * work.left
        _count(self.nbytes, work.shape, sign * work.nbytes)
        _count(self.studies, work.job.study, sign)

    def remove(self, work: Work) -> None:
        """Count one less."""
        self.add(work, -1)


class Engine(Protocol):
    """What trains: this process or a helper."""

    def submit(self, jobs: Sequence[Job]) -> None:
        """Begin with jobs."""
        ...

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Give jobs up."""
        ...


class Trainer:
    """One that trains.

    Args:
        engine: takes its jobs.
        threads: how many it is meant to train on.

    Attributes:
        works: under way there.
        tally: of these.
    """

    def __init__(self, engine: Engine, threads: int) -> None:
        self.engine, self.threads = engine, threads
        self.works: dict[Key, Work] = {}
        self.tally = Tally()

    @property
    def load(self) -> float:
        """Cost of what is left for each thread."""
        return self.tally.left / self.threads

    def take(self, works: Sequence[Work]) -> None:
        """Begin with `works`."""
        for work in works:
            self.works[work.key] = work
            self.tally.add(work)
        self.engine.submit([work.job for work in works])

    def advance(self, work: Work, epoch: int) -> int:
        """Note how far one of `works` has come; the cost of what was done."""
        done, before = max(0, epoch - work.epoch) * work.epoch_cost, work.left
        work.epoch = epoch
        self.tally.left += work.left - before
        return done

    def remove(self, key: Key) -> None:
        """Forget one of `works`."""
        self.tally.remove(self.works.pop(key))


class Allotment:
    """Trials that wait, and those that may take them.

    Args:
        first: the first trainer.
        chunk_bytes: memory of a chunk.

    Attributes:
        trainers: all that train.
    """

    def __init__(self, first: Trainer, chunk_bytes: int) -> None:
        self.trainers = [first]
        self._chunk_bytes = chunk_bytes
        self._waiting: dict[Shape, list[Work]] = {}  # the shape that has waited longest first
        self._tally = Tally()  # of those that wait
        self._changed = False  # whether something may have to be handed out

    def __len__(self) -> int:
        """Trials that wait."""
        return sum(map(len, self._waiting.values()))

    @property
    def left(self) -> int:
        """Cost of everything that is left."""
        return self._tally.left + sum(trainer.tally.left for trainer in self.trainers)

    def add(self, works: Iterable[Work]) -> None:
        """Let trials wait."""
        self._changed = True
        for work in works:
            self._waiting.setdefault(work.shape, []).append(work)
            self._tally.add(work)

    def withdraw(self, keys: Collection[Key]) -> None:
        """Forget trials, wherever they are."""
        self._changed = True
        for shape, works in list(self._waiting.items()):
            self._remove(shape, [work for work in works if work.key in keys])
        for trainer in self.trainers:
            for key in trainer.works.keys() & keys:
                trainer.remove(key)

    def join(self, trainer: Trainer) -> None:
        """There is one more that trains."""
        self._changed = True
        self.trainers.append(trainer)

    def ended(self, trainer: Trainer, key: Key) -> None:
        """A trial of `trainer` has ended."""
        self._changed = True
        trainer.remove(key)

    def hand_out(self) -> None:
        """Give everyone work, but no more chunks than the engine has under way at once.

        Except that a study of which nothing is under way does not wait for others.
        """
        if not (self._changed and self._waiting):
            return
        self._changed = False
        self._begin_studies()
        while any(
            self._give(trainer, self._shapes_for(trainer), at_least=0 if trainer.works else 1)
            for trainer in sorted(self.trainers, key=lambda trainer: trainer.load)
        ):
            pass

    def _begin_studies(self) -> None:
        """Hand out a trial of each study of which nothing is under way, and what trains with it."""
        idle = set(self._tally.studies).difference(*(trainer.tally.studies for trainer in self.trainers))
        for shape in list(self._waiting) if idle else ():
            works = self._waiting[shape]
            first = {work.job.study: work for work in reversed(works) if work.job.study in idle}
            if first:
                self._waiting[shape] = [*first.values(), *(w for w in works if first.get(w.job.study) is not w)]
                able = [trainer for trainer in self.trainers if shape in trainer.tally.nbytes] or self.trainers
                self._give(min(able, key=lambda trainer: trainer.load), [shape], at_least=len(first))
                idle -= first.keys()

    def _shapes_for(self, trainer: Trainer) -> list[Shape]:
        """Shapes that wait, those first that `trainer` trains and those last that only others do."""
        begun = {shape for each in self.trainers for shape in each.tally.nbytes}
        return sorted(self._waiting, key=lambda shape: (shape not in trainer.tally.nbytes, shape in begun))

    def _give(self, trainer: Trainer, shapes: Sequence[Shape], at_least: int) -> bool:
        """Hand out trials of the first of `shapes` that `trainer` may take; whether there was one.

        It may take what fits into its chunks and into its share of everything that is left, and `at_least` so many,
        with what fits into the chunk that they begin.
        """
        size, begun = self._chunk_bytes, trainer.tally.nbytes
        more = max(0, GROUPS_AT_ONCE * trainer.threads - sum(-(-nbytes // size) for nbytes in begun.values()))
        share = self.left / sum(each.threads for each in self.trainers) * (1 + _ROUNDING)
        for shape in shapes:
            works, used, count = self._waiting[shape], begun[shape], 0
            needed = used + sum(work.nbytes for work in works[:at_least])
            free = size * max(more - (-used // size), -(-needed // size)) - used
            left = (share - trainer.load) * trainer.threads
            for work in works:
                left, free = left - work.left, free - work.nbytes
                if count >= at_least and (left < 0 or free < 0):
                    break
                count += 1
            if count:
                self._remove(shape, works[:count])
                trainer.take(works[:count])
                return True
        return False

    def _remove(self, shape: Shape, gone: Iterable[Work]) -> None:
        """Let some of the shape wait no more."""
        gone = set(gone)
        for work in gone:
            self._tally.remove(work)
        if staying := [work for work in self._waiting[shape] if work not in gone]:
            self._waiting[shape] = staying
        else:
            del self._waiting[shape]


def _count(counter: Counter[K], key: K, amount: int) -> None:
    """Add to a counter, which has no zeros."""
    counter[key] += amount
    if not counter[key]:
        del counter[key]
