"""`hpo import`: a study from a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import click

from hpo.cli import options, render
from hpo.errors import NoPermissionError, NotFoundError, StorageError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from hpo.store.reader import StudyRow


@click.command("import")
@click.argument("file", metavar="FILE.jsonl", type=click.Path(allow_dash=True, readable=False))
@click.option("--name", help="The study's name here [default: its own].")
@options.store
@options.as_json
def command(file: str, name: str | None, store: str | None, as_json: bool) -> None:
    """Add the study in FILE.jsonl (- is stdin) to the store, which is made where there is none.

    The file is one that `hpo export --format jsonl` wrote. The study is the same as where it came from: it shows the
    same, and `hpo resume` goes on to the same trials. All of it comes in, or nothing; nothing in the file is run. Files
    that trials kept beside the store are not part of it.
    """
    from hpo.store import Store
    from hpo.store.transfer import NAME, read_study

    if name is not None and not NAME[0](name):
        raise UsageError(f"--name {name!r}: expected {NAME[1]}")
    if file == "-":
        copy = read_study(_lines(sys.stdin.buffer, "stdin"), "stdin")
    else:
        with _opened(file) as binary:
            copy = read_study(_lines(binary, f"file {file!r}"), repr(file)[1:-1])
    opened = Store(store, "create")
    row = copy.insert(opened, name)
    _tell(row, opened.counts(row.id), opened.path, as_json)


def _opened(file: str) -> BinaryIO:
    try:
        return open(file, "rb")
    except FileNotFoundError:
        raise NotFoundError(f"no file {file!r}: `hpo export --format jsonl > FILE` writes one") from None
    except PermissionError:
        raise NoPermissionError(f"file {file!r} may not be read by this user: check its permissions") from None
    except IsADirectoryError:
        raise UsageError(f"{file!r} is a folder, expected a file that `hpo export --format jsonl` wrote") from None
    except (OSError, ValueError) as error:
        raise _unreadable(f"file {file!r}", error) from error


def _unreadable(source: str, error: Exception) -> StorageError:
    return StorageError(f"{source} cannot be read: {error}: check its name and the disk")


def _lines(binary: BinaryIO, source: str) -> Iterator[str]:
    """Its lines, of one that is too long the beginning: never more of a file in memory than a line may have."""
    from hpo.store.checked_json import MAX_LINE

    while True:
        try:
            line = binary.readline(MAX_LINE + 1)
        except OSError as error:
            raise _unreadable(source, error) from error
        if not line:
            return
        yield line.decode("utf-8")


def _tell(row: StudyRow, states: dict[str, int], path: Path, as_json: bool) -> None:
    from hpo.store import default_path
    from hpo.text import command as shell
    from hpo.text import states_text

    if as_json:
        render.emit_json({"study": row.name, "store": str(path), "states": states})
        return
    counts = states_text(states)
    render.line(f"study {row.name} is in {path}: {counts}; {shell('resume', row.name, path, default_path())} goes on")
