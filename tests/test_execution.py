"""How users say in what way trials are run."""

import pytest

import hpo
from hpo import Float, load_study
from hpo.errors import UsageError
from hpo.execution import Execution
from hpo.resolve import make_execution

SPACE = {"x": Float(0, 1)}


def square(params):
    return params["x"] ** 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("512MiB", 512 * 2**20),
        ("2GiB", 2 * 2**30),
        ("2GB", 2 * 10**9),
        (" 1.5 gib ", 3 * 2**29),
        ("100000 K", 10**8),
        (2**30, 2**30),
        ("1T", 10**12),
    ],
)
def test_memory_is_read_in_binary_and_decimal_units(text, expected):
    assert make_execution(trial_memory=text).trial_memory == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 0}, "workers is 0, expected 1 to 1024"),
        ({"workers": 2.0}, r"workers is 2\.0 \(float\), expected an integer"),
        ({"workers": True}, "workers is True"),
        ({"retries": -1}, "retries is -1, expected 0 to 100"),
        ({"trial_timeout": "soon"}, "trial_timeout is 'soon', expected a positive number of seconds"),
        ({"trial_timeout": 0}, "trial_timeout is 0"),
        ({"trial_memory": "2 GiBi"}, "trial_memory is '2 GiBi', expected at least"),
        ({"trial_memory": 1000}, "trial_memory is 1000"),
        ({"trial_memory": -1}, "trial_memory is -1"),
        ({"trial_memory": float("nan")}, "trial_memory is nan"),
        ({"workers": 4, "executor": "tcp://127.0.0.1:9"}, "workers is 4 and a Dask cluster is given: .* leave one of"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_study(tmp_path, given, message):
    with pytest.raises(UsageError, match=message):
        hpo.search(square, SPACE, direction="minimize", store=tmp_path / "hpo.db", **given)
    assert not (tmp_path / "hpo.db").exists()


@pytest.mark.parametrize("given", [{"trial_timeout": 1}, {"trial_memory": "1GiB"}, {"fresh": True}])
def test_the_shared_objective_runs_in_no_process_of_its_own(tmp_path, given):
    with pytest.raises(UsageError, match=r"'simplenn' runs in this process: .* are for functions"):
        hpo.search(store=tmp_path / "hpo.db", **given)
    assert not (tmp_path / "hpo.db").exists()


def test_how_trials_run_is_no_part_of_the_study(tmp_path):
    def outputs(name, **how):
        more = {"direction": "minimize", "trials": 6, "store": tmp_path / "hpo.db", "progress": False}
        study = hpo.search(square, SPACE, "random", name=name, **more, **how)
        return [(trial.params, trial.value, trial.seed, trial.attempts) for trial in study.trials]

    assert outputs("a") == outputs("b", workers=2, trial_timeout="1m", retries=3)
    assert load_study("a", tmp_path / "hpo.db").spec == load_study("b", tmp_path / "hpo.db").spec


def test_only_what_asks_for_a_process_gets_one():
    assert not Execution(retries=5).isolated
    assert all(Execution(**how).isolated for how in ({"workers": 1}, {"fresh": True}, {"trial_timeout": 1.0}))
