"""The page of results has medians by the rule of the figures."""

import importlib.util
import math
from pathlib import Path

from made_results import finals, task

from hpo.comparison.analyse import analyse

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_studies.py"


def test_failures_count_as_worst_and_the_best_median_is_bold():
    spec = importlib.util.spec_from_file_location("compare_studies", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    values = {
        ("moons", "a"): [0.9, 0.9, 0.9, math.nan, math.nan, math.nan],
        ("moons", "b"): [0.5, 0.5, 0.5, 0.6, 0.6, math.nan],
    }
    analysis = analyse(finals([task()], values, test={("moons", label): {"accuracy": 0.4} for label in "ab"}))
    lines = list(script.page(analysis, "command"))
    assert "| moons (accuracy ↑) | – (0.4) | **0.5** (0.4) |" in lines
    assert "| a | moons | none |" in lines
