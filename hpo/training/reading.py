"""A user's file as a pandas DataFrame."""

from __future__ import annotations

import gzip
import os
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hpo.errors import DataError, NoPermissionError, NotFoundError, UsageError
from hpo.text import printable
from hpo.training.schema import refuse_duplicates

if TYPE_CHECKING:
    import pandas as pd

_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
_EXPECTED: Final = "expected the names of columns, and rows below them"
_HEAD = 4096  # bytes from which a file's kind is told


def read_table(path: str | Path, text: Iterable[str] = ()) -> pd.DataFrame:
    """A table from a file: .csv and .tsv in UTF-8 with a header, also compressed as .gz, or .parquet.

    In CSV, empty fields and pandas' usual words (NA, NaN, null, None, ...) are missing values.

    Args:
        path: the file; its ending says what it holds.
        text: columns that are read as text even if they look like numbers; names that the file lacks do not matter.

    Raises:
        NotFoundError: no such file.
        NoPermissionError: it may not be read.
        UsageError: an unknown ending, or Parquet without pyarrow.
        DataError: not what its ending says, damaged, without rows, or two columns of the same name.
    """
    path = Path(path)
    ending = "".join(path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]).lower()
    kind, _, compressed = ending[1:].partition(".")
    if f".{kind}" not in (*_SEPARATORS, ".parquet") or (kind == "parquet" and compressed):
        raise UsageError(f"data file {_name(path)} ends in {ending!r}, expected .csv, .csv.gz, .tsv or .parquet")
    if path.is_dir():
        raise UsageError(f"{_name(path)} is a directory, expected a data file")
    try:
        head = _head(path, bool(compressed))
        if not head.strip():
            raise DataError(f"data file {_name(path)} is empty: {_EXPECTED}")
        frame = _parquet(path, head) if kind == "parquet" else _csv(path, head, _SEPARATORS[f".{kind}"], set(text))
    except FileNotFoundError:
        raise not_found(path) from None
    except PermissionError:
        raise NoPermissionError(
            f"data file {_name(path)} may not be read by this user: check its permissions"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"data file {_name(path)} cannot be read: {error}: is the file whole?") from None
    if frame.empty:
        raise DataError(f"data file {_name(path)} has a header but no rows: {_EXPECTED}")
    return frame


def not_found(path: str | os.PathLike[str]) -> NotFoundError:
    """The error about a table that is not there."""
    return NotFoundError(f"no data file {_name(Path(path))}: give the path of a CSV, TSV or Parquet file")


def _name(path: Path) -> str:
    return printable(repr(str(path)))


def _head(path: Path, compressed: bool) -> bytes:
    with path.open("rb") as file:
        if not compressed:
            return file.read(_HEAD)
        with gzip.open(file) as inner:
            return inner.read(_HEAD)


def _csv(path: Path, head: bytes, separator: str, text: set[str]) -> pd.DataFrame:
    import pandas as pd

    if b"\0" in head or head[:4] == b"PAR1" or head[:2] == b"\x1f\x8b":
        raise DataError(f"data file {_name(path)} is not text: it begins with {head[:8]!r}, expected CSV in UTF-8")
    try:
        header = pd.read_csv(path, sep=separator, header=None, nrows=1, dtype=str, keep_default_na=False)
        names = [str(name) for name in header.iloc[0]]
        refuse_duplicates([name for name in names if name], f"data file {_name(path)}")
        if len(names) == 1 and any(other in names[0] for other in ",;\t|"):
            expected = "tabs" if separator == "\t" else "commas"
            raise DataError(
                f"data file {_name(path)} has one column, {names[0]!r}: expected columns separated by {expected}"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of values without a column
            return pd.read_csv(
                path,
                sep=separator,
                index_col=False,
                dtype=dict.fromkeys(text.intersection(names), str),
                low_memory=False,  # one type for a column, not one for each block of it
            )
    except UnicodeDecodeError as error:
        raise DataError(
            f"data file {_name(path)} is not UTF-8 text (byte 0x{error.object[error.start]:02x}): save it as UTF-8"
        ) from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        why = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"data file {_name(path)} is not a table: {why}: mend the file") from None


def _parquet(path: Path, head: bytes) -> pd.DataFrame:
    import pandas as pd

    if head[:4] != b"PAR1":
        raise DataError(f"data file {_name(path)} is not Parquet: it begins with {head[:8]!r}, expected b'PAR1'")
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError(f"reading {_name(path)} needs pyarrow: pip install pyarrow") from None
    try:
        refuse_duplicates(parquet.read_schema(path).names, f"data file {_name(path)}")
        return pd.read_parquet(path, engine="pyarrow")
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(f"data file {_name(path)} is damaged, write it again: {error}") from None
