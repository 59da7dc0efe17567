"""How to make a comparison again: command, study files, seeds and versions; no host, user or folder is named."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from hpo.comparison.labels import labelled
from hpo.comparison.results import Results, Task
from hpo.errors import HpoError
from hpo.report.figure import Figure, Table
from hpo.report.folders import clean_settings
from hpo.report.studies.reproduce import AGAIN, file_name, json_text, question_file, settings_text, versions
from hpo.stored_study import StoredStudy
from hpo.study_spec import StudySpec
from hpo.values import canonical


def figure(results: Results, load: Callable[[str], StoredStudy]) -> Figure:
    """The figure.

    Args:
        results: of the comparison.
        load: a study by name; those of the reference trials and of the first seed say what was compared.
    """
    first = {
        (task.name, label): load(results.runs[task.name, label, results.seeds[0]].study)
        for task in results.tasks
        for label in results.searchers
    }
    specs = {key: study.spec for key, study in first.items()}
    bases = {task.name: load(task.reference_study).spec for task in results.tasks}
    texts = [searcher_text(label, specs[results.tasks[0].name, label]) for label in results.searchers]
    files = {task.name: _file(results, task, bases[task.name], specs) for task in results.tasks}
    rows: list[tuple[Any, ...]] = []
    if None in texts or None in files.values():
        caption = (
            "The comparison was made by a program, and no command line can say all of it: to make it again, run that "
            "program with what stands here."
        )
        for task in results.tasks:
            spec = bases[task.name]
            rows.append((f"objective of {task.name}", json_text(clean_settings(spec.objective))))
            rows.append((f"space of {task.name}", "\n".join(map(json_text, spec.space.to_json()))))
    else:
        caption = (
            "Put each text into a file of the name beside it, with the data files that it names beside them, and run "
            "the command: with the same versions it makes the same trials, in a store of its own."
        )
        if tuple(texts) != results.searchers:
            caption += " Some searchers had other labels than the command gives them."
        rows.append(("command", command(results, [str(text) for text in texts])))
        rows += [(file_name(name), text) for name, text in files.items()]
    rows += _facts(results, specs, bases)
    environment = next(iter(first.values())).environment
    table = Table(("what", "value"), (*rows, *versions(environment)))
    return Figure("reproduce", "How to make this comparison again", caption, table)


def command(results: Results, searchers: list[str]) -> str:
    """What to type; budgets stand in the study files."""
    words = ["hpo", "compare", *(file_name(task.name) for task in results.tasks), "--searchers", ",".join(searchers)]
    words += ["--seeds", str(len(results.seeds)), "--seed", str(results.seeds[0]), "--store", AGAIN]
    return shlex.join(words + ["--resplit"] * results.resplit)


def searcher_text(label: str, spec: StudySpec) -> str | None:
    """What `--searchers` calls a searcher: its label, or else its name and settings; None: no text makes it."""
    settings = [f"{key}={value}" for key, value in spec.settings.items() if value is not None]
    for text in (label, ":".join([spec.searcher, *settings])):
        try:
            (made,) = labelled([text]).values()
        except HpoError:
            continue
        same = made.kind == spec.searcher and canonical(made.settings) == canonical(spec.settings)
        if same and "," not in text:
            return text
    return None


def _file(results: Results, task: Task, base: StudySpec, specs: Mapping[tuple[str, str], StudySpec]) -> str | None:
    """The task's study file, in which searchers with a space of their own override it."""
    of = [specs[task.name, label] for label in results.searchers]
    spaces = {spec.searcher: spec.space for spec in of if spec.space.to_json() != base.space.to_json()}
    return question_file(base, {"trials": task.budget // task.trial_epochs}, spaces)


def _facts(
    results: Results, specs: Mapping[tuple[str, str], StudySpec], bases: Mapping[str, StudySpec]
) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for label in results.searchers:
        spec = specs[results.tasks[0].name, label]
        text = settings_text(spec)
        rows.append((f"searcher {label}", f"{spec.searcher} ({text})" if text else spec.searcher))
    rows += [("seeds", len(results.seeds)), ("first seed", results.seeds[0])]
    rows.append(("data", "a split for each seed" if results.resplit else "one split for all seeds"))
    for task in results.tasks:
        spec = bases[task.name]
        rows.append((f"budget of a run on {task.name}", f"{task.budget} {task.unit}"))
        rows.append((f"value on {task.name}", f"{task.metric}, {task.direction}d"))
        if spec.epochs is not None:
            rows.append((f"epochs of a full training on {task.name}", spec.epochs))
        if spec.objective.get("digest") is not None:
            rows.append((f"content of the data of {task.name}", spec.objective["digest"]))
    return rows
