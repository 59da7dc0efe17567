"""Options that several commands share."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from hpo.executors.workers.surroundings import flush_c

F = TypeVar("F", bound=Callable[..., Any])


def store(function: F) -> F:
    """`--store`."""
    return click.option(
        "--store",
        type=click.Path(dir_okay=False, readable=False),
        help="The store's file [default: $HPO_STORE, else ./hpo.db].",
    )(function)


def as_json(function: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print strict JSON instead of tables.")(function)


def max_failures(function: F) -> F:
    """`--max-failures`."""
    text = "End the run when more trials of a study have failed: 5, or 0.5 or 50% of those that ended."
    return click.option("--max-failures", metavar="N|SHARE", help=text)(function)


def running(function: F) -> F:
    """The options of commands that run trials."""
    for option in (
        click.option("--verbose", is_flag=True, help="A line for every trial on stderr."),
        click.option("--quiet", is_flag=True, help="No progress on stderr."),
        click.option(
            "--device", help="auto, cpu, cuda or mps: where trials train [default: auto, a GPU if there is one]."
        ),
        click.option("--timeout", help="Wall clock of this run: 90s, 10m, 2h."),
        max_failures,
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


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Inside the block what an objective prints, or a program that it starts, goes to stderr: stdout is for results.

    Also what an objective does to stdout, such as closing it, ends with the block.
    """
    kept = None
    with contextlib.suppress(OSError, ValueError):  # no file, as in a notebook, or closed by the shell
        sys.stdout.flush()
        number, errors = sys.stdout.fileno(), sys.stderr.fileno()
        kept = os.dup(number)
        os.dup2(errors, number)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if kept is not None:
            flush_c()
            os.dup2(kept, number)
            os.close(kept)
