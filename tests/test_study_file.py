"""Study files, and changes to them from the command line."""

import pytest

from hpo import study_file
from hpo.domains import Choice, Float
from hpo.errors import LoadError, MismatchError, NotFoundError, SpaceError, UsageError
from hpo.space import Space
from hpo.study_file import edited, read_plan, shipped

FUNCTION = 'objective = "questions:score"\ndirection = "maximize"\n'
MODULE = """
from hpo import Choice, Float
space = {"x": Float(0, 1), "kind": Choice(("a", "b")), "depth": Float(0, 1, when={"kind": ["b"]})}
def score(p):
    return p["x"]
def other(p):
    return 0.0
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A function that reads the plan of a study file with changes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "questions", raising=False)
    (tmp_path / "questions.py").write_text(MODULE)

    def read(text=None, *changes, study="mine.toml", searcher=None, **flags):
        if text is not None:
            (tmp_path / "mine.toml").write_text(text, "utf-8")
        return read_plan(study, searcher=searcher, changes=changes, flags=flags)

    return read


def test_the_shipped_studies_all_make_plans():
    for name, table in shipped().items():
        plan = read_plan(name, searcher=None, changes=(), flags={})
        assert plan.label == name
        assert plan.trials == table["trials"]
        assert table["question"]


def test_a_study_file_is_a_plan(plan):
    found = plan(
        FUNCTION
        + 'question = "?"\ntrials = 7\nseed = 3\nbatch = 2\nname = "mine"\nsearcher = {name = "random"}\n[space]\n'
        + "x = {type = 'float', low = 0, high = 2}\nkind = ['a', 'b']\nwidth = 64\n"
    )
    assert (found.trials, found.name, found.label) == (7, "mine", "mine")
    assert (found.spec.seed, found.spec.batch, found.spec.searcher, found.spec.direction) == (
        3,
        2,
        "random",
        "maximize",
    )
    assert found.spec.space == Space({"x": Float(0, 2), "kind": Choice(("a", "b")), "width": Choice((64,))})


def test_a_function_brings_the_space_beside_it(plan):
    assert list(plan(FUNCTION).spec.space) == ["x", "kind", "depth"]
    found = plan(study="questions:score", direction="minimize")
    assert (list(found.spec.space), found.label, found.objective.name) == (["x", "kind", "depth"], None, "score")


def test_without_a_study_it_is_the_shared_objective():
    found = read_plan(None, searcher=None, changes=(), flags={})
    assert (found.objective.name, found.spec.searcher, found.trials) == ("simplenn", "tpe", 50)


def test_flags_win_over_changes_which_win_over_the_file_and_its_overrides(plan):
    text = FUNCTION + "trials = 1\n[override.random]\ntrials = 2\nseed = 2\nbatch = 2\n"
    found = plan(text, "trials=3", "seed=3", searcher="random", trials=4)
    assert (found.trials, found.spec.seed, found.spec.batch) == (4, 3, 2)
    assert plan(searcher="grid").trials == 1


def test_changes_reach_into_tables(plan):
    found = plan(FUNCTION, "searcher.startup_trials=4", "space.x=0.5", "space.kind=b")
    assert found.spec.settings["startup_trials"] == 4
    assert found.spec.space["x"] == Choice((0.5,))
    assert found.spec.space["kind"] == Choice(("b",))
    found = plan(None, "objective.data=moons", "space=architecture", study="tutorial")
    assert found.spec.objective["data"] == "moons"
    assert "width_1" in found.spec.space


def test_a_change_drops_children_whose_conditions_cannot_hold(plan):
    assert list(plan(FUNCTION, "space.kind=a").spec.space) == ["x", "kind"]
    found = read_plan(None, searcher=None, changes=["space.optimizer=adam"], flags={})
    assert "momentum" not in found.spec.space
    kept = read_plan(None, searcher=None, changes=['space.optimizer=["adam", "momentum"]'], flags={})
    assert kept.spec.space["momentum"].when == {"optimizer": ("momentum",)}


def test_dropping_goes_on_to_grandchildren():
    space = Space(
        {
            "a": Choice((1, 2)),
            "b": Choice((1, 2), when={"a": [2]}),
            "c": Float(0, 1, when={"b": [1]}),
            "d": Float(0, 1),
        }
    )
    assert list(edited(space, {"a": 1})) == ["a", "d"]
    assert edited(space, {}) is space
    assert list(edited(space, {"e": 3})) == ["a", "b", "c", "d", "e"]


BAD = {
    "unknown key": ("trails = 3", r"unknown key 'trails': did you mean 'trials'\?", UsageError),
    "wrong type": ("trials = '3'", r"trials is '3', expected an integer", UsageError),
    "float": ("epochs = 3.0", r"epochs is 3.0, expected an integer", UsageError),
    "boolean": ("seed = true", r"seed is True, expected an integer", UsageError),
    "date of trials": ("trials = 2020-01-01", r"trials is datetime.*, expected an integer", UsageError),
    "objective": ("objective = 3", r"objective is 3, expected a name or a table", UsageError),
    "objective name": ("objective = {name = 3}", r"objective.name is 3, expected text", UsageError),
    "override": ("override = 3", r"override is 3, expected a table", UsageError),
    "override inside": ("override = {tpe = 3}", r"override.tpe is 3, expected a table", UsageError),
    "override of nobody": ("[override.gird]\ntrials = 3", r"did you mean 'grid'", UsageError),
    "override key": (
        "[override.grid]\ntrails = 3",
        r"'override.grid.trails': did you mean 'trials'",
        UsageError,
    ),
    "broken": ("trials = = 3", r"not valid TOML.*line 1", LoadError),
    "twice": ("trials = 3\ntrials = 4", r"not valid TOML", LoadError),
    "nested": ("x = " + "[" * 100_000, r"not valid TOML", LoadError),
    "long integer": ("trials = " + "9" * 5000, r"not valid TOML", LoadError),
    "too large": ("#" * 1_000_001, r"has 1000001 bytes, expected at most 1000000", LoadError),
    "bounds": (FUNCTION + "[space]\nx = {type = 'float', low = 2, high = 1}", r"'x'.*low = 2", SpaceError),
    "not finite": (FUNCTION + "[space]\nx = {type = 'float', low = nan, high = 1}", r"'x'.*finite", SpaceError),
    "no type": (FUNCTION + "[space]\nx = {low = 2, high = 1}", r"'x'", SpaceError),
    "empty": (FUNCTION + "[space]\n", r"the space is empty", SpaceError),
    "override of an override": ("[override.grid.override]", r"unknown key 'override.grid.override'", UsageError),
    "objective key": ("[objective]\ndta = 'moons'", r"objective: unknown key 'dta': did you mean 'data'", UsageError),
    "objective type": ("[objective]\nfolds = true", r"objective.folds is True, expected an integer", UsageError),
    "objective list": (
        "[objective]\nignore = [3]",
        r"objective.ignore is \[3\], expected a text or",
        UsageError,
    ),
    "metric": ("[objective]\nmetric = 'acuracy'", r"metric is 'acuracy'.*did you mean 'accuracy'", UsageError),
    "domain key": (FUNCTION + "[space]\nx = {type = 'float', lo = 2}", r"'x': unknown key 'lo' of a float", SpaceError),
    "long text": (f"direction = '{'x' * 900_000}'", r"direction is 'xxx.*[.]{3}$", UsageError),
    "condition": (
        FUNCTION + "[space]\na = [1, 2]\nx = {type = 'float', low = 0, high = 1, when = {a = 1}}",
        r"'x': when\['a'\] is 1, expected a list",
        SpaceError,
    ),
    "parent": (
        FUNCTION + "[space]\nkind = [1, 2]\nx = {type = 'float', low = 0, high = 1, when = {kin = [1]}}",
        r"'x': its parent 'kin' is not declared: did you mean 'kind'",
        SpaceError,
    ),
    "date": (FUNCTION + "[space]\nx = [2020-01-01]", r"'x'.*type date", SpaceError),
    "depth": (FUNCTION + "[space]\nx = " + "[" * 60 + "]" * 60, r"'x'.*20 levels deep", SpaceError),
    "searcher": ("searcher = 'rndom'", r"did you mean 'random'", NotFoundError),
    "searcher key": ("searcher = {name = 'grid', pints = 3}", r"no setting 'pints': did you mean 'points'", UsageError),
    "searcher type": ("searcher = {name = 'grid', points = '3'}", r"points is '3' \(str\), expected int", UsageError),
    "hyperparameter": ("[space]\nlearning_rat = 0.1", r"did you mean 'learning_rate'", SpaceError),
    "space": ("space = 'deep'", r"no space called 'deep'", UsageError),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_file_and_key(plan, case):
    text, message, kind = BAD[case]
    with pytest.raises(kind, match=message) as caught:
        plan(text)
    assert "mine.toml" in str(caught.value)
    assert len(str(caught.value)) < (400 if case != "long text" else study_file.MAX_MESSAGE + 100)


@pytest.mark.parametrize(
    ("text", "message", "kind"),
    [
        (FUNCTION + 'searcher = "rndom"', "did you mean 'random'", NotFoundError),
        (FUNCTION + 'searcher = {name = "tpe", startup = 3}', "did you mean 'startup_trials'", UsageError),
        (FUNCTION + 'searcher = "halving"', "needs an objective with epochs", MismatchError),
        (FUNCTION + "epochs = 3", "has no epochs", UsageError),
        ('objective = "questions:score"', "'maximize' or 'minimize'", UsageError),
        ('objective = "questions:scor"\ndirection = "maximize"', "did you mean 'score'", LoadError),
        ('objective = "simplenet"', "did you mean 'simplenn'", NotFoundError),
        ('objective = {name = "simplenn", dta = "moons"}', "dta", UsageError),
        ('objective = {name = "questions:score", k = 3}\ndirection = "maximize"', "takes no settings", UsageError),
    ],
)
def test_what_does_not_fit_together_is_refused(plan, text, message, kind):
    with pytest.raises(kind, match=message):
        plan(text)


def test_a_module_without_a_space_says_where_to_give_one(plan, tmp_path):
    (tmp_path / "bare.py").write_text("def f(p):\n    return 0.0\n")
    with pytest.raises(UsageError, match=r"needs a search space.*beside the function"):
        plan(study="bare:f", direction="minimize")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trials", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("trails=3", "did you mean 'trials'"),
        ("override.tpe=3", "unknown key 'override'"),
        ("trials.x=3", "'trials' has no keys of its own"),
        ("space.=3", "has no keys of its own"),
        ("trials=many", "trials is 'many', expected an integer"),
        ("trials=3.5", "trials is 3.5, expected an integer"),
        ("space.kind=[a,b]", "texts inside lists need quotes"),
        ("space.knd=a", "no such hyperparameter: did you mean 'kind'"),
        ("searcher.startup=3", "did you mean 'startup_trials'"),
        ("space.x={type='float', low=1, high=0}", "'x'.*low = 1"),
    ],
)
def test_a_bad_change_is_refused(plan, change, message):
    with pytest.raises(UsageError, match=message):
        plan(FUNCTION, change)


def test_a_study_that_is_nowhere_gets_the_nearest(plan):
    with pytest.raises(NotFoundError, match=r"no study 'tutoral', .*module:function: did you mean 'tutorial'\?$"):
        plan(study="tutoral")
    with pytest.raises(NotFoundError, match=r"no study file missing\.toml"):
        plan(study="missing.toml")


def test_files_named_in_a_study_file_are_beside_it_and_those_of_the_command_line_are_here(plan, tmp_path):
    (tmp_path / "folder").mkdir()
    for name, rows in (("table.csv", 20), ("folder/table.csv", 30)):
        (tmp_path / name).write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(rows)))
    (tmp_path / "folder" / "mine.toml").write_text(
        '[objective]\ndata = "table.csv"\ntarget = "y"\n[override.grid.objective]\ntest = "table.csv"\n'
    )
    study = "folder/mine.toml"
    found = plan(study=study).objective
    assert (found.data, len(found.dataset.y)) == ("folder/table.csv", 30)
    assert plan(study=study, searcher="grid").objective.test_table == "folder/table.csv"
    assert len(plan(None, "objective.data=table.csv", study=study).objective.dataset.y) == 20
    assert len(plan(study=study, objective={"data": "table.csv"}).objective.dataset.y) == 20


def test_generated_data_have_no_use_for_what_a_file_says_about_its_table(plan, tmp_path):
    (tmp_path / "table.csv").write_text("x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(20)))
    plan('[objective]\ndata = "table.csv"\ntarget = "y"\nfolds = 3\nignore = []\n')
    found = plan(objective={"data": "moons"}).objective
    assert (found.data, found.target, found.folds) == ("moons", None, 3)


def test_settings_of_data_are_refused_for_another_objective(plan):
    with pytest.raises(UsageError, match=r"--init-from is for the objective 'simplenn', .* is 'questions:score'"):
        plan(FUNCTION, objective={"init_from": "model.pt"})


def test_a_folder_and_foreign_bytes_are_load_errors(plan, tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b'question = "\xe9"')
    for name in ("folder.toml", "latin.toml"):
        with pytest.raises(LoadError, match=name):
            plan(study=name)


def test_every_key_says_what_it_expects():
    assert {study_file._EXPECTED[kind] for kind in study_file.KEYS.values()} == {
        "text",
        "an integer",
        "true or false",
        "a table",
        "a name or a table",
    }
