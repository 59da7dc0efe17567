"""A store with bits flipped or parts lost is read as it was, or refused: never a traceback, whatever the command."""

import contextlib
import shutil
import warnings
from pathlib import Path

import pytest
from fuzzing import attempt, fuzz
from hypothesis import example, given
from hypothesis import strategies as st

from hpo.errors import HpoError
from hpo.store import Store
from hpo.store.comparisons import Comparisons

pytestmark = pytest.mark.ci

COMMANDS = (
    ["ls", "--json"],
    ["ls", "--all"],
    ["show", "squares"],
    ["show", "squares", "1", "--json"],
    ["show", "failing", "0"],
    ["best", "squares", "--json"],
    ["best"],
    ["export", "squares", "--format", "csv"],
    ["export", "failing", "--format", "jsonl"],
    ["report", "squares", "--json"],
    ["report", "flowers", "squares"],
    ["resume", "squares", "--quiet"],
    ["replay", "squares", "0"],
    ["doctor"],
    ["doctor", "squares"],
    ["doctor", "--salvage", "saved.db", "--force"],
    ["backup", "copy.db", "--force"],
)


flips = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=3)
ends = st.just(1.0) | st.just(1.0) | st.floats(0, 1)


def broken(content, bits, end):
    """Flipped bits in bytes that hold something, and perhaps an end that is missing."""
    found = bytearray(content)
    held = [i for i, byte in enumerate(content) if byte]
    for place, bit in bits:
        found[held[int(place * len(held))]] ^= 1 << bit
    return bytes(found[: round(end * len(found))])


@pytest.fixture(scope="module")
def content(home):
    return Path(shutil.copy("hpo.db", "original.db"))


@pytest.fixture
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def everything(path):
    """All that readers say of a store."""
    with contextlib.closing(Store(path)) as store:
        for row in store.studies():
            key = row.id
            list(store.history(key))
            store.trials(key), store.summaries(key), store.evaluations(key), store.open_round(key, 1)
            store.counts(key), store.failures(key), store.ranking(key, "minimize", 9), store.top(key, "minimize", 9)
            store.environments(key), store.spans(key), store.winners(key), store.uses(key), store.charged(key)
            store.log(key, 0), store.last_target(key, 0), store.pending(key, 9), store.last_run_ms(key)
        Comparisons(store).all()


@given(flips, ends)
@example([(0.5034705786449563, 0)], 1.0)
@fuzz(300)
@pytest.mark.usefixtures("_quiet")
def test_readers_of_a_damaged_store_answer_or_refuse(content, bits, end):
    path = Path("broken.db")
    path.write_bytes(broken(content.read_bytes(), bits, end))
    found = attempt(everything, path)
    assert found is None or isinstance(found, HpoError)


@given(flips, ends, st.sampled_from(COMMANDS))
@example([(0.833984375, 0)], 1.0, ["best"])
@example([(0.828125, 0)], 1.0, ["best"])
@example([(0.5242678745193448, 0)], 1.0, ["ls", "--json"])
@example([(0.7555250797301968, 2)], 1.0, ["resume", "squares", "--quiet"])
@fuzz(200)
def test_commands_on_a_damaged_store_answer_or_refuse(content, hpo, bits, end, command):
    path = Path("damaged.db")
    path.write_bytes(broken(content.read_bytes(), bits, end))
    for left in Path().glob("damaged.db-*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    hpo(*command, "--store", path)
