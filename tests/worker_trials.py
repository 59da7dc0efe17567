"""Trials for worker processes, which import this module by its name."""

import contextlib
import os
import time
from pathlib import Path

from hpo import FunctionObjective
from hpo.execution import Execution
from hpo.trial import Job, Outcome


def run_code(p, trial):
    """Run a trial's own code, which sets `value`."""
    scope = {"trial": trial, "p": p, "value": 0.0}
    exec(p["code"], scope)
    return scope["value"]


def climb(p):
    """Count upwards by 1 an epoch, and note on a file what is done in which process."""
    path = Path(p["path"])

    def note(what):
        with path.open("a") as file:
            file.write(f"{what} {os.getpid()}\n")

    try:
        for epoch in range(100):
            note(epoch)
            yield float(epoch + 1)
            time.sleep(p.get("sleep", 0.0))
    finally:
        note("closed")


class Unsendable:
    """An objective that no pickle can hold."""

    def __init__(self):
        self.generator = (i for i in ())

    def __call__(self, p):
        return 1.0


unsendable = Unsendable()


def job(number, code="", start=0, target=1, epochs=1, study=1, **params):
    """An evaluation of `run_code`, or, with other `params`, of another objective."""
    return Job(study, number, number, {"code": code} if code else params, number, start, target, epochs)


def make(function=run_code, **execution):
    """An executor of worker processes."""
    objective = FunctionObjective(function, direction="minimize")
    return objective.executor(Execution(**({"workers": 2} | execution)))


def drain(executor, seconds=60.0):
    """Everything that happens until nothing is under way: events, and outcomes by number."""
    events, deadline = [], time.monotonic() + seconds
    while executor.busy:
        assert time.monotonic() < deadline
        events += executor.wait(0.5)
    return events, {event.number: event for _, event in events if isinstance(event, Outcome)}


def results(executor, jobs):
    """The outcomes of jobs, by number."""
    executor.submit(jobs)
    events, found = drain(executor)
    assert sum(isinstance(event, Outcome) for _, event in events) == len(found) == len(jobs)  # each job once
    return found


def pids(executor):
    """The processes of an executor."""
    return [worker.pid for worker in executor._workers]


def exists(pid):
    """Whether a process runs; one that has ended and nobody has waited for does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def await_end(numbers, seconds=15.0):
    """Wait until none of the processes runs."""
    deadline = time.monotonic() + seconds
    while any(map(exists, numbers)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def await_text(path, lines=1, seconds=30.0):
    """The words of a file once it has so many lines."""
    deadline = time.monotonic() + seconds
    while not path.exists() or path.read_text().count("\n") < lines:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text().split()
