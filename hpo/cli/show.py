"""`hpo show`: a study, or one of its trials."""

import click

from hpo.cli import options, render


@click.command("show")
@click.argument("study", required=False)
@click.argument("trial", required=False, type=int)
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the best trials.")
@options.store
@options.as_json
def command(study: str | None, trial: int | None, top: int, store: str | None, as_json: bool) -> None:
    """Show STUDY (default: the latest) with its best trials, or its trial number TRIAL with curve and error."""
    from hpo.cli.results import print_study, print_trial, study_data, trial_data
    from hpo.study import load_study

    found = load_study(study, store)
    if trial is not None:
        one = found.trial(trial)
        if as_json:
            extra = {"reason": one.reason, "seconds": one.seconds, "health": one.health, "curve": one.curve}
            render.emit_json(trial_data(one) | extra | {"info": one.info})
        else:
            print_trial(one, found)
        return
    data = study_data(found, top)
    render.emit_json(data) if as_json else print_study(data)
