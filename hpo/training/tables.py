"""A user's table, from a file or from Python, as a data set."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hpo.errors import DataError, UsageError, did_you_mean
from hpo.text import printable
from hpo.training.data import Dataset
from hpo.training.reading import not_found, read_table
from hpo.training.schema import as_frame, infer, listed, shown, text_of, to_numbers
from hpo.training.splitting import Splitter
from hpo.values import brief

if TYPE_CHECKING:
    import pandas as pd

TASKS: Final = ("classification", "regression")
MOST_NUMERIC_CLASSES: Final = 20  # a target with more different numbers is a regression's
SHARES: Final = (0.6, 0.2, 0.2)  # of rows that train, validate, test
SHARES_BESIDE_TEST: Final = (0.75, 0.25)  # of a table whose test part is a table of its own
LEAST_ROWS: Final = 5
_PARTS = {"train": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}


@dataclass(frozen=True, eq=False)
class TableSource:
    """Where a user's data come from and what is what in them.

    Attributes:
        table: a file (see `read_table`), a pandas DataFrame with the target in it, or a pair (X, y) of arrays: X
            (n, d), a DataFrame for columns with names, y (n,) of numbers, texts or yes and no.
        target: the column to predict; of a pair, only a name for y.
        task: "classification" or "regression"; None: a regression if the target is numbers, more than
            MOST_NUMERIC_CLASSES of them different, else a classification.
        test: the test part, where it is a table of its own, given as `table` is and with the same columns.
        split: a column that says "train", "validation" (or "valid", "val") or "test" in every row.
        group: a column of which no value may be on two sides: persons with several rows, say.
        ignore: columns that are no inputs.
    """

    table: Any
    target: str | None = None
    task: str | None = None
    test: Any = None
    split: str | None = None
    group: str | None = None
    ignore: tuple[str, ...] = ()

    def version(self) -> tuple[Any, ...]:
        """Equal as long as the data set is the same: arrays by identity, files by time and size."""
        tables = (_identity(self.table), _identity(self.test))
        return (*tables, self.target, self.task, self.split, self.group, tuple(self.ignore))


@dataclass(frozen=True, eq=False)
class _Labelled:
    """Rows with a target.

    Attributes:
        name: what messages call them.
        frame: everything but the target.
        y: the target, row by row.
        left_out: how many rows had none.
    """

    name: str
    frame: pd.DataFrame
    y: pd.Series[Any]
    left_out: int


class _Same:
    """Equal to another one only of the very same object, which it keeps alive."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def build(source: TableSource, data_seed: int, folds: int = 1) -> Dataset:
    """Read, check, split and encode a table.

    Classes have the same shares in all parts and folds where they have rows enough, unless there are groups.

    Args:
        source: what to read.
        data_seed: fixes the split, >= 0.
        folds: how many folds cover training and validation rows; 1: hold-out.

    Raises:
        UsageError: settings that do not fit each other or the table.
        NotFoundError: a missing file.
        DataError: a table that cannot be learned from.
    """
    _check(source)
    notices: list[str] = []
    main = _load(source.table, source.target)
    tested = None if source.test is None else _load(source.test, source.target)
    _require("split", source.split, main)
    _require("group", source.group, main)
    for name in source.ignore:
        _require("ignore", name, main)
    for table in (main, tested):
        if table is not None and table.left_out:
            notices.append(f"rows of {table.name} without a target are left out: {table.left_out}")
    if len(main.y) < LEAST_ROWS:
        raise DataError(f"{main.name} has {len(main.y)} rows with a target, expected at least {LEAST_ROWS}: add rows")
    classes = _classes(main, source.task, notices)
    y = _numbers(main, classes)
    splitter = Splitter(main.name, len(y), y if classes else None, classes, _groups(main, source.group))
    if source.split is not None:
        train, validation, test = _stated(main, source.split)
    else:
        shares = SHARES if tested is None else SHARES_BESIDE_TEST
        train, validation, test = splitter.split(shares, data_seed, notices)
    held = np.concatenate([train, validation])
    split = splitter.folds(held, folds, data_seed, notices)
    _check_training(main, y, classes, train, notices)

    inputs = main.frame.drop(columns=list({source.split, source.group, *source.ignore} - {None}))
    schema, found = infer(inputs, np.sort(held))
    x, unknown = schema.encode(inputs)
    if tested is not None:
        _refuse_shared_groups(main, tested, source.group)
        try:
            more, unknown = schema.encode(tested.frame)
        except DataError as error:
            raise DataError(f"test data {tested.name}: {error}") from None
        test = np.arange(len(x), len(x) + len(more))
        x, y = np.concatenate([x, more]), np.concatenate([y, _numbers(tested, classes)])
    if unknown:
        texts = [f"{name!r} ({count} rows)" for name, count in unknown.items()]
        found.append(f"texts of test rows that no other row has are read as none: {listed(texts, quote=False)}")
    if not len(test):
        found.append("there are no test rows: the winner cannot be checked")
    return Dataset(x, y, schema, classes, train, validation, test, split, str(main.y.name), (*notices, *found))


