"""The keys of `[objective]` in a study file: what the shared objective can be told, in the words of users.

The command line has most of them as options. What is checked here is what they are, not what they say.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hpo.errors import UsageError, did_you_mean
from hpo.values import brief

_EXPECTED: Final = {
    "text": "text",
    "file": "the name of a file",
    "integer": "an integer",
    "texts": "a text or a list of texts",
}


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        kind: "text", "file", "integer" or "texts".
        meaning: for people.
        example: a value.
        of_tables: whether it says something about a table, so that generated data have no use for it.
    """

    kind: str
    meaning: str
    example: Any
    of_tables: bool = False


KEYS: Final[Mapping[str, Key]] = {
    "data": Key("file", "a CSV (.csv, .csv.gz, .tsv) or Parquet file with a header, or a generated data set", "moons"),
    "target": Key("text", "the column to predict", "price", of_tables=True),
    "task": Key("text", "classification or regression; left out: as the target looks", "regression", of_tables=True),
    "test": Key("file", "a file whose rows test the winner; left out: 20 % of the rows do", "test.csv", of_tables=True),
    "split": Key("text", "a column that says train, validation or test in every row", "part", of_tables=True),
    "group": Key("text", "a column of which no value may be on two sides of a split", "person", of_tables=True),
    "ignore": Key("texts", "columns that are no inputs", ["id"], of_tables=True),
    "folds": Key("integer", "1: one validation part; k: cross-validation, the value is the mean over k folds", 5),
    "metric": Key("text", "what is optimised; left out: accuracy, of a regression rmse", "accuracy"),
    "data_seed": Key("integer", "fixes data and split, apart from the study's seed", 0),
    "init_from": Key("file", "a saved model whose weights every trial starts from", "model.pt"),
    "device": Key("text", "auto, cpu, cuda or mps: where trials train", "auto"),
}
_ATTRIBUTES: Final = {"test": "test_table"}  # where the objective calls it otherwise


def located(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The settings of a file in `folder`, with the files that it names found from there."""

    def find(key: str, value: Any) -> Any:
        is_file = key in KEYS and KEYS[key].kind == "file" and isinstance(value, str) and Path(value).suffix
        return os.path.normpath(folder / value) if is_file else value

    return {key: find(key, value) for key, value in settings.items()}


def combined(settings: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The later settings win; what the earlier ones say about a table is of no use to a generated data set."""
    data = later.get("data")
    if isinstance(data, str) and not Path(data).suffix:
        settings = {key: value for key, value in settings.items() if key not in KEYS or not KEYS[key].of_tables}
    return {**settings, **later}


def arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `SimpleNNObjective`; raises UsageError for an unknown key or a value of another type."""
    for key, value in settings.items():
        if key not in KEYS:
            raise UsageError(f"objective: unknown key {key!r}: {did_you_mean(key, KEYS)}")
        if not _fits(KEYS[key].kind, value):
            raise UsageError(f"objective.{key} is {brief(value)}, expected {_EXPECTED[KEYS[key].kind]}")
    return {_ATTRIBUTES.get(key, key): value for key, value in settings.items()}


def _fits(kind: str, value: Any) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "texts" and isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, str)
