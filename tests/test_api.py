"""`search` and `create_study`: arguments, names, conflicts, endings."""

import importlib
import json
import math
import os
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pytest

import hpo
from hpo import Choice, Float, FunctionObjective, Int, create_study, load_study, search
from hpo.errors import ConflictError, HpoError, LockedError, MismatchError, NoResultError, SpaceError, UsageError
from hpo.objective import Objective
from hpo.searcher import Searcher
from hpo.store import Store
from searchers.halving import Halving
from searchers.random import Random

SPACE = {"x": Float(-1, 1), "kind": Choice(("a", "b"))}


def named(case: object) -> str:
    """A test's name for a case: without the addresses of functions, which differ between processes."""
    return re.sub(" at 0x[0-9a-f]+", "", str(case))


def square(p):
    return p["x"] ** 2


def growing(p):
    epoch = 0
    while True:
        epoch += 1
        yield epoch * p["x"]


@dataclass(eq=False)
class Own(Random):
    """A searcher of a user's, at the top of a module."""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hpo.db"


@pytest.fixture
def go(path):
    """`search` of `square` with random search, unless told otherwise."""

    def run(objective=square, space=SPACE, searcher="random", trials=4, **more):
        arguments = {"direction": "minimize", "progress": False, "store": path} | more
        return search(objective, space, searcher, trials, **arguments)

    return run


def outputs(study):
    return [(trial.params, trial.value, trial.seed) for trial in study.trials]


# -- arguments


def test_a_function_needs_a_direction_before_the_first_trial(go, path):
    calls = []
    with pytest.raises(UsageError, match="'maximize' or 'minimize'"):
        go(lambda p: calls.append(p), direction=None)
    assert calls == []
    assert not path.exists()


@pytest.mark.parametrize(
    "given", ["random", Random, Random(), Own, Own(), "searchers.random:Random"], ids=lambda g: str(g)[:30]
)
def test_a_searcher_is_a_name_a_class_or_an_instance(go, given):
    assert outputs(go(searcher=given)) == outputs(go())


def test_an_instance_brings_its_settings(go):
    study = go(growing, searcher=Halving(eta=2), epochs=4, trials=1)
    assert study.spec.settings["eta"] == 2
    assert study.resume(trials=2, progress=False).spec.settings["eta"] == 2


def test_a_class_that_cannot_be_found_again_is_refused_at_once(go, path):
    @dataclass(eq=False)
    class Local(Random):
        pass

    with pytest.raises(UsageError, match="top level of a module"):
        go(searcher=Local)
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trials": -1}, "trials is -1, expected 0 to"),
        ({"trials": 10**12}, "trials is 1000000000000, expected 0 to"),
        ({"trials": 5.0}, r"trials is 5.0 \(float\), expected an integer"),
        ({"trials": True}, "trials is True"),
        ({"trials": None}, "trials is None"),
        ({"seed": -1}, "seed is -1, expected 0 to"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"seed": "0"}, "seed is '0'"),
        ({"batch": 0}, "batch is 0"),
        ({"batch": 10**12}, "batch is"),
        ({"epochs": 3}, "has no epochs"),
        ({"objective": growing}, "give epochs "),
        ({"objective": growing, "epochs": 0}, "epochs is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"timeout": -1.5}, "timeout is -1.5"),
        ({"timeout": math.nan}, "timeout is nan"),
        ({"timeout": math.inf}, "timeout is inf"),
        ({"timeout": 10**400}, "timeout is"),
        ({"timeout": "x"}, "timeout is 'x'"),
        ({"timeout": True}, "timeout is True"),
        ({"direction": "up"}, "direction is 'up'"),
        ({"objective": 3}, "objective is 3"),
        ({"space": None}, "needs a search space"),
        ({"space": {}}, "the space is empty"),
        ({"space": {"x": Float(2, 1)}}, "'x'.*low = 2"),
        ({"name": ""}, "study name ''"),
        ({"name": "a\x1b]0;b"}, "expected printable text"),
        ({"name": "x" * 300}, "1 to 255 characters"),
        ({"name": 3}, "study name 3"),
        ({"initial": [{"x": 2.0, "kind": "a"}]}, r"initial\[0\]: 'x'"),
        ({"initial": [{"y": 0.0}]}, r"initial\[0\]: unknown hyperparameter 'y'"),
        ({"initial": {"x": 0.0}}, "expected a list of configurations"),
        ({"initial": 3}, "expected a list of configurations"),
        ({"searcher": "halving"}, "needs an objective with epochs"),
        ({"space": {"x": Float(0, 1)}, "objective": "simplenn", "direction": None}, "no hyperparameter 'x'"),
    ],
    ids=named,
)
def test_arguments_are_validated_before_anything_is_stored(go, path, arguments, message):
    with pytest.raises((UsageError, SpaceError, MismatchError), match=message):
        go(**arguments)
    assert not path.exists()


