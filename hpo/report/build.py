"""From studies and comparisons to a report: what is in it, and the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from hpo.comparison.curves import median_run
from hpo.errors import NoResultError
from hpo.files import check_new, new_file
from hpo.report import comparisons, page, studies
from hpo.report.folders import clean_text
from hpo.report.page import Section
from hpo.report.study_data import StudyData
from hpo.report.trial_table import trial_table
from hpo.stored_study import StoredStudy
from hpo.text import number, params_text
from hpo.trial import State

if TYPE_CHECKING:
    from hpo.comparison.analysis import Analysis
    from hpo.comparison.results import Results

MAX_FOLDED: Final = 12  # studies that are shown with a comparison
MAX_NAMED: Final = 3  # in the title
_ENDED = (State.DONE, State.PAUSED, State.FAILED)


class Compared(Protocol):
    """A comparison, as far as a report asks."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def path(self) -> Path:
        """The store's file."""

    @property
    def analysis(self) -> Analysis:
        """What the statistics say."""


def write_report(
    subjects: Sequence[StoredStudy | Compared], path: str | os.PathLike[str], overwrite: bool = False
) -> list[Section]:
    """Write a page about studies and comparisons, and give what is in it.

    Args:
        subjects: in the order of the page.
        path: the file, which appears when it is complete, or not at all.
        overwrite: whether it may take the place of an existing file.

    Raises:
        CannotCreateError, NoPermissionError: the file cannot be written; found before any work.
        NoResultError: a study in which no trial has ended.
        StorageError: full disk, input/output error.
    """
    check_new(path, overwrite)
    found = sections(subjects)
    names = [section.title for section in found if not section.folded]
    text = page.render(f"Report on {', '.join(names) if len(names) <= MAX_NAMED else f'{len(names)} studies'}", found)
    with new_file(path, overwrite) as file:
        file.write(text.encode(errors="backslashreplace"))
    return found


def write_comparison(comparison: Compared, path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a page about one comparison; see `write_report`."""
    write_report([comparison], path, overwrite)


def sections(subjects: Sequence[StoredStudy | Compared]) -> list[Section]:
    """What a report on studies and comparisons has in it.

    Raises:
        NoResultError: a study in which no trial has ended.
    """
    for subject in subjects:
        if isinstance(subject, StoredStudy):
            _check_ended(subject)
    found: list[Section] = []
    for subject in subjects:
        found += [study_section(subject)] if isinstance(subject, StoredStudy) else _comparison_sections(subject)
    return found


def study_section(study: StoredStudy) -> Section:
    """A study's figures and trials."""
    data = StudyData(study)
    figures = [figure for key in studies.KEYS if (figure := studies.study_figure(key, data)) is not None]
    return Section(study.name, study.name, figures, _facts(data), trials=trial_table(data))


def _comparison_sections(comparison: Compared) -> list[Section]:
    """The comparison, and of each searcher a run that is like most of its runs."""
    from hpo.report.comparisons import reproduce
    from hpo.study import load_study

    def load(name: str) -> StoredStudy:
        return load_study(name, comparison.path)

    analysis = comparison.analysis
    results = analysis.results
    figures = [figure for key in comparisons.KEYS for figure in comparisons.comparison_figure(key, analysis)]
    figures.append(reproduce.figure(results, load))
    shown, task = len(results.searchers) <= MAX_FOLDED, results.tasks[0]
    single = f"of each searcher on {task.name}" if shown else f"none, of more than {MAX_FOLDED} searchers"
    if len(results.tasks) > 1 or not shown:
        single += "; `hpo report STUDY` shows any, by its name among all runs"
    facts = {**_comparison_facts(results), "single runs in a page": single}
    found = [Section(comparison.name, comparison.name, figures, facts, analysis.sentences)]
    if shown:
        for label in results.searchers:
            run = median_run(task, results.of(task.name, label))
            section = study_section(load(run.study))
            chosen = {
                "chosen": f"of {label}'s runs on {task.name} the middle one by final value, of two the worse one; "
                "runs without success count as worst"
            }
            title = f"A run of {run.searcher}: {run.task}, seed {run.seed}"
            found.append(replace(section, title=title, facts={**chosen, **section.facts}, folded=True))
    return found


def _check_ended(study: StoredStudy) -> None:
    counts = study.counts()
    if any(counts.get(state, 0) for state in _ENDED):
        return
    total = sum(counts.values())
    what = (
        "no trials yet"
        if not total
        else "1 trial, which has not ended"
        if total == 1
        else (f"{total:,} trials, of which none has ended")
    )
    on = "study.ask() and study.tell()" if study.budget is None else study.command("resume")
    raise NoResultError(f"nothing to report: study {study.name!r} has {what}; {on} goes on")


def _facts(data: StudyData) -> dict[str, str]:
    """A study in a few words, without folders, which an objective's description may have."""
    study, spec = data.study, data.study.spec
    told = spec.objective
    spent = f"{study.epochs_spent:,}" + ("" if study.budget is None else f" of {study.budget:,}")
    return {
        "searcher": spec.searcher + (f" ({params_text(spec.settings)})" if spec.settings else ""),
        "objective": clean_text(str(told.get("name") or told.get("function") or "told by hand")),
        "value": f"{data.metric}, {spec.direction}d",
        "best": number(study.best_value) if study.has_result else "none",
        "trials": ", ".join(f"{count:,} {state}" for state, count in sorted(study.counts().items())),
        "spent": f"{spent} {'trials' if spec.epochs is None else 'epochs'}",
        "seed": str(spec.seed),
    }


def _comparison_facts(results: Results) -> dict[str, str]:
    units = {f"{task.budget:,} {task.unit}" for task in results.tasks}
    return {
        "searchers": ", ".join(results.searchers),
        "tasks": ", ".join(task.name for task in results.tasks),
        "seeds": f"{len(results.seeds)}, {'a split of the data each' if results.resplit else 'paired'}",
        "budget of a run": " or ".join(sorted(units)),
        "looks at the verdict": str(results.look),
        "first seed": str(results.seeds[0]),
        **{name: str(fact) for name, fact in results.facts.items() if fact != name.removeprefix("searcher ")},
    }
