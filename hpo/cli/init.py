"""`hpo init`: a study file to begin with."""

import os
import shlex
from pathlib import Path
from typing import Any

import click

from hpo.cli import render


@click.command("init")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--data", metavar="TABLE", help="What to train on: a CSV or Parquet file, or the name of generated data.")
@click.option("--target", metavar="COLUMN", help="What to predict.")
@click.option("--task", help="classification or regression [default: as the target looks].")
@click.option("--force", is_flag=True, help="Write over an existing file.")
def command(file: Path, force: bool, **settings: str | None) -> None:
    """Write a study file, FILE.toml, that says what can be said in one: edit it, then `hpo run FILE.toml`.

    With --data and --target it is one for your table: its columns, and a search space that suits it.
    """
    from hpo.errors import UsageError
    from hpo.files import check_new, new_file
    from hpo.progress import Display
    from hpo.study_template import template
    from hpo.text import printable
    from hpo.training.objective import SimpleNNObjective

    if file.suffix != ".toml":
        raise UsageError(f"study file {printable(repr(str(file)))} ends in {file.suffix!r}, expected .toml")
    check_new(file, force)
    given: dict[str, Any] = {key: value for key, value in settings.items() if value is not None}
    objective = SimpleNNObjective(**given)
    given["data"] = objective.data
    if objective.digest:  # a table
        given |= {"data": _seen_from(file.parent, given["data"]), "task": objective.dataset.task}
    text = template(str(file), objective, given)
    with new_file(file, force) as out:
        out.write(text.encode())
    display = Display()
    for notice in objective.notices():
        display.note(f"data: {notice}")
    render.line(f"wrote {file}: `hpo run {shlex.quote(str(file))}` runs it")


def _seen_from(folder: Path, data: str) -> str:
    """The path of a table as a study file in `folder` names it."""
    try:
        return Path(os.path.relpath(data, folder)).as_posix()
    except ValueError:  # on another drive
        return str(Path(data).absolute())
