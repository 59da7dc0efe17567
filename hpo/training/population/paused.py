"""Trials between two rungs: in memory up to a limit, then on disk; one that is lost is trained again from its seed."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor

from hpo.objective import Step
from hpo.training.schedules import History

_MEMORY_SHARE = 8  # one part in so many of the machine's memory is for paused trials
_UNKNOWN_MEMORY = 4 * 2**30  # bytes, where the system does not say


@dataclass(eq=False, kw_only=True)
class Pausable:
    """A trial between two epochs.

    Attributes:
        tensors: all that its training changes; which ones, its kind says.
        last: the step of its last epoch; None before the first.
        history: of its validation losses.
        best: with early stopping, what is kept of the best epoch.
    """

    tensors: tuple[Tensor, ...] = ()
    last: Step | None = None
    history: History = field(default_factory=History)
    best: tuple[Tensor, ...] = ()

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return self.last.epoch if self.last is not None else 0


M = TypeVar("M", bound=Pausable)
Key = tuple[int, int, int]  # study, number of the trial, fold


class Paused(Generic[M]):
    """The training states of paused trials.

    Args:
        limit: bytes kept in memory; None: a share of the machine's.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = memory_share() if limit is None else limit
        self._kept: OrderedDict[Key, M] = OrderedDict()
        self._spilled: dict[Key, tuple[Path, bytes]] = {}  # file, digest of its content
        self._bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._written = 0

    def __len__(self) -> int:
        return len(self._kept) + len(self._spilled)

    def put(self, key: Key, member: M) -> None:
        """Keep a trial; its tensors become its own."""
        member.tensors = tuple(tensor.detach().to("cpu", copy=True) for tensor in member.tensors)
        member.best = tuple(tensor.to("cpu") for tensor in member.best)
        self._kept[key] = member
        self._bytes += _size(member)
        while self._bytes > self._limit and self._kept:
            oldest, member = self._kept.popitem(last=False)
            self._bytes -= _size(member)
            self._spill(oldest, member)

    def take(self, key: Key, fresh: M) -> M:
        """The paused trial, or `fresh` if there is none or it was lost."""
        if key in self._kept:
            member = self._kept.pop(key)
            self._bytes -= _size(member)
            return member
        if key not in self._spilled:
            return fresh
        file, digest = self._spilled.pop(key)
        try:
            content = file.read_bytes()
            file.unlink()
        except OSError:
            return fresh
        if hashlib.blake2b(content).digest() != digest:
            return fresh  # damaged
        state = torch.load(io.BytesIO(content), weights_only=True)
        fresh.last, fresh.history = Step(**state["last"]), History(**state["history"])
        fresh.tensors, fresh.best = tuple(state["tensors"]), tuple(state["best"])
        return fresh

    def release(self, study: int, keep: Callable[[int], bool]) -> None:
        """Drop the trials of a study but those that `keep` says may go on."""
        for key in [key for key in self._kept if key[0] == study and not keep(key[1])]:
            self._bytes -= _size(self._kept.pop(key))
        for key in [key for key in self._spilled if key[0] == study and not keep(key[1])]:
            self._spilled.pop(key)[0].unlink(missing_ok=True)

    def close(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._spilled.clear()
        self._bytes = 0
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _spill(self, key: Key, member: M) -> None:
        assert member.last is not None  # a trial is paused after an epoch
        state = {
            "last": asdict(member.last),
            "history": asdict(member.history),
            "tensors": list(member.tensors),
            "best": list(member.best),
        }
        content = io.BytesIO()
        torch.save(state, content)
        file = Path(tempfile.gettempdir())
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="hpo-paused-", ignore_cleanup_errors=True)
            file = Path(self._folder.name) / f"{self._written}.pt"
            self._written += 1
            file.write_bytes(content.getbuffer())
        except OSError as error:
            if file.is_file():
                file.unlink()
            warnings.warn(
                f"paused trials do not fit into memory, and {tempfile.gettempdir()} cannot take them ({error}): "
                "those that go on are trained again from their first epoch; set TMPDIR to a folder with room",
                stacklevel=2,
            )
            return
        self._spilled[key] = file, hashlib.blake2b(content.getbuffer()).digest()


def _size(member: Pausable) -> int:
    return sum(tensor.nbytes for tensor in (*member.tensors, *member.best))


def memory_share() -> int:
    """Bytes of the machine's memory that are for paused trials."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = _UNKNOWN_MEMORY
    return memory // _MEMORY_SHARE
