"""Searchers and objectives by name, by class and by instance."""

import sys
from dataclasses import dataclass

import pytest

from hpo import registry
from hpo.errors import LoadError, NotFoundError, UsageError
from hpo.registry import entries, import_object, load, make_searcher, searcher_name
from hpo.resolve import stored_objective
from hpo.searcher import Searcher
from searchers.halving import Halving
from searchers.random import Random


@dataclass(eq=False)
class Needy(Searcher):
    width: int

    def _ask(self, n):
        return []


class Point:
    def __init__(self, error):
        self.value = "plugin:Class"
        self.error = error

    def load(self):
        raise self.error


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that writes a module into the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    written = []

    def write(text, name="users_own"):
        (tmp_path / f"{name}.py").write_text(text)
        written.append(name)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_the_shipped_searchers_are_found_through_the_same_door_as_anyones():
    assert {"grid", "halving", "nas", "optuna", "random", "tpe"} <= set(entries("searchers"))
    assert load("searchers", "random") is Random


@pytest.mark.parametrize(("group", "name"), [("searchers", "rndom"), ("objectives", "simplnn")])
def test_an_unknown_name_gets_the_nearest_known_one(group, name):
    with pytest.raises(NotFoundError, match=r"did you mean '(random|simplenn)'\?"):
        load(group, name)


@pytest.mark.parametrize("error", [ImportError("torch"), NameError("x"), SyntaxError("bad"), SystemExit(2)], ids=repr)
def test_a_plug_in_that_cannot_be_imported_is_named_whatever_it_raises(monkeypatch, error):
    monkeypatch.setattr(registry, "entries", lambda group: {"mine": Point(error)})
    with pytest.raises(LoadError, match=rf"searcher 'mine' \(plugin:Class\).*{type(error).__name__}"):
        load("searchers", "mine")


@pytest.mark.parametrize("given", ["random", Random, Random(), "searchers.random:Random"], ids=str)
def test_name_class_and_instance_are_the_same_searcher(given):
    name, made = make_searcher(given)
    assert (name, type(made)) == ("random", Random)


def test_a_variant_sets_its_setting():
    name, made = make_searcher("optuna:GPSampler")
    assert (name, made.settings()) == ("optuna", {"sampler": "GPSampler"})


def test_settings_are_passed_on():
    assert make_searcher("halving", {"eta": 4})[1].settings()["eta"] == 4
    assert make_searcher(Halving(eta=4))[1].settings()["eta"] == 4


@pytest.mark.parametrize(
    ("searcher", "settings", "message"),
    [
        ("halving", {"etta": 3}, "did you mean 'eta'"),
        ("halving", {"eta": "3"}, r"eta is '3' \(str\), expected int"),
        ("halving", {"eta": True}, r"eta is True \(bool\), expected int"),
        ("halving", {"eta": 2.5}, r"eta is 2.5 \(float\), expected int"),
        ("halving", {"eta": 1}, "expected at least 2"),
        ("random", {"seed": 3}, "no setting 'seed'"),
        ("random:x", {}, "has no variants: write 'random'"),
        ("optuna:GPSamler", {}, "did you mean 'GPSampler'"),
        (Random(), {"points": 3}, "is an instance"),
        (Needy, {}, "needs a value of its setting 'width'"),
        (3, {}, "expected a name, a Searcher class or an instance"),
        (dict, {}, "expected a name, a Searcher class or an instance"),
        ("os:getcwd", {}, "expected a name, a Searcher class or an instance"),
    ],
)
def test_what_a_searcher_cannot_take_is_refused(searcher, settings, message):
    with pytest.raises(UsageError, match=message):
        make_searcher(searcher, settings)


def test_a_class_that_is_not_registered_is_named_by_its_module():
    assert searcher_name(Needy) == f"{__name__}:Needy"


def test_objects_are_imported_from_the_working_directory(module):
    name = module("def f(p): return 1\nclass Box:\n    inner = 7")
    assert import_object(f"{name}:f")({}) == 1
    assert import_object(f"{name}:Box.inner") == 7


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module_of_mine", "ModuleNotFoundError: No module named 'no_such_module_of_mine'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("functon = 1", r"has no 'function': did you mean 'functon'\?"),
    ],
)
def test_a_module_that_cannot_be_imported_is_a_load_error(module, text, why):
    name = module(text)
    with pytest.raises(LoadError, match=why):
        import_object(f"{name}:function")


@pytest.mark.parametrize("path", [":f", "users_own:", ".relative:f", "no_such_module_of_mine:f", "a b:c"])
def test_odd_paths_are_load_errors(module, path):
    module("x = 1")
    with pytest.raises(LoadError):
        import_object(path)


def test_a_file_name_instead_of_a_module_gets_a_hint(module):
    module("x = 1")
    with pytest.raises(LoadError, match=r"write 'users_own', without \.py"):
        import_object("users_own.py:x")


def test_a_slip_in_a_searchers_name_before_a_colon_gets_a_hint():
    with pytest.raises(LoadError, match="did you mean 'optuna'"):
        make_searcher("optun:GPSampler")


def test_a_study_whose_table_is_gone_says_so(tmp_path):
    gone = tmp_path / "gone.csv"
    with pytest.raises(LoadError, match=r"no data file '.*gone\.csv'.*put it back, or start a new study"):
        stored_objective({"name": "simplenn", "data": str(gone), "target": "y"}, "maximize")
    with pytest.raises(LoadError, match="objective 'strange' is not registered: install the package"):
        stored_objective({"name": "strange"}, "maximize")
