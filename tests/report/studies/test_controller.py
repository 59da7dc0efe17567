"""The controller's figure sums up what its policy proposed between two updates."""

import pytest

from hpo import Choice, Int, search
from hpo.report.studies.controller import figure, policies
from hpo.report.study_data import StudyData
from hpo.trial import Evaluation, State


def evaluation(number, updates, entropy, value, state=State.DONE):
    info = {"updates": updates, "entropy": entropy, "log_probability": -1.0}
    return Evaluation(number, number, 0, 1, 1, 1, state, value, 0.0, info)


def test_policies_are_summed_up_by_updates():
    found = policies(
        [
            evaluation(0, 0, 2.0, 0.1),
            evaluation(1, 0, 1.0, 0.3),
            evaluation(2, 1, 0.5, float("nan"), State.FAILED),
            evaluation(3, 1, 0.7, None, State.RUNNING),
            Evaluation(4, 4, 0, 1, 1, 1, State.DONE, 0.9, 0.0, {"rung": 0, "bracket": 0}),
        ],
        maximized=False,
    )
    assert [tuple(vars(policy).values()) for policy in found] == [
        (0, 2, 0, pytest.approx(0.2), 0.1, 1.5),
        (1, 2, 1, None, None, pytest.approx(0.6)),
    ]


def test_a_search_by_the_controller_shows_its_updates(tmp_path):
    space = {"a": Choice(["x", "y", "z"]), "b": Int(1, 4)}
    study = search(
        lambda params: params["b"], space, "nas", 40, direction="maximize", progress=False, store=tmp_path / "s.db"
    )
    shown = figure(StudyData(study))
    values = [trial.value for trial in study.trials]
    assert [row[:2] for row in shown.table.rows] == [(0, 16), (1, 16), (2, 8)]
    assert shown.table.rows[1][3] == pytest.approx(sum(values[16:32]) / 16)
    assert list(shown.draw().data[2].y) == [row[5] for row in shown.table.rows]
    assert shown.draw().data[2].yaxis == "y2"


def test_other_searchers_have_no_controller(tmp_path):
    more = {"direction": "maximize", "progress": False, "store": tmp_path / "s.db"}
    assert figure(StudyData(search(lambda params: params["a"], {"a": Int(1, 4)}, "random", 2, **more))) is None
