"""Comparisons of the shared objective: all train in one engine, each seed on its split if asked, then are tested."""

import pickle

import pytest

from hpo import FunctionObjective, Int, compare, load_study
from hpo.comparison.reading import results
from hpo.errors import UsageError
from hpo.objective import TestScore
from hpo.store import Store
from hpo.store.comparisons import Comparisons
from hpo.training.objective import SimpleNNObjective
from hpo.trial import Job

SPACE = {"width": Int(2, 8)}
TRIALS, EPOCHS = 2, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("network")


def made(folder, **more):
    settings = {"seeds": 2, "trials": TRIALS, "epochs": EPOCHS, "store": folder / "hpo.db", "progress": False}
    return compare(SimpleNNObjective("moons"), SPACE, ["random", "halving"], **(settings | more))


@pytest.fixture(scope="module")
def shared(folder):
    return made(folder, name="shared")


@pytest.fixture(scope="module")
def resplit(folder):
    return made(folder, name="resplit", resplit=True)


def incumbents_of(comparison):
    """Each run, its best trial as a job, and the objective that it was trained with."""
    for run in comparison.results.runs.values():
        study = load_study(run.study, comparison.path)
        best = study.best
        settings = {key: value for key, value in study.spec.objective.items() if key != "name"}
        job = Job(1, 0, best.number, best.params, best.seed, 0, best.epochs, EPOCHS)
        yield run, best, job, SimpleNNObjective(**settings)


@pytest.mark.parametrize("which", [pytest.param("shared", marks=pytest.mark.ci), "resplit"])
def test_an_incumbent_trained_and_tested_alone_is_the_same(which, request):
    for run, best, job, objective in incumbents_of(request.getfixturevalue(which)):
        assert run.test == objective.test(job).metrics
        *_, last = objective.start(job).advance(best.epochs)
        assert best.value == pytest.approx(last.value)


def test_each_seed_has_a_split_of_its_own_and_all_searchers_have_it(resplit, shared):
    def seeds(comparison):
        results, path = comparison.results, comparison.path
        return [
            [load_study(run.study, path).spec.objective["data_seed"] for run in results.of("moons", label)]
            for label in results.searchers
        ]

    assert seeds(shared) == [[0, 0], [0, 0]]
    [one, other] = seeds(resplit)
    assert one == other
    assert len({0, *one}) == 3
    assert resplit.results.facts["regret"] == "each seed has its own split; the scale is that of the original one"
    assert "regret" not in shared.results.facts


def test_incumbents_are_tested_once(shared, folder, monkeypatch):
    uses = {run.study: len(Store(shared.path).uses(Store(shared.path).study(run.study).id))
            for run in shared.results.runs.values()}  # fmt: skip
    assert set(uses.values()) == {1}
    monkeypatch.setattr(SimpleNNObjective, "test_all", lambda self, jobs: pytest.fail("tested again"))
    again = made(folder, name="shared")
    assert again.results == shared.results


def test_a_test_that_was_interrupted_goes_on(folder, monkeypatch):
    def broken(self, jobs):
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(SimpleNNObjective, "test_all", broken)
        with pytest.raises(RuntimeError):
            made(folder, name="broken", seeds=1)
    store = Store(folder / "hpo.db")
    assert all(not run.test for run in results(store, Comparisons(store).get("broken")).runs.values())
    assert all(run.test["accuracy"] > 0 for run in made(folder, name="broken", seeds=1).results.runs.values())


def test_a_task_is_called_after_its_data(shared):
    [task] = shared.results.tasks
    assert (task.name, task.metric, task.direction, task.budget) == ("moons", "accuracy", "maximize", TRIALS * EPOCHS)


def test_an_objective_without_a_split_cannot_be_resplit(tmp_path):
    with pytest.raises(UsageError, match="task 'f': objective 'f' has no split of data"):
        compare({"f": f}, {"x": Int(0, 9)}, direction="minimize", resplit=True, store=tmp_path / "hpo.db")
    assert not (tmp_path / "hpo.db").exists()


def f(params):
    return params["x"]


class WithTestRows(FunctionObjective):
    """A function that has test data, too."""

    def test_data(self):
        return "some rows"

    def test(self, job):
        return TestScore({"value": job.params["x"] + 0.5}, 0.0, 1.0)


def test_an_objective_of_ones_own_with_test_data_is_tested(tmp_path):
    objective, store = WithTestRows(f, direction="minimize"), tmp_path / "hpo.db"
    found = compare(objective, {"x": Int(0, 9)}, ["random"], seeds=2, trials=4, store=store, progress=False)
    for run in found.results.runs.values():
        assert run.test == {"value": run.final + 0.5}


def test_a_helper_process_trains_every_split_with_its_own_data():
    first = SimpleNNObjective("moons")
    objectives = {study: first.resplit(study) for study in (3, 8)}
    routed = pickle.loads(pickle.dumps(first.routed(objectives)))
    for study, objective in objectives.items():
        job = Job(study, 0, 0, {"width": 4}, 5, 0, 1, 1)
        [there], [here] = routed.members(job), objective.members(job)
        assert there.data.train.x.equal(here.data.train.x)
    assert objectives[3].dataset.digest != objectives[8].dataset.digest
