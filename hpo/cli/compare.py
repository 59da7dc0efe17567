"""`hpo compare`: which searcher to use."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import options, render

if TYPE_CHECKING:
    from hpo.comparison.analysis import Analysis
    from hpo.comparison.comparison import Comparison
    from hpo.comparison.labels import SearchersError
    from hpo.comparison.results import Results
    from hpo.study_file import Question

SHOWN = ("ranks", "final", "target", "matrix", "seconds")  # figures whose tables are printed; a report has all
_LEFT = ("task", "by_spent", "by_trials", "by_share")  # bands are for drawings


@click.command("compare")
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option(
    "--searchers",
    metavar="A,B,...",
    help="What is compared, settings after colons: random,halving:eta=2 [default: random,tpe,halving].",
)
@click.option("--seeds", type=int, help="Every searcher runs with so many study seeds [default: 12].")
@click.option("--trials", type=int, help="Budget of each run in full trainings [default: the study's, else 25].")
@click.option("--epochs", type=int, help="The most that one trial trains [default: the study's, else the objective's].")
@click.option("--seed", type=int, help="The first study seed; the others follow it [default: 0].")
@click.option("--resplit", is_flag=True, default=None, help="Every seed has a split of the data of its own.")
@click.option("--name", help="Name of the comparison; an existing one goes on [default: a new name].")
@click.option("--direction", help="maximize or minimize; needed for functions.")
@click.option("--data", metavar="TABLE", help="Without STUDY: a CSV or Parquet file, or the name of generated data.")
@click.option("--target", metavar="COLUMN", help="Of the table, what to predict.")
@click.option("--task", help="Of the table, classification or regression [default: as the target looks].")
@click.option("--metric", help="Without STUDY: what is optimised [default: accuracy, of a regression rmse].")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change space or objective of all studies.")
@click.option("--workers", type=int, help="Processes for a function [default: none], threads for a SimpleNN.")
@click.option("--device", help="auto, cpu, cuda or mps: where trials train [default: auto].")
@click.option("--timeout", help="Wall clock of this run: 90s, 10m, 2h; the same name goes on.")
@options.max_failures
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@options.store
@options.as_json
def command(
    studies: tuple[str, ...],
    searchers: str | None,
    direction: str | None,
    changes: tuple[str, ...],
    workers: int | None,
    timeout: str | None,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Which searcher to use: compare searchers on each STUDY, with the same budget, seeds and data for all.

    A STUDY is a shipped study (`hpo studies`), a TOML file, or module:function with a `space` in that module; several
    are several tasks. Without STUDY: a SimpleNN on TABLE, or on synthetic classification data. Every run is stored;
    with --name alone an interrupted comparison goes on, and more seeds, searchers or studies train only what is
    missing.
    """
    from hpo.comparison.compare import run_comparison
    from hpo.comparison.labels import SearchersError
    from hpo.comparison.request import Request
    from hpo.errors import UsageError
    from hpo.resolve import make_execution, seconds

    settings = {key: flags.pop(key) for key in ("data", "target", "task", "metric")}
    settings = {key: value for key, value in settings.items() if value is not None}
    if settings and studies:
        raise click.UsageError(f"--{next(iter(settings))} is for a comparison without STUDY: studies have their data")
    asked = {key: flags.pop(key) for key in ("seeds", "trials", "epochs", "seed", "resplit")}
    try:
        with options.results_only():
            tasks = _questions(studies, changes, direction, settings)
            request = Request(tasks, None if searchers is None else split(searchers), **asked)
            found = run_comparison(
                request,
                execution=make_execution(workers),
                timeout=seconds(timeout),
                progress=not quiet,
                **flags,
            )
            _check_success(found)
            analysis = found.analysis
    except SearchersError as error:
        raise UsageError(_refusal(error)) from error
    render.emit_json(comparison_data(found)) if as_json else print_comparison(analysis, found)


def _check_success(comparison: Comparison) -> None:
    """Raise NoResultError if no trial of any run succeeded, naming the first failure."""
    from hpo.errors import NoResultError
    from hpo.study import load_study

    runs = list(comparison.results.runs.values())
    if all(math.isnan(run.final) for run in runs):
        try:
            _ = load_study(runs[0].study, comparison.path).best
        except NoResultError as error:
            raise NoResultError(f"comparison {comparison.name!r} has no result: {error}") from None


def _refusal(error: SearchersError) -> str:
    """The error, with the option that leaves out what cannot be compared where there is one."""
    if not error.good or any(split(label) != [label] for label in error.good):
        return str(error)
    return f"{error.what}; leave them out: --searchers {shlex.quote(','.join(error.good))}"


def split(searchers: str) -> list[str]:
    """The labels of `--searchers`."""
    return [label.strip() for label in searchers.split(",")]


def _questions(
    studies: Sequence[str], changes: Sequence[str], direction: str | None, settings: Mapping[str, Any]
) -> dict[str, Question] | None:
    """The tasks by name; None: nothing was said about them."""
    from hpo.comparison.plan import task_name
    from hpo.study_file import read_question

    if not (studies or changes or direction or settings):
        return None
    found: dict[str, Question] = {}
    for study in studies or (None,):
        question = read_question(study, changes=changes, flags={"direction": direction, "objective": dict(settings)})
        name = task_name(question)
        if name in found:
            raise click.UsageError(f"two tasks would be called {name!r}: give each study once, files different names")
        found[name] = question
    return found


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """All that is told of a comparison as one JSON object, without the bands of the curves."""
    analysis = comparison.analysis
    results, across = analysis.results, analysis.across
    return {
        "comparison": comparison.name,
        "store": str(comparison.path),
        "verdict": comparison.verdict,
        "sentences": list(analysis.sentences),
        "look": results.look,
        "searchers": list(results.searchers),
        "seeds": list(results.seeds),
        "resplit": results.resplit,
        "tasks": [
            asdict(one.task)
            | {key: value for key, value in asdict(replace(one, by_spent={}, by_trials={})).items() if key not in _LEFT}
            | {label: _of_runs(results, one.task.name, label) for label in ("searcher_seconds", "failed", "exhausted")}
            for one in analysis.tasks.values()
        ],
        "across": across
        and {key: value for key, value in asdict(replace(across, by_share={})).items() if key not in _LEFT},
        "facts": results.facts,
    }


def _of_runs(results: Results, task: str, attribute: str) -> dict[str, list[Any]]:
    """Label to an attribute of its runs on a task, by seed."""
    return {label: [getattr(run, attribute) for run in results.of(task, label)] for label in results.searchers}


def print_comparison(analysis: Analysis, comparison: Comparison) -> None:
    """The verdict first, then the tables."""
    from hpo.report.comparisons import comparison_figure
    from hpo.store import default_path
    from hpo.text import command as command_text

    for sentence in analysis.sentences:
        render.paragraph(sentence)
    for key in SHOWN:
        for figure in comparison_figure(key, analysis):
            render.line()
            render.table(figure.table.head, figure.table.rows, figure.title)
    for name, text in analysis.results.facts.items():
        if name.startswith("space of"):
            render.line(f"{name}: {text}")
    report = command_text("report", comparison.name, comparison.path, default_path(), options=["-o", "report.html"])
    render.line(f"comparison {comparison.name} in {comparison.path}; {report} draws it")
