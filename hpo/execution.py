"""How trials are run; no part of a study, though limits decide which trials fail."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_STORED: Final = ("workers", "trial_timeout", "trial_memory", "retries", "fresh")


@dataclass(frozen=True)
class Execution:
    """How trials are run.

    Attributes:
        workers: processes that run trials of a function, or threads that train the shared objective; None: a function
            runs in this process, or in one of its own if a limit or `fresh` asks for it; the shared objective on all
            cores.
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

    def to_json(self) -> dict[str, Any]:
        """What another run on this machine may do in the same way."""
        return {name: getattr(self, name) for name in _STORED}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Execution":
        """The inverse of `to_json`."""
        return cls(**{name: data[name] for name in _STORED if name in data})


DEFAULT = Execution()
