"""`hpo doctor`: what is wrong, and what to do."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hpo.cli import options, render
from hpo.errors import DataError, LoadError, NotFoundError

if TYPE_CHECKING:
    from hpo.examination import Item
    from hpo.store.salvage import Salvaged, Saved


@click.command("doctor")
@click.argument("study", required=False)
@click.option(
    "--salvage",
    metavar="OUT",
    type=click.Path(dir_okay=False, readable=False),
    help="Save what can be read to a new store.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@options.store
@options.as_json
@click.pass_context
def command(
    ctx: click.Context, study: str | None, salvage: str | None, force: bool, store: str | None, as_json: bool
) -> None:
    """Examine this machine and the store; with STUDY, say why that study disappoints.

    Looks at versions with known holes, plug-ins, the GPU, the file system, the store's pages and rows, who drives
    which study, and what killed processes left behind. Changes nothing. Exit code 0: no problem; 65: the store is
    damaged or none; 78: a package or plug-in.

    --salvage OUT: a new store with all that can be read of a damaged one. Each study is kept up to its first hole, and
    goes on from there, with other trials than before if a round was cut; later results go into a study NAME-rest.
    """
    from hpo.store import default_path

    path = Path(store) if store is not None else default_path()
    if salvage is not None:
        if study is not None:
            raise click.UsageError("--salvage saves a whole store: leave STUDY out")
        _salvage(path, salvage, force, as_json)
        return
    if study is not None:
        from hpo.cli.doctor_study import show
        from hpo.study import load_study

        show(load_study(study, store), as_json)
        return
    given = store is not None or bool(os.environ.get("HPO_STORE"))
    ctx.exit(_examine(path, given, as_json))


def _examine(path: Path, given: bool, as_json: bool) -> int:
    from hpo.examination import NOTE, PROBLEM, Item
    from hpo.machine import examine_machine
    from hpo.store.examine import examine
    from hpo.text import counted

    there = _is_there(path)
    machine = list(examine_machine())
    if there:
        stored = list(examine(path))
    else:
        level, found = (PROBLEM, f"no store at {path}") if given else (NOTE, f"no store at {path} yet")
        stored = [Item("store", level, found, "`hpo run` makes one, --store names another")]
    if as_json:
        items = {"machine": [item.to_json() for item in machine], "store": [item.to_json() for item in stored]}
        render.emit_json({"problems": _problems(machine + stored), **items})
    else:
        _print("this machine", machine)
        render.line()
        _print(f"store {path}", stored)
        render.line()
        count = _problems(machine + stored)
        render.line(counted(count, "problem") if count else "no problem")
    if _problems(stored):
        return DataError.exit_code if there else NotFoundError.exit_code
    return LoadError.exit_code if _problems(machine) else 0


def _is_there(path: Path) -> bool:
    """Whether there is a file, or something that this user may not look at."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _problems(items: list[Item]) -> int:
    from hpo.examination import PROBLEM

    return sum(item.level == PROBLEM for item in items)


def _print(title: str, items: list[Item]) -> None:
    render.line(title)
    width = max(len(item.topic) for item in items if len(item.topic) <= 24)
    for item in items:
        render.line(f"  {item.level:<7}  {item.topic:<{width}}  {item.found}")
        if item.advice:
            render.line(f"  {'':<7}  {'':<{width}}  -> {item.advice}")


def _salvage(path: Path, out: str, force: bool, as_json: bool) -> None:
    from hpo.errors import UsageError
    from hpo.files import check_new, new_file
    from hpo.store.salvage import salvage
    from hpo.store.untouched import new_store

    if not path.is_file():
        raise NotFoundError(f"no store at {path}: --store names the damaged one")
    if os.path.exists(out) and os.path.samefile(out, path):
        raise UsageError(f"{out!r} is the damaged store itself: name another file")
    more = f"{out}-trials.jsonl"
    check_new(out, overwrite=force, database=True)
    check_new(more, overwrite=force)
    with new_store(out, overwrite=force) as file:
        done = salvage(path, file)
    if done.homeless:
        with new_file(more, overwrite=force) as lines:
            for trial in done.homeless:
                lines.write(f"{render.json_text(trial)}\n".encode())
    if as_json:
        found = asdict(done)
        found["homeless"] = {"trials": len(done.homeless), "file": more if done.homeless else None}
        render.emit_json({"store": str(path), "out": out, **found})
        return
    _tell(done, path, out, more)


def _tell(done: Salvaged, path: Path, out: str, more: str) -> None:
    from hpo.store import default_path, place
    from hpo.text import command as shell

    for saved in done.studies:
        render.line(_sentence(saved))
    for name in done.lost_comparisons:
        render.line(f"comparison {name}: lost; its runs are studies of their own")
    if done.homeless:
        render.line(f"{len(done.homeless)} trials whose study is lost are in {more}, a line each")
    render.line(f"saved in {out} ({shell('ls', None, Path(out), default_path())} lists it); {path} is as it was")
    left = [str(file) for end in ("-journal", "-wal") if place.size(file := place.beside(path, end))]
    if left:
        render.line(
            f"before {out} takes the place of {path}, move {' and '.join(left)} away, too: SQLite would apply it"
        )


def _sentence(saved: Saved) -> str:
    if saved.reason is not None:
        return f"study {saved.study}: lost, {saved.reason}"
    if saved.whole:
        return f"study {saved.study}: all {saved.trials} trials"
    text = f"study {saved.study}: {saved.trials} trials up to the first hole, `hpo resume` goes on from there"
    if saved.rest is not None:
        text += f"; {saved.rest_trials} later results in study {saved.rest}"
    gone = saved.lost_trials + saved.unusable
    return text + (f"; at least {gone} trials lost" if gone else "")
