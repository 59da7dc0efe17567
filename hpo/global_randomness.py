"""Python's, NumPy's and torch's global random generators, kept apart for every trial of a user's function.

hpo itself never draws from them. torch is seeded only once it is imported: a function that imports it inside
finds it seeded all the same, through a hook on the import.
"""

import contextlib
import importlib.abc
import importlib.util
import random
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np


class Randomness:
    """The global generators as one trial sees them.

    Args:
        seed: their seed at the trial's beginning, in [0, 2^63).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._state: dict[str, Any] | None = None

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Inside the block the global generators are this trial's; afterwards they are as they were before."""
        outside = _capture()
        hook = _SeedOnImport(self._seed)
        sys.meta_path.insert(0, hook)
        try:
            if self._state is None:
                random.seed(self._seed)
                np.random.seed(self._seed % 2**32)
                _seed_torch(self._seed)
            else:
                _restore(self._state, self._seed)
            yield
        finally:
            self._state = _capture()
            _restore(outside | hook.before, None)
            if hook in sys.meta_path:
                sys.meta_path.remove(hook)


def _torch() -> Any:
    return sys.modules.get("torch")


def _seed_torch(seed: int) -> None:
    if (torch := _torch()) is not None:
        torch.manual_seed(seed)  # CUDA's generators included, also those that are yet to come


def _capture() -> dict[str, Any]:
    state: dict[str, Any] = {"random": random.getstate(), "numpy": np.random.get_state()}
    if (torch := _torch()) is not None:
        state["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _restore(state: dict[str, Any], seed: int | None) -> None:
    """Bring back a captured state; what came to life since then begins at `seed`, None: at the seed of the state."""
    random.setstate(state["random"])
    np.random.set_state(state["numpy"])
    if (torch := _torch()) is None:
        return
    if "torch" in state:
        torch.set_rng_state(state["torch"])
    elif seed is not None:
        torch.manual_seed(seed)
    if "cuda" in state:
        torch.cuda.set_rng_state_all(state["cuda"])
    elif torch.cuda.is_available():
        torch.cuda.manual_seed_all(torch.initial_seed())  # of CUDA's generators too, as long as they do not exist


class _SeedOnImport(importlib.abc.MetaPathFinder):
    """Seeds torch at the moment somebody imports it.

    Attributes:
        before: the state that torch had then.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.before: dict[str, Any] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_seed(module: ModuleType) -> None:
            execute(module)
            self.before = {"torch": module.get_rng_state()}
            module.manual_seed(self._seed)

        spec.loader.exec_module = execute_and_seed  # type: ignore[method-assign]
        return spec
