"""Executors for the tests of the engine."""

import pytest
from population_trials import CPU, Small

from hpo.training.population.executor import PopulationExecutor


@pytest.fixture
def make():
    """Makes executors, and closes them."""
    made = []

    def executor(**settings):
        made.append(PopulationExecutor(Small(), CPU, **settings))
        return made[-1]

    yield executor
    for each in made:
        each.close()
