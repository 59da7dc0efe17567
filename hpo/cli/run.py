"""`hpo run`: search."""

from dataclasses import replace
from typing import Any

import click

from hpo.cli import options, render
from hpo.training.objective_keys import KEYS


@click.command(
    "run", epilog="Keys of --set: any of a study file, e.g. searcher.eta=4, space.width=64, objective.data=moons."
)
@click.argument("study", required=False)
@click.option("--data", metavar="TABLE", help="A CSV or Parquet file, or the name of generated data, e.g. moons.")
@click.option("--target", metavar="COLUMN", help="What to predict.")
@click.option("--task", help="classification or regression [default: as the target looks].")
@click.option("--test", metavar="FILE", help="A table whose rows test the winner [default: 20 % of the rows do].")
@click.option("--split", metavar="COLUMN", help="Says train, validation or test in every row.")
@click.option("--group", metavar="COLUMN", help="No value of it may be on two sides of a split.")
@click.option("--ignore", multiple=True, metavar="COLUMNS", help="Are no inputs; with commas between, or repeated.")
@click.option("--folds", type=int, help="k: k-fold cross-validation [default: 1, one validation part].")
@click.option("--metric", help="What is optimised, e.g. f1_macro [default: accuracy, of a regression rmse].")
@click.option("--searcher", help="A name (`hpo searchers`), optuna:SAMPLER or module:Class [default: tpe].")
@click.option("--trials", type=int, help="Budget in full trainings; 0 only creates the study [default: 50].")
@click.option("--epochs", type=int, help="The most that one trial trains [default: the objective's].")
@click.option("--seed", type=int, help="Determines every trial [default: 0].")
@click.option("--direction", help="maximize or minimize; needed for a function.")
@click.option("--name", help="Name of the study; an existing one goes on [default: a new name].")
@click.option("--batch", type=int, help="Proposals a round [default: the searcher's].")
@click.option("--free-running", is_flag=True, default=None, help="Propose as trials end, rather than in rounds.")
@click.option("--from", "from_study", metavar="OLD", help="Tell the new study the trials of study OLD first.")
@click.option("--init-from", help="A saved model (`hpo best --save`) whose weights every trial starts from.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change any key of the study; repeatable.")
@options.store
@options.running
@options.as_json
def command(
    study: str | None,
    store: str | None,
    timeout: str | None,
    max_failures: str | None,
    device: str | None,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    changes: tuple[str, ...],
    from_study: str | None,
    ignore: tuple[str, ...],
    **flags: Any,
) -> None:
    """Search for the best hyperparameters of STUDY: a shipped study (`hpo studies`), a TOML file, or
    module:function with a `space` in that module. Without STUDY: a SimpleNN on TABLE, or on synthetic classification
    data.
    """
    from hpo.api import open_study, run_study
    from hpo.cli.results import best_data, check_winner, print_best, print_study, study_data
    from hpo.executors.choose import connected
    from hpo.failure_limit import FailureLimit
    from hpo.resolve import make_execution, seconds
    from hpo.study_file import read_plan

    seconds(timeout), FailureLimit.read(max_failures)  # refused before there is a study
    execution = make_execution(**options.running_arguments(flags))
    ignored = [name.strip() for names in ignore for name in names.split(",") if name.strip()]
    given = {"ignore": ignored or None} | {key: flags.pop(key) for key in KEYS if key in flags}
    flags["objective"] = {key: value for key, value in given.items() if value is not None}
    with options.results_only():
        plan = read_plan(study, searcher=flags.pop("searcher"), changes=changes, flags=flags)
        plan = replace(plan, from_study=from_study)
        if device is not None:
            plan = replace(plan, objective=plan.objective.on_device(device))
        plan.objective.check_execution(execution)
        progress: Any = "each" if verbose else not quiet
        with connected(execution) as where:  # or refused before there is a study
            opened = open_study(plan, store)
            if plan.trials != 0:
                run_study(
                    opened,
                    plan.objective,
                    trials=plan.trials,
                    timeout=timeout,
                    progress=progress,
                    execution=where,
                    max_failures=max_failures,
                )
    if plan.trials == 0:
        created = study_data(opened, 0)
        render.emit_json(created) if as_json else print_study(created)
        return
    with options.results_only():
        check_winner(opened, quiet)
        data = best_data(opened)
    render.emit_json(data) if as_json else print_best(data)
