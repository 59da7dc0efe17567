"""The figures of a comparison, by key in the order of a report; each has a module with `figures(analysis)`."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from hpo.errors import NotFoundError, did_you_mean
from hpo.report.figure import Figure

if TYPE_CHECKING:
    from hpo.comparison.analysis import Analysis

KEYS: Final = ("ranks", "anytime", "final", "matrix", "target", "seconds", "runs")


def comparison_figure(key: str, analysis: Analysis) -> list[Figure]:
    """The figures called `key`, one for each task or one in all; none where there is nothing to show.

    Raises:
        NotFoundError: there is no such figure.
    """
    if key not in KEYS:
        raise NotFoundError(f"no figure {key!r} of a comparison: {did_you_mean(key, KEYS)}")
    found: list[Figure] = importlib.import_module(f"hpo.report.comparisons.{key}").figures(analysis)
    return found
