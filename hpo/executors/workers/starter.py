"""How workers come to be."""

import contextlib
import os
import pickle
import queue
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from hpo.errors import LoadError, UsageError
from hpo.execution import Execution
from hpo.executors.workers.child import Setup
from hpo.executors.workers.guardian import Guardian
from hpo.executors.workers.machine import environments
from hpo.executors.workers.payload import pack
from hpo.executors.workers.worker import Worker
from hpo.objective import Objective

_STARTS: Final = 20  # workers in a row that may be killed while they start


class Starter:
    """Starts workers, each in a place of its own, which says what GPU it gets.

    Args:
        objective: what they train.
        execution: how many there may be, and their limits.
        inbox: takes what they send.

    Attributes:
        count: how many there may be.

    Raises:
        UsageError: the objective cannot be sent, or the system has no such processes.
    """

    def __init__(
        self, objective: Objective, execution: Execution, inbox: queue.SimpleQueue[tuple[Worker, Any]]
    ) -> None:
        if not hasattr(os, "killpg") or not sys.executable:
            found = f"{sys.platform}, interpreter {sys.executable!r}"
            raise UsageError(f"worker processes need a POSIX system and its Python, found {found}: leave out workers")
        self._name, self._limited, self._inbox = objective.name, execution.trial_memory is not None, inbox
        self._setup = pickle.dumps(Setup(pack(objective), execution.trial_memory, execution.files))
        self.count = execution.workers or 1
        self._environments = environments(self.count)
        self._cwd: Path | None = None
        with contextlib.suppress(OSError):  # it is gone
            self._cwd = Path.cwd()
        self._guardian: Guardian | None = None
        self._failures = 0

    def start(self, others: Sequence[Worker]) -> Worker | None:
        """Another worker beside `others`; None, and a lower count, where the system starts no more.

        Raises:
            UsageError: it starts none at all.
        """
        slot = min(set(range(self.count)) - {worker.slot for worker in others})
        env = self._environments[slot]
        try:
            if self._guardian is None:
                self._guardian = Guardian()
            return Worker(self._setup, self._inbox, slot=slot, cwd=self._cwd, env=env, guardian=self._guardian)
        except OSError as error:  # of a system at its limits
            if not others:
                raise UsageError(f"no worker process can be started ({error}): end other processes") from error
            self.count = len(others)
            warnings.warn(f"only {self.count} worker processes can be started ({error})", stacklevel=2)
            return None

    def succeeded(self, worker: Worker) -> None:
        """It listens."""
        worker.ready, self._failures = True, 0

    def failed(self, worker: Worker, log: str) -> None:
        """It ended before it listened.

        Raises:
            LoadError: so would others: the objective cannot be loaded there.
        """
        self._failures += 1
        if worker.code >= 0 or self._failures >= _STARTS:
            advice = "; trial_memory may be too small for what it imports" if self._limited else ""
            what = f"a worker process for objective {self._name!r} could not start"
            raise LoadError(f"{what}: {worker.death}{advice}\n{log}")

    def close(self) -> None:
        """End the guardian, and with it all workers that are left."""
        if self._guardian is not None:
            self._guardian.close()
            self._guardian = None
