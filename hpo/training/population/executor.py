"""The executor of the shared objective: all jobs that are under way train together.

Trials are batched continuously, as language-model servers batch requests: after each epoch of a chunk those that
reached their target leave and those that came meanwhile join. Which trials share a chunk changes no result.
"""

from __future__ import annotations

import queue
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import torch

from hpo.executors.base import Event, Executor
from hpo.executors.ending import Evaluation, out_of_memory
from hpo.executors.in_process import InProcessExecutor
from hpo.objective import Objective
from hpo.training import draws
from hpo.training.data import Data
from hpo.training.hyperparameters import complete
from hpo.training.optimizers import unfused
from hpo.training.population import machine
from hpo.training.population.chunk import Chunk, Member, nbytes_of, shape_of
from hpo.training.population.inputs import Inputs
from hpo.training.population.paused import Paused
from hpo.training.population.schedule import Group, Pass
from hpo.trial import Job, Outcome, State

GROUPS_AT_ONCE: Final = 2  # for each thread: enough for the next to be ready, few enough for trials to end soon


class PopulationExecutor(Executor):
    """Trains all its jobs together.

    While it exists, torch uses one thread in this process: the executor's own threads share the cores.

    Args:
        objective: starts the runs of jobs that cannot be trained with others.
        data: what the jobs train on.
        device: where.
        threads: chunks that train at once; None: what the machine has.
        chunk_bytes: memory of a chunk; None: what suits the machine.
        paused_bytes: memory for paused trials; None: a share of the machine's.

    Attributes:
        threads: chunks that may train at once from now on, at most as many as in the beginning.
    """

    def __init__(
        self,
        objective: Objective,
        data: Data,
        device: torch.device,
        *,
        threads: int | None = None,
        chunk_bytes: int | None = None,
        paused_bytes: int | None = None,
    ) -> None:
        self._inputs = Inputs.of(data, device)
        self.threads = machine.threads(device) if threads is None else threads
        self._chunk_bytes = machine.chunk_bytes(device, self.threads) if chunk_bytes is None else chunk_bytes
        self._solo = InProcessExecutor(objective)
        self._told: set[str] = set()  # why trials went there
        self._paused = Paused(paused_bytes)
        self._evaluations: dict[Member, Evaluation] = {}
        self._groups: dict[tuple[int, int], Group] = {}
        self._passes: list[Pass] = []  # in the threads
        self._arrived: queue.SimpleQueue[Pass] = queue.SimpleQueue()
        self._ready: list[Event] = []
        self._turn = 0
        self._callers_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self.threads, "hpo-population", torch.set_num_threads, (1,))

    @property
    def busy(self) -> bool:
        """Whether there are jobs."""
        return bool(self._ready or self._evaluations or self._passes or self._solo.busy)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Executor.submit`."""
        for job in jobs:
            try:
                settings = complete(job.params)
            except Exception as error:
                self._ready.append((job, Evaluation(job).fail(error)))
                continue
            if reasons := unfused(settings):
                self._warn(reasons)
                self._solo.submit([job])
                continue
            member = self._paused.take((job.study, job.number), Member(settings, draws.trial_keys([job.seed])))
            self._evaluations[member] = Evaluation(job, member.last)
            self._group(member).add([member], self._turn)

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor.wait`; returns as soon as an evaluation has ended."""
        deadline = time.monotonic() + timeout
        events, self._ready = self._ready, []
        while not any(isinstance(event, Outcome) for _, event in events):
            self._dispatch()
            if self._solo.busy:
                events += self._solo.wait(0.0)  # one step
            elif not self._passes:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                break
            events += self._collect(0.0 if self._solo.busy else left)
        events += self._collect(0.0)
        self._dispatch()  # the threads go on while the caller stores
        return events

    def cancel(self, jobs: Iterable[Job]) -> None:
        """See `Executor.cancel`; an epoch that nobody waits for any more ends at its next step."""
        jobs = list(jobs)
        dropped = {(job.study, job.evaluation) for job in jobs}
        self._ready = [(job, event) for job, event in self._ready if (job.study, job.evaluation) not in dropped]
        self._solo.cancel(jobs)
        for member in [m for m, e in self._evaluations.items() if (e.job.study, e.job.evaluation) in dropped]:
            del self._evaluations[member]
        for under_way in self._passes:
            under_way.stopped = not any(member in self._evaluations for member in under_way.members)
        for group in self._groups.values():
            chunks, group.chunks = group.chunks, []
            for turn, chunk in chunks:
                self._return(group, chunk, turn)
            group.loose = [member for member in group.loose if member in self._evaluations]

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """See `Executor.release`."""
        self._paused.release(study, keep)
        self._solo.release(study, keep)

    def close(self) -> None:
        """Stop the threads at their next step and give back everything."""
        for under_way in self._passes:
            under_way.stopped = True
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._callers_threads)
        self._paused.close()
        self._solo.close()
        self._evaluations.clear()
        self._groups.clear()

    def _group(self, member: Member) -> Group:
        data = self._inputs.data
        shape = shape_of(member.settings, data)
        if shape not in self._groups:
            self._groups[shape] = Group(max(1, self._chunk_bytes // nbytes_of(member.settings, data)))
        return self._groups[shape]

    def _dispatch(self) -> None:
        """Give work to threads that have none.

        Those that have waited longest come first. But only so many groups are under way at once that trials end one
        after another, not all at the end: what was reached is kept when the run is stopped. A study of which
        nothing is under way does not wait for others.
        """
        while (free := self.threads - len(self._passes)) > 0:
            share = -(-len(self._evaluations) // self.threads)  # of a thread, so that all have work
            able = [group for group in self._groups.values() if group.may_start(min(group.limit, share))]
            if sum(group.begun for group in self._groups.values()) >= GROUPS_AT_ONCE * self.threads:
                busy = {evaluation.job.study for member, evaluation in self._evaluations.items() if member.tensors}
                able = [group for group in able if group.begun or not self._studies(group.loose) <= busy]
            if not able:
                return
            group = min(able, key=lambda group: group.waits_since)
            if len(able) == 1 and not group.running:  # threads without work take a part of the last group
                share = min(share, -(-group.waiting // free))
            limit = min(group.limit, share)
            started = group.next(limit, limit if len(able) == 1 else group.limit)
            group.running += len(started.members)
            self._passes.append(started)
            self._pool.submit(self._work, started)

    def _studies(self, members: Iterable[Member]) -> set[int]:
        return {self._evaluations[member].job.study for member in members}

    def _work(self, started: Pass) -> None:
        started.run(self._inputs)
        self._arrived.put(started)

    def _collect(self, timeout: float) -> list[Event]:
        """Events of the passes that have ended, waiting for the first of them."""
        events: list[Event] = []
        try:
            ended = self._arrived.get(timeout=timeout) if timeout > 0 else self._arrived.get_nowait()
            while True:
                events += self._end(ended)
                ended = self._arrived.get_nowait()
        except queue.Empty:
            return events

    def _end(self, ended: Pass) -> list[Event]:
        self._passes.remove(ended)
        ended.group.running -= len(ended.members)
        self._turn += 1
        for member in ended.members:
            if member in self._evaluations:
                self._evaluations[member].seconds += ended.seconds / len(ended.members)
        if ended.error is not None:
            return self._fail(ended, ended.error)
        if ended.steps is None:  # stopped, and so nobody's
            return []
        events: list[Event] = []
        for member, step in zip(ended.members, ended.steps, strict=True):
            evaluation = self._evaluations.get(member)
            if evaluation is None:
                continue
            job, event = evaluation.job, evaluation.record(step)
            if event is not None:
                events.append((job, event))
            if isinstance(event, Outcome):
                del self._evaluations[member]
                if event.state == State.DONE and job.target < job.epochs:
                    self._paused.put((job.study, job.number), member)
        assert ended.chunk is not None
        self._return(ended.group, ended.chunk, self._turn)
        return events

    def _return(self, group: Group, chunk: Chunk, turn: int) -> None:
        """A chunk between two epochs: whole, or its members loose if some have left."""
        staying = [member for member in chunk.members if member in self._evaluations]
        if len(staying) == len(chunk.members):
            group.chunks.append((turn, chunk))
        else:
            group.add(staying, turn)

    def _fail(self, ended: Pass, error: BaseException) -> list[Event]:
        """A chunk that failed: short of memory it is halved, anything else fails its trials."""
        group, members = ended.group, [member for member in ended.members if member in self._evaluations]
        if out_of_memory(error) and len(ended.members) > 1:
            group.limit = min(group.limit, len(ended.members) // 2)
            if ended.lost:
                for member in members:
                    member.reset()
                    self._evaluations[member].start_again()
            if self._inputs.x.device.type == "cuda":
                torch.cuda.empty_cache()
            group.add(members, self._turn)
            return []
        evaluations = [self._evaluations.pop(member) for member in members]
        return [(evaluation.job, evaluation.fail(error)) for evaluation in evaluations]

    def _warn(self, reasons: list[str]) -> None:
        for reason in reasons:
            if reason not in self._told:
                self._told.add(reason)
                warnings.warn(
                    f"{reason} cannot be trained together with other trials: trials with it train one after another, "
                    "on the CPU, which is slower",
                    stacklevel=2,
                )
