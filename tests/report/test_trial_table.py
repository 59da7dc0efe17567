"""The table of trials: which, in what order, and what is in a cell."""

import math
from typing import Any

import pytest
from reported_studies import NAMES, hostile_study, plain_study

from hpo import Float, create_study, load_study
from hpo.report import trial_table as module
from hpo.report.folders import clean_text
from hpo.report.study_data import StudyData
from hpo.report.trial_table import trial_table
from hpo.trial import State


def test_a_row_is_a_trial_by_number_with_six_digits(store: Any) -> None:
    study = plain_study(store)
    table = trial_table(StudyData(study))
    assert table.head == ("trial", "state", "value", "epochs", "seconds", "x", "rate")
    for trial, row in zip(study.trials, table.rows, strict=True):
        assert row[:4] == (trial.number, "done", pytest.approx(trial.value, rel=1e-5), 1)
        assert row[5] == float(f"{trial.params['x']:.6g}")
    assert "hpo export" not in table.caption


def test_failures_have_their_reason_and_the_headline_of_their_error(store: Any) -> None:
    study = hostile_study(store, 40, "random")
    table = trial_table(StudyData(study))
    assert table.head[:6] == ("trial", "state", "value", "epochs", "seconds", "error")
    for trial, row in zip(study.trials, table.rows, strict=True):
        failed = trial.state == State.FAILED
        assert row[1] == ("failed (exception)" if failed else "done")
        assert (row[5] or "").startswith("ValueError: <img src=x") == failed
        assert "somebody" not in str(row)
        active = dict(zip(table.head[6:], row[6:], strict=True))
        assert (active[NAMES["count"]] is None) == (NAMES["count"] not in trial.params)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_of_too_many_trials_the_best_are_shown_by_number(
    store: Any, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 3)
    study = create_study({"x": Float(0, 1)}, "random", direction=direction, store=store, name="it's")
    for value in (5.0, 1.0, math.nan, 4.0, 2.0, 3.0):
        study.tell(study.ask().number, value)
    study.close()
    table = trial_table(StudyData(load_study("it's", store)))
    best = [0, 3, 5] if direction == "maximize" else [1, 4, 5]
    assert [row[0] for row in table.rows] == best
    assert table.caption.startswith("The best 3 of 6 trials")
    assert """the rest by `hpo export 'it'"'"'s' --format csv`""" in table.caption
    assert "somebodys-folder" not in table.caption


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open '/home/ann/my data/x.csv'", "cannot open 'x.csv'"),
        ("in /home/ann/x.py, line 3", "in x.py, line 3"),
        (r"no file C:\Users\ann\x.csv", "no file x.csv"),
        (r"no file 'C:\\Users\\ann b\\x.csv'", "no file 'x.csv'"),
        ("no file ~/data/x.csv", "no file x.csv"),
        ("no file '~ann/my data/x.csv', ~ann/y.csv", "no file 'x.csv', y.csv"),
        ("about ~3 of 1/~4", "about ~3 of 1/~4"),
        ("x.y/z a/b 1/2 and/or", "x.y/z a/b 1/2 and/or"),
        ("see https://example.com/a/b", "see https://example.com/a/b"),
    ],
)
def test_folders_are_left_out_of_paths_and_of_nothing_else(text: str, shown: str) -> None:
    assert clean_text(text) == shown
