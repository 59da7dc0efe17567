"""What can be compared: searchers under labels, and what is said of those that cannot."""

import pytest

from hpo import Float, FunctionObjective, Space, compare
from hpo.comparison.labels import labelled
from hpo.comparison.plan import task_name
from hpo.errors import UsageError
from hpo.study_file import Question
from searchers.halving import Halving
from searchers.random import Random

SPACE = {"x": Float(-1, 1)}


def bowl(params):
    return params["x"] ** 2


def slope(params, epochs):
    return params["x"] + epochs


def test_labels_are_texts_as_typed_names_and_settings_or_keys():
    found = labelled(["halving:eta=2:searcher=tpe", Random, Halving(eta=4), {"mine": "random", "yours": Halving}])
    assert list(found) == ["halving:eta=2:searcher=tpe", "random", "halving:eta=4", "mine", "yours"]
    assert found["halving:eta=2:searcher=tpe"].to_json()["settings"]["eta"] == 2
    assert found["halving:eta=2:searcher=tpe"].to_json()["settings"]["searcher"]["name"] == "tpe"


def test_a_variant_and_settings_go_together():
    [made] = labelled(["optuna:GPSampler"]).values()
    assert (made.kind, made.searcher.sampler) == ("optuna", "GPSampler")


@pytest.mark.parametrize(
    ("searchers", "message"),
    [
        (["random", "tbe"], "tbe: no searcher 'tbe': .*leave them out and compare 'random'$"),
        (["halving:eta=2", "halving:beta=2"], "has no setting 'beta'.*and compare 'halving:eta=2'$"),
        (["halving:eta=1"], "expected at least 2; name others"),
        (["halving:eta"], "halving:eta: searcher 'halving' has no variants"),
        (["halving:eta=2:3"], "expected SETTING=VALUE"),
        (["random", "random"], "random: it is there already: once is enough"),
        (["random", {"random": Random}], "random: it is there already"),
        ([{"": "random"}], "label '': expected printable text"),
        ([{"a\nb": "random"}], "expected printable text"),
        ([{"a" * 256: "random"}], "of 1 to 255 characters"),
        ([{3: "random"}], "label 3"),
        (["random", ""], "'': it is empty, expected a name such as random; leave them out and compare 'random'"),
        ([":eta=2"], "expected NAME:SETTING=VALUE"),
        ([], "searchers is empty"),
        ("random", "expected a list"),
    ],
)
def test_what_cannot_be_a_searcher_is_named(searchers, message):
    with pytest.raises(UsageError, match=message):
        labelled(searchers)


def test_all_searchers_that_cannot_run_a_task_are_named_before_anything_is_stored(tmp_path):
    with pytest.raises(UsageError) as refused:
        compare(
            {"plain": bowl, "trained": slope},
            SPACE,
            ["random", "tbe", "halving", {"long, too": Halving(min_epochs=20)}],
            epochs=9,
            direction="minimize",
            store=tmp_path / "hpo.db",
        )
    said = str(refused.value)
    assert "tbe: no searcher 'tbe'" in said
    assert "halving on plain: " in said
    assert "long, too on plain: " in said
    assert "long, too on trained: searcher 'halving': min_epochs is 20, but a trial trains 9" in said
    assert said.endswith("leave them out and compare 'random'")
    assert not (tmp_path / "hpo.db").exists()


def test_a_space_for_other_tasks_is_refused_naming_the_tasks(tmp_path):
    with pytest.raises(UsageError, match="space is one for all tasks, or a dict of each of them: a, b"):
        compare({"a": bowl, "b": bowl}, {"a": SPACE, "c": SPACE}, direction="minimize", store=tmp_path / "hpo.db")


class Built(FunctionObjective):
    """Described as objectives are that train modules."""

    def describe(self):
        return {"build": "module:net", "data": "0123456789abcdef"}


def test_a_task_that_trains_modules_is_called_after_them():
    question = Question(Built(bowl, direction="minimize"), Space(SPACE), {}, None, None, None)
    assert task_name(question) == "bowl"
