"""What a store holds that hpo did not write: a flipped bit can leave a sound file with other values in it."""

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import DataError, HpoError

_STRANGE = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError)
C = TypeVar("C", bound=type[Any])


def blaming_the_store(reader: C) -> C:
    """A class with a `path` whose public methods raise DataError where what they read cannot be understood."""
    for name, method in list(vars(reader).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(reader, name, _generator(method) if inspect.isgeneratorfunction(method) else _function(method))
    return reader


def _function(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(self: Any, *arguments: Any, **more: Any) -> Any:
        try:
            return method(self, *arguments, **more)
        except _STRANGE as error:
            raise _damaged(self.path, error) from error

    return checked


def _generator(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(method)
    def checked(self: Any, *arguments: Any, **more: Any) -> Iterator[Any]:
        try:
            yield from method(self, *arguments, **more)
        except _STRANGE as error:
            raise _damaged(self.path, error) from error

    return checked


def _damaged(path: Path, error: Exception) -> HpoError:
    if isinstance(error, HpoError):  # one that is a ValueError, too
        return error
    return DataError(
        f"store {path} holds a value that hpo did not write ({type(error).__name__}: {error}): it is left as it is; go "
        f"on with a backup, or `hpo doctor --store {path} --salvage OUT` saves what can be read"
    )
