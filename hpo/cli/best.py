"""`hpo best`: the answer of a study, and its model."""

import click

from hpo.cli import options, render


@click.command("best")
@click.argument("study", required=False)
@click.option(
    "--save", type=click.Path(readable=False), metavar="FILE", help="Write the winner's model, the very one tested."
)
@click.option("--refit", is_flag=True, help="Save a model trained on all rows instead, which has no score.")
@click.option("--force", is_flag=True, help="Save over an existing file.")
@options.store
@options.as_json
def command(study: str | None, save: str | None, refit: bool, force: bool, store: str | None, as_json: bool) -> None:
    """Show the winner of STUDY (default: the latest) with its test score, or the best trial where there is none.

    --save writes its model for `hpo predict` and hpo.load_model; it is trained again from its seed, which gives the
    very model that was tested.
    """
    from hpo.cli.results import best_data, print_best
    from hpo.study import load_study

    if save is None and (refit or force):
        raise click.UsageError(f"--{'refit' if refit else 'force'} is for --save FILE", click.get_current_context())
    found = load_study(study, store)
    if save is not None:
        with options.results_only():
            found.save(save, refit=refit, overwrite=force)
    data = best_data(found)
    if save is not None:
        data["saved"] = {"path": save, "refit": refit}
    if as_json:
        render.emit_json(data)
        return
    print_best(data)
    if save is not None:
        render.line()
        render.paragraph(f"Saved to {save}: {_what(data, refit)}")


def _what(data: dict[str, object], refit: bool) -> str:
    if refit:
        return "the same configuration trained on all rows. No score belongs to it: nothing was left to test it on."
    return "the model that was tested." if data["winner"] else "the best trial's model, which was not tested."
