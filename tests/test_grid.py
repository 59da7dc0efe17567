"""The lazy grid against brute force."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.domains import Choice, Domain, Float, Int
from hpo.errors import SpaceError
from hpo.grid import Grid
from hpo.space import Space
from hpo.values import canonical


@st.composite
def conditional_spaces(draw: st.DrawFn) -> Space:
    """Up to six small hyperparameters, conditioned on any of the earlier ones, declared in any order."""
    domains: dict[str, Domain] = {}
    for i in range(draw(st.integers(1, 6))):
        parents = [name for name, domain in domains.items() if not isinstance(domain, Float)]
        chosen = draw(st.lists(st.sampled_from(parents), max_size=2, unique=True)) if parents else []
        when = {
            name: [domains[name].decode(u) for u in draw(st.lists(st.floats(0, 1), min_size=1, max_size=3))]
            for name in chosen
        }
        match draw(st.sampled_from(["choice", "int", "log", "float"])):
            case "choice":
                options = draw(st.lists(st.sampled_from([1, 1.0, True, None, "a", [1]]), min_size=1, unique_by=repr))
                domains[f"p{i}"] = Choice(tuple(options[:3]), when=when)
            case "int":
                domains[f"p{i}"] = Int(0, draw(st.integers(0, 3)), when=when)
            case "log":
                domains[f"p{i}"] = Int(1, draw(st.integers(1, 6)), log=True, when=when)
            case _:
                domains[f"p{i}"] = Float(0, 1, when=when)
    return Space(dict(draw(st.permutations(list(domains.items())))))


def brute_force(space: Space, points: int) -> Iterator[dict[str, Any]]:
    """The active part of every combination."""
    values = {
        name: [domain.grid_value(i, points) for i in range(domain.grid_size(points))] for name, domain in space.items()
    }
    for combination in itertools.product(*(values[name] for name in space.order)):
        params: dict[str, Any] = {}
        for name, value in zip(space.order, combination, strict=True):
            if space.is_active(name, params):
                params[name] = value
        yield params


@given(conditional_spaces(), st.integers(1, 3))
def test_every_combination_of_active_values_occurs_exactly_once(space: Space, points: int) -> None:
    grid = Grid(space, points)
    found = [grid[i] for i in range(grid.size)]
    texts = [canonical(params) for params in found]
    assert len(set(texts)) == len(texts)
    assert set(texts) == {canonical(params) for params in brute_force(space, points)}
    assert all(repr(space.validate(params)) == repr(params) for params in found)


def test_an_unconditional_grid_is_mixed_radix() -> None:
    grid = Grid(Space({"a": ["x", "y"], "b": Int(1, 3), "c": Float(0, 1)}), points=2)
    found = [tuple(grid[i].values()) for i in range(grid.size)]
    assert found == [(a, b, c) for c in (0.0, 1.0) for b in (1, 2, 3) for a in ("x", "y")]


def test_a_dict_is_a_space() -> None:
    assert Grid({"a": [1, 2]}, 1).size == 2


def test_grids_of_any_magnitude_are_indexed_without_being_listed() -> None:
    grid = Grid(Space({f"p{i}": Int(0, 1) for i in range(40)}), 1)
    assert grid.size == 2**40
    assert list(grid[0b1011].values())[:5] == [1, 1, 0, 1, 0]
    wide = Grid(Space({f"p{i}": Float(0, 1) for i in range(3000)}), 7)
    assert wide.size == 7**3000
    assert set(wide[7**3000 - 1].values()) == {1.0}


def test_conditions_on_many_hyperparameters_do_not_multiply_the_tables() -> None:
    choices = {f"a{i}": Choice([0, 1, 2], when={"root": [1]}) for i in range(40)}
    leaves = {f"b{i}": Choice([0, 1, 2], when={f"a{i}": [1]}) for i in range(40)}
    grid = Grid(Space({"root": [0, 1]} | choices | leaves), 1)
    assert grid.size == 1 + 5**40
    assert len({canonical(grid[i]) for i in range(2000)}) == 2000


def test_an_integer_of_any_range_may_condition() -> None:
    space = Space({"n": Int(0, 2**40), "b": Choice([1, 2, 3], when={"n": [0, 1, 7, 2**40]})})
    grid = Grid(space, 1)
    assert grid.size == 2**40 + 1 + 4 * 2
    places = [*range(20), *range(grid.size - 20, grid.size)]
    found = [grid[i] for i in places]
    assert len({canonical(params) for params in found}) == 40
    assert {params["n"] for params in found if "b" in params} <= {0, 1, 7, 2**40}
    assert {params["n"] for params in found if "b" not in params} >= {2, 3, 2**40 - 1}


@pytest.mark.parametrize("index", [-1, 6])
def test_an_index_outside_is_an_error(index: int) -> None:
    with pytest.raises(IndexError, match=f"{index} is outside 0 to 5"):
        Grid(Space({"a": Int(1, 6)}), 1)[index]


def test_a_continuum_needs_points() -> None:
    with pytest.raises(SpaceError, match="'a' is a continuum"):
        Grid(Space({"a": Float(0, 1)}), 0)


def test_a_conjunction_of_many_conditions_is_counted() -> None:
    leaf = Choice([1, 2], when={f"p{i}": [1] for i in range(60)})
    assert Grid({f"p{i}": [0, 1] for i in range(60)} | {"leaf": leaf}, 1).size == 2**60 + 1


def test_conditions_nested_too_deep_are_refused() -> None:
    def chain(count: int) -> Space:
        return Space({f"p{i}": Choice([0, 1], when={f"p{i - 1}": [1]} if i else None) for i in range(count)})

    assert Grid(chain(100), 1).size == 101
    assert chain(100).size == 101
    with pytest.raises(SpaceError, match="100 deep"):
        Grid(chain(300), 1)
    assert chain(300).size is None


@pytest.mark.ci
def test_entangled_conditions_are_refused_before_they_fill_the_memory() -> None:
    choices = {f"p{i}": [0, 1, 2] for i in range(24)}
    leaves = {
        f"q{i}": Choice([1, 2], when={f"p{i}": [i % 3], f"p{(i + 7) % 24}": [0], f"p{(i + 11) % 24}": [1]})
        for i in range(24)
    }
    with pytest.raises(SpaceError, match="100,000 cases"):
        Grid(choices | leaves, 1)
