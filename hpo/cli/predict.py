"""`hpo predict`: a saved model at work."""

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import click

from hpo.cli import options
from hpo.cli.export import cell, write_row

if TYPE_CHECKING:
    import numpy as np

    from hpo.training.saved import SavedModel

ROWS_AT_ONCE = 10_000
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")


@click.command("predict")
@click.argument("model", type=click.Path(readable=False))
@click.argument("table", type=click.Path(readable=False))
@click.option("-o", "--output", type=click.Path(readable=False), metavar="FILE", help="Write there instead of stdout.")
@click.option("--force", is_flag=True, help="Write over an existing file.")
def command(model: str, table: str, output: str | None, force: bool) -> None:
    """Predict the rows of TABLE (.csv, .tsv, .parquet) with MODEL, a file of `hpo best --save`, as CSV.

    One row for each row of the table: prediction, and of classes the probability of each in p_CLASS. Columns are
    found by name; others, also the target's, are ignored. Missing values are filled in as in training. Text that a
    spreadsheet would run as a formula is prefixed with an apostrophe.
    """
    from hpo.errors import DataError
    from hpo.files import check_new, new_file
    from hpo.text import printable
    from hpo.training.reading import read_table
    from hpo.training.saved import load_model, unknown_levels

    if output is None and force:
        raise click.UsageError("--force is for --output FILE", click.get_current_context())
    if output is not None:
        check_new(output, force)
    with options.results_only():
        saved = load_model(model)
        texts = [column.name for column in saved.schema.columns if column.kind == "levels"]
        frame = read_table(table, texts)
        try:
            x, unknown = saved.schema.encode(frame)
        except DataError as error:
            raise DataError(f"data file {printable(repr(table))}: {error}") from None
        del frame
        outputs = saved.outputs(x)
    if unknown:
        print(f"hpo: {printable(unknown_levels(unknown))}", file=sys.stderr)
    with contextlib.ExitStack() as closing:
        out: TextIO = sys.stdout
        if output is not None:
            binary = closing.enter_context(new_file(output, force))
            out = closing.enter_context(_text(binary))
        write(out, saved, outputs)


def write(out: TextIO, model: "SavedModel", outputs: "np.ndarray") -> None:
    """Write predictions as CSV, header first; outputs (n, C) of the network."""
    write_row(out, ["prediction", *(f"p_{name}" for name in model.classes_)])
    for start in range(0, len(outputs), ROWS_AT_ONCE):
        some = outputs[start : start + ROWS_AT_ONCE]
        predicted = model.predictions(some).tolist()
        if not model.classes_:
            for value in predicted:
                write_row(out, [cell(value)])
            continue
        cells = {name: _class_cell(name) for name in model.classes_}
        for name, shares in zip(predicted, model.probabilities(some).tolist(), strict=True):
            write_row(out, [cells[name], *shares])


def _class_cell(name: str) -> Any:
    """A class; one that is a number is no formula, a minus before it included."""
    return name if _NUMBER.fullmatch(name) else cell(name)


@contextlib.contextmanager
def _text(binary: Any) -> Iterator[TextIO]:
    """A file as UTF-8 text, which stays open when the block ends."""
    text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
    yield text
    text.detach()
