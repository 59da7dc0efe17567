"""`tests/README.md` maps every fault to tests that produce it: all of them are there, and so are the tests."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CASES = {*range(1, 72)} - {14, 66}  # two numbers were never given
ROW = re.compile(r"^\| (\d+) \|(.+)\|(.+)\|(.+)\|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows():
    return {int(row[1]): row[4].strip() for row in ROW.finditer((TESTS / "README.md").read_text(encoding="utf-8"))}


def test_every_fault_is_in_the_table():
    assert rows().keys() == CASES


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_tests_of_a_fault_exist(case):
    found = TEST.findall(rows()[case])
    assert found or rows()[case].startswith("not tested: "), "name its tests, or say why there is none"
    for file, name in found:
        assert re.search(rf"^def {name}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), f"{file}::{name}"
