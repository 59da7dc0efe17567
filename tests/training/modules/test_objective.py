"""What a study knows of an objective of one's own modules."""

import pickle
import subprocess
import sys
from contextlib import closing

import own_modules as own
import pytest
import torch
from torch import nn

import hpo
from hpo import Float, load_study, search
from hpo.errors import ConflictError, LoadError, UsageError
from hpo.resolve import resolve_objective
from hpo.store import Store

SPACE = {"learning_rate": Float(1e-3, 1e-1, log=True)}


def test_first_weights_depend_on_the_seed_alone():
    found, (one, other) = own.objective(own.linear), own.jobs([{}, {}])
    torch.manual_seed(3)
    first = found.module(one)
    state = torch.get_rng_state()
    again, different = found.module(one), found.module(other)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, different[0].weight)


def test_a_module_that_build_gives_again_and_again_is_not_trained_itself():
    module = own.linear({})
    before = [each.clone() for each in module.parameters()]
    found, some = own.objective(lambda params: module), own.jobs(own.different(3))
    outcomes = own.fused(found, some)
    for job in some:
        own.check_same(outcomes[job.number], own.alone(found, job))
    assert all(torch.equal(*pair) for pair in zip(module.parameters(), before, strict=True))


def test_a_study_tells_what_it_was_made_with_and_is_refused_under_another(tmp_path):
    how = {"trials": 2, "epochs": 1, "searcher": "random", "progress": False, "store": tmp_path / "s.db", "name": "a"}
    study = search(own.objective(own.linear), SPACE, **how)
    assert study.spec.objective["build"] == "own_modules:linear"
    with pytest.raises(ConflictError):
        search(own.objective(own.layer_norm), SPACE, **how)
    with pytest.raises(ConflictError):
        search(own.objective(own.linear, loss="hinge"), SPACE, **how)
    again = load_study("a", tmp_path / "s.db")
    with pytest.raises(LoadError, match=r"study.resume\(objective=TorchObjective\(build, data\)\)"):
        again.resume(trials=3, progress=False)
    assert len(again.resume(trials=3, objective=own.objective(own.linear), progress=False).trials) == 3


def test_a_trial_is_replayed_to_the_same_value(tmp_path):
    how = {"trials": 3, "epochs": 2, "searcher": "random", "progress": False, "store": tmp_path / "s.db"}
    found = own.objective(own.linear)
    replay = search(found, SPACE, **how).replay(1, found)
    assert replay.trial.number == 1


def test_a_metric_of_ones_own_needs_a_direction(tmp_path):
    found = own.objective(own.linear, metric=lambda outputs, targets: 0.0)
    with pytest.raises(UsageError, match="does not say whether more is better"):
        search(found, SPACE, store=tmp_path / "s.db")


@pytest.mark.parametrize("name", ["step", "train_loss", "validation_loss", "right"])
def test_a_metric_takes_no_other_curve_away(name):
    def metric(outputs, targets):
        return float((outputs.argmax(1) == targets).double().mean())

    metric.__name__ = name
    job, named = own.jobs([{}])[0], own.objective(own.linear)
    curve = own.fused(own.objective(own.linear, metric=metric, direction="maximize"), [job])[0].curve
    expected = dict(own.fused(named, [job])[0].curve)
    expected["right" if name == "right" else "metric"] = expected.pop("accuracy")
    assert curve == expected


def test_it_travels_without_what_it_remembers():
    found = own.objective(own.linear)
    found.bundles(own.jobs([{}]))
    arrived = pickle.loads(pickle.dumps(found))
    assert arrived.describe() == found.describe()
    some = own.jobs(own.different(2))
    assert own.fused(arrived, some)[1].curve == own.fused(found, some)[1].curve