def test_numpy_integers_are_integers(go):
    study = go(trials=np.int64(3), seed=np.int32(2), batch=np.int16(2))
    assert json.dumps([study.spec.seed, study.spec.batch, len(study.trials)]) == "[2, 2, 3]"


def test_an_objective_instance_is_left_as_it_was(go):
    objective = FunctionObjective(square)
    low, high = go(objective), go(objective, direction="maximize")
    assert objective.direction is None
    assert low.best_value == min(t.value for t in low.trials)
    assert high.best_value == max(t.value for t in high.trials)


def test_default_batches_are_the_searchers(go):
    batches = {
        name: go(growing, searcher=name, epochs=9, trials=0, space={"x": Int(0, 9)}).spec.batch
        for name in ("random", "grid", "tpe", "nas", "halving")
    }
    assert batches == {"random": 1024, "grid": 1024, "tpe": 8, "nas": 16, "halving": 9}


def test_initial_configurations_are_tried_first_and_defaults_fill_in(go):
    space = {"x": Float(-1, 1, default=0.25), "kind": Choice(("a", "b"))}
    study = go(space=space, initial=[{"kind": "b"}, {"x": 0.0, "kind": "a"}], trials=3)
    assert [dict(t.params) for t in study.trials[:2]] == [{"x": 0.25, "kind": "b"}, {"x": 0.0, "kind": "a"}]
    assert study.best.number == 1


# -- names


def test_without_a_name_each_run_makes_a_new_study(go):
    assert [go(trials=1).name for _ in range(3)] == ["square-random-0", "square-random-0-2", "square-random-0-3"]


def test_a_name_goes_on_to_the_total_and_no_further(go):
    assert len(go(name="one", trials=3).trials) == 3
    assert len(go(name="one", trials=5).trials) == 5
    assert len(go(name="one", trials=5).trials) == 5
    assert outputs(load_study("one", go(trials=1).path)) == outputs(go(name="at once", trials=5))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"space": {**SPACE, "x": Float(-1, 2)}}, "space.x: stored .*-1.*now"),
        ({"space": dict(reversed(SPACE.items()))}, "order of the space: stored x, kind, now kind, x"),
        ({"direction": "maximize"}, 'direction: stored "minimize", now "maximize"'),
        ({"objective": growing, "epochs": 3}, "objective.function: stored .*square.*now .*growing"),
        ({"searcher": "tpe"}, 'searcher: stored "random", now "tpe"'),
        ({"seed": 1}, "seed: stored 0, now 1"),
        ({"batch": 2}, "batch: stored 1024, now 2"),
        ({"initial": [{"x": 0.0, "kind": "a"}]}, "initial: stored"),
    ],
    ids=named,
)
def test_another_specification_under_a_name_is_refused_with_the_difference(go, path, change, line):
    go(name="one", trials=2)
    before = path.read_bytes()
    with pytest.raises(ConflictError, match=line):
        go(**({"name": "one", "trials": 4} | change))
    assert path.read_bytes() == before


def test_other_epochs_under_a_name_are_refused(go):
    go(growing, epochs=3, name="one", trials=1)
    with pytest.raises(ConflictError, match="epochs: stored 3, now 4"):
        go(growing, epochs=4, name="one", trials=2)


def test_a_changed_source_warns(go, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "edited_objective.py"
    for text, warned in (("return p['x']", 0), ("return p['x']", 0), ("return p['x'] + 1", 1)):
        file.write_text(f"def f(p):\n    {text}\n")
        sys.modules.pop("edited_objective", None)
        importlib.invalidate_caches()
        os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + warned * 10**10))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            go("edited_objective:f", name="edited", trials=2 + warned)
        told = [str(w.message) for w in caught]
        assert len(told) == warned
        assert all(text.startswith("study 'edited': the source of 'f' has changed") for text in told)
        assert all(w.filename == __file__ for w in caught)  # the user's line


def test_odd_names_of_functions_make_printable_studies(go):
    odd = square.__class__(square.__code__, globals(), "a\nb\x1b" + "c" * 300)
    name = go(odd, trials=0).name
    assert name.isprintable()
    assert name.startswith("a-b-ccc")
    assert len(name) <= 255


# -- endings


