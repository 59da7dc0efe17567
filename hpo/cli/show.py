"""`hpo show`: a study, or one of its trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hpo.cli import options, render

if TYPE_CHECKING:
    from hpo.study import Study


@click.command("show")
@click.argument("study", required=False)
@click.argument("trial", required=False, type=int)
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the best trials.")
@click.option("--code", is_flag=True, help="Print the trial's model as a Python script in plain torch and numpy.")
@click.option("--log", is_flag=True, help="Print what the trial printed, where it ran in a worker process.")
@options.store
@options.as_json
def command(
    study: str | None, trial: int | None, top: int, code: bool, log: bool, store: str | None, as_json: bool
) -> None:
    """Show STUDY (default: the latest) with its best trials, or its trial number TRIAL with curve and error."""
    from hpo.cli.results import print_study, print_trial, study_data, trial_data
    from hpo.study import load_study

    found = load_study(study, store)
    if code:
        text = _code(found, trial)
        render.emit_json({"code": text}) if as_json else render.line(text.rstrip())
        return
    if log:
        if trial is None:
            raise click.UsageError("--log is about one trial: give STUDY and TRIAL")
        _show_log(found.log(trial), trial, as_json)
        return
    if trial is not None:
        one = found.trial(trial)
        if as_json:
            extra = {"reason": one.reason, "seconds": one.seconds, "health": one.health, "curve": one.curve}
            extra |= {"attempts": one.attempts, "user_attrs": one.user_attrs}
            render.emit_json(trial_data(one) | extra | {"info": one.info})
        else:
            print_trial(one, found)
        return
    data = study_data(found, top)
    render.emit_json(data) if as_json else print_study(data)


def _show_log(printed: str, number: int, as_json: bool) -> None:
    """What a trial printed, as a terminal would show it in the end."""
    from hpo.text import overwritten

    if as_json:
        render.emit_json({"log": printed})
    elif printed:
        render.line(overwritten(printed).removesuffix("\n"))
    else:
        caught = "or ran where it is not caught: `hpo run --workers N` catches it"
        click.echo(f"trial {number} printed nothing, {caught}", err=True)


def _code(study: Study, number: int | None) -> str:
    """The script of a trial's model."""
    from hpo.resolve import stored_objective
    from hpo.text import value_text

    if number is None:
        raise click.UsageError("--code is about one trial: give STUDY and TRIAL")
    trial, objective = study.trial(number), stored_objective(study.spec.objective, study.spec.direction)
    text = objective.code(trial.params, f"The model of trial {number} of study {value_text(study.name)}.")
    if text is None:
        raise click.UsageError(f"--code: objective {objective.name!r} has no model that hpo knows")
    return text
