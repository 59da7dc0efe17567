"""`hpo export`: all trials, for other programs."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from typing import Any, TextIO

import click

from hpo.cli import options, render
from hpo.errors import did_you_mean

PAGE = 5_000
KINDS = ("optuna",)


@click.command("export")
@click.argument("study", required=False)
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="How to write it to stdout.")
@click.option("--to", nargs=2, metavar="KIND PLACE", help="Another program's store: optuna sqlite:///out.db")
@options.store
def command(study: str | None, form: str | None, to: tuple[str, str] | None, store: str | None) -> None:
    """Write all trials of STUDY (default: the latest) to stdout, or to the store of another program.

    jsonl: the whole study, which `hpo import` reads. The first object describes it, then there is one for each trial
    with number, state, params, value, epochs, seed, error and its evaluations; a value that is not finite is the text
    nan, inf or -inf. csv: one row a trial, a column for each hyperparameter; text that a spreadsheet
    would run as a formula is prefixed with an apostrophe.

    --to optuna URL: an Optuna study of this name in the database at URL, for `optuna.load_study` and
    `optuna-dashboard URL`; once more, what is new or has changed since. Paused trials are PRUNED there, with
    their intermediate values, until they go on.
    """
    from hpo.study import load_study

    if (form is None) == (to is None):
        raise click.UsageError("give either --format csv or jsonl, or --to optuna URL")
    if to is not None and to[0] not in KINDS:
        raise click.UsageError(f"--to {to[0]!r}: no such kind of store: {did_you_mean(to[0], KINDS)}")
    found = load_study(study, store)
    if to is not None:
        _to_optuna(found, to[1])
        return
    (_write_csv if form == "csv" else _write_jsonl)(found, sys.stdout)


def _to_optuna(study: Any, url: str) -> None:
    from hpo.integrations.optuna_export import export

    done = export(study, url)
    render.line(f"study {study.name} in {done.url}: {done.new} trials new, {done.changed} brought up to date")


def _pages(study: Any) -> Iterator[Any]:
    first = 0
    while page := study.page(first, PAGE):
        yield from page
        first = page[-1].number + 1


def _write_jsonl(study: Any, out: TextIO) -> None:
    from hpo.store.damage import blaming

    with blaming(study.path):
        for found in study.copied().objects():
            out.write(render.json_text(found) + "\n")


def _write_csv(study: Any, out: TextIO) -> None:
    names = list(study.spec.space)
    own = ["number", "state", "value", "epochs", "seconds", "seed", "reason"]
    write_row(out, [*own, *map(cell, study.labels(own).values())])
    for trial in _pages(study):
        params = [cell(trial.params.get(name)) for name in names]
        write_row(out, [*[cell(getattr(trial, name)) for name in own], *params])


def write_row(out: TextIO, cells: list[Any]) -> None:
    """One line of CSV."""
    row = io.StringIO(newline="")
    csv.writer(row).writerow(cells)  # with its own "\r\n", since only then it quotes cells that have a "\r"
    out.write(row.getvalue().removesuffix("\r\n") + "\n")


def cell(value: Any) -> Any:
    """A value for `write_row`; text that a spreadsheet would run as a formula is prefixed with an apostrophe."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, (int, float)):
        return render.jsonable(value)
    text = str(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
