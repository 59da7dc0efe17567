"""What a store holds that hpo did not write: a flipped bit can leave a sound file with other values in it."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import DataError, HpoError

SALVAGE = "`hpo doctor --store {} --salvage OUT` saves what can be read"

_STRANGE = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError)
C = TypeVar("C", bound=type[Any])


class AlteredError(DataError):
    """A stored value that hpo did not write: another program altered the store, or it is damaged."""


@contextlib.contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Inside the block, what cannot be understood is a DataError of the store at `path`."""
    try:
        yield
    except AlteredError as error:
        raise _refusal(path, error) from error
    except HpoError:  # some are ValueErrors, too
        raise
    except _STRANGE as error:
        raise _refusal(path, f"{type(error).__name__}: {error}") from error


def _refusal(path: Path, why: object) -> DataError:
    return DataError(
        f"store {path} holds a value that hpo did not write ({why}): it was altered or is damaged, and is left as it "
        f"is; {SALVAGE.format(path)}, or go on with a backup"
    )


def blaming_the_store(reader: C) -> C:
    """A class with a `path`, inside whose public methods what cannot be understood is a DataError of the store."""
    for name, method in list(vars(reader).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(reader, name, _generator(method) if inspect.isgeneratorfunction(method) else _function(method))
    return reader


def _function(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(self: Any, *arguments: Any, **more: Any) -> Any:
        with blaming(self.path):
            return method(self, *arguments, **more)

    return checked


def _generator(method: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(method)
    def checked(self: Any, *arguments: Any, **more: Any) -> Iterator[Any]:
        with blaming(self.path):
            yield from method(self, *arguments, **more)

    return checked
