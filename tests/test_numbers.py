"""Sets of trial numbers."""

from hypothesis import given
from hypothesis import strategies as st

from hpo.numbers import Numbers


@given(st.lists(st.integers(0, 40)), st.lists(st.integers(0, 40)))
def test_they_are_sets(first, more):
    numbers, expected = Numbers(first), {*first, *more}
    for number in more:
        numbers.add(number)
    assert len(numbers) == len(expected)
    assert {number for number in range(-3, 50) if number in numbers} == expected


def test_a_complete_beginning_takes_no_memory():
    numbers = Numbers(reversed(range(1000)))
    assert vars(numbers) == {"_below": 1000, "_others": set()}
