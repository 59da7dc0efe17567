"""Jobs one after another in this process, epoch by epoch; paused trials stay in memory."""

import contextlib
import os
import time
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from hpo.errors import Interrupt
from hpo.execution import DEFAULT, Execution
from hpo.executors.base import Event, Executor
from hpo.executors.ending import Evaluation
from hpo.live_trial import LiveTrial
from hpo.objective import Objective, Run, Step
from hpo.signals import listen_again, stopping
from hpo.trial import Job, Outcome, Progress, State

MAX_PAUSED = 4096  # trials kept in memory; one that fell out is trained again from its seed when promoted


class InProcessExecutor(Executor):
    """Runs jobs of one objective in the order they were submitted.

    Args:
        objective: what the jobs train.
        execution: says where files of trials go.
        live: makes what a function is given to report to; None: in this process a stop that the user asked for
            cancels the evaluation.
    """

    def __init__(
        self, objective: Objective, execution: Execution = DEFAULT, live: Callable[[Job], LiveTrial] | None = None
    ) -> None:
        self._objective = objective
        self._live = live or (lambda job: LiveTrial(job, execution.files, cancelled=stopping))
        self._waiting: deque[Job] = deque()
        self._running: _Running | None = None
        self._paused: OrderedDict[tuple[int, int], tuple[Run, Step | None]] = OrderedDict()

    @property
    def busy(self) -> bool:
        """Whether there are jobs."""
        return bool(self._waiting or self._running)

    def submit(self, jobs: Sequence[Job]) -> None:
        """See `Executor.submit`."""
        self._waiting.extend(jobs)

    def wait(self, timeout: float) -> list[Event]:
        """See `Executor.wait`; events of `timeout` seconds come together, so that they are stored together."""
        deadline = time.monotonic() + timeout
        events: list[Event] = []
        while self.busy:
            if self._running is None:
                self._running = self._begin(self._waiting.popleft())
            job, event = self._running.evaluation.job, self._running.step()
            if isinstance(event, Outcome):
                self._running.put_right()
            if self._running.live.interrupted:  # it was told to stop: what it returned is not its value
                self._waiting.appendleft(job)
                self._drop()
                break
            if event is not None:
                events.append((job, event))
            if isinstance(event, Outcome):
                self._end(self._running, event)
                self._running = None
            if time.monotonic() >= deadline:
                break
        return events

    def cancel(self, jobs: Iterable[Job]) -> None:
        """See `Executor.cancel`."""
        dropped = {(job.study, job.evaluation) for job in jobs}
        self._waiting = deque(job for job in self._waiting if (job.study, job.evaluation) not in dropped)
        if self._running is not None:
            job = self._running.evaluation.job
            if (job.study, job.evaluation) in dropped:
                self._drop()

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """See `Executor.release`."""
        for key in [key for key in self._paused if key[0] == study and not keep(key[1])]:
            run, _ = self._paused.pop(key)
            _close(run, key[1])

    def close(self) -> None:
        """Close every run that is kept."""
        for (_, number), (run, _) in self._paused.items():
            _close(run, number)
        self._paused.clear()

    def _begin(self, job: Job) -> "_Running":
        # without a run it is a new trial, or one whose run was lost: trained again, uncharged
        run, last = self._paused.pop((job.study, job.number), (None, None))
        return _Running(self._objective, job, run, last, self._live(job))

    def _drop(self) -> None:
        assert self._running is not None
        _close(self._running.run, self._running.evaluation.job.number)
        self._running = None

    def _end(self, running: "_Running", outcome: Outcome) -> None:
        job = running.evaluation.job
        if outcome.state != State.DONE or job.target >= job.epochs or self._objective.restarts:
            _close(running.run, job.number)
            return
        assert running.run is not None
        self._paused[job.study, job.number] = (running.run, running.evaluation.last)
        if len(self._paused) > MAX_PAUSED:
            (_, number), (run, _) = self._paused.popitem(last=False)
            _close(run, number)


def _close(run: Run | None, number: int) -> None:
    """Close a run; what the user's `finally` blocks raise harms neither the trial, which has its result, nor others."""
    try:
        if run is not None:
            run.close()
    except Interrupt:
        raise
    except BaseException as error:
        warnings.warn(f"closing trial {number} raised {type(error).__name__}: {error}", stacklevel=2)


class _Running:
    """The job under way."""

    def __init__(self, objective: Objective, job: Job, run: Run | None, last: Step | None, live: LiveTrial) -> None:
        self.evaluation = Evaluation(job, last, objective.restarts, live.reports)
        self.live = live
        self.run = run
        self._objective = objective
        self._steps: Iterator[Step] | None = None
        self._directory = _directory()

    def step(self) -> Progress | Outcome | None:
        """Train for one step; None while epochs that were charged before are trained again."""
        evaluation, job = self.evaluation, self.evaluation.job
        begin = time.perf_counter()
        try:
            if self.run is None:
                self.run = self._objective.start(job)
            if self._steps is None:
                self.run.live = self.live
                self._steps = self.run.advance(job.target)
            step = next(self._steps, None)
            if step is None and evaluation.last is None:
                raise ValueError("the objective ended without yielding a value")
        except Interrupt:
            raise
        except BaseException as error:  # SystemExit and KeyboardInterrupt of an objective fail its trial, not the run
            evaluation.seconds += time.perf_counter() - begin
            return evaluation.fail(error)
        evaluation.seconds += time.perf_counter() - begin
        return evaluation.end() if step is None else evaluation.record(step)

    def put_right(self) -> None:
        """Once it has ended: what other trials and this program rely on is as it was, whatever it did to it."""
        listen_again()
        if self._directory is not None and _directory() != self._directory:
            with contextlib.suppress(OSError):  # it is gone
                os.chdir(self._directory)


def _directory() -> str | None:
    """The working directory; None: it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return None
