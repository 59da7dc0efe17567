"""The network that is drawn is the one that the configuration describes."""

import pytest

from hpo.report.studies.architecture import box_widths, figure, layers
from hpo.report.study_data import StudyData
from hpo.study_file import read_plan
from hpo.training.hyperparameters import complete
from hpo.training.model import SimpleNN


def test_layers_are_those_of_the_network():
    settings = complete(
        {"depth": 3, "width": 8, "width_2": 16, "activation": "tanh", "activation_3": "gelu", "normalization": "layer"}
        | {"residual": True, "dropout": 0.25}
    )
    found = layers(settings)
    model = SimpleNN(5, 2, settings, seed=0)
    hidden = [layer for layer in found if layer.units is not None]
    assert [layer.units for layer in hidden] == [block.linear.out_features for block in model.blocks()] == [8, 16, 8]
    assert [layer.activation for layer in hidden] == [block.name for block in model.blocks()]
    assert [layer.skip for layer in hidden[1:]] == ["projected input"] * 2
    assert [block.projection is not None for block in model.blocks()[1:]] == [True, True]
    assert {(layer.normalization, layer.dropout) for layer in hidden} == {("layer", 0.25)}
    assert [layer.name for layer in found] == ["input", "hidden 1", "hidden 2", "hidden 3", "output"]


def test_boxes_are_as_wide_as_layers_have_units():
    assert box_widths(layers(complete({"depth": 2, "width_1": 16, "width_2": 64}))) == [0.25, 0.25, 1.0, 0.25]


@pytest.fixture
def study(tmp_path):
    from hpo.api import open_study, run_study

    plan = read_plan(
        None, searcher="random", changes=["space.depth=3", "space.width=16"], flags={"trials": 2, "epochs": 1}
    )
    opened = open_study(plan, tmp_path / "s.db")
    run_study(opened, plan.objective, trials=2, timeout=None, progress=False)
    return opened


def test_the_best_trial_of_a_study_is_drawn(study):
    shown = figure(StudyData(study))
    assert f"trial {study.best.number} " in shown.text
    assert [row[1] for row in shown.table.rows] == [None, 16, 16, 16, None]
    boxes = shown.draw().data[0]
    assert list(boxes.x) == [1.0] * 5
    assert list(boxes.base) == [-0.5] * 5


def test_networks_that_start_from_a_file_or_are_not_known_are_not_drawn(study):
    data = StudyData(study)
    for description in ({"function": "module:f"}, {**study.spec.objective, "init_from": "model.pt"}):
        object.__setattr__(study.spec, "objective", description)
        assert figure(data) is None