def test_no_trials_only_create_the_study(go):
    def never(p):
        raise AssertionError("it was called")

    study = go(never, trials=0)
    assert (study.trials, study.counts(), study.budget) == ([], {}, 0)


def test_no_trials_change_nothing_in_an_existing_study(go, path):
    go(name="one", trials=3)
    before = path.read_bytes()
    assert go(name="one", trials=0).budget == 3
    assert path.read_bytes() == before


@pytest.mark.parametrize("searcher", ["random", "grid", "tpe"])
def test_a_space_that_is_used_up_stops_the_run(go, searcher, capsys):
    space = {"kind": Choice(("a", "b", "c")), "on": Choice((False, True))}
    study = go(lambda p: float(p["on"]), space, searcher, trials=500, progress=True)
    found = [tuple(trial.params.values()) for trial in study.trials]
    assert len(set(found)) == 6
    assert len(found) == 6 or searcher == "random"
    assert "exhausted" in capsys.readouterr().err


def test_when_all_trials_fail_best_names_the_first_reason(go):
    def f(p):
        raise ValueError(f"boom\nsecond line {p['x']}")

    study = go(f)
    assert len(study.trials) == 4
    with pytest.raises(NoResultError, match="4 failed; the first, trial 0, with: ValueError: boom") as caught:
        _ = study.best
    assert "second line" not in str(caught.value)


def test_a_timeout_ends_the_run_and_what_is_missing_runs_later(go):
    study = go(lambda p: sum(range(20_000)) * 0.0, trials=100_000, timeout="0.2s", batch=50)
    done = len(study.trials)
    assert 0 < done < 100_000
    before = outputs(study)[: done // 50 * 50 - 50]
    study.resume(trials=done + 10, progress=False)
    assert outputs(study)[: len(before)] == before


def test_a_study_has_one_driver_at_a_time(go):
    def f(p):
        with pytest.raises(LockedError, match=f"process {os.getpid()}"):
            go(f, name="one")
        return 0.0

    assert go(f, name="one", trials=1).best_value == 0.0


def test_an_error_of_the_store_leaves_no_lock_behind(go, monkeypatch):
    def full(*_, **__):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "record", full)
        with pytest.raises(OSError, match="disk full"):
            go(name="one")
    assert len(go(name="one").trials) == 4


# -- the same everywhere

ELSEWHERE = """
import json, sys
from hpo import Choice, Float, search
space = {"x": Float(-1, 1), "kind": Choice(("a", "b", "c")), "y": Float(0, 1, when={"kind": ["b"]})}
result = []
for searcher in ("random", "tpe"):
    study = search(lambda p: p["x"] ** 2, space, searcher, 14, direction="minimize", progress=False, seed=3,
                   store=sys.argv[1])
    result.append([[dict(t.params), t.value, t.seed] for t in study.trials])
print(json.dumps(result))
"""


def test_the_same_seed_gives_the_same_trials_in_every_process(tmp_path):
    found = []
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / f"{hash_seed}.db")]
        found.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert found[0] == found[1]
    assert len(json.loads(found[0])[1]) == 14


# -- importing

HEAVY = "heavy = {'torch', 'optuna', 'plotly', 'pandas', 'sklearn', 'scipy'} & set(sys.modules)"


@pytest.mark.parametrize(
    "code",
    [
        "import hpo; dir(hpo)",
        "sys.argv = ['hpo', '--help']; import hpo.cli; hpo.cli.main()",
        "import hpo.api, hpo.study",
    ],
)
def test_importing_and_asking_for_help_load_nothing_heavy(code):
    code = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n{HEAVY}\nassert not heavy, heavy"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr


@pytest.mark.ci
def test_public_names_are_what_they_say_whatever_was_imported_before():
    code = """
import hpo.api, hpo.searcher, hpo.study, hpo.space, hpo.objective, hpo.trial
import hpo
from hpo import Objective, Searcher, Space, Study, Trial, create_study, load_study, search
assert callable(search) and callable(load_study) and callable(create_study)
assert all(isinstance(kind, type) for kind in (Objective, Searcher, Space, Study, Trial))
assert hpo.search is search is hpo.api.search
for name in hpo.__all__:
    getattr(hpo, name)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = hpo.serach
    assert issubclass(UsageError, HpoError)
    assert issubclass(hpo.Objective, Objective)
    assert hpo.Searcher is Searcher


def test_by_hand_needs_no_objective(path):
    study = create_study(SPACE, "random", direction="maximize", store=path, name="lab")
    assert study.spec.batch == 1
    with pytest.raises(ConflictError, match="objective"):
        search(square, SPACE, "random", 3, direction="maximize", batch=1, store=path, name="lab", progress=False)
