"""`hpo rm`: studies are removed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from hpo.cli import options, render
from hpo.errors import ConflictError, UsageError
from hpo.text import counted, states_text

if TYPE_CHECKING:
    from hpo.store import Store
    from hpo.store.comparisons import ComparisonRow
    from hpo.store.reader import StudyRow


@click.command("rm")
@click.argument("names", metavar="STUDY...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask; needed where there is no terminal.")
@options.store
@options.as_json
def command(names: Sequence[str], yes: bool, store: str | None, as_json: bool) -> None:
    """Remove each STUDY from the store, with its trials and the files that they kept; a comparison with all its runs.

    Shows what will be lost and asks. There is no way back: `hpo backup` and `hpo export --format jsonl` copy before.
    The store's file keeps its size: later trials use the room. How often test data was used goes on counting.
    """
    from hpo.store import Store

    opened = Store(store, "write")
    studies, compared = _named(opened, names)
    lost = [_loss(opened, row) for row in studies]
    losses = [*lost, *(_comparison_loss(opened, row) for row in compared)]
    if not yes:
        _ask(losses)
    for row in compared:
        studies += _runs(opened, row)
    trials = _remove(opened, studies, compared)
    if as_json:
        removed = [row.name for row in studies] + [row.name for row in compared]
        render.emit_json({"removed": removed, "trials": trials})
    else:
        render.line(f"removed {', '.join(losses)} from {opened.path}")


def _named(store: Store, names: Sequence[str]) -> tuple[list[StudyRow], list[ComparisonRow]]:
    """The studies and comparisons that are meant."""
    from hpo.store import default_path
    from hpo.store.comparisons import Comparisons
    from hpo.text import command as shell

    comparisons = Comparisons(store)
    studies: dict[str, StudyRow] = {}
    compared: dict[str, ComparisonRow] = {}
    known = {row.name for row in store.studies()}
    for name in names:
        row = None if name in known else comparisons.find(name)
        if row is not None:
            compared[name] = row
            continue
        studies[name] = store.study(name)
        if (comparison := comparisons.of_study(studies[name].id)) is not None:
            remove = shell("rm", comparison, store.path, default_path())
            raise ConflictError(
                f"study {name!r} is a run of comparison {comparison!r}: {remove} removes that with all its runs"
            )
    return list(studies.values()), list(compared.values())


def _loss(store: Store, row: StudyRow) -> str:
    """A study as what is lost with it."""
    from hpo.live_trial import study_folder

    counts = store.counts(row.id)
    states = f" ({states_text(counts)})" if counts else ""
    files = " and its files" if study_folder(store.files, row.id).is_dir() else ""
    return f"study {row.name}: {counted(sum(counts.values()), 'trial')}{states}{files}"


def _comparison_loss(store: Store, row: ComparisonRow) -> str:
    runs = _runs(store, row)
    trials = sum(sum(store.counts(run.id).values()) for run in runs)
    return f"comparison {row.name}: {len(runs)} runs with {trials} trials"


def _runs(store: Store, row: ComparisonRow) -> list[StudyRow]:
    """The studies of a comparison."""
    from hpo.store.comparisons import Comparisons

    ids = {run.study for run in Comparisons(store).runs(row.id)}
    return [study for study in store.studies() if study.id in ids]


def _ask(losses: Sequence[str]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"this would remove {', '.join(losses)}, and there is no terminal to ask on: give --yes")
    for loss in losses:
        click.echo(loss, err=True)
    click.confirm("remove for good?", abort=True, err=True)


def _remove(store: Store, studies: Sequence[StudyRow], compared: Sequence[ComparisonRow]) -> int:
    """Remove them under their locks; how many trials there were."""
    from hpo.comparison.record import held
    from hpo.driver import WAIT, locked
    from hpo.store.remove import files_of, remove

    with contextlib.ExitStack() as cleanup:
        for comparison in compared:
            cleanup.enter_context(held(store, comparison, WAIT))
        for row in studies:
            cleanup.callback(locked(store, row, WAIT).release)
        trials = sum(sum(store.counts(row.id).values()) for row in studies)
        with files_of(store, [row.id for row in studies]):
            remove(store, [row.id for row in studies], [row.id for row in compared])
    return trials