def test_with_early_stopping_the_value_is_that_of_the_best_epoch():
    found = own.objective(own.batch_norm)
    job = own.jobs([{"early_stopping": True, "patience": 2, "learning_rate": 0.3, "optimizer": "sgd"}], epochs=20)[0]
    steps = own.alone(found, job)
    best = min(steps, key=lambda step: step.metrics["validation_loss"])
    assert len(steps) < 20
    assert steps[-1].value == best.metrics["accuracy"]


def test_the_study_says_that_company_may_matter(tmp_path, capsys):
    how = {"trials": 2, "epochs": 1, "searcher": "random", "name": "a"}
    search(own.objective(own.linear), SPACE, store=tmp_path / "s.db", **how)
    assert "; device cpu (last bits depend on company); " in capsys.readouterr().err.splitlines()[0]
    with closing(Store(tmp_path / "s.db")) as store:
        (run,) = store.environments(store.study("a").id)
    assert run["device"] == "cpu (last bits depend on company)"


def test_importing_hpo_and_naming_it_loads_no_torch():
    code = "import hpo, sys; assert 'TorchObjective' in hpo.__all__ and 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert hpo.TorchObjective is own.TorchObjective


def test_modules_on_another_device_are_asked_for_by_name():
    found = own.objective(own.linear)
    assert found.on_device("auto").device == "auto"
    assert found.device == "cpu"
    with pytest.raises(UsageError):
        found.on_device("gpu")
    assert isinstance(found.module(own.jobs([{}])[0]), nn.Module)


MODULE = """
from own_modules import objective as made
from torch import nn

space = {"learning_rate": [0.01, 0.1], "hidden": [4, 6]}

def build(params):
    return nn.Linear(5, 3).double()

objective = made(build)
"""


def test_an_objective_beside_its_build_is_found_again(tmp_path, monkeypatch):
    (tmp_path / "beside.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    found = resolve_objective("beside:objective")
    how = {"trials": 2, "epochs": 1, "searcher": "random", "progress": False, "store": tmp_path / "s.db", "name": "a"}
    search(found, {"learning_rate": [0.01, 0.1], "hidden": [4, 6]}, **how)
    assert len(load_study("a", tmp_path / "s.db").resume(trials=3, progress=False).trials) == 3


def test_rows_given_as_one_pair_are_split_anew_and_those_given_as_two_are_not():
    whole = own.objective(own.linear)
    again, same, other = whole.resplit(3), whole.resplit(3), whole.resplit(4)
    sorted_rows = [
        torch.cat([part.x for part in (found.source_data._train, found.source_data._validation)]).sort(dim=0).values
        for found in (whole, again)
    ]
    assert torch.equal(*sorted_rows), "the same rows on other sides"
    digests = [each.describe()["data"] for each in (whole, again, same, other)]
    assert digests[1] == digests[2]
    assert len(set(digests)) == 3
    split = hpo.TorchObjective(own.linear, (own.table(), own.table()))
    with pytest.raises(UsageError, match="split already: compare without resplit"):
        split.resplit(0)
    with pytest.raises(UsageError, match="compare without resplit"):
        pickle.loads(pickle.dumps(hpo.TorchObjective(own.linear, own.table()))).resplit(0)


@pytest.mark.ci
def test_with_a_split_for_each_seed_modules_train_split_by_split(tmp_path):
    whole = own.objective(own.linear)
    how = {"seeds": 2, "trials": 2, "epochs": 2, "store": tmp_path / "s.db", "progress": False}
    found = hpo.compare(whole, SPACE, ["random", "halving"], resplit=True, **how)
    for (_, searcher, seed), run in found.results.runs.items():
        alone = search(
            whole.resplit(seed),
            SPACE,
            searcher,
            trials=2,
            epochs=2,
            seed=seed,
            progress=False,
            batch=2,
            store=tmp_path / "alone.db",
        )
        if searcher == "random":
            assert load_study(run.study, how["store"]).spec.objective == alone.spec.objective
            assert run.final == pytest.approx(alone.best_value, abs=1e-6)
