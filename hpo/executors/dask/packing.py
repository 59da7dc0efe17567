"""An objective as bytes, for processes that need not find the user's own modules."""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from hpo.errors import UsageError
from hpo.objective import Objective


def pack(objective: Objective) -> bytes:
    """Pickled by cloudpickle.

    What the module of the user's own function or class holds travels with it; modules that this one imports must be
    found where it is read.

    Raises:
        UsageError: it cannot be pickled.
    """
    import cloudpickle

    modules = [module for module in _modules(objective) if _is_users(module)]
    registered: list[ModuleType] = []
    try:
        for module in modules:
            if module.__name__ not in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.register_pickle_by_value(module)
                registered.append(module)
        content: bytes = cloudpickle.dumps(objective)
    except Exception as error:
        raise UsageError(
            f"objective {objective.name!r} cannot be sent to another process ({type(error).__name__}: {error}): "
            "let it open files, connections and locks itself, when it is called"
        ) from error
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
    return content


def _modules(objective: Objective) -> Iterator[ModuleType]:
    """Those of the objective's class and of the functions that it has."""
    things: list[Any] = [type(objective), *(_inner(value) for value in vars(objective).values() if callable(value))]
    for name in dict.fromkeys(getattr(thing, "__module__", None) or type(thing).__module__ for thing in things):
        if name in sys.modules and name != "__main__":  # which cloudpickle takes along by itself
            yield sys.modules[name]


def _inner(function: Any) -> Any:
    """The function inside `functools.partial` and decorators."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)


def _is_users(module: ModuleType) -> bool:
    """Whether a module is a file of the user's rather than installed."""
    file = getattr(module, "__file__", None)
    package = module.__name__.partition(".")[0]
    if file is None or package in ("hpo", "searchers", "studies"):
        return False
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return not any(Path(file).is_relative_to(folder) for folder in folders if folder)
