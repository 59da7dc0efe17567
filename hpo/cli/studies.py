"""`hpo studies`: the questions that come with hpo."""

import click

from hpo.cli import options, render


@click.command("studies")
@options.as_json
def command(as_json: bool) -> None:
    """List the studies that come with hpo, each with its question; `hpo run NAME` runs one."""
    from hpo.study_file import shipped

    data = [
        {"name": name, "question": table.get("question", ""), "expect": table.get("expect", "")}
        for name, table in shipped().items()
    ]
    if as_json:
        render.emit_json(data)
    else:
        render.table(["study", "question", "what to expect"], [list(d.values()) for d in data], prose=True)
