"""Python's, NumPy's and torch's global random generators, kept apart for every trial of a user's function.

hpo itself never draws from them. NumPy and torch are seeded only once they are imported: a function that imports them
inside finds them seeded all the same, through a hook on the import.
"""

import contextlib
import importlib.abc
import importlib.util
import pickle
import random
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

_NUMPY: Final = "numpy.random"


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
        hooks = [_SeedOnImport(name, self._seed) for name in (_NUMPY, "torch")]
        sys.meta_path[:0] = hooks
        try:
            if self._state is None:
                random.seed(self._seed)
                _seed_numpy(self._seed)
                _seed_torch(self._seed)
            else:
                _restore(self._state, self._seed)
            yield
        finally:
            self._state = _capture()
            for hook in hooks:
                outside |= hook.before
                if hook in sys.meta_path:
                    sys.meta_path.remove(hook)
            _restore(outside, None)


def _numpy() -> Any:
    return sys.modules.get(_NUMPY)


def _torch() -> Any:
    return sys.modules.get("torch")


def _seed_numpy(seed: int) -> None:
    if (numpy_random := _numpy()) is not None:
        numpy_random.seed(seed % 2**32)


def _seed_torch(seed: int) -> None:
    if (torch := _torch()) is not None:
        torch.manual_seed(seed)  # CUDA's generators included, also those that are yet to come


def fingerprint() -> bytes:
    """Where the global generators stand: another one as soon as anything was drawn from any of them."""
    state = _capture()
    tensors = [state.pop("torch"), *state.pop("cuda", [])] if "torch" in state else []
    return pickle.dumps((state, [bytes(tensor.tolist()) for tensor in tensors]))


def _capture() -> dict[str, Any]:
    state: dict[str, Any] = {"random": random.getstate()}
    if (numpy_random := _numpy()) is not None:
        state["numpy"] = numpy_random.get_state()
    if (torch := _torch()) is not None:
        state["torch"] = torch.get_rng_state()
        if torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _restore(state: dict[str, Any], seed: int | None) -> None:
    """Bring back a captured state; what came to life since then begins at `seed`, None: at the seed of the state."""
    random.setstate(state["random"])
    if "numpy" in state:
        _numpy().set_state(state["numpy"])
    elif seed is not None:
        _seed_numpy(seed)
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
    """Seeds a module's generator at the moment somebody imports it.

    Args:
        name: of the module, NumPy's or torch's.
        seed: in [0, 2^63).

    Attributes:
        before: the state that it had then.
    """

    def __init__(self, name: str, seed: int) -> None:
        self._name = name
        self._seed = seed
        self.before: dict[str, Any] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_seed(module: ModuleType) -> None:
            execute(module)
            if fullname == _NUMPY:
                self.before = {"numpy": module.get_state()}
                module.seed(self._seed % 2**32)
            else:
                self.before = {"torch": module.get_rng_state()}
                module.manual_seed(self._seed)

        spec.loader.exec_module = execute_and_seed  # type: ignore[method-assign]
        return spec
