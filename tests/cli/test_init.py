"""`hpo init`: the study file that it writes."""

import re

import pytest

from hpo.cli.init import command
from hpo.study_file import read_plan
from hpo.training.hyperparameters import KNOWN
from hpo.training.objective import SimpleNNObjective
from hpo.training.objective_keys import KEYS

TABLE = ("--data", "flowers.csv", "--target", "kind")
SHORT = ("--trials", 2, "--epochs", 1, "--searcher", "random")


def uncommented(text):
    """With the # of every hyperparameter and setting of generated data taken away."""
    text = re.sub(r"^#((?:seed|batch|name|folds|metric|data_seed|device) = )", r"\1", text, flags=re.M)
    head, space = text.split("\n[space]\n")
    return f"{head}\n[space]\n" + re.sub(r"^#(\w+ = )", r"\1", space, flags=re.M)


def test_the_file_that_init_writes_runs(hpo, home):
    found = hpo("init", "mine.toml")
    assert (found.code, found.out) == (0, "wrote mine.toml: `hpo run mine.toml` runs it\n")
    assert hpo("run", "mine.toml", *SHORT, "--quiet").code == 0
    assert read_plan("mine.toml", searcher="grid", changes=(), flags={}).spec.space["learning_rate"].size == 3


@pytest.mark.parametrize("data", ["classification", "line"])
def test_it_lists_every_hyperparameter_with_its_meaning_and_is_valid_with_all_of_them(hpo, home, data):
    assert hpo("init", "mine.toml", "--data", data).code == 0
    text = (home / "mine.toml").read_text()
    plain = " ".join(re.sub(r"^# ?", "", text, flags=re.M).split())
    for known in KNOWN.values():
        assert " ".join(known.meaning.split()) in plain
    assert max(len(line) for line in text.splitlines() if line.startswith("# ")) <= 120
    (home / "all.toml").write_text(uncommented(text))
    plan = read_plan("all.toml", searcher=None, changes=(), flags={})
    assert set(plan.spec.space) == set(KNOWN)
    assert set(plan.spec.space.validate({})) >= set(KNOWN) - {"momentum"}  # all have a default


def test_for_a_table_it_has_its_columns_and_a_space_that_suits_it(hpo, flowers):
    (flowers / "studies").mkdir()
    assert hpo("init", "studies/mine.toml", *TABLE).code == 0
    text = (flowers / "studies" / "mine.toml").read_text()
    assert 'data = "../flowers.csv"\n' in text
    assert "#   side: text, north, south\n" in text
    assert "# Classes of kind: lily, rose\n" in text
    plan = read_plan("studies/mine.toml", searcher=None, changes=(), flags={})
    assert plan.spec.space == SimpleNNObjective("flowers.csv", target="kind").space()
    assert hpo("run", "studies/mine.toml", *SHORT, "--quiet").code == 0


def test_names_that_are_strange_in_toml_survive(hpo, home):
    names = ['a "quoted"\\ one', "tab\tin it", "# = []", "Größe", "\x7f"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    (home / "odd.csv").write_text(
        header + "\n" + "".join(f"{i % 3},{i % 3},{i % 3},{i % 3},{i % 2}\n" for i in range(20)), "utf-8"
    )
    for target in names:
        assert hpo("init", "mine.toml", "--data", "odd.csv", "--target", target, "--force").code == 0
        assert read_plan("mine.toml", searcher=None, changes=(), flags={}).objective.target == target


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mine.toml"], 73, "'mine.toml' exists: give another name, or --force"),
        (["nowhere/mine.toml"], 73, "no folder 'nowhere'"),
        (["mine.tml"], 2, "ends in '.tml', expected .toml"),
        (["new.toml", "--data", "flowers.csv"], 2, "target is not given"),
        (["mine.toml", "--force", "--data", "empty.csv", "--target", "y"], 65, "is empty"),
        ([], 2, "Missing argument 'FILE'"),
    ],
)
def test_init_writes_over_nothing_unasked(hpo, flowers, arguments, code, message):
    (flowers / "mine.toml").write_text("mine")
    found = hpo("init", *arguments)
    assert (found.code, found.out) == (code, "")
    assert message in found.err
    assert (flowers / "mine.toml").read_text() == "mine"
    assert not (flowers / "new.toml").exists()


def test_init_takes_the_keys_that_a_table_needs():
    assert {option.name for option in command.params} - {"file", "force"} <= set(KEYS)
