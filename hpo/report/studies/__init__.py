"""The figures of a study, by key in the order of a report: each has a module of its name with `figure(data)`.

NEEDS says of each what a study must have, so that there is something to show.
"""

from __future__ import annotations

import importlib
from typing import Final

from hpo.errors import NotFoundError, did_you_mean
from hpo.report.figure import Figure
from hpo.report.study_data import StudyData

NEEDS: Final = {
    "winner": "a trial that succeeded",
    "history": "a trial with a value",
    "curves": "trials that tell their metric at two epochs or more",
    "importance": "ten trials that can be compared, and a hyperparameter that makes a difference",
    "slice": "a trial that can be compared, and a hyperparameter that varies",
    "parallel": "a trial that can be compared, and a hyperparameter that varies",
    "heatmap": "trials that can be compared, and differ in two hyperparameters",
    "rungs": "halving, or another searcher that trains trials on",
    "controller": "searcher nas",
    "architecture": "searcher nas and a trial that succeeded",
    "health": "trials that tell how training went",
    "reproduce": "nothing",
}
KEYS: Final = tuple(NEEDS)


def study_figure(key: str, data: StudyData) -> Figure | None:
    """The figure called `key`; None where the study has nothing to show in it.

    Raises:
        NotFoundError: there is no such figure.
    """
    if key not in KEYS:
        raise NotFoundError(f"no figure {key!r} of a study: {did_you_mean(key, KEYS)}")
    found: Figure | None = importlib.import_module(f"hpo.report.studies.{key}").figure(data)
    return found
