"""`hpo replay`: a stored trial, trained again and compared."""

import click

from hpo.cli import options, render
from hpo.errors import ConflictError


@click.command("replay")
@click.argument("study")
@click.argument("trial", type=int)
@click.option("--device", help="auto, cpu, cuda or mps: where it trains [default: auto, a GPU if there is one].")
@options.store
@options.as_json
@click.pass_context
def command(ctx: click.Context, study: str, trial: int, device: str | None, store: str | None, as_json: bool) -> None:
    """Train trial number TRIAL of STUDY again from its seed, and compare value, curve and health with the stored ones.

    Writes nothing. Exit code 0: equal, bit for bit; 5: not equal.
    """
    from hpo.study import load_study

    with options.results_only():
        found = load_study(study, store).replay(trial, device=device)
    if as_json:
        render.emit_json(found.to_json())
    else:
        for sentence in found.sentences:
            render.line(sentence)
    if not found.equal:
        ctx.exit(ConflictError.exit_code)
