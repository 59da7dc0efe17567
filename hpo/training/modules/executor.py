"""The executor of users' modules: chunks of trials of one structure, each trained whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import torch

from hpo.executors.base import Event
from hpo.executors.ending import Evaluation, out_of_memory
from hpo.training.modules.company import Candidate, Company
from hpo.training.modules.member import Member
from hpo.training.modules.work import Message, Work
from hpo.training.population import machine
from hpo.training.together import Together
from hpo.trial import Job, Outcome, State

if TYPE_CHECKING:
    from hpo.training.modules.objective import TorchObjective

_WAITING_BYTES: Final = 2**28  # of modules of one call


class ModulesExecutor(Together[Work, Member, Message]):
    """Trains jobs in chunks, which are cut when they are submitted: whatever else is under way, the same ones.

    The outcomes of a chunk come together from one `wait`, so that they are stored together or not at all.

    Args:
        objective: what the jobs train.
        threads: chunks that train at once; None: what the machine has.
        paused_bytes: memory for paused trials; None: a share of the machine's.
    """

    def __init__(
        self, objective: TorchObjective, *, threads: int | None = None, paused_bytes: int | None = None
    ) -> None:
        self._objective = objective
        given = machine.threads(objective.torch_device) if threads is None else threads
        self._threads = 1 if objective.source_data.own_batches else given  # a loader has one iterator at a time
        super().__init__(objective, self._threads, paused_bytes, "hpo-modules")
        self._alone: set[tuple[int, int]] = set()  # study and number of trials that train alone
        self._waiting: list[list[Candidate]] = []
        self._dropped: set[tuple[int, int]] = set()  # study and evaluation of cancelled jobs of chunks

    @property
    def busy(self) -> bool:
        """See `Executor.busy`."""
        return bool(self._ready or self._waiting or self._running or self._solo.busy)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Executor.submit`; builds the modules first, one after another, and takes as long as that does."""
        candidates = []
        for job in jobs:
            if (job.study, job.number) in self._alone:
                self._solo.submit([job])
                continue
            try:
                candidates.append(self._objective.candidate(job))
            except Exception as error:
                self._ready.append((job, Evaluation(job).fail(error)))
        _let_go(candidates)
        if (attribute := Company.divided(candidates)) is not None:
            self._say(
                f"{attribute} differs from trial to trial: trials that differ in it train apart, which is slower; a "
                "number may be a buffer instead (register_buffer), which keeps none apart"
            )
        for chunk in Company.cut(candidates):
            if chunk[0].traits.fuses:
                self._waiting.append(chunk)
            else:
                self._train_alone(chunk, chunk[0].traits.reason)

    def cancel(self, jobs: Iterable[Job]) -> None:
        """See `Executor.cancel`; a chunk that nobody waits for any more ends at its next step.

        One that somebody waits for goes on whole: its trials keep their company.
        """
        gone = self._withdraw(jobs)
        self._dropped |= gone & {
            _key(each.job) for chunk in (*self._waiting, *(w.candidates for w in self._running)) for each in chunk
        }
        self._waiting = [chunk for chunk in self._waiting if self._wanted(chunk)]
        for work in self._running:
            work.stopped = work.stopped or not self._wanted(work.candidates)

    def _wanted(self, chunk: Sequence[Candidate]) -> bool:
        return any(_key(each.job) not in self._dropped for each in chunk)

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """See `Executor.release`."""
        super().release(study, keep)
        if not self._solo.busy:  # of those that train there now some may go on later
            self._alone = {(of, number) for of, number in self._alone if of != study or keep(number)}

    def close(self) -> None:
        """See `Together.close`."""
        super().close()
        self._waiting.clear()

    def _dispatch(self) -> None:
        """Give chunks to threads that have none, in the order in which they came."""
        while self._waiting and len(self._running) < self._threads:
            chunk = self._waiting.pop(0)
            if self._wanted(chunk):
                work = Work(self._objective, chunk, self._paused)
                self._running.append(work)
                self._pool.submit(work.run, self._arrived.put)

    def _receive(self, message: Message) -> list[Event]:
        work = message.work
        strangers = [each for each in message.strangers if _key(each.job) not in self._dropped]
        if strangers:
            self._train_alone(strangers, message.reason)
        events = [(job, event) for job, event in message.events if _key(job) not in self._dropped]
        if not message.last:
            return events
        self._running.remove(work)
        if message.error is not None:
            self._retry(work, message.error)
        for job, event in events:
            if isinstance(event, Outcome) and event.state == State.DONE and job.target < job.epochs:
                self._paused.put((job.study, job.number, 0), work.members[job.number])
        if not self._waiting and not self._running:
            self._dropped.clear()
        return events

    def _retry(self, work: Work, error: BaseException) -> None:
        """A chunk that failed: short of memory it is halved, after anything else its trials train alone."""
        left = [each for each in work.candidates if each.job.number in work.members]
        if out_of_memory(error) and len(left) > 1:
            if self._objective.torch_device.type == "cuda":
                torch.cuda.empty_cache()
            for each in left:
                each.module = None  # the check has used it up
            half = len(left) // 2
            self._waiting[:0] = [left[:half], left[half:]]
            return
        said = str(error).strip().splitlines()
        text = f"{type(error).__name__}: {said[0][:200]}" if said else type(error).__name__
        wanted = [each for each in left if _key(each.job) not in self._dropped]
        self._train_alone(wanted, f"{work.candidates[0].name} failed in company ({text})")

    def _train_alone(self, candidates: Sequence[Candidate], reason: str) -> None:
        self._alone |= {(each.job.study, each.job.number) for each in candidates}
        self._solo.submit([each.job for each in candidates])
        if reason:
            self._say(f"{reason}: such trials train one after another, which is slower")


def _let_go(candidates: Sequence[Candidate]) -> None:
    """Forget modules that are too many to wait in memory: they are built again when it is their turn."""
    room = _WAITING_BYTES
    for each in candidates:
        room -= sum(tensor.nbytes for tensor in (*each.built.parameters(), *each.built.buffers()))
        if room < 0:
            each.module = None


def _key(job: Job) -> tuple[int, int]:
    return job.study, job.evaluation
