"""The model of a study's answer, written to a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hpo.comparison.check import check_winner
from hpo.errors import NoResultError
from hpo.files import check_new, new_file
from hpo.objective import Objective
from hpo.trial import Job

if TYPE_CHECKING:
    from hpo.study import Study


def save_answer(
    study: Study, objective: Objective, path: str | os.PathLike[str], *, refit: bool, overwrite: bool, progress: bool
) -> None:
    """See `Study.save`; `objective` is the study's own and saves models."""
    check_new(path, overwrite)  # refused before anything is trained
    job, scores = _tested(study, objective, progress) if study.has_test_data else _best(study)
    content = objective.model_file(job, study=study.name, scores=None if refit else scores, everything=refit)
    if content is None:
        rows = "on all rows" if refit else "again"
        advice = "; without refit the model that was tested can be saved" if refit and study.has_test_data else ""
        raise NoResultError(
            f"study {study.name!r}: trial {job.number} diverges when it trains {rows}: nothing is saved{advice}"
        )
    with new_file(path, overwrite) as file:
        file.write(content)


def _tested(study: Study, objective: Objective, progress: bool) -> tuple[Job, dict[str, Any]]:
    """The winner's run that was tested, and its scores."""
    winner = study.known_winner() or check_winner(study, objective, progress=progress)
    won = winner.candidate
    if won is None or won.number is None or winner.seed is None:
        raise NoResultError(f"study {study.name!r} has no winner to save: {winner.sentences[0]}")
    test = winner.test
    scores = {
        "validation": float(won.fresh[won.best_run(winner.direction)]),
        "test": {} if test is None else {name: float(value) for name, value in test.metrics.items()},
        "low": None if test is None else float(test.low),
        "high": None if test is None else float(test.high),
    }
    return Job(0, 0, won.number, won.params, winner.seed, 0, winner.epochs, study.spec.trial_epochs), scores


def _best(study: Study) -> tuple[Job, dict[str, Any]]:
    """The best trial, where no test data can tell a winner, and its score."""
    best = study.best
    scores = {"validation": study.best_value, "test": {}, "low": None, "high": None}
    return Job(0, 0, best.number, best.params, best.seed, 0, best.epochs, study.spec.trial_epochs), scores
