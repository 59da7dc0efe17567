"""The one place that prints results: tables for people, strict JSON for programs."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hpo.store.codec import json_float
from hpo.text import printable, value_text

FOLDED = 16  # columns of a terminal that a text in a table takes at least, if it is that long
BETWEEN = 3  # columns between two of a table
_EXACT = (int, float, type(None))
WIDE = 10_000  # columns when the output is no terminal: nothing is wrapped or cut


def jsonable(data: Any) -> Any:
    """`data` as strict JSON: non-finite floats become 'nan', 'inf' and '-inf'."""
    if isinstance(data, float):
        return json_float(data)
    if isinstance(data, Mapping):
        return {str(key): jsonable(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [jsonable(item) for item in data]
    return data


def emit_json(data: Any) -> None:
    """Print one JSON document."""
    print(json_text(data, indent=2))


def json_text(data: Any, indent: int | None = None) -> str:
    """`data` as strict JSON in ASCII, which every terminal takes as it is and no name can play tricks in."""
    return json.dumps(jsonable(data), indent=indent, allow_nan=False)


def _console() -> Any:
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            """Raised on, where rich would end the process with exit code 1."""
            raise

    return Piped(width=None if sys.stdout.isatty() else WIDE, markup=False, highlight=False, emoji=False)


def line(text: str = "") -> None:
    """Print a line of text."""
    _console().print(printable(text), soft_wrap=True)


def paragraph(text: str) -> None:
    """Print text, broken between words where the terminal ends."""
    _console().print(printable(text))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None, *, prose: bool = False) -> None:
    """Print a table; numbers are shortened, control characters written out.

    Args:
        head: names of the columns.
        rows: their cells.
        title: above the table.
        prose: whether cells are sentences, so that a terminal has a blank line between rows.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    exact = [bool(rows) and all(isinstance(row[i], _EXACT) for row in rows) for i in range(len(head))]
    texts = [["" if cell is None else value_text(cell) for cell in row] for row in rows]
    console = _console()
    for part in _parts([printable(name) for name in head], texts, exact, console.width):
        result = Table(
            box=SIMPLE_HEAD,
            title=Text(printable(title)) if title else None,
            title_justify="left",
            pad_edge=False,
            leading=int(prose and sys.stdout.isatty()),
        )
        for i in part:
            justify: Any = "right" if exact[i] else "left"
            result.add_column(Text(printable(head[i])), justify=justify, overflow="fold", no_wrap=exact[i])
        for row in texts:
            result.add_row(*(Text(row[i]) for i in part))
        console.print(result)
        title = None


def _parts(head: Sequence[str], rows: Sequence[Sequence[str]], exact: Sequence[bool], room: int) -> Iterator[list[int]]:
    """The columns of a table that fit side by side: all of them, or part by part, the first column in each."""
    from rich.cells import cell_len

    own = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    needed = [width if number else min(width, FOLDED) for width, number in zip(own, exact, strict=True)]
    part, used = [0], needed[0]
    for i in range(1, len(head)):
        if used + BETWEEN + needed[i] > room and len(part) > 1:
            yield part
            part, used = [0], needed[0]
        part.append(i)
        used += BETWEEN + needed[i]
    yield part


def facts(pairs: Mapping[str, Any]) -> None:
    """Print names with their values, one a line, aligned."""
    from rich.cells import cell_len

    names = [value_text(name) for name in pairs]
    widths = [cell_len(name) for name in names]  # columns of a terminal: two for 名, none for a combining accent
    width = max(widths, default=0)
    for name, own, value in zip(names, widths, pairs.values(), strict=True):
        line(f"{name}{' ' * (width - own)}  {value_text(value)}")
