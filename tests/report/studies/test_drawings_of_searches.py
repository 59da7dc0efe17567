"""Nothing that a study's hyperparameters or options are called is taken for markup in its drawings."""

import pytest
from drawn_text import MARKUP, TEMPLATE, check_drawing

from hpo import Choice, Float, search
from hpo.report.studies import study_figure
from hpo.report.study_data import StudyData

SPACE = {MARKUP: Float(0, 1, default=0.5), TEMPLATE: Choice([MARKUP, "b", TEMPLATE], default="b")}


def learn(params):
    for epoch in range(9):
        yield params[MARKUP] if epoch < 8 or params[TEMPLATE] != "b" else float("nan")


@pytest.mark.parametrize("searcher", ["halving", "nas"])
def test_drawings_have_svg_traces_and_escaped_text(tmp_path, searcher):
    more = {"direction": "maximize", "progress": False, "store": tmp_path / "s.db"}
    data = StudyData(search(learn, SPACE, searcher, trials=6, epochs=9, **more))
    keys = ("winner", "rungs", "controller", "architecture", "health", "reproduce")
    found = [figure for key in keys if (figure := study_figure(key, data)) is not None]
    assert {figure.key for figure in found} >= {
        "winner",
        "reproduce",
        "rungs" if searcher == "halving" else "controller",
    }
    for figure in found:
        assert all(len(row) == len(figure.table.head) for row in figure.table.rows)
        if figure.draw is not None:
            check_drawing(figure)
