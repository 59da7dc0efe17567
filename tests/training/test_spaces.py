"""The space that suits a user's table."""

import itertools

import pytest

from hpo.domains import Choice
from hpo.training.hyperparameters import check_space
from hpo.training.objective import SimpleNNObjective
from hpo.training.spaces import Facts, architecture_space, default_space


@pytest.mark.parametrize("rows", [1, 3, 7, 8, 9, 90, 1_000, 5_000, 600_000])
def test_batch_sizes_are_never_more_than_the_rows_and_rise_twofold(rows: int) -> None:
    sizes = Facts("regression", rows).batch_sizes
    assert 1 <= len(sizes) <= 4
    assert max(sizes) <= rows
    assert all(later == 2 * size for size, later in itertools.pairwise(sizes))


def test_batch_sizes_grow_with_the_rows() -> None:
    assert Facts("regression", 90).batch_sizes == (8, 16, 32, 64)
    assert Facts("regression", 1_000).batch_sizes == (16, 32, 64, 128)
    assert Facts("regression", 600_000).batch_sizes == (1024, 2048, 4096, 8192)
    assert Facts("regression", 3).batch_sizes == (3,)


@pytest.mark.parametrize(
    ("counts", "rare"),
    [
        ((50, 50), False),
        ((81, 19), False),
        ((91, 9), True),
        ((80, 10, 10), False),
        ((95, 5, 99), True),
        ((9, 0), False),
    ],
)
def test_a_class_is_rare_below_a_fifth_of_an_even_share(counts: tuple[int, ...], rare: bool) -> None:
    table = Facts("classification", sum(counts), counts)
    assert table.has_rare_class is rare
    assert ("class_weights" in default_space(table)) is rare


@pytest.mark.parametrize(
    "table", [Facts("regression", 40), Facts("classification", 200, (190, 10)), Facts("classification", 4, (2, 2))]
)
def test_the_spaces_of_a_table_are_legal_modest_and_have_defaults(table: Facts) -> None:
    for space in (default_space(table), architecture_space(table)):
        check_space(space, table.task)
        assert "preprocessing" in space
        assert space.validate({})["preprocessing"] == "standardize"
    assert len(default_space(table)) <= 12
    assert ("loss" in default_space(table)) == (table.task == "regression")


def test_generated_data_keep_their_space_and_tables_get_theirs() -> None:
    assert SimpleNNObjective("moons").space() == default_space()
    assert "preprocessing" not in default_space()
    rows = [[i % 5, 1000.0 * i] for i in range(100)]
    space = SimpleNNObjective((rows, [0] * 95 + [1] * 5)).space()
    assert space is not None
    assert space == default_space(Facts("classification", 60, (57, 3)))
    assert isinstance(space["class_weights"], Choice)
