"""Trials that stop early in the engine: they end where they would end by themselves, and nobody waits for them."""

import pytest
import torch

from hpo.training.objective import SimpleNNObjective
from hpo.training.population.executor import PopulationExecutor
from hpo.trial import Job, Outcome, State

EPOCHS = 30
PARAMS = {"width": 32, "batch_size": 16, "learning_rate": 0.03, "early_stopping": True}


@pytest.mark.parametrize("folds", [1, 3])
def test_a_trial_that_stops_early_ends_where_it_ends_by_itself(folds):
    objective = SimpleNNObjective("wine", folds=folds)
    patiences = (1, 2, 4, 25)
    jobs = [Job(1, i, i, PARAMS | {"patience": p}, 7, 0, EPOCHS, EPOCHS) for i, p in enumerate(patiences)]
    executor = PopulationExecutor(objective, torch.device("cpu"), threads=1)
    executor.submit(jobs)
    outcomes: dict[int, Outcome] = {}
    while executor.busy:
        outcomes |= {job.number: event for job, event in executor.wait(5.0) if isinstance(event, Outcome)}
    executor.close()
    trained = []
    for job in jobs:
        last = list(objective.start(job).advance(EPOCHS))[-1]
        outcome = outcomes[job.number]
        assert (outcome.state, outcome.epochs, outcome.charged) == (State.DONE, EPOCHS, last.epoch)
        assert outcome.value == pytest.approx(last.value, abs=0.03)
        assert len(outcome.curve["accuracy"]) == last.epoch
        trained.append(last.epoch)
    assert trained == sorted(trained)
    assert trained[0] < EPOCHS
