"""Options that several commands share."""

import contextlib
import sys
from collections.abc import Callable
from typing import Any, TextIO, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def store(function: F) -> F:
    """`--store`."""
    return click.option(
        "--store",
        type=click.Path(dir_okay=False),
        help="The store's file [default: $HPO_STORE, else ./hpo.db].",
    )(function)


def as_json(function: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print strict JSON instead of tables.")(function)


def running(function: F) -> F:
    """The options of commands that run trials."""
    for option in (
        click.option("--verbose", is_flag=True, help="A line for every trial on stderr."),
        click.option("--quiet", is_flag=True, help="No progress on stderr."),
        click.option(
            "--device", help="auto, cpu, cuda or mps: where trials train [default: auto, a GPU if there is one]."
        ),
        click.option("--timeout", help="Wall clock of this run: 90s, 10m, 2h."),
        click.option(
            "--max-failures", metavar="N|SHARE", help="End the run when more trials have failed: 5, or 0.5, or 50%."
        ),
        click.option("--dask", metavar="ADDRESS", help="Run trials on a Dask cluster, e.g. tcp://scheduler:8786."),
        click.option("--fresh", is_flag=True, help="A process of its own for every evaluation of a function."),
        click.option(
            "--retries", type=int, default=1, show_default=True, help="New tries for a trial whose process died."
        ),
        click.option("--trial-memory", help="That the process of a trial may take: 512MiB, 2GiB."),
        click.option("--trial-timeout", help="That one evaluation of a function may take: 90s, 10m, 2h."),
        click.option(
            "--workers", type=int, help="Processes for a function [default: none], threads for a SimpleNN [all cores]."
        ),
    ):
        function = option(function)
    return function


def running_arguments(flags: dict[str, Any]) -> dict[str, Any]:
    """Those of `running` that say how trials are run, taken out of `flags`, as `Study.resume` calls them."""
    names = ("workers", "trial_timeout", "trial_memory", "retries", "fresh")
    return {name: flags.pop(name) for name in names} | {"executor": flags.pop("dask")}


def results_only() -> contextlib.redirect_stdout[TextIO]:
    """Inside the block whatever an objective prints goes to stderr: stdout is for results."""
    return contextlib.redirect_stdout(sys.stderr)
