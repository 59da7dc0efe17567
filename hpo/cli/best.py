"""`hpo best`: the answer of a study."""

import click

from hpo.cli import options, render


@click.command("best")
@click.argument("study", required=False)
@options.store
@options.as_json
def command(study: str | None, store: str | None, as_json: bool) -> None:
    """Show the winner of STUDY (default: the latest) with its test score, or the best trial where there is none."""
    from hpo.cli.results import best_data, print_best
    from hpo.study import load_study

    found = load_study(study, store)
    data = best_data(found)
    render.emit_json(data) if as_json else print_best(data)
