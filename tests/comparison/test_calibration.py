"""The promises of the tests hold where it counts: in what verdicts claim."""

import importlib.util
import sys
from pathlib import Path

import pytest

from hpo.comparison.analyse import analyse

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_calibration.py"


@pytest.fixture(scope="module")
def bench():
    """The script that counts; its searchers are found by the module's name."""
    found = importlib.util.spec_from_file_location("bench_calibration", SCRIPT)
    module = importlib.util.module_from_spec(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "bench_calibration", module)
        found.loader.exec_module(module)
        yield module


def test_salted_searchers_are_alike_and_yet_independent(bench):
    asked = [
        [proposal.params["x"] for proposal in searcher.bind(bench.SPACE, seed=3).ask(4)]
        for searcher in (*bench.alike().values(), bench.alike()["random 0"])
    ]
    assert len({x for run in asked for x in run}) == 5 * 4
    assert asked[0] == asked[-1]


def test_the_greatest_count_that_passes_is_36_of_500(bench, capsys):
    assert bench.report("none", lambda c: c < 36, 500, *bench.none(500))
    assert not bench.report("none", lambda c: c < 37, 500, *bench.none(500))
    assert "37 of 500, expected at most 36: NOT met" in capsys.readouterr().out


@pytest.mark.parametrize(("searchers", "trials"), [("alike", 3), ("planted", 1)])
def test_what_is_asked_directly_is_what_a_comparison_runs(bench, searchers, trials):
    made = getattr(bench, searchers)()
    made = {label: made[label] for label in list(made)[:2]}
    stored = bench.through_pipeline(made, trials, 7)
    directly = analyse(bench.by_hand(made, trials, 7))
    assert stored.tasks["value"].final == directly.tasks["value"].final
    assert stored.tasks["value"].pairs == directly.tasks["value"].pairs
    assert stored.sentences == directly.sentences


@pytest.mark.slow
def test_of_500_comparisons_of_alike_searchers_few_claim_a_difference_and_planted_ones_are_found(bench, capsys):
    assert bench.main([]) == 0, capsys.readouterr().out
