"""What searchers say that they need is what they do."""

import inspect

import cmaes
import numpy as np
import pytest
from optuna.samplers import GPSampler, TPESampler

from hpo.domains import Choice, Float
from hpo.registry import entries, make_searcher
from hpo.searcher import Needs
from hpo.testing.simulation import SPACES, Simulation
from searchers.halving import Halving, bracket_epochs, rung_epochs
from searchers.optuna import STARTUP, Optuna

SPACE = {"a": Float(0, 1), "b": Float(0, 1), "c": Float(0, 1), "k": Choice(("p", "q"))}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("name", entries("searchers"))
def test_every_registered_searcher_says_what_it_needs(name, space):
    needs = make_searcher(name)[1].bind(space, epochs=9).needs()
    assert isinstance(needs, Needs)
    assert needs.trials >= max(1, needs.startup or 0) or needs.blind or name == "halving"
    assert needs.why or needs.trials == 1


@pytest.mark.parametrize("kind", [TPESampler, GPSampler])
def test_optunas_samplers_begin_at_random_for_as_long_as_is_said(kind):
    assert inspect.signature(kind).parameters["n_startup_trials"].default == STARTUP


def test_a_generation_is_as_large_as_that_of_cmaes():
    size = cmaes.CMA(mean=np.zeros(3), sigma=1.0).population_size
    assert Optuna("CmaEsSampler").bind(SPACE).needs().startup == 2 * size


def test_cmaes_is_blind_to_choices():
    assert Optuna("CmaEsSampler").bind({"k": ["p", "q"]}).needs().blind
    assert not Optuna("CmaEsSampler").bind({"a": Float(0, 1)}).needs().blind


def test_a_bracket_costs_what_one_trains():
    assert bracket_epochs(rung_epochs(27, 3, 1), 3) == 81
    simulation = Simulation(Halving().bind(SPACE, epochs=9))
    while len(simulation.searcher._members) or not simulation.proposals:
        simulation.ask(9)
        simulation.tell()
    spent = sum(simulation.reached.values())
    assert spent == bracket_epochs([1, 3, 9], 3)
    assert Halving().bind(SPACE, epochs=9).needs().trials == -(-spent // 9)
