"""How the columns of a table become the inputs of a network, so that another table can become them too."""

from __future__ import annotations

import datetime
import decimal
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hpo.errors import MAX_LISTED, DataError, UsageError
from hpo.text import printable

if TYPE_CHECKING:
    import pandas as pd

KINDS: Final = ("number", "boolean", "levels", "unused")
MAX_LEVELS: Final = 50
_GREATEST = float(np.finfo(np.float32).max)
_LARGE = 2**26  # elements from which on a table is kept in float32: 512 MiB of float64
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: its name.
        kind: "number" and "boolean" (0, 1) become one input, "levels" one input for each level, "unused" none.
        levels: of kind "levels": the texts, sorted.
    """

    name: str
    kind: str = "number"
    levels: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs that it becomes: `name`, or `name=level` for each level."""
        if self.kind == "levels":
            return tuple(f"{self.name}={level}" for level in self.levels)
        return () if self.kind == "unused" else (self.name,)


@dataclass(frozen=True)
class Schema:
    """All columns of a table but the target and those that were ignored, in the table's order."""

    columns: tuple[Column, ...]

    @classmethod
    def of_numbers(cls, names: Sequence[str]) -> Schema:
        """Columns of numbers."""
        return cls(tuple(map(Column, names)))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the d inputs."""
        return tuple(name for column in self.columns for name in column.inputs)

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of the columns with levels: what a file's numbers are read as text in."""
        return tuple(column.name for column in self.columns if column.kind == "levels")

    def to_json(self) -> list[dict[str, Any]]:
        """A lossless description; the inverse of `from_json`."""
        return [
            {"name": column.name, "kind": column.kind} | ({"levels": list(column.levels)} if column.levels else {})
            for column in self.columns
        ]

    @classmethod
    def from_json(cls, data: Any) -> Schema:
        """The schema that `to_json` described; raises DataError for anything else."""
        if not isinstance(data, list):
            raise DataError(f"a schema is {type(data).__name__}, expected a list of columns")
        schema = cls(tuple(_column(i, item) for i, item in enumerate(data)))
        refuse_duplicates([column.name for column in schema.columns], "a schema")
        return schema

    def encode(self, table: Any) -> tuple[np.ndarray, dict[str, int]]:
        """A table's rows as inputs.

        Args:
            table: a pandas DataFrame, whose columns are matched by name, others ignored; or an array, whose columns
                are matched by position.

        Returns:
            x: (n, d) float64, of very large tables float32; NaN where a number is missing or infinite. A level that
                is missing or unknown is 0 in all inputs of its column.
            unknown: for each column with levels that the schema lacks, the number of such rows.

        Raises:
            DataError: a column is missing, or holds something else than a number where one is expected.
            UsageError: not a table, or an array with another number of columns.
        """
        frame = as_frame(table, [column.name for column in self.columns])
        used = [column for column in self.columns if column.kind != "unused"]
        absent = [column.name for column in used if column.name not in frame.columns]
        if absent:
            raise DataError(f"the table lacks {listed(absent)}: it needs every column that the model was trained on")
        width = len(self.inputs)
        x = np.zeros((len(frame), width), np.float32 if len(frame) * width > _LARGE else np.float64)
        unknown, at = {}, 0
        for column in used:
            series = frame[column.name]
            if column.kind == "levels":
                codes, strange = _codes(series, column.levels)
                rows = np.flatnonzero(codes >= 0)
                x[rows, at + codes[rows]] = 1
                if strange:
                    unknown[column.name] = strange
            else:
                values = to_numbers(series)
                values[np.abs(values) > _GREATEST] = np.nan
                x[:, at] = values
            at += len(column.inputs)
        return x, unknown


