"""One study's side of the loop: searcher, budget and open round, kept in step with the store."""

import contextlib
import os
import socket
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hpo.environment import BY_HAND, environment
from hpo.errors import HpoError, LockedError
from hpo.execution import DEFAULT, Execution
from hpo.searcher import SearcherError
from hpo.store import Store
from hpo.store.damage import AlteredError, blaming
from hpo.store.invariants import violations
from hpo.store.lock import DriverLock
from hpo.store.reader import StudyRow
from hpo.study_spec import StudySpec
from hpo.trial import Job, Outcome, Proposal

WAIT: Final = "wait for it to end, or end it there (`kill -INT {}`, its results are saved)"
WAIT_OR_RENAME: Final = f"{WAIT}; one of another name can run beside it"
_NAMED_SECONDS: Final = 2.0  # from the lock to the name of its owner in the store


@dataclass(frozen=True)
class Round:
    """What begins next in a study.

    Attributes:
        n: how many the searcher was asked for; 0: the proposals continue enqueued trials.
        proposals: some.
    """

    n: int
    proposals: Sequence[Proposal]


class Driver:
    """The only writer of a study while it lives: holds the study's lock.

    Its state is a fold over the stored events, so a driver made after a crash goes on where the last one was.

    Args:
        store: opened for writing.
        row: the study.
        trials: budget in full trainings from now on; None: unlimited (asked and told by hand).
        restarts: whether each evaluation of the objective starts anew, and so is charged all its epochs.
        device: noted in the store.
        execution: how trials will be run.
        surroundings: what `environment(device)` says, where many drivers begin at once; None: it is asked.

    Raises:
        LockedError: another process drives the study.
    """

    def __init__(
        self,
        store: Store,
        row: StudyRow,
        *,
        trials: int | None,
        restarts: bool = False,
        device: str = BY_HAND,
        execution: Execution = DEFAULT,
        surroundings: Mapping[str, Any] | None = None,
    ) -> None:
        self.store = store
        self.study = row.id
        self.name = row.name
        with blaming(store.path):
            self.spec = StudySpec.from_json(row.spec)
        self.trials = trials
        self._restarts = restarts
        self._in_vain = False  # the last ask brought nothing, and nothing was told since
        self._due: list[Outcome] = []  # stored as told, and the searcher is yet to hear of them
        self._doubted = set[int]()  # evaluations whose outcomes were to be stored: nobody knows whether they are
        self._doubted_round = False  # the same of a round that was to begin
        self._unbegun = False  # what the searcher was asked for by hand last has not begun
        self._thought = 0.0  # processor seconds of the searcher since the last event
        self._lock = locked(store, row)
        try:
            noted = dict(surroundings or environment(device)) | {"execution": execution.to_json()}
            store.begin_run(row.id, trials, noted)
            self.searcher = self.spec.bound_searcher()
            self._fold()
        except BaseException:
            self._lock.release()
            raise

    def _fold(self) -> None:
        for event in self.store.history(self.study):
            with self._blaming():
                if event.kind == "told":
                    self.searcher.tell(event.outcomes)
                elif event.n > 0:
                    self.searcher.replay(event.n, event.proposals)
        self.charged = self.store.charged(self.study)
        self._enqueued = bool(self.store.pending(self.study, 1))
        jobs, outcomes = self.store.open_round(self.study, self.spec.trial_epochs)
        self._jobs = {job.evaluation: job for job in jobs}
        self._outcomes = {outcome.evaluation: outcome for outcome in outcomes}

    @property
    def budget(self) -> int | None:
        """Epochs that may be spent in all."""
        return None if self.trials is None else self.trials * self.spec.trial_epochs

    @property
    def outstanding(self) -> list[Job]:
        """Jobs of the open round that have not ended; after a restart they run again."""
        return list(self._jobs.values())

    def next_round(self) -> Round | None:
        """A new round if none is open; free-running, as many as have ended. `begin` it before anything else.

        None when the budget is spent or nothing can be proposed now.
        """
        wanted = self.spec.batch - len(self._jobs) if self.spec.free_running or not self._jobs else 0
        if wanted <= 0 or (self._in_vain and self._jobs):
            return None
        found = self._think(wanted)
        self._in_vain = found is None
        return found

    def begin(self, found: Round) -> list[Job]:
        """The jobs of a round, stored as begun in one transaction.

        This driver takes note only once that is on the disk: until then the same can be tried again. So do all that
        follow.
        """
        jobs = self._begun_before() if self._doubted_round else []
        if not jobs:
            self._doubted_round = True
            spec = self.spec
            jobs = self.store.start(self.study, found.n, found.proposals, spec.seed, spec.trial_epochs, self._thought)
        self.store.db.after_commit(lambda: self._begun(found, jobs))
        return jobs

    def _begun(self, found: Round, jobs: Sequence[Job]) -> None:
        self._doubted_round = self._unbegun = False
        self._thought = 0.0
        self._jobs |= {job.evaluation: job for job in jobs}
        if found.n:
            with self._thinking():
                self.searcher.accept(found.proposals)

    def _begun_before(self) -> list[Job]:
        """What an earlier try has begun after all: an error may come after the commit. Nobody else writes the study."""
        jobs, _ = self.store.open_round(self.study, self.spec.trial_epochs)
        return [job for job in jobs if job.evaluation not in self._jobs]

    def ask(self, n: int) -> list[Job]:
        """Up to `n` jobs, stored as begun; none when the budget is spent or nothing can be proposed."""
        if self._unbegun and self.searcher.replays_asks:  # what could not be begun has changed its state
            self.searcher = self.spec.bound_searcher()
            self._fold()
        found = self._think(n)
        self._unbegun = found is not None
        return [] if found is None else self.begin(found)

    def _think(self, n: int) -> Round | None:
        enqueued = self._ask_enqueued(n)
        if enqueued:
            return Round(0, enqueued)
        if self._enqueued:  # the budget does not reach them: neither does it reach anything else
            return None
        if any(job.number >= self.searcher.next_number for job in self._jobs.values()):
            return None  # enqueued trials that the searcher is yet to hear of: it would give their numbers again
        if self._left is not None and self._left <= 0:
            return None  # nothing is free
        with self._thinking():
            proposals = self._affordable(self.searcher.propose(n))
        return Round(n, proposals) if proposals else None

    def record(self, outcomes: Sequence[Outcome], *, tell_at_once: bool = False) -> None:
        """`save` outcomes, then `tell` the searcher."""
        self.save(outcomes, tell_at_once=tell_at_once)
        self.tell()

    def save(self, outcomes: Sequence[Outcome], *, tell_at_once: bool = False) -> None:
        """Store outcomes, in one transaction.

        The searcher is told when the round is complete, so that the order of arrival changes nothing; by hand and
        free-running there are no rounds, and it is told at once.
        """
        ended = {outcome.evaluation: outcome for outcome in outcomes}
        waiting = self._outcomes | ended
        complete = tell_at_once or self.spec.free_running or not self._jobs.keys() - ended.keys()
        told = sorted(waiting) if complete else []
        if not (self._doubted & ended.keys() and self._saved_before(ended)):
            self._doubted |= ended.keys()
            self.store.record(self.study, outcomes, self.spec.trial_epochs, told, self._thought)
        self.store.db.after_commit(lambda: self._saved(ended, told))

    def _saved(self, ended: Mapping[int, Outcome], told: Sequence[int]) -> None:
        self._doubted -= ended.keys()
        self._outcomes |= ended
        for evaluation in ended:
            del self._jobs[evaluation]
        self.charged += sum(outcome.charged for outcome in ended.values())
        if told:
            self._thought = 0.0
            self._due += [self._outcomes.pop(evaluation) for evaluation in told]

    def _saved_before(self, ended: Mapping[int, Outcome]) -> bool:
        """Whether an earlier try has stored these after all; see `_begun_before`."""
        jobs, _ = self.store.open_round(self.study, self.spec.trial_epochs)
        return not ended.keys() & {job.evaluation for job in jobs}

    def tell(self) -> None:
        """Tell the searcher what was stored as told."""
        if self._due:
            due, self._due = self._due, []
            self._in_vain = False
            with self._thinking():
                self.searcher.tell(due)

    def cancel(self) -> None:
        """Store that what is outstanding was stopped; it runs again on resume."""
        if self._jobs:
            self.store.cancel(self.study, self.outstanding)

    def close(self) -> None:
        """Give up the study, so that others may drive it."""
        self._lock.release()

    @contextlib.contextmanager
    def _thinking(self) -> Iterator[None]:
        begun = time.thread_time()
        try:
            with self._blaming():
                yield
        finally:
            self._thought += time.thread_time() - begun

    @contextlib.contextmanager
    def _blaming(self) -> Iterator[None]:
        """Inside the block what is raised is the searcher's, unless the history is none that hpo wrote."""
        try:
            yield
        except Exception as error:
            with blaming(self.store.path):
                for violation in violations(self.store.db, self.study):
                    raise AlteredError(violation.text) from error
            if isinstance(error, HpoError):
                raise
            at = traceback.extract_tb(error.__traceback__)[-1]
            what = "".join(traceback.format_exception_only(error)).strip()
            where = f"{os.path.basename(at.filename)}, line {at.lineno}"
            raise SearcherError(
                f"searcher {self.spec.searcher!r} failed in study {self.name!r}: {what} ({where}); what was trained is "
                "saved: mend the searcher to go on"
            ) from error

    def _ask_enqueued(self, n: int) -> list[Proposal]:
        if not self._enqueued:
            return []
        trials = self.store.pending(self.study, n)
        self._enqueued = bool(trials)
        epochs = self.spec.trial_epochs
        return self._affordable([Proposal(trial.params, epochs, continues=trial.number) for trial in trials])

    def _affordable(self, proposals: Sequence[Proposal]) -> list[Proposal]:
        """The beginning of `proposals` that the budget reaches."""
        left = self._left
        if left is None:
            return list(proposals)
        kept: list[Proposal] = []
        for proposal in proposals:
            start = 0 if proposal.continues is None else self.searcher.reached(proposal.continues)
            left -= self._cost(start, proposal.epochs or self.spec.trial_epochs)
            if left < 0:
                break
            kept.append(proposal)
        return kept

    @property
    def _left(self) -> int | None:
        """What is left of the budget, with what is outstanding already spent."""
        if self.budget is None:
            return None
        return self.budget - self.charged - sum(self._cost(job.start, job.target) for job in self._jobs.values())

    def _cost(self, start: int, target: int) -> int:
        return target if self._restarts else target - start


