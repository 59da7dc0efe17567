"""Workers of a Dask cluster that die all the time."""

import random

import pytest

pytest.importorskip("distributed")

from executors.dask_cluster import Cluster
from executors.test_dask import NETWORK, SPACE, bowl, climb, is_clean, study

from hpo.execution import Execution
from hpo.function_objective import FunctionObjective
from hpo.training.objective import SimpleNNObjective

KILLS = 50


@pytest.mark.slow
def test_workers_killed_at_random_moments_lose_and_double_no_trial(tmp_path):
    """The driver stores an evaluation once: it would not find the job of a second outcome."""
    objective = FunctionObjective(bowl, direction="maximize")
    chance, cluster, killed = random.Random(1), Cluster(tmp_path, 3), 0

    def disturb(count):
        nonlocal killed
        if killed < KILLS and chance.random() < 0.5:
            cluster.keep(3)
            killed += 1
            cluster.kill(chance.choice(cluster.workers))
            cluster.add(wait=False)

    execution = Execution(cluster=cluster.client, retries=10**6)
    there = study(tmp_path / "there", objective, "random", SPACE, 40 * KILLS, execution, disturb)
    assert killed == KILLS
    assert there == study(tmp_path / "here", objective, "random", SPACE, 40 * KILLS, Execution())
    assert is_clean(cluster)
    cluster.close()


@pytest.mark.ci
@pytest.mark.parametrize("workers", [4, 8])
def test_four_and_eight_workers_give_the_same_trials(tmp_path, workers):
    cluster = Cluster(tmp_path, workers)
    for objective, searcher, space, trials in (
        (FunctionObjective(climb, direction="maximize"), "halving", SPACE, 30),
        (SimpleNNObjective(), "halving", NETWORK, 24),
    ):
        here = study(tmp_path / f"{objective.name} here", objective, searcher, space, trials, Execution())
        execution = Execution(cluster=cluster.client)
        assert study(tmp_path / f"{objective.name} there", objective, searcher, space, trials, execution) == here
    cluster.close()
