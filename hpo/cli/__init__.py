"""The command line: one file per command, one renderer, errors in one line with an exit code.

Exit codes: 0 ok, 1 internal error, 2 usage, 3 no successful trial, 4 not found, 5 conflict with the stored
study, 65 bad, foreign or newer data, 73 cannot create, 74 input/output error or disk full, 75 locked (try
again), 77 permission, 78 objective or study file cannot be loaded, 130 Ctrl-C, 143 SIGTERM.
"""

import contextlib
import errno
import importlib
import os
import sys
import warnings
from keyword import iskeyword
from typing import Any, TextIO

import click

from hpo.errors import ConflictError, HpoError, Interrupt, StorageError, did_you_mean
from hpo.text import printable

COMMANDS = {
    "init": "Write a study file to begin with, also for a table of yours.",
    "run": "Search: run a study, or go on with a named one.",
    "compare": "Compare searchers: which one to use, and how sure that is.",
    "resume": "Go on with a study; nothing has to be typed again.",
    "ls": "List the studies and comparisons of a store.",
    "show": "Show a study, or one of its trials.",
    "replay": "Train a trial again and compare it with what is stored.",
    "best": "Show the winner of a study, or save its model.",
    "predict": "Predict the rows of a table with a saved model.",
    "export": "Write all trials of a study as CSV, as JSON lines or into an Optuna database.",
    "import": "Add a study that was exported as JSON lines to a store.",
    "backup": "Copy a store into a file, also while studies run.",
    "rm": "Remove studies, or a comparison with its runs.",
    "doctor": "Examine this machine and a store, rescue a damaged one; explain a study that disappoints.",
    "report": "Report on studies and comparisons: one page that opens without network, or tables.",
    "searchers": "List the searchers, or the settings of one.",
    "studies": "List the studies that come with hpo.",
}


class _ReaderLeftError(Exception):
    """Whoever read the output, `head` say, has seen enough; click would make a failure of it."""


class _Lazy(click.Group):
    """Loads a command's module only when it is used: `hpo --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"hpo.cli.{cmd_name}{'_' * iskeyword(cmd_name)}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"no command {args[0]!r}: {did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # which prints the help
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError as error:
            raise _ReaderLeftError from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderLeftError from error
        except click.UsageError as error:
            if error.ctx is None and ctx.invoked_subcommand:  # click's own about the form of an option
                error.ctx = click.Context(self, info_name=ctx.invoked_subcommand, parent=ctx)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hpo-arena", prog_name="hpo")
def cli() -> None:
    """Search hyperparameters; every trial is stored.

    `hpo run --searcher tpe` trains a small network on synthetic data; `hpo run FILE.toml` runs a study of yours,
    `hpo run module:function --direction maximize` a Python function.
    """


def main() -> None:
    """The command `hpo`: runs and ends the process with its exit code."""
    if sys.stdin is None:  # closed by the shell, `<&-`
        sys.stdin = open(os.devnull)  # noqa: SIM115
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # `>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        if hasattr(stream := getattr(sys, name), "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # any terminal can show any name, in some form
    warnings.showwarning = _show_warning
    try:
        code = cli(standalone_mode=False) or 0
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        code = error.exit_code
        with contextlib.suppress(OSError, ValueError):
            print(error.format_message(), file=sys.stderr)
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        hint = f" (`{context.command_path} --help` shows how)" if context else ""
        code = _complain(_one_line(error.format_message()) + hint, error.exit_code)
    except ConflictError as error:  # a line for each difference
        code = _complain(str(error), error.exit_code)
    except HpoError as error:
        code = _complain(_one_line(str(error)), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = 130
    except Interrupt as interrupt:
        code = interrupt.exit_code
    except (_ReaderLeftError, BrokenPipeError):
        _discard(sys.stdout)
        code = 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO):  # a full disk under stdout; the store has errors of its own
            raise
        _discard(sys.stdout)
        code = _complain(
            f"the output cannot be written: {error.strerror}: make room, or see to the disk", StorageError.exit_code
        )
    try:
        sys.stderr.flush()
    except ValueError:  # closed by an objective
        pass
    except OSError:  # nobody reads the progress any more: no reason to fail
        _discard(sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _discard(stream: TextIO) -> None:
    """Let the rest of a stream go nowhere, or Python would complain about it at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _complain(message: str, code: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        print(f"hpo: {printable(message)}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    kind = "" if category is UserWarning else f"{category.__name__}: "
    with contextlib.suppress(OSError, ValueError):
        print(f"hpo: warning: {printable(_one_line(kind + str(message)))}", file=sys.stderr)
