"""The grid over a space, without ever listing it: a point is computed from its index by mixed radix.

Hyperparameters that no condition links multiply. One that conditions others splits its values into
branches, by which of its dependants each value activates; within a branch its conditions are settled, so
what they held together falls apart into factors again. So every combination of *active* values occurs
exactly once, and the tables grow with the conditions, not with the values or the combinations.
"""

import bisect
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.errors import SpaceError
from hpo.space import Space

MAX_CASES = 100_000
MAX_DEPTH = 100


@dataclass(frozen=True)
class _Branch:
    """The values of one hyperparameter that activate the same dependants.

    Attributes:
        digits: indices of the values; None: all those that no condition lists.
        factors: what is active then and was waiting for it, independent of each other.
        size: points for each of the values.
    """

    digits: list[int] | None
    factors: "list[_Factor]"
    size: int


@dataclass(frozen=True)
class _Factor:
    """A hyperparameter with all that depends on it.

    Attributes:
        name: the hyperparameter.
        skips: for each of its values that conditions list, how many lower ones none lists; ascending.
        branches: how its values go on.
        ends: points up to and including each branch.
    """

    name: str
    skips: list[int]
    branches: list[_Branch]
    ends: list[int]


class Grid:
    """All configurations of the discretised `space`.

    Args:
        space: any space, or a dict that makes one.
        points: values per continuum and per logarithmic integer range, >= 1; 0 where every domain is finite.

    Attributes:
        size: how many configurations there are, of any magnitude.

    Raises:
        SpaceError: a continuum without points; conditions that make more than 100,000 cases or nest more
            than 100 deep.
    """

    def __init__(self, space: Space | Mapping[str, Any], points: int) -> None:
        self.space = space if isinstance(space, Space) else Space(space)
        self.points = points
        for name, domain in self.space.items():
            if points < 1 and domain.size is None:
                raise SpaceError(f"a grid of {points} points: {name!r} is a continuum, expected at least 1")
        self._cases = 0
        waits = {name: frozenset(self.space.parents(name)) for name in self.space.order}
        self._factors = self._multiply(waits, depth=0)
        self.size = math.prod(factor.ends[-1] for factor in self._factors)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Configuration number `index`, 0 <= index < size."""
        if not 0 <= index < self.size:
            raise IndexError(f"grid index {index} is outside 0 to {self.size - 1}")
        params: dict[str, Any] = {}
        self._fill(params, self._factors, index)
        return {name: params[name] for name in self.space if name in params}

    def _fill(self, params: dict[str, Any], factors: list[_Factor], index: int) -> None:
        for factor in factors:
            index, place = divmod(index, factor.ends[-1])
            number = bisect.bisect_right(factor.ends, place)
            branch = factor.branches[number]
            digit, rest = divmod(place - (factor.ends[number - 1] if number else 0), branch.size)
            if branch.digits is not None:
                digit = branch.digits[digit]
            else:  # the digit counts unlisted values: step over the listed ones below
                digit += bisect.bisect_right(factor.skips, digit)
            params[factor.name] = self.space[factor.name].grid_value(digit, self.points)
            self._fill(params, branch.factors, rest)

    def _multiply(self, waits: dict[str, frozenset[str]], depth: int) -> list[_Factor]:
        """The factors of the names in `waits`, parents first, each with the parents that are not settled yet."""
        return [self._factor(names, waits, depth) for names in _linked(waits)]

    def _factor(self, names: list[str], waits: dict[str, frozenset[str]], depth: int) -> _Factor:
        root, rest = names[0], names[1:]
        domain = self.space[root]
        active_at = {name: self._digits(root, name) for name in rest if root in waits[name]}
        listed = sorted(set().union(*active_at.values()))
        digits_by_active: dict[frozenset[str], list[int]] = {}
        for digit in listed:
            active = frozenset(name for name, digits in active_at.items() if digit in digits)
            digits_by_active.setdefault(active, []).append(digit)
        branches = []
        for active, digits in digits_by_active.items():
            branches.append(self._branch(digits, rest, waits, root, active_at.keys() - active, depth))
        counts = [len(digits) for digits in digits_by_active.values()]
        if (unlisted := domain.grid_size(self.points) - len(listed)) > 0:
            branches.append(self._branch(None, rest, waits, root, active_at.keys(), depth))
            counts.append(unlisted)
        sizes = (count * branch.size for count, branch in zip(counts, branches, strict=True))
        skips = [digit - rank for rank, digit in enumerate(listed)]
        return _Factor(root, skips, branches, list(itertools.accumulate(sizes)))

    def _digits(self, parent: str, name: str) -> set[int]:
        """Indices of the parent's values in the grid that `name` is active at."""
        domain = self.space[parent]
        values = (self.space[name].when or {})[parent]
        found = ((domain.grid_index(value, self.points), value) for value in values)
        return {digit for digit, value in found if domain.grid_value(digit, self.points) == value}

    def _branch(
        self,
        digits: list[int] | None,
        rest: Sequence[str],
        waits: dict[str, frozenset[str]],
        root: str,
        inactive: Iterable[str],
        depth: int,
    ) -> _Branch:
        gone = set(inactive)
        left: dict[str, frozenset[str]] = {}
        for name in rest:  # parents first, so that what depends on something gone goes too
            if name in gone or not gone.isdisjoint(waits[name]):
                gone.add(name)
            else:
                left[name] = waits[name] - {root}
        self._cases += len(left)
        if self._cases > MAX_CASES or depth >= MAX_DEPTH:
            raise SpaceError(
                f"the conditions on {root!r} and others make more than {MAX_CASES:,} cases or nest more than "
                f"{MAX_DEPTH} deep: a grid cannot index them; give conditioning hyperparameters fewer values"
            )
        factors = self._multiply(left, depth + 1) if left else []
        return _Branch(digits, factors, math.prod(factor.ends[-1] for factor in factors))


def _linked(waits: dict[str, frozenset[str]]) -> list[list[str]]:
    """The names in groups linked by who waits for whom, each in the order of `waits`."""
    neighbours: dict[str, list[str]] = {name: [] for name in waits}
    for name, parents in waits.items():
        for parent in parents:
            neighbours[name].append(parent)
            neighbours[parent].append(name)
    group: dict[str, int] = {}
    for number, start in enumerate(waits):
        reached = [] if start in group else [start]
        while reached:
            name = reached.pop()
            if name not in group:
                group[name] = number
                reached += neighbours[name]
    groups: dict[int, list[str]] = {}
    for name in waits:
        groups.setdefault(group[name], []).append(name)
    return list(groups.values())
