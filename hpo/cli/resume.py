"""`hpo resume`: go on."""

from typing import Any

import click

from hpo.cli import options, render


@click.command("resume")
@click.argument("study", required=False)
@click.option("--trials", type=int, help="The new budget in full trainings, in all [default: as it was].")
@options.store
@options.running
@options.as_json
def command(
    study: str | None,
    trials: int | None,
    store: str | None,
    timeout: str | None,
    max_failures: str | None,
    device: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Go on with STUDY (default: the latest) to its budget, or to the new total of --trials."""
    from hpo.cli.results import best_data, check_winner, print_best
    from hpo.study import load_study

    found = load_study(study, store)
    with options.results_only():
        how = options.running_arguments(flags)
        progress: Any = "each" if verbose else not quiet
        found.resume(trials=trials, timeout=timeout, device=device, progress=progress, max_failures=max_failures, **how)
        check_winner(found, quiet)
        data = best_data(found)
    render.emit_json(data) if as_json else print_best(data)
