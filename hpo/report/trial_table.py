"""The table of a study's trials in a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hpo.report.folders import clean_text
from hpo.report.study_data import StudyData
from hpo.store.codec import json_float
from hpo.text import command, headline, printable, value_text
from hpo.trial import State, Trial

MAX_ROWS: Final = 2_000
MAX_CELL: Final = 300  # characters
_MAX_EXACT = 2**53  # browsers count in floats


@dataclass(frozen=True)
class TrialTable:
    """Trials as rows.

    Attributes:
        head: names of the columns, the first of them the number.
        rows: cells: text, finite numbers or None.
        caption: which trials these are.
        elsewhere: what to type for all of them.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    caption: str
    elsewhere: str


def trial_table(data: StudyData) -> TrialTable:
    """All trials of a study by number, or the best `MAX_ROWS` of more."""
    study, trials = data.study, data.trials
    elsewhere = command("export", study.name, Path(), Path(), "--format", "csv")
    caption = "All trials; a click on a column's name sorts by it."
    if len(trials) > MAX_ROWS:
        trials = sorted(sorted(trials, key=lambda trial: _place(trial, data.maximized))[:MAX_ROWS], key=_number)
        caption = (
            f"The best {len(trials):,} of {len(data.trials):,} trials, of which those that were trained longer are the "
            f"better; the rest by {elsewhere}. A click on a column's name sorts by it."
        )
    failed = [trial.number for trial in trials if trial.state == State.FAILED]
    errors = {trial.number: clean_text(headline(trial.error)) for trial in data.with_curves(failed)}
    own = ["trial", "state", "value", "epochs", "seconds", *(["error"] if failed else [])]
    params = study.labels(own)
    rows = tuple(_row(trial, params, errors) for trial in trials)
    if not failed:
        rows = tuple((*row[:5], *row[6:]) for row in rows)
    return TrialTable((*own, *map(printable, params.values())), rows, caption, elsewhere)


def _row(trial: Trial, params: Mapping[str, str], errors: Mapping[int, str]) -> tuple[Any, ...]:
    state = f"{trial.state} ({trial.reason})" if trial.reason else str(trial.state)
    error = _cell(errors.get(trial.number))
    own = (trial.number, state, _cell(trial.value), trial.epochs, _cell(trial.seconds), error)
    return (*own, *(_cell(trial.params.get(name)) for name in params))


def _cell(value: Any) -> Any:
    """Six digits of a number, as they are shown; text in one line."""
    if value is None:
        return None
    if isinstance(value, float):
        return json_float(float(f"{value:.6g}"))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_EXACT:
        return value
    text = value_text(value)
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 1]}…"


def _number(trial: Trial) -> int:
    return trial.number


def _place(trial: Trial, maximized: bool) -> tuple[bool, int, float]:
    """Smaller for the better."""
    if trial.state == State.FAILED or trial.value is None or not math.isfinite(trial.value):
        return True, 0, 0.0
    return False, -trial.epochs, -trial.value if maximized else trial.value