def infer(frame: pd.DataFrame, rows: np.ndarray) -> tuple[Schema, list[str]]:
    """What a table's columns are: numbers and booleans as they are, text as levels.

    Text of more than MAX_LEVELS different numbers counts as numbers. Dates, other text with more than MAX_LEVELS levels
    and columns without values are left out.

    Args:
        frame: the table, without its target.
        rows: the rows that may be looked at: not those of the test part.

    Returns:
        The schema, and notices of what is left out and what counts as missing.

    Raises:
        DataError: no column can be used.
    """
    columns: list[Column] = []
    left_out: dict[str, list[str]] = {}
    infinite: list[str] = []
    for name in frame.columns:
        series = frame[name]
        column, reason, detail = _infer(series, rows)
        columns.append(column)
        if reason:
            left_out.setdefault(reason, []).append(repr(name) + detail)
        elif series.dtype.kind == "f":
            count = int((np.abs(series.to_numpy(np.float64, na_value=np.nan)) > _GREATEST).sum())
            infinite += [f"{name!r} ({count})"] if count else []
    notices = [f"left out, {reason}: {listed(names, quote=False)}" for reason, names in left_out.items()]
    if infinite:
        notices.append(f"infinite values count as missing: {listed(infinite, quote=False)}")
    schema = Schema(tuple(columns))
    if not schema.inputs:
        found = "; ".join(notices) or "there is none besides the target"
        raise DataError(f"no column can be used as an input: {found}")
    return schema, notices


def as_frame(table: Any, names: Sequence[str] | None = None) -> pd.DataFrame:
    """A table as a DataFrame with text for column names; arrays get `names`, or x0, x1, ...

    Raises:
        UsageError: not a table of two dimensions, or another number of columns than names.
        DataError: two columns of the same name.
    """
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        frame = table.set_axis([str(name) for name in table.columns], axis=1)
        refuse_duplicates(list(frame.columns), "the table")
        return frame
    if hasattr(table, "tocsr"):
        raise UsageError(f"inputs are sparse ({type(table).__name__}): make them dense with .toarray()")
    try:
        array = np.asarray(table)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"inputs of type {type(table).__name__} do not form an array: {error}") from None
    if array.ndim != 2:
        raise UsageError(f"inputs have shape {array.shape}, expected (rows, columns)")
    if names is None:
        names = [f"x{i}" for i in range(array.shape[1])]
    if array.shape[1] != len(names):
        raise UsageError(f"inputs have {array.shape[1]} columns, expected {len(names)}: {listed(names)}")
    frame = pd.DataFrame(array, columns=pd.Index(names))
    return frame.infer_objects() if array.dtype == object else frame


def to_numbers(series: pd.Series[Any]) -> np.ndarray:
    """A column as float64, NaN where missing; raises DataError with row and value where it is not a number."""
    import pandas as pd

    if series.dtype.kind in "biuf":  # nullable types and pyarrow's included
        return series.to_numpy(np.float64, na_value=np.nan, copy=True)
    if series.dtype.kind in "mMc":
        raise DataError(f"column {series.name!r} holds {series.dtype}, expected numbers")
    values = series.astype(object)
    try:
        parsed = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan, copy=True)
    except OverflowError:
        raise DataError(f"column {series.name!r} holds an integer that no float can hold: scale or drop it") from None
    wrong = np.flatnonzero(np.isnan(parsed) & series.notna().to_numpy(bool))
    if len(wrong):
        row, value = int(wrong[0]), values.iloc[int(wrong[0])]
        raise DataError(f"column {series.name!r}, row {row + 1}: found {shown(value)}, expected a number")
    return parsed


def text_of(value: Any) -> str:
    """A value as the text that names its level or class: 1.0 is "1", as it is where no other value is missing."""
    return str(int(value)) if isinstance(value, (float, np.floating)) and float(value).is_integer() else str(value)


