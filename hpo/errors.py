"""Every error a user can provoke, each with the exit code that the command line ends with.

A message says what failed, where, what was found and expected, and what to do next.
"""

import difflib
from collections.abc import Iterable

MAX_LISTED = 20  # names that a message lists


class HpoError(Exception):
    """Base of all errors raised on purpose; anything else is a defect."""

    exit_code = 1


class UsageError(HpoError):
    """An argument, setting or study file that cannot be used as given."""

    exit_code = 2


class SpaceError(UsageError):
    """A search space that is not well formed, or a configuration outside its space."""


class MismatchError(UsageError):
    """A searcher that cannot work on this space or objective."""


class NoResultError(HpoError):
    """No trial succeeded."""

    exit_code = 3


class TooManyFailuresError(NoResultError):
    """More trials failed than the run was to put up with."""


class NoFitError(NoResultError, ValueError):
    """An estimator, or every configuration of one, could not be fitted; a ValueError, as scikit-learn raises."""


class NotFoundError(HpoError):
    """A study, trial, searcher or file that does not exist."""

    exit_code = 4


class ConflictError(HpoError):
    """An existing study whose specification differs from the one asked for."""

    exit_code = 5


class DataError(HpoError):
    """A store that is damaged, belongs to another program or was written by another version; data not to learn from."""

    exit_code = 65


class ClusterError(HpoError):
    """A cluster whose scheduler cannot be reached, or whose workers cannot run the objective."""

    exit_code = 69


class CannotCreateError(HpoError):
    """A store that cannot be created where it was asked for."""

    exit_code = 73


class StorageError(HpoError):
    """Reading or writing the store failed: full disk, input/output error."""

    exit_code = 74


class DiskError(StorageError):
    """The disk is full or failed: the same write may succeed when there is room again, so a run tries again."""


class LockedError(HpoError):
    """Another process drives the study or holds the store."""

    exit_code = 75


class NoPermissionError(HpoError):
    """The store may not be written by this user."""

    exit_code = 77


class LoadError(HpoError):
    """An objective, searcher or study file that cannot be loaded."""

    exit_code = 78


class Interrupt(BaseException):
    """A signal asked the run to end now; not an `Exception`, so that no objective swallows it.

    Attributes:
        exit_code: 130 after SIGINT, 143 after SIGTERM.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"interrupted, exit code {exit_code}")
        self.exit_code = exit_code


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return "none is known"
    return f"known: {', '.join(names[:MAX_LISTED])}" + (f", ... ({len(names)} in all)" if names[MAX_LISTED:] else "")