def _runs(owner: StudyRow) -> bool:
    """Whether the process that is noted as the study's owner may be alive."""
    if owner.owner_pid is None:
        return False
    if owner.owner_host != socket.gethostname() or os.name != "posix":
        return True
    try:
        os.kill(owner.owner_pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


def locked(store: Store, row: StudyRow, advice: str = WAIT_OR_RENAME) -> DriverLock:
    """The lock of the study, held by this process from now on.

    Args:
        store: that it is in.
        row: the study.
        advice: what to do if another process drives it, with a place for its number.

    Raises:
        LockedError: another process drives the study.
    """
    lock = store.driver_lock(row.id)
    until = time.monotonic() + _NAMED_SECONDS
    while not lock.acquire():
        owner = store.study(row.name)
        if not _runs(owner) and time.monotonic() < until:  # its new owner is yet to write its name
            time.sleep(_NAMED_SECONDS / 100)
            continue
        mine = (owner.owner_host, owner.owner_pid) == (socket.gethostname(), os.getpid())
        if mine:
            advice = "that is this process; call close() on the study that asks and tells"
        raise LockedError(
            f"study {row.name!r} is being driven by process {owner.owner_pid} on host {owner.owner_host}: "
            + advice.format(owner.owner_pid)
        )
    return lock
