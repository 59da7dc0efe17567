"""What all tests share."""

from collections.abc import Sequence

import pytest

LONGEST = ("test_commands_run_in_order_as_they_stand", "test_the_best_of_256_interacting_descriptions")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that parallel workers end together."""
    items.sort(key=lambda item: _rank(item.name, LONGEST))


def _rank(name: str, beginnings: Sequence[str]) -> int:
    return next((i for i, beginning in enumerate(beginnings) if name.startswith(beginning)), len(beginnings))