def _check(source: TableSource) -> None:
    if source.task is not None and source.task not in TASKS:
        raise UsageError(f"task is {source.task!r}, expected 'classification' or 'regression'")
    for setting in ("target", "split", "group"):
        value = getattr(source, setting)
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{setting} is {value!r} ({type(value).__name__}), expected the name of a column")
    if isinstance(source.ignore, str) or not all(isinstance(name, str) for name in source.ignore):
        raise UsageError(f"ignore is {source.ignore!r}, expected a list of columns")
    for other in ("test", "group"):
        if source.split is not None and getattr(source, other) is not None:
            raise UsageError(f"split = {source.split!r} and {other} both say which rows test: leave one out")


def _identity(table: Any) -> Any:
    if isinstance(table, (str, os.PathLike)):
        path = Path(table).absolute()
        try:
            state = path.stat()
        except FileNotFoundError:
            raise not_found(table) from None
        except (OSError, ValueError) as error:  # a name that no file can have, a folder that may not be looked into
            raise DataError(
                f"data file {printable(brief(str(table)))} cannot be read: {error}: check its path"
            ) from None
        return str(path), state.st_size, state.st_mtime_ns
    return tuple(map(_Same, table)) if isinstance(table, tuple) else _Same(table)


def _load(table: Any, target: str | None) -> _Labelled:
    import pandas as pd

    if isinstance(table, tuple):
        if len(table) != 2:
            raise UsageError(f"a table is a tuple of {len(table)}, expected a pair (X, y)")
        name, frame, y = "the table", as_frame(table[0]), _series(table[1], target)
        if len(y) != len(frame):
            raise UsageError(f"X has {len(frame)} rows, y has {len(y)}: expected one target for each row")
    else:
        if isinstance(table, pd.DataFrame):
            name, frame = "the table", as_frame(table)
        elif isinstance(table, (str, os.PathLike)):
            name, frame = printable(repr(str(table))), as_frame(read_table(Path(table)))
        else:
            kind = type(table).__name__
            raise UsageError(f"a table is of type {kind}, expected a file, a DataFrame or a pair (X, y) of arrays")
        if target is None:
            raise UsageError(
                f"target is not given: say which column of {name} to predict, {listed(list(frame.columns))}"
            )
        if target not in frame.columns:
            raise _no_column("target", target, name, frame)
        y = frame.pop(target)
    present = y.notna().to_numpy(bool)
    if y.dtype.kind == "f":
        present = present & np.isfinite(y.to_numpy(np.float64, na_value=np.nan))
    if present.all():
        return _Labelled(name, frame, y, 0)
    return _Labelled(name, frame[present], y[present], int((~present).sum()))


def _series(y: Any, name: str | None) -> pd.Series[Any]:
    """Targets as a Series; raises UsageError for anything but one target for each row."""
    import pandas as pd

    if isinstance(y, pd.Series):
        return y.rename(str(name or y.name or "target")).reset_index(drop=True)
    if not isinstance(y, (list, tuple, pd.Categorical)):
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim != 1:
            raise UsageError(f"y has shape {y.shape}, expected one target for each row: (rows,)")
    return pd.Series(y, name=name or "target")


def _require(setting: str, column: str | None, rows: _Labelled) -> None:
    if column is not None and column not in rows.frame.columns:
        raise _no_column(setting, column, rows.name, rows.frame)


