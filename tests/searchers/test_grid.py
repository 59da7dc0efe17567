"""Grid search as a searcher."""

from collections import Counter
from typing import Any

import pytest
from scipy import stats

from hpo.domains import Choice, Float, Int
from hpo.errors import UsageError
from hpo.grid import Grid as Points
from hpo.space import Space
from hpo.trial import Outcome, State
from hpo.values import canonical
from searchers.grid import Grid

SPACE = Space(
    {
        "a": Int(0, 9),
        "b": Float(0.1, 10.0, log=True),
        "kind": ["x", "y", "z"],
        "c": Choice([1, 2, 3], when={"kind": ["x", "y"]}),
    }
)


def told(number: int, params: Any) -> Outcome:
    return Outcome(number, params, State.DONE, value=0.0)


def asked(searcher: Grid, *sizes: int) -> list[dict[str, Any]]:
    return [dict(proposal.params) for n in sizes for proposal in searcher.ask(n)]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_every_point_is_proposed_exactly_once(batch: int) -> None:
    searcher = Grid(points=4).bind(SPACE, seed=3)
    grid = Points(SPACE, 4)
    points = []
    while not searcher.exhausted:
        points += asked(searcher, batch)
    assert len(points) == searcher.size == grid.size == 10 * 4 * (2 * 3 + 1)
    assert {canonical(p) for p in points} == {canonical(grid[i]) for i in range(grid.size)}
    assert searcher.ask(batch) == []


def test_order_depends_on_the_seed_and_not_on_the_batch() -> None:
    orders = [
        asked(Grid().bind(SPACE, seed=seed), *sizes)
        for seed, sizes in ((0, [60]), (0, [1, 2, 3, 54]), (0, [1] * 60), (1, [60]), (-1, [60]), (2**64, [60]))
    ]
    assert orders[0] == orders[1] == orders[2]
    assert len({canonical(order) for order in orders}) == 4


@pytest.mark.parametrize("seed", range(5))
def test_every_tenth_of_a_grid_holds_every_value_about_equally_often(seed: int) -> None:
    space = Space({name: Int(0, 9) for name in "abc"})
    points = asked(Grid().bind(space, seed=seed), 1000)
    for start in range(0, 1000, 100):
        for name in space:
            counts = Counter(point[name] for point in points[start : start + 100])
            assert set(counts) == set(range(10))
            assert stats.chisquare([counts[value] for value in range(10)]).pvalue > 1e-4


def test_first_points_of_a_huge_grid_are_spread_in_every_hyperparameter() -> None:
    space = Space({f"p{i}": Int(0, 3) for i in range(200)})  # 2^400 points
    points = asked(Grid().bind(space), 256)
    assert len({canonical(point) for point in points}) == 256
    for name in space:
        counts = Counter(point[name] for point in points)
        assert stats.chisquare([counts[value] for value in range(4)]).pvalue > 1e-5


def test_pending_points_are_not_proposed_again() -> None:
    searcher = Grid(points=2).bind(SPACE)
    points = asked(searcher, 50, 50, 50)
    assert len({canonical(point) for point in points}) == len(points) == 140
    assert searcher.exhausted


def test_points_told_by_others_are_not_proposed() -> None:
    grid = Points(SPACE, 3)
    foreign = [grid[i] for i in range(0, grid.size, 2)]
    searcher = Grid().bind(SPACE)
    first = asked(searcher, 10)
    searcher.tell(told(100 + i, params) for i, params in enumerate(foreign))
    rest = asked(searcher, grid.size)
    assert searcher.exhausted
    assert not {canonical(p) for p in rest} & {canonical(p) for p in foreign + first}
    everything = {canonical(grid[i]) for i in range(grid.size)}
    assert {canonical(p) for p in rest + first + foreign} == everything


def test_points_told_outside_the_grid_change_nothing() -> None:
    searcher, other = Grid().bind(SPACE), Grid().bind(SPACE)
    searcher.tell([told(i, {"a": 3, "b": 0.123, "kind": "z"}) for i in range(3)])
    assert asked(searcher, 20) == asked(other, 20)


def test_a_grid_told_completely_is_exhausted() -> None:
    grid = Points(SPACE, 3)
    searcher = Grid().bind(SPACE)
    searcher.tell(told(i, grid[i]) for i in range(grid.size))
    assert searcher.exhausted
    assert searcher.ask(5) == []


def test_each_point_is_computed_a_bounded_number_of_times_whatever_others_told(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space({f"p{i}": Int(0, 1) for i in range(40)})
    twin = Grid().bind(space, seed=5)
    foreign = asked(twin, 2000)  # the very points that this searcher would begin with
    searcher = Grid().bind(space, seed=5)
    computed: Counter[int] = Counter()
    point = Grid._point

    def counted(self: Grid, place: int) -> dict[str, object]:
        computed[place] += 1
        return point(self, place)

    monkeypatch.setattr(Grid, "_point", counted)
    searcher.tell(told(i, params) for i, params in enumerate(foreign))
    assert not any(searcher.exhausted for _ in range(100))
    points = asked(searcher, 256, 256)
    assert {canonical(p) for p in points}.isdisjoint(canonical(p) for p in foreign)
    assert max(computed) < 2000 + 2 * 256 + 2
    assert max(computed.values()) <= 6


@pytest.mark.parametrize("seed", [0, 7])
def test_replaying_the_events_gives_the_same_state(seed: int) -> None:
    grid = Points(SPACE, 3)
    searcher, again = Grid().bind(SPACE, seed=seed), Grid().bind(SPACE, seed=seed)
    for number, n in ((50, 4), (60, 3), (70, 9)):
        again.replay(n, searcher.ask(n))
        for each in (searcher, again):
            each.tell([told(number, grid[number])])
    assert asked(searcher, 30) == asked(again, 30)


@pytest.mark.parametrize("points", [0, -1, 10**9, True, 2.0, "3"])
def test_points_out_of_range_are_refused(points: Any) -> None:
    with pytest.raises(UsageError, match=r"points is .* expected an integer, 1 to"):
        Grid(points=points)
