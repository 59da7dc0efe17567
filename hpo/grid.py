"""The grid over a space, without ever listing it: a point is computed from its index by mixed radix.

Hyperparameters that are linked by conditions form a *component*; components multiply. Within one, the
combinations of the conditioning hyperparameters are tabulated (they are few), each with the number of
points that its active leaves have; an index is found there by bisection, then by mixed radix among the
leaves. So every combination of *active* values occurs exactly once.
"""

import bisect
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hpo.errors import SpaceError
from hpo.space import Space

MAX_CASES = 100_000


@dataclass(frozen=True)
class _Case:
    """One combination of a component's conditioning values."""

    params: dict[str, Any]
    leaves: tuple[str, ...]
    size: int


class Grid:
    """All configurations of the discretised `space`.

    Args:
        space: any space.
        points: values per continuum and per logarithmic integer range, >= 1; 0 where every domain is finite.

    Attributes:
        size: how many configurations there are, of any magnitude.

    Raises:
        SpaceError: conditions that multiply to more than 100,000 cases.
    """

    def __init__(self, space: Space, points: int) -> None:
        self.space = space
        self.points = points
        self._components = [self._cases(names) for names in _components(space)]
        self._ends = [list(itertools.accumulate(case.size for case in cases)) for cases in self._components]
        self.size = math.prod(ends[-1] for ends in self._ends)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Configuration number `index`, 0 <= index < size."""
        if not 0 <= index < self.size:
            raise IndexError(f"grid index {index} is outside 0 to {self.size - 1}")
        params: dict[str, Any] = {}
        for cases, ends in zip(self._components, self._ends, strict=True):
            index, place = divmod(index, ends[-1])
            number = bisect.bisect_right(ends, place)
            case = cases[number]
            place -= ends[number] - case.size
            params.update(case.params)
            for name in case.leaves:
                domain = self.space[name]
                place, digit = divmod(place, domain.grid_size(self.points))
                params[name] = domain.grid_value(digit, self.points)
        return {name: params[name] for name in self.space if name in params}

    def _cases(self, names: list[str]) -> list[_Case]:
        space = self.space
        conditioning = {parent for name in names for parent in space.parents(name)}
        inner = [name for name in names if name in conditioning]  # parents first, as `names` is
        leaves = [name for name in names if name not in conditioning]
        combinations: list[dict[str, Any]] = [{}]
        for name in inner:
            combinations = list(itertools.islice(self._extend(combinations, name), MAX_CASES + 1))
            if len(combinations) > MAX_CASES:
                raise SpaceError(
                    f"the conditions on {', '.join(map(repr, inner))} multiply to more than {MAX_CASES:,} cases: "
                    "a grid cannot index them; give the conditioning hyperparameters fewer values"
                )
        cases = []
        for params in combinations:
            active = tuple(name for name in leaves if space.is_active(name, params))
            cases.append(_Case(params, active, math.prod(space[name].grid_size(self.points) for name in active)))
        return cases

    def _extend(self, combinations: list[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
        domain = self.space[name]
        for params in combinations:
            if not self.space.is_active(name, params):
                yield params
                continue
            for index in range(domain.grid_size(self.points)):
                yield params | {name: domain.grid_value(index, self.points)}


def _components(space: Space) -> list[list[str]]:
    """The names in groups linked by conditions, each group parents first."""
    group: dict[str, list[str]] = {}
    for name in space.order:
        linked = {id(group[parent]): group[parent] for parent in space.parents(name)}
        merged = [*itertools.chain.from_iterable(linked.values()), name]
        for member in merged:
            group[member] = merged
    unique = {id(names): names for names in group.values()}
    place = {name: i for i, name in enumerate(space.order)}
    return [sorted(names, key=place.__getitem__) for names in unique.values()]