def _no_column(setting: str, column: str, name: str, frame: pd.DataFrame) -> UsageError:
    return UsageError(f"{setting} is {column!r}, not a column of {name}: {did_you_mean(column, list(frame.columns))}")


def _classes(rows: _Labelled, task: str | None, notices: list[str]) -> tuple[str, ...]:
    """Names of the classes, in the order of numbers or texts; none for a regression."""
    y = rows.y.infer_objects()
    where, values = f"target {y.name!r} of {rows.name}", list(y.unique())
    if y.dtype.kind in "mMc":
        raise DataError(f"{where} holds {y.dtype}, expected numbers or text")
    if len(values) < 2:
        raise DataError(f"{where} is {shown(text_of(values[0]))} in every row: there is nothing to learn; name another")
    numeric = y.dtype.kind in "iuf"
    if task is None and numeric and len(values) > MOST_NUMERIC_CLASSES:
        task = "regression"
        notices.append(f"{where} has {len(values)} different numbers: a regression, unless task = 'classification'")
    if task == "regression":
        return ()
    if len(values) > len(y) / 2:
        advice = ": say task = 'regression'?" if numeric else ": name another target"
        raise DataError(f"{where} has {len(values)} different values in {len(y)} rows, too many for classes{advice}")
    ordered = sorted(values) if numeric else sorted(values, key=text_of)
    return tuple(dict.fromkeys(map(text_of, ordered)))


def _numbers(rows: _Labelled, classes: tuple[str, ...]) -> np.ndarray:
    """The targets: (n,) int64 numbers of classes, or float64."""
    import pandas as pd

    if not classes:
        return to_numbers(rows.y)
    number = {name: i for i, name in enumerate(classes)}
    codes, values = pd.factorize(rows.y)
    strange = [text_of(value) for value in values if text_of(value) not in number]
    if strange:
        raise DataError(
            f"{rows.name} has rows of classes that no training row has: {listed(strange)}; leave them out, or train on "
            "such rows, too"
        )
    return np.array([number[text_of(value)] for value in values], dtype=np.int64)[codes]


def _groups(rows: _Labelled, group: str | None) -> np.ndarray | None:
    """Each row's group, numbered, (n,)."""
    import pandas as pd

    if group is None:
        return None
    codes = np.asarray(pd.factorize(rows.frame[group])[0])
    if (codes < 0).any():
        row = int(codes.argmin()) + 1
        raise DataError(f"column {group!r} of {rows.name}, row {row}: no value, expected the row's group")
    return codes


def _refuse_shared_groups(main: _Labelled, tested: _Labelled, group: str | None) -> None:
    if group is None:
        return
    _require("group", group, tested)
    shared = sorted(set(map(text_of, main.frame[group])) & set(map(text_of, tested.frame[group])))
    if shared:
        raise DataError(
            f"column {group!r}: groups of {main.name} are in test {tested.name} too: {listed(shared)}; "
            "leave their rows out of one of them"
        )


def _stated(rows: _Labelled, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test rows as a column says."""
    said = rows.frame[split]
    numbers = {value: _PARTS.get(str(value).strip().lower(), -1) for value in said.unique()}
    strange = [text_of(value) for value, part in numbers.items() if part < 0]
    if strange:
        found = f"column {split!r} of {rows.name} says {listed(strange)}"
        raise DataError(f"{found}, expected 'train', 'validation' or 'test' in every row")
    parts = np.array([numbers[value] for value in said])
    train, validation, test = (np.flatnonzero(parts == part) for part in range(3))
    for name, some in (("train", train), ("validation", validation)):
        if not len(some):
            raise DataError(f"column {split!r} of {rows.name} says {name!r} in no row, expected some")
    return train, validation, test


def _check_training(
    rows: _Labelled, y: np.ndarray, classes: tuple[str, ...], train: np.ndarray, notices: list[str]
) -> None:
    """Refuse training rows of one class alone, tell of classes without any."""
    if not classes:
        return
    counts = np.bincount(y[train], minlength=len(classes))
    if (counts > 0).sum() < 2:
        raise DataError(f"all training rows of {rows.name} are of class {classes[int(counts.argmax())]!r}")
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    if absent:
        notices.append(f"no training row is of class {listed(absent)}")
