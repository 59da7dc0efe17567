"""What all tests share."""

import gc
import os
import shutil
from collections.abc import Sequence
from typing import Any

import pytest

LONGEST = ("test_commands_run_in_order_as_they_stand", "test_the_best_of_256_interacting_descriptions")
MEMORY = "/dev/shm"  # syncing matters to power cuts, which no test makes: files in memory tell the same, faster

for library in (
    "OMP",
    "OPENBLAS",
    "MKL",
):  # the workers take all cores: threads of theirs would only wait for each other
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
if os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > 2**32:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that parallel workers end together."""
    items.sort(key=lambda item: _rank(item.name, LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers take whole stretches of tests, so that a fixture of a module is made once, not once in every worker."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getoption("dist") == "load" else None


def pytest_collection_finish() -> None:
    """Libraries and tests are there to stay: what is thrown away need not be looked for among them."""
    gc.collect()
    gc.freeze()


def _rank(name: str, beginnings: Sequence[str]) -> int:
    return next((i for i, beginning in enumerate(beginnings) if name.startswith(beginning)), len(beginnings))
