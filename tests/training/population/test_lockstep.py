"""Many studies through one engine: each gives what it gives when it runs alone, to the last bit."""

import pytest
from population_trials import CPU, Small

from hpo.domains import Choice, Float, Int
from hpo.driver import Driver
from hpo.loop import Ending, run
from hpo.registry import make_searcher
from hpo.signals import Stop
from hpo.space import Space
from hpo.store import Store
from hpo.study_spec import StudySpec
from hpo.training.population.executor import PopulationExecutor
from hpo.trial import State

BATCHES = {"random": 5, "tpe": 1, "grid": 3, "halving": 4, "nas": 2}  # each asks by its own rhythm
SPACE = Space(
    {
        "width": Choice((8, 20, 40), ordered=True),
        "depth": Int(1, 3),
        "dropout": Float(0.0, 0.5),
        "optimizer": Choice(("sgd", "adam", "rmsprop")),
        "learning_rate": Float(1e-3, 1.0, log=True),
        "batch_size": Choice((30, 97)),
    }
)
LAYERS = Space({"depth": Int(1, 3), "activation": Choice(("relu", "tanh")), "width": Choice((8, 20, 40), ordered=True)})
EPOCHS, TRIALS = 4, 6


class Silent:
    def progress(self, driver, event):
        pass

    def outcomes(self, driver, outcomes):
        pass


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Runs studies (searcher, seed) through one engine; what came of each."""
    monkeypatch.setattr("hpo.driver.environment", lambda device: {})  # looks at every installed package
    objective = Small()
    stores = []

    def start(studies):
        store = Store(tmp_path / f"{len(stores)}.db", "create")
        stores.append(store)
        drivers = []
        for searcher, seed in studies:
            kind, made = make_searcher(searcher)
            space = LAYERS if searcher in ("nas", "grid") else SPACE
            spec = StudySpec(
                objective.describe(), space, kind, made.settings(), "maximize", seed, BATCHES[searcher], EPOCHS
            )
            row = store.create_study(
                f"{searcher}-{seed}", spec.to_json(), trials=TRIALS, source=None, if_taken="return"
            )
            drivers.append(Driver(store, row, trials=TRIALS))
        executor = PopulationExecutor(objective, CPU, threads=2)
        try:
            assert run(drivers, executor, Silent(), Stop()) is Ending.COMPLETE
        finally:
            executor.close()
            for driver in drivers:
                driver.close()
        return {driver.name: trials(store, driver.study) for driver in drivers}

    yield start
    for store in stores:
        store.close()


def trials(store, study):
    """All that a study's trials are, apart from the time they took; NaN is a text."""
    return [
        (
            trial.number,
            dict(trial.params),
            trial.seed,
            trial.state,
            trial.epochs,
            repr(trial.value),
            {name: [repr(value) for value in values] for name, values in trial.curve.items()},
        )
        for trial in store.trials(study)
    ]


@pytest.mark.ci
@pytest.mark.parametrize("seeds", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_five_searchers_give_in_lockstep_what_each_gives_alone(go, seeds):
    studies = [(searcher, seed) for seed in range(seeds) for searcher in BATCHES]
    together = go(studies)
    assert len(together) == len(studies)
    assert all(found and found[0][3] in (State.DONE, State.FAILED, State.PAUSED) for found in together.values())
    for study in studies:
        for name, alone in go([study]).items():
            assert together[name] == alone
