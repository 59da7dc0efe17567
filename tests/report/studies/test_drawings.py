"""What holds for every drawing: SVG only, no foreign markup, small, whatever the study."""

import json

import pytest

from hpo import Choice, Float, Space, load_study, search
from hpo.errors import NoResultError, NotFoundError
from hpo.report.studies import KEYS, NEEDS, study_figure
from hpo.trial import State

DRAWN = ("history", "curves", "importance", "slice", "parallel", "heatmap")
SVG = {"scatter", "bar", "box", "heatmap"}
OURS = ("<b>", "</b>", "<br>", "<extra></extra>")


@pytest.fixture(scope="module")
def thousands(hostile):
    return hostile(2_500)


@pytest.fixture(params=DRAWN)
def key(request):
    return request.param


def test_traces_are_svg_and_foreign_text_is_no_markup(thousands, texts, key):
    drawing = study_figure(key, thousands).draw()
    assert {trace.type for trace in drawing.data} <= SVG
    for text in texts(drawing):
        for ours in OURS:
            text = text.replace(ours, "")
        assert "<" not in text, text
        assert "\x1b" not in text
    hover = [trace.hovertemplate for trace in drawing.data]
    assert not any("script" in template for template in hover)


def test_a_drawing_of_thousands_of_trials_is_small(thousands, key):
    figure = study_figure(key, thousands)
    assert len(figure.draw().to_json()) < 300_000
    assert len(figure.table.rows) <= 200


def test_figures_are_the_same_every_time(hostile, given, key):
    data = hostile(40)
    again = type(data)(data.study)
    first, second = study_figure(key, data), study_figure(key, again)
    assert first.table == second.table
    assert first.text == second.text
    assert first.draw().to_json() == second.draw().to_json()


def test_captions_and_tables_are_plain_data(thousands, key):
    figure = study_figure(key, thousands)
    assert figure.key == key
    assert figure.text.endswith((".", ")"))
    json.dumps(figure.table.rows)
    assert {len(row) for row in figure.table.rows} == {len(figure.table.head)}


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("value", [lambda p, i: 1e300 * i, lambda p, i: (-1.0) ** i * 1.7e308, lambda p, i: 1.0])
def test_extreme_and_constant_values_are_drawn(hostile, direction, value, key):
    figure = study_figure(key, hostile(40, direction, value))
    if figure is None:
        assert key == "importance"
    else:
        json.loads(figure.draw().to_json())


@pytest.mark.parametrize("count", [1, 2])
def test_few_trials_are_drawn_or_left_out(hostile, count, key):
    figure = study_figure(key, hostile(count))
    assert (figure is None) == (key == "importance" or (key == "heatmap" and count == 1))
    if figure is not None:
        figure.draw()


def test_failed_trials_alone_are_nothing_to_show(given, key):
    trials = [{"params": {"x": 0.5}, "state": State.FAILED, "value": None, "epochs": 0}] * 20
    assert study_figure(key, given({"x": Float(0, 1), "y": Choice([1, 2])}, trials)) is None


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("plot") / "hpo.db"
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})
    search(
        lambda p: p["x"] + p["y"], space, "random", 12, direction="minimize", store=path, name="<b>s", progress=False
    )
    return load_study("<b>s", store=path)


@pytest.mark.parametrize("key", sorted(set(DRAWN) - {"curves"}))
def test_a_study_plots_its_figures_dark_on_white(study, key):
    drawing = study.plot(key)
    assert drawing.layout.title.text.endswith(": &lt;b&gt;s")
    assert drawing.layout.paper_bgcolor == "#ffffff"
    assert drawing.layout.margin.t >= 40


def test_an_unknown_figure_is_refused_with_the_nearest_name(study):
    with pytest.raises(NotFoundError, match="no figure 'slices' of a study: did you mean 'slice'"):
        study.plot("slices")


def test_what_a_study_lacks_for_a_figure_is_said(study):
    with pytest.raises(NoResultError, match="needs trials that tell their metric at two epochs or more"):
        study.plot("curves")


def test_without_a_result_its_lack_is_said(tmp_path):
    study = search(
        lambda p: 1 / 0, {"x": Float(0, 1)}, "random", 2, direction="minimize", store=tmp_path / "s.db", progress=False
    )
    with pytest.raises(NoResultError, match="2 failed; the first, trial 0, with: ZeroDivisionError"):
        study.plot("history")


def test_every_figure_says_what_it_needs():
    assert tuple(NEEDS) == KEYS
