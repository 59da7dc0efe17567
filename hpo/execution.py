"""How trials are run: what changes none of them, and so is no part of a study."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Execution:
    """How trials are run.

    Attributes:
        workers: processes that run trials of a function, or threads that train the shared objective; None: a function
            runs in this process, the shared objective on all cores.
        trial_timeout: seconds that one evaluation may take; None: any.
        trial_memory: bytes that the process of a trial may take; None: any.
        retries: how often an evaluation begins again whose process died or ran out of memory, >= 0.
        fresh: whether each evaluation gets a process of its own.
        cluster: a `distributed.Client`, or the address of a Dask scheduler, see `choose.connected`; None: this
            machine.
        files: folder for files of trials, absolute and never deleted; None: trials have none. On a cluster it is the
            driver's path, which must be on a disk that all machines share.
    """

    workers: int | None = None
    trial_timeout: float | None = None
    trial_memory: int | None = None
    retries: int = 1
    fresh: bool = False
    cluster: Any = None
    files: Path | None = None

    @property
    def isolated(self) -> bool:
        """Whether trials of a function run in processes of their own."""
        return self.workers is not None or self.fresh or bool(self.trial_timeout or self.trial_memory)


DEFAULT = Execution()
