"""Grid search: every combination exactly once, in an order shuffled by the study's seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hpo import seeding
from hpo.errors import UsageError
from hpo.grid import Grid as Points
from hpo.searcher import Needs, Result, Searcher
from hpo.space_limits import round_size
from hpo.trial import Proposal
from hpo.values import brief, canonical

MAX_POINTS = 10_000  # a grid that fine is none


@dataclass(eq=False)
class Grid(Searcher):
    """Every combination of the discretised space, each exactly once.

    The order is a pseudorandom permutation, so that a part of a grid still covers the space, and it is
    computed, not listed: a grid of 2^40 points costs nothing.

    Args:
        points: values for each range without a step (evenly spaced in its own scale, ends included) and for
            each logarithmic integer range, >= 1. Other integers, stepped ranges and choices keep all values.
    """

    points: int = 3

    def __post_init__(self) -> None:
        if type(self.points) is not int or not 1 <= self.points <= MAX_POINTS:
            raise UsageError(f"searcher 'grid': points is {brief(self.points)}, expected an integer, 1 to {MAX_POINTS}")

    @property
    def default_batch(self) -> int:
        """Points do not depend on results, so a round may be as large as hardware likes and memory holds."""
        return round_size(len(self.space))

    @property
    def size(self) -> int:
        """How many points the grid has."""
        return self._grid.size

    def needs(self) -> Needs:
        """A trial for every point."""
        return Needs(trials=self.size, why=f"its grid has {self._size_text} points", most=self.size)

    def notices(self, trials: int) -> list[str]:
        """The size of a grid that the budget does not reach."""
        if trials >= self.size:
            return []
        return [
            f"the grid has {self._size_text} points and the budget is {trials:,} trials: that many are tried, spread "
            "over the space; fewer searcher.points, shorter lists or more --trials try all"
        ]

    @property
    def _size_text(self) -> str:
        return f"{self.size:,}" if self.size < 10**15 else f"about 10^{math.log10(self.size):.0f}"

    @property
    def exhausted(self) -> bool:
        """Whether every point was proposed or told by others."""
        return self._place >= self.size

    def _start(self) -> None:
        self._grid = Points(self.space, self.points)
        self._place = 0  # in shuffled order: the next point to propose; those before it are done with
        self._tried: set[str] = set()  # points that were told without being proposed here

    def _point(self, place: int) -> dict[str, object]:
        return self._grid[seeding.permute(place, self.size, self.seed, "grid")]

    def _skip_tried(self, place: int) -> int:
        while self._tried and place < self.size and canonical(self._point(place)) in self._tried:
            place += 1
        return place

    def _places(self, n: int) -> list[int]:
        places: list[int] = []
        place = self._place
        while len(places) < n and place < self.size:
            places.append(place)
            place = self._skip_tried(place + 1)
        return places

    def _ask(self, n: int) -> list[Proposal]:
        return [Proposal(self._point(place)) for place in self._places(n)]

    def _asked(self, proposals: Sequence[Proposal]) -> None:
        if proposals:
            self._place = self._skip_tried(self._places(len(proposals))[-1] + 1)

    def _tell(self, results: Sequence[Result]) -> None:
        self._tried.update(canonical(dict(result.params)) for result in results if not result.own)
        self._place = self._skip_tried(self._place)
