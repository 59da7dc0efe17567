"""Sets of trial numbers that a long study does not make long."""

from collections.abc import Iterable


class Numbers:
    """A set of numbers from 0 that can grow; those below the first gap take no memory.

    Args:
        numbers: its first members.
    """

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._below = 0  # all below it are members
        self._others = set[int]()
        for number in numbers:
            self.add(number)

    def add(self, number: int) -> None:
        """Make `number` a member."""
        if number < self._below:
            return
        self._others.add(number)
        while self._below in self._others:
            self._others.remove(self._below)
            self._below += 1

    def __contains__(self, number: int) -> bool:
        return 0 <= number < self._below or number in self._others

    def __len__(self) -> int:
        return self._below + len(self._others)
