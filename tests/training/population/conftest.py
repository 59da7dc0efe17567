"""Executors for the tests of the engine."""

import pytest
from population_trials import CPU, small

from hpo.training.objective import SimpleNNObjective
from hpo.training.population.executor import PopulationExecutor

DATA = small(97)


@pytest.fixture
def make():
    """Makes executors, and closes them."""
    made = []

    def executor(**settings):
        made.append(PopulationExecutor(SimpleNNObjective(), DATA, CPU, **settings))
        return made[-1]

    yield executor
    for each in made:
        each.close()
