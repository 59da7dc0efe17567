"""The figures of a study, by key in the order of a report: each has a module of its name with `figure(data)`."""

from __future__ import annotations

import importlib
from typing import Final

from hpo.errors import NotFoundError, did_you_mean
from hpo.report.figure import Figure
from hpo.report.study_data import StudyData

KEYS: Final = (
    "winner",
    "history",
    "curves",
    "importance",
    "slice",
    "parallel",
    "heatmap",
    "rungs",
    "controller",
    "architecture",
    "health",
    "reproduce",
)


def study_figure(key: str, data: StudyData) -> Figure | None:
    """The figure called `key`; None where the study has nothing to show in it.

    Raises:
        NotFoundError: there is no such figure.
    """
    if key not in KEYS:
        raise NotFoundError(f"no figure {key!r} of a study: {did_you_mean(key, KEYS)}")
    found: Figure | None = importlib.import_module(f"hpo.report.studies.{key}").figure(data)
    return found
