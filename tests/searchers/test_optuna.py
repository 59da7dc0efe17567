import logging
import warnings

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy.stats import binomtest, mannwhitneyu

from hpo import seeding
from hpo.domains import Choice, Float, Int
from hpo.errors import UsageError
from hpo.registry import make_searcher
from hpo.space import Space
from hpo.trial import Outcome, State
from searchers.optuna import SAMPLERS, TPE, Optuna
from searchers.random import Random

SQUARE = Space({"x": Float(-1.0, 1.0), "y": Float(1e-3, 1.0, log=True)})
CONDITIONAL = Space(
    {
        "kind": ["sgd", "momentum"],
        "momentum": Float(0.5, 0.99, when={"kind": ["momentum"]}),
        "rate": Float(0.0, 1.0),
        "fixed": 3,
    }
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def value(params):
    """A bowl, highest at x = 0.4, y = 0.1: 0."""
    return -((params["x"] - 0.4) ** 2) - (np.log10(params["y"]) + 1) ** 2 / 4


def outcomes(first, proposals, function=value):
    return [Outcome(first + i, p.params, State.DONE, function(p.params)) for i, p in enumerate(proposals)]


def search(searcher, trials, batch, function=value):
    """The values of a study."""
    found = []
    while len(found) < trials:
        first = searcher.next_number
        told = outcomes(first, searcher.ask(min(batch, trials - len(found))), function)
        searcher.tell(told)
        found += [outcome.value for outcome in told]
    return found


def by_optuna(sampler_of, trials):
    """Optuna's own loop on the same bowl; `sampler_of(number)` gives the sampler of each trial."""
    study = optuna.create_study(direction="maximize")
    proposed = []
    for number in range(trials):
        study.sampler = sampler_of(number)
        trial = study.ask()
        params = {"x": trial.suggest_float("x", -1, 1), "y": trial.suggest_float("y", 1e-3, 1, log=True)}
        study.tell(trial, value(params))
        proposed.append(params)
    return proposed


@pytest.fixture
def quiet():
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(level)


def test_sequential_tpe_is_optunas_own_seeded_anew_for_each_trial(quiet):
    searcher = TPE().bind(SQUARE, seed=3)
    ours = []
    for _ in range(25):
        proposals = searcher.ask(1)
        searcher.tell(outcomes(searcher.next_number - 1, proposals))
        ours += [dict(p.params) for p in proposals]
    theirs = by_optuna(
        lambda number: optuna.samplers.TPESampler(
            seed=seeding.derive(3, number, "optuna") % 2**32, multivariate=False, constant_liar=True
        ),
        25,
    )
    assert ours == theirs


@pytest.mark.ci
def test_seeding_anew_finds_optima_as_good_as_one_long_stream(quiet):
    ours = [max(search(TPE().bind(SQUARE, seed=seed), 30, 1)) for seed in range(10)]
    samplers = [optuna.samplers.TPESampler(seed=seed, multivariate=False) for seed in range(10)]
    theirs = [max(map(value, by_optuna(lambda number, s=sampler: s, 30))) for sampler in samplers]
    assert mannwhitneyu(ours, theirs, alternative="less").pvalue > 0.01


@pytest.mark.ci
def test_tpe_in_batches_finds_the_optimum_better_than_random():
    wins = 0
    for seed in range(20):
        tpe = max(search(TPE().bind(SQUARE, seed=seed), 48, 8))
        wins += tpe > max(search(Random().bind(SQUARE, seed=seed), 48, 8))
    assert binomtest(wins, 20, 0.5, alternative="greater").pvalue < 0.01


@pytest.mark.ci
def test_a_batch_is_spread_out_by_its_own_pending_trials():
    space = Space({"x": Float(0.0, 1.0)})
    history = outcomes(0, Random().bind(space, seed=1).propose(30), lambda p: -((p["x"] - 0.4) ** 2))

    def nearest(points):
        distance = np.abs(np.subtract.outer(points, points)) + np.eye(len(points)) * 9
        return distance.min(axis=1).mean()

    together, apart = [], []
    for seed in range(10):
        searcher = TPE().bind(space, seed=seed)
        searcher.tell(history)
        together.append(nearest([p.params["x"] for p in searcher.propose(8)]))
        alone = []
        for i in range(8):
            other = TPE().bind(space, seed=1000 * seed + i)
            other.tell(history)
            alone += [p.params["x"] for p in other.propose(1)]
        apart.append(nearest(alone))
    assert np.mean(together) > 1.5 * np.mean(apart)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_inactive_hyperparameters_are_never_proposed_and_constants_never_modelled(sampler):
    searcher = Optuna(sampler).bind(CONDITIONAL, seed=2)
    search(searcher, 12, 4, lambda p: p["rate"] + p.get("momentum", 0))
    kinds = set()
    for trial in searcher._study.trials:
        kinds.add(trial.params["kind"])
        assert ("momentum" in trial.params) == (trial.params["kind"] == "momentum")
        assert "fixed" not in trial.params
    assert kinds == {"sgd", "momentum"}


def test_tpe_learns_under_conditions():
    searcher = TPE(startup_trials=6).bind(CONDITIONAL, seed=0)
    search(searcher, 48, 8, lambda p: p.get("momentum", 0.0) - (p["rate"] - 0.7) ** 2)
    late = searcher.propose(8)
    assert sum(p.params["kind"] == "momentum" for p in late) >= 6
    assert all(p.params["fixed"] == 3 for p in late)


def test_failures_foreign_and_pending_trials_have_their_state():
    searcher = TPE().bind(SQUARE)
    proposals = searcher.ask(4)
    searcher.propose(3)  # never started
    searcher.tell(
        [
            *outcomes(0, proposals[:1]),
            Outcome(1, proposals[1].params, State.FAILED),
            Outcome(2, proposals[2].params, State.DONE, float("nan")),
            Outcome(7, {"x": 0.5, "y": 0.5}, State.DONE, 1.0),
            Outcome(8, {"x": 0.5, "y": 0.25}, State.FAILED),
        ]
    )
    params = {trial.state: [] for trial in searcher._study.trials}
    for trial in searcher._study.trials:
        params[trial.state].append(trial.params)
    assert params[TrialState.COMPLETE] == [proposals[0].params, {"x": 0.5, "y": 0.5}]
    assert params[TrialState.RUNNING] == [proposals[3].params]
    assert {"x": 0.5, "y": 0.25} in params[TrialState.FAIL]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_replay_is_bit_for_bit_even_if_less_was_started_than_asked(sampler):
    live, resumed = (Optuna(sampler).bind(SQUARE, seed=4) for _ in range(2))
    for n, started, told in [(5, 5, 5), (6, 4, 3), (3, 2, 2), (2, 1, 1), (1, 1, 0)]:
        first = live.next_number
        proposals = live.propose(n)[:started]
        live.accept(proposals)
        resumed.replay(n, proposals)
        for searcher in (live, resumed):
            searcher.tell(outcomes(first, proposals[:told]))
    assert live.ask(2) == resumed.ask(2)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_finite_space_is_used_up_without_a_repeat(sampler):
    space = Space({"units": Int(1, 4), "kind": Choice(("a", "b", "c"), ordered=True)})
    searcher = Optuna(sampler).bind(space)
    proposals = []
    while not searcher.exhausted:
        first = searcher.next_number
        proposals += searcher.ask(2)
        searcher.tell(outcomes(first, proposals[first:], lambda p: 0.0 if p == {"units": 1, "kind": "a"} else -1.0))
    assert len(proposals) == 12
    assert len({(p.params["units"], p.params["kind"]) for p in proposals}) == 12


def test_what_optuna_cannot_express_is_given_as_index_or_unit_interval():
    space = Space(
        {
            "size": Choice((16, 32, 64), ordered=True),
            "shape": Choice(([8], [8, 8])),
            "alike": Choice((1, 1.0, True)),
            "huge": Int(0, 2**62),
            "kind": ["a", "b"],
        }
    )
    searcher = TPE().bind(space)
    params = {"size": 64, "shape": [8, 8], "alike": True, "huge": 2**61, "kind": "b"}
    searcher.tell([Outcome(0, params, State.DONE, 1.0)])
    (trial,) = searcher._study.trials
    assert trial.params == {"size": 2, "shape": 1, "alike": 2, "huge": pytest.approx(0.5), "kind": "b"}
    assert trial.distributions == {
        "size": IntDistribution(0, 2),
        "shape": CategoricalDistribution((0, 1)),
        "alike": CategoricalDistribution((0, 1, 2)),
        "huge": FloatDistribution(0.0, 1.0),
        "kind": CategoricalDistribution(("a", "b")),
    }
    seen = {repr(p.params["alike"]) for p in searcher.propose(40)}
    assert seen == {"1", "1.0", "True"}


def test_values_at_the_ends_of_every_scale_are_taken_in():
    space = Space(
        {
            "tiny": Float(5e-324, 1.0, log=True),
            "wide": Float(-8e307, 8e307),
            "step": Float(-0.7, 0.7, step=0.1),
            "log": Int(1, 2**40, log=True),
            "fine": Float(1e6, 1e6 + 1, step=1e-3),
        }
    )
    searcher = TPE(startup_trials=2).bind(space)
    corners = [{name: d.decode(u) for name, d in space.items()} for u in (0.0, 0.5, 1 - 2**-53)]
    searcher.tell([Outcome(i, p, State.DONE, float(i)) for i, p in enumerate(corners)])
    searcher.ask(8)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_values_of_any_magnitude_are_survived(sampler):
    searcher = Optuna(sampler).bind(Space({"x": Float(0.0, 1.0)}))
    for found in (-1.7e308, 1.7e308, 1e200, 0.0, -1e-320):
        search(searcher, 3, 3, lambda p, found=found: found)
    assert len(searcher.ask(1)) == 1


def test_unknown_samplers_and_settings_are_refused():
    with pytest.raises(UsageError, match=r"'GPsampler'.*did you mean 'GPSampler'"):
        Optuna("GPsampler")
    with pytest.raises(UsageError, match="startup_trials is 0"):
        TPE(startup_trials=0)
    assert make_searcher("optuna:QMCSampler")[1].settings() == {"sampler": "QMCSampler"}
    assert make_searcher("tpe")[1].settings() == {"startup_trials": 10}


def test_the_users_verbosity_and_warning_filters_are_left_alone(capfd):
    level, filters = logging.getLogger("optuna").level, list(warnings.filters)
    search(TPE(startup_trials=2).bind(CONDITIONAL), 8, 4, lambda p: p["rate"])
    search(Optuna("QMCSampler").bind(CONDITIONAL), 8, 4, lambda p: p["rate"])
    assert (logging.getLogger("optuna").level, list(warnings.filters)) == (level, filters)
    assert capfd.readouterr() == ("", "")
