"""Damaged stores: the one error that says so, and what to do.

A flipped bit can leave a sound file with other values in it: what is read and cannot be understood is damage, too.
"""

import contextlib
import functools
import inspect
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import DataError, HpoError

_STRANGE = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError)
C = TypeVar("C", bound=type[Any])


class DamagedError(DataError):
    """A file that SQLite finds damaged; `damaged` makes it.

    Attributes:
        what: in SQLite's words.
    """

    what = ""


class AlteredError(DataError):
    """A stored value that hpo did not write: another program altered the store, or it is damaged."""


def damaged(path: Path, what: object) -> DamagedError:
    """The error about a store of which SQLite said `what`."""
    said = "; ".join(said_lines(str(what))) or "no answer"
    error = DamagedError(f"store {path} is damaged ({said}): it is left as it is; {way_out(path)}")
    error.what = said
    return error


def said_lines(answer: str) -> list[str]:
    """What an integrity check found, a line each, without the headings."""
    return [line for line in answer.splitlines() if line and not line.startswith("***")]


def way_out(path: Path) -> str:
    """What to do about a store that is damaged, or was altered."""
    salvage = f"hpo doctor --store {shlex.quote(str(path))} --salvage OUT"
    return f"`{salvage}` saves what can be read, or go on with a backup"


@contextlib.contextmanager
def blaming(path: Path) -> Iterator[None]:
    """Inside the block, what cannot be understood is a DataError of the store at `path`."""
    try:
        yield
    except AlteredError as error:
        raise _altered(path, error) from error
    except HpoError:  # some are ValueErrors, too
        raise
    except _STRANGE as error:
        raise _altered(path, f"{type(error).__name__}: {error}") from error


def _altered(path: Path, why: object) -> DataError:
    return DataError(
        f"store {path} holds a value that hpo did not write ({why}): it was altered or is damaged, and is left as it "
        f"is; {way_out(path)}"
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