def _codes(series: pd.Series[Any], levels: Sequence[str]) -> tuple[np.ndarray, int]:
    """Numbers of a column's levels, (n,), -1 where missing or unknown, and how many are unknown."""
    import pandas as pd

    number = {level: i for i, level in enumerate(levels)}
    try:
        found, values = pd.factorize(series)  # -1 where missing
    except TypeError:
        raise DataError(f"column {series.name!r} holds {shown(series.dropna().iloc[0])}, expected text") from None
    of_value = np.array([number.get(text_of(value), -1) for value in values] + [-1])
    codes = of_value[found]
    return codes, int(((codes < 0) & (found >= 0)).sum())


def _infer(series: pd.Series[Any], rows: np.ndarray) -> tuple[Column, str, str]:
    """The column, and if it is unused, why, and more about it."""
    import pandas as pd

    name, kind = str(series.name), series.dtype.kind
    unused = Column(name, "unused")
    if not series.notna().to_numpy(bool)[rows].any():
        return unused, "without a value in rows that train or validate", ""
    if kind in "biuf":
        return Column(name, "boolean" if kind == "b" else "number"), "", ""
    if kind in "mM":
        return unused, "dates or times", ""
    try:
        values = [value for value in series.iloc[rows].unique() if not pd.isna(value)]
    except (TypeError, ValueError):
        return unused, "neither numbers nor text", ""
    if all(isinstance(value, (bool, np.bool_)) for value in values):
        return Column(name, "boolean"), "", ""
    categories = isinstance(series.dtype, pd.CategoricalDtype)  # whoever made them means levels, even of numbers
    if not categories and all(isinstance(value, (numbers.Real, decimal.Decimal)) for value in values):
        return Column(name, "number"), "", ""
    if all(_is_date(value) for value in values):
        return unused, "dates or times", ""
    if not all(isinstance(value, (str, numbers.Real)) for value in values):
        return unused, "neither numbers nor text", ""
    levels = sorted({text_of(value) for value in values})
    if len(levels) <= MAX_LEVELS:
        return Column(name, "levels", tuple(levels)), "", ""
    parsed = pd.to_numeric(pd.Series(levels), errors="coerce")
    if parsed.notna().all():
        return Column(name), "", ""
    example = shown(levels[int(parsed.isna().to_numpy(bool).argmax())])
    return unused, f"text with more than {MAX_LEVELS} different values", f" ({len(levels)}; {example}, say)"


def _is_date(value: Any) -> bool:
    if isinstance(value, str):
        return _DATE.fullmatch(value.strip()) is not None
    return isinstance(value, (datetime.date, datetime.time, datetime.timedelta))


def _column(index: int, item: Any) -> Column:
    """A column from its description."""
    where = f"column {index} of a schema"
    if not isinstance(item, Mapping) or not {"name", "kind"} <= set(item) <= {"name", "kind", "levels"}:
        raise DataError(f"{where} is {shown(item)}, expected name, kind and, of kind levels, levels")
    name, kind, levels = item["name"], item["kind"], item.get("levels", [])
    if not isinstance(name, str) or kind not in KINDS:
        raise DataError(f"{where} is {shown(item)}, expected a text for name and for kind one of {', '.join(KINDS)}")
    texts = isinstance(levels, list) and all(isinstance(level, str) for level in levels)
    if not texts or len(set(levels)) < len(levels) or bool(levels) != (kind == "levels"):
        raise DataError(f"{where}: levels is {shown(levels)}, expected different texts for kind levels, else none")
    return Column(name, kind, tuple(levels))


def refuse_duplicates(names: Sequence[str], where: str) -> None:
    """Raise DataError for two columns of one name."""
    seen: set[str] = set()
    twice = sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
    if twice:
        raise DataError(f"{where} has more than one column of a name, {listed(twice)}: name each of them differently")


def listed(names: Sequence[str], quote: bool = True) -> str:
    """The first names for a message, and how many there are."""
    shown = ", ".join(map(repr, names[:MAX_LISTED]) if quote else names[:MAX_LISTED])
    return printable(shown) + (f", ... ({len(names)} in all)" if names[MAX_LISTED:] else "")


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return printable(text if len(text) <= 60 else text[:57] + "...")
