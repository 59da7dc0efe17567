"""The executor of the shared objective: all jobs that are under way train together.

Trials are batched continuously, as language-model servers batch requests: after each epoch of a chunk those that
reached their target leave and those that came meanwhile join. Which trials share a chunk changes no result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, cast

import torch

from hpo.executors.base import Event
from hpo.executors.ending import Evaluation, out_of_memory
from hpo.objective import Objective
from hpo.training.optimizers import unfused
from hpo.training.population import machine
from hpo.training.population.chunk import Chunk
from hpo.training.population.inputs import InputsCache
from hpo.training.population.member import Member, Shape, nbytes_of, shape_of
from hpo.training.population.schedule import Group, Pass
from hpo.training.population.trials import TrainsMembers, TrialUnderWay
from hpo.training.together import Together
from hpo.trial import Job, Outcome, State

GROUPS_AT_ONCE: Final = 2  # for each thread: enough for the next to be ready, few enough for trials to end soon


class PopulationExecutor(Together[Pass, Member, Pass]):
    """Trains all its jobs together.

    Args:
        objective: what the jobs train; it starts the runs of those that cannot be trained with others.
        device: where.
        threads: chunks that train at once; None: what the machine has.
        chunk_bytes: memory of a chunk; None: what suits the machine.
        paused_bytes: memory for paused trials; None: a share of the machine's.

    Attributes:
        threads: chunks that may train at once from now on, at most as many as in the beginning.
    """

    def __init__(
        self,
        objective: TrainsMembers,
        device: torch.device,
        *,
        threads: int | None = None,
        chunk_bytes: int | None = None,
        paused_bytes: int | None = None,
    ) -> None:
        self._objective, self._device = objective, device
        self._metric = objective.scoring()
        self._inputs = InputsCache(device)
        self.threads = machine.threads(device) if threads is None else threads
        self._chunk_bytes = machine.chunk_bytes(device, self.threads) if chunk_bytes is None else chunk_bytes
        super().__init__(cast(Objective, objective), self.threads, paused_bytes, "hpo-population")  # asks for runs only
        self._trials: dict[Member, TrialUnderWay] = {}  # of the members that train
        self._groups: dict[Shape, Group] = {}
        self._turn = 0

    @property
    def busy(self) -> bool:
        """Whether there are jobs."""
        return bool(self._ready or self._trials or self._running or self._solo.busy)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Executor.submit`."""
        for job in jobs:
            try:
                members = self._objective.members(job)
            except Exception as error:
                self._ready.append((job, Evaluation(job).fail(error)))
                continue
            if reasons := unfused(members[0].settings):
                for reason in reasons:
                    self._say(
                        f"{reason} cannot be trained together with other trials: trials with it train one after "
                        "another, on the CPU, which is slower"
                    )
                self._solo.submit([job])
                continue
            members = [self._paused.take((job.study, job.number, fold), member) for fold, member in enumerate(members)]
            trial = TrialUnderWay(job, members)
            for member in members:
                if not trial.is_over(member):
                    self._trials[member] = trial
                    self._group(member).add([member], self._turn)
            if all(map(trial.is_over, members)):  # it stopped early before
                outcome = trial.evaluation.end()
                self._ready.append((job, outcome))
                self._keep(trial, outcome)

    def cancel(self, jobs: Iterable[Job]) -> None:
        """See `Executor.cancel`; an epoch that nobody waits for any more ends at its next step."""
        dropped = self._withdraw(jobs)
        for member in [m for m, t in self._trials.items() if (t.job.study, t.job.evaluation) in dropped]:
            del self._trials[member]
        self._regroup()

    def _regroup(self) -> None:
        """Let go of members that nobody waits for any more."""
        for under_way in self._running:
            under_way.stopped = not any(member in self._trials for member in under_way.members)
        for group in self._groups.values():
            chunks, group.chunks = group.chunks, []
            for turn, chunk in chunks:
                self._return(group, chunk, turn)
            group.loose = [member for member in group.loose if member in self._trials]

    def close(self) -> None:
        """See `Together.close`."""
        super().close()
        self._trials.clear()
        self._groups.clear()

    def _group(self, member: Member) -> Group:
        shape = shape_of(member.settings, member.data)
        if shape not in self._groups:
            self._groups[shape] = Group(max(1, self._chunk_bytes // nbytes_of(member.settings, member.data)))
        return self._groups[shape]

    def _dispatch(self) -> None:
        """Give work to threads that have none.

        Those that have waited longest come first. But only so many groups are under way at once that trials end one
        after another, not all at the end: what was reached is kept when the run is stopped. A study of which
        nothing is under way does not wait for others.
        """
        while (free := self.threads - len(self._running)) > 0:
            share = -(-len(self._trials) // self.threads)  # of a thread, so that all have work
            able = [group for group in self._groups.values() if group.may_start(min(group.limit, share))]
            if sum(group.begun for group in self._groups.values()) >= GROUPS_AT_ONCE * self.threads:
                busy = {trial.job.study for member, trial in self._trials.items() if member.tensors}
                able = [group for group in able if group.begun or not self._studies(group.loose) <= busy]
            if not able:
                return
            group = min(able, key=lambda group: group.waits_since)
            if len(able) == 1 and not group.running:  # threads without work take a part of the last group
                share = min(share, -(-group.waiting // free))
            limit = min(group.limit, share)
            started = group.next(limit, limit if len(able) == 1 else group.limit)
            group.running += len(started.members)
            self._running.append(started)
            self._pool.submit(self._work, started)

    def _studies(self, members: Iterable[Member]) -> set[int]:
        return {self._trials[member].job.study for member in members}

    def _work(self, started: Pass) -> None:
        started.run(self._chunk, self._is_over)
        self._arrived.put(started)

    def _chunk(self, members: list[Member]) -> Chunk:
        return Chunk(members, self._inputs.of, self._metric)

    def _is_over(self, member: Member) -> bool:
        trial = self._trials.get(member)
        return trial is not None and trial.is_over(member)

    def _receive(self, ended: Pass) -> list[Event]:
        self._running.remove(ended)
        ended.group.running -= len(ended.members)
        self._turn += 1
        for member in ended.members:
            if member in self._trials:
                self._trials[member].evaluation.seconds += ended.seconds / len(ended.members)
        if ended.error is not None:
            return self._fail(ended, ended.error)
        if ended.steps is None:  # stopped, and so nobody's
            return []
        events: list[Event] = []
        for member, step in zip(ended.members, ended.steps, strict=True):
            trial = self._trials.get(member)
            if trial is None:
                continue
            if trial.is_over(member):
                del self._trials[member]
            for event in trial.record(member, step):
                events.append((trial.job, event))
                if isinstance(event, Outcome):
                    self._keep(trial, event)
        assert ended.chunk is not None
        self._return(ended.group, ended.chunk, self._turn)
        return events

    def _keep(self, trial: TrialUnderWay, outcome: Outcome) -> None:
        """A trial has ended for now: keep it if it may go on, and let go of folds that still train."""
        job, left = trial.job, [member for member in trial.members if member in self._trials]
        for member in left:
            del self._trials[member]
        if left:
            self._regroup()
        if outcome.state == State.DONE and job.target < job.epochs:
            for fold, member in enumerate(trial.members):
                self._paused.put((job.study, job.number, fold), member)

    def _return(self, group: Group, chunk: Chunk, turn: int) -> None:
        """A chunk between two epochs: whole, or its members loose if some have left."""
        staying = [member for member in chunk.members if member in self._trials]
        if len(staying) == len(chunk.members):
            group.chunks.append((turn, chunk))
        else:
            group.add(staying, turn)

    def _fail(self, ended: Pass, error: BaseException) -> list[Event]:
        """A chunk that failed: short of memory it is halved, anything else fails its trials."""
        group, members = ended.group, [member for member in ended.members if member in self._trials]
        if out_of_memory(error) and len(ended.members) > 1:
            group.limit = min(group.limit, len(ended.members) // 2)
            if ended.lost:
                for member in members:
                    member.reset()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
            group.add(members, self._turn)
            return []
        trials = list(dict.fromkeys(self._trials[member] for member in members))
        self._trials = {member: trial for member, trial in self._trials.items() if trial not in trials}
        self._regroup()
        return [(trial.job, trial.evaluation.fail(error)) for trial in trials]
