"""From studies and comparisons to a report: what is in it, and the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from hpo.errors import NoResultError
from hpo.files import check_new, new_file
from hpo.report import comparisons, page, studies
from hpo.report.page import Section
from hpo.report.study_data import StudyData
from hpo.report.trial_table import trial_table, without_folders
from hpo.stored_study import StoredStudy
from hpo.text import number, params_text
from hpo.trial import State

if TYPE_CHECKING:
    from hpo.comparison.analysis import Analysis
    from hpo.comparison.results import Results, Run

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
    analysis = comparison.analysis
    figures = [figure for key in comparisons.KEYS for figure in comparisons.comparison_figure(key, analysis)]
    facts = _comparison_facts(analysis.results)
    found = [Section(comparison.name, comparison.name, figures, facts, analysis.sentences)]
    if len(analysis.results.searchers) <= MAX_FOLDED:
        from hpo.study import load_study

        for run in _representatives(analysis.results):
            section = study_section(load_study(run.study, comparison.path))
            chosen = {"chosen": f"for the median final value of {run.searcher} on {run.task}"}
            title = f"A run of {run.searcher}: {run.task}, seed {run.seed}"
            found.append(replace(section, title=title, facts={**chosen, **section.facts}, folded=True))
    return found


def _representatives(results: Results) -> list[Run]:
    """Each searcher's run with the median final value on the first task, the worse of two; none if all failed."""
    task, found = results.tasks[0], []
    sign = 1.0 if task.direction == "maximize" else -1.0
    for searcher in results.searchers:
        runs = [run for run in results.of(task.name, searcher) if run.final == run.final]  # those with a result
        runs.sort(key=lambda run: sign * run.final)
        found += runs[(len(runs) - 1) // 2 :][:1]
    return found


def _check_ended(study: StoredStudy) -> None:
    counts = study.counts()
    if any(counts.get(state, 0) for state in _ENDED):
        return
    what = f"{sum(counts.values())} trials, of which none has ended" if counts else "no trials yet"
    on = "study.ask() and study.tell()" if study.budget is None else study.command("resume")
    raise NoResultError(f"nothing to report: study {study.name!r} has {what}; {on} goes on")


def _facts(data: StudyData) -> dict[str, str]:
    """A study in a few words, without folders, which an objective's description may have."""
    study, spec = data.study, data.study.spec
    told = spec.objective
    spent = f"{study.epochs_spent:,}" + ("" if study.budget is None else f" of {study.budget:,}")
    return {
        "searcher": spec.searcher + (f" ({params_text(spec.settings)})" if spec.settings else ""),
        "objective": without_folders(str(told.get("name") or told.get("function") or "told by hand")),
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
        **{name: str(fact) for name, fact in results.facts.items()},
    }
