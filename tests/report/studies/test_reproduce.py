"""What stands under "how to make this study again" makes it again, and names no machine, user or folder."""

import getpass
import platform
import sys
import tomllib

import pytest

import hpo
from hpo import Choice, Float, Int, Space
from hpo.api import open_study, run_study
from hpo.report.folders import clean_settings
from hpo.report.studies.reproduce import figure, file_name, study_file, toml
from hpo.report.study_data import StudyData
from hpo.study_file import read_plan
from searchers.halving import Halving

HARD = {
    'quoted "name" <b>': Float(1e-7, 1e22, log=True, default=0.5),
    "döner \\ 🥙": Choice(['a"b', "c\\d", "\x7f", "e'f"], default="c\\d"),
    "whole": Int(-(2**60), 2**60, when={"döner \\ 🥙": ['a"b', "\x7f"]}),
    "flag": Choice([True, False, 1, 1.0, "1"], ordered=True),
    "constant": 64,
    "tuple": Choice([(1, 2), [3, (4,)]]),
}


LEARNER = """
def learn(params):
    for epoch in range(4):
        yield float(params.get("whole", 0)) / (1 + epoch)
"""
space = Space(HARD)


def zero(params):
    return 0.0


def again(tmp_path, text, name="again"):
    """The plan of a study file with this text."""
    path = tmp_path / f"{name}.toml"
    path.write_text(text, "utf-8")
    return read_plan(str(path), searcher=None, changes=[], flags={})


@pytest.mark.parametrize("value", [True, 1, -0.5, 1e-7, 1e22, "a\n\"b'\\\x7f\u2028🥙", [[1], "a"], {"a b": {"c": 1}}])
def test_toml_is_read_back_as_it_was(value):
    assert tomllib.loads(f"value = {toml(value)}") == {"value": value}


def test_what_toml_cannot_say_is_refused():
    with pytest.raises(TypeError):
        toml({"options": [None]})


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """A function in a module, the path of which it is imported by."""
    (tmp_path / "learners.py").write_text(LEARNER)
    monkeypatch.syspath_prepend(tmp_path)
    yield "learners:learn"
    sys.modules.pop("learners", None)


def test_the_study_file_makes_the_same_trials_again(tmp_path, learner):
    searcher = Halving(eta=2, searcher={"name": "random"})
    more = {"direction": "minimize", "seed": 2**63, "batch": 3, "free_running": True, "progress": False}
    study = hpo.search(learner, space, searcher, 4, epochs=4, store=tmp_path / "s.db", name="first", **more)
    found = again(tmp_path, study_file(study))
    assert found.spec == study.spec
    assert (found.name, found.trials) == ("first", 4)
    second = open_study(found, tmp_path / "other.db")
    run_study(second, found.objective, trials=found.trials, timeout=None, progress=False)
    assert [trial.value for trial in second.trials] == [trial.value for trial in study.trials]


def test_a_table_is_called_by_its_name_alone(tmp_path):
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    rows = ["a,b,y", *(f"{i},{i % 7},{'yes' if i % 3 else 'no'}" for i in range(60))]
    (folder / "table.csv").write_text("\n".join(rows))
    plan = read_plan(
        None,
        searcher="tpe",
        changes=[],
        flags={"objective": {"data": str(folder / "table.csv"), "target": "y"}, "trials": 1},
    )
    study = open_study(plan, folder / "s.db")
    run_study(study, plan.objective, trials=1, timeout=None, progress=False)
    shown = figure(StudyData(study))
    told = shown.text + repr(shown.table)
    assert 'data = "table.csv"' in study_file(study)
    for secret in ("secret-folder", str(tmp_path), platform.node() or "no name", f"/{getpass.getuser()}/", "s.db"):
        assert secret not in told
    assert again(folder, study_file(study)).spec == study.spec  # beside the table, it is found
    facts = dict(shown.table.rows)
    assert facts["torch"] == study.environment["packages"]["torch"]
    assert facts["seed"] == 0
    assert facts["command"] == f"hpo run {file_name(study.name)} --store again.db"


def test_what_only_a_program_can_make_is_said_so(tmp_path):
    study = hpo.create_study(space, "random", direction="maximize", store=tmp_path / "s.db")
    shown = figure(StudyData(study))
    assert study_file(study) is None
    assert "made by a program" in shown.text
    assert "command" not in dict(shown.table.rows)
    assert "döner" in dict(shown.table.rows)["space"]


@pytest.mark.parametrize(
    "objective",
    [{"function": "__main__:f"}, {"function": "m:<lambda>"}, {"build": "m:b"}, {"name": "simplenn", "data": "arrays"}],
)
def test_objectives_of_programs_have_no_study_file(tmp_path, objective):
    study = hpo.search(zero, {"x": Float(0, 1)}, "random", 0, direction="maximize", store=tmp_path / "s.db")
    object.__setattr__(study.spec, "objective", objective)
    assert study_file(study) is None


def test_limits_are_in_the_command_and_enqueued_trials_in_the_words(tmp_path):
    more = {"direction": "maximize", "store": tmp_path / "s.db", "progress": False, "name": "mine; rm -rf"}
    study = hpo.search(lambda _: 0.0, {"x": Float(0, 1)}, "random", 2, initial=[{"x": 0.5}], trial_timeout=60, **more)
    object.__setattr__(study.spec, "objective", {"function": "module:f"})
    shown = figure(StudyData(study))
    assert dict(shown.table.rows)["command"] == "hpo run mine-rm--rf.toml --store again.db --trial-timeout 60"
    assert "enqueued came first (1)" in shown.text


def test_files_lose_their_folders_wherever_they_stand():
    found = clean_settings({"a": ["/home/me/x.csv", {"b": "C:\\Users\\me\\y.csv"}], "c": "~/z.pt", "d": "p/q", "e": 1})
    assert found == {"a": ["x.csv", {"b": "y.csv"}], "c": "z.pt", "d": "p/q", "e": 1}
    assert file_name("../../etc <b>") == "etc-b.toml"
    assert file_name("///") == "study.toml"
