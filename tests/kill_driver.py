"""Runs studies in children that are killed: a program that `test_kill_and_resume.py` talks to in lines of JSON.

All is imported once; every attempt is a fork. A child kills itself at an edge of a transaction, or is killed
after some seconds.

    request: {"path": ..., "study": a key of STUDIES, "edge": [edge, n] or null, "after": seconds or null,
              "told": name of a study in the store whose trials it is told, or null}
    answer:  {"killed": whether, "transactions": how many there were, "seconds": time taken, "error": traceback}
"""

import contextlib
import functools
import gc
import json
import os
import random
import signal
import sys
import time
import traceback

import torch

import hpo.api
import hpo.driver
import hpo.registry
import hpo.training.data
import hpo.training.solo
import searchers.halving
import searchers.optuna
from hpo.domains import Choice, Float, Int
from hpo.environment import environment
from hpo.executors.base import Executor
from hpo.executors.in_process import InProcessExecutor
from hpo.function_objective import FunctionObjective
from hpo.store.database import Database
from hpo.training.objective import SimpleNNObjective
from hpo.trial import Outcome

FAILING = {"x": 0.95, "units": 2, "kind": "a"}
DIVERGING = {"x": 0.05, "units": 3, "kind": "b"}


def climb(params, epochs, seed):
    """A value for every epoch; `FAILING` raises in its third, `DIVERGING` is not finite after its second."""
    noise = random.random()
    for epoch in range(1, epochs + 1):
        if params["x"] > 0.9 and epoch == 3:
            raise ValueError("too large")
        value = -((params["x"] - 0.3) ** 2) / epoch + noise / 10 + seed % 7 / 100 + params["units"] / 50
        yield float("-inf") if params["x"] < 0.1 and epoch == 2 else value


class ThreeAtATime(Executor):
    """Gives outcomes back in threes, so that a round takes several transactions, always the same."""

    def __init__(self, objective):
        self._inner = InProcessExecutor(objective)
        self._open = 0

    @property
    def busy(self):
        return self._inner.busy

    def submit(self, jobs):
        self._inner.submit(jobs)
        self._open += len(jobs)

    def wait(self, timeout):
        events, wanted = [], self._open - min(3, self._open)
        while self._open > wanted:
            more = self._inner.wait(0.0)
            self._open -= sum(isinstance(event, Outcome) for _, event in more)
            events += more
        return events

    def cancel(self, jobs):
        self._inner.cancel(jobs)

    def close(self):
        self._inner.close()


class Climb(FunctionObjective):
    def __init__(self):
        super().__init__(climb, direction="maximize")

    def executor(self, execution):
        return ThreeAtATime(self)


def small(searcher, trials, batch, epochs=4):
    return {
        "objective": Climb(),
        "space": {"x": Float(0.0, 1.0), "units": Int(1, 8, log=True), "kind": Choice(("a", "b"))},
        "initial": [FAILING, DIVERGING],
        "searcher": searcher,
        "trials": trials,
        "batch": batch,
        "epochs": epochs,
    }


STUDIES = {
    "grid": lambda: small("grid", trials=10, batch=5),
    "random": lambda: small("random", trials=10, batch=5),
    "tpe": lambda: small(searchers.optuna.TPE(startup_trials=4), trials=11, batch=4),
    "halving": lambda: small(searchers.halving.Halving(eta=2), trials=6, batch=4),
    "nas": lambda: small("nas", trials=22, batch=16, epochs=3),  # an update of its controller takes 16 trials
    "simplenn": lambda: {
        "objective": SimpleNNObjective(),
        "space": {"learning_rate": Float(1e-3, 0.3, log=True), "width": Choice((4, 8)), "dropout": Float(0.0, 0.5)},
        "searcher": searchers.halving.Halving(eta=2),
        "trials": 2,
        "batch": 2,
        "epochs": 2,
    },
}


def die_at(edge, n):
    """From now on this process counts its transactions, and dies at one edge of the n-th; returns the counter."""
    count = [0]
    transaction, commit = Database.transaction, Database._commit

    def die(here):
        if (here, count[0]) == (edge, n):
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def counted(self):
        if not self._connection().in_transaction:  # else it is a part of one
            count[0] += 1
            die("before BEGIN")
        with transaction(self) as connection:
            yield connection

    def dying(self, connection):
        die("before COMMIT")
        commit(self, connection)
        die("after COMMIT")

    Database.transaction, Database._commit = counted, dying
    return count


def attempt(request, answers):
    """In a child: the study from where it is to its end, or to this process's."""
    count, begin, error = die_at(*(request["edge"] or ("", 0))), time.monotonic(), None
    try:
        arguments = STUDIES[request["study"]]() | {"from_study": request["told"]}
        hpo.api.search(**arguments, seed=5, store=request["path"], name="study", progress=False)
    except BaseException:
        error = traceback.format_exc()
    answer = {"killed": False, "transactions": count[0], "seconds": time.monotonic() - begin, "error": error}
    os.write(answers, json.dumps(answer).encode())


def serve(request):
    reading, answers = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            attempt(request, answers)
        finally:
            os._exit(0)
    os.close(answers)
    if request["after"] is not None:
        time.sleep(request["after"])
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else {"killed": True}


def main():
    """Once, for all attempts: what is imported late, what is looked up in installed packages, the data."""
    torch.set_num_threads(1)
    with contextlib.suppress(ImportError):
        import searchers.nas  # noqa: F401
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer imports much of torch
    hpo.training.data.load_data("classification", 0)
    found = environment("cpu")
    hpo.api.environment = hpo.driver.environment = lambda device: found
    hpo.registry.entries = functools.cache(hpo.registry.entries)
    gc.freeze()  # children leave what is theirs and the parent's alike alone, and so need no copies
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
