"""The winner of a study: trained with fresh seeds, tested once, stored."""

import math
import os
import signal
from dataclasses import dataclass, field

import numpy as np
import pytest

import hpo
from hpo.comparison.check import default_params, fresh_seed
from hpo.errors import ConflictError, LockedError, NoResultError, UsageError
from hpo.objective import Objective, Run, Step, TestScore
from hpo.seeding import generator
from hpo.space import Space


@dataclass
class NoisyRun(Run):
    objective: "Noisy"
    job: object

    def advance(self, target):
        for epoch in range(1, target + 1):
            yield Step(epoch, self.objective.value(self.job), {})


@dataclass(eq=False)
class Noisy(Objective):
    """A configuration is worth `quality`; trials see it through normal noise of standard deviation `noise`."""

    name = "noisy"
    direction = "maximize"
    has_epochs = True
    default_epochs = 1

    noise: float = 1.0
    data: str = "the data"
    trained: list = field(default_factory=list)
    tested: list = field(default_factory=list)
    broken: object = staticmethod(lambda job: False)

    def describe(self):
        return {"name": "noisy", "noise": self.noise}

    def start(self, job):
        self.trained.append(job)
        if self.broken(job):
            raise ValueError("broken")
        return NoisyRun(self, job)

    def value(self, job):
        return quality(job.params) + self.noise * generator("noise", job.seed).normal()

    def test_data(self):
        return self.data

    def test(self, job):
        self.tested.append(job)
        return TestScore({"score": quality(job.params)}, quality(job.params) - 1, quality(job.params) + 1)


def quality(params):
    return params["x"] / 10


SPACE = Space({"x": hpo.Int(0, 19)})


@pytest.fixture
def go(tmp_path):
    def run(objective, space=SPACE, trials=20, **more):
        more = {"searcher": "grid", "store": tmp_path / "hpo.db", "progress": False} | more
        return hpo.search(objective, space, trials=trials, **more)

    return run


def winner(study):
    return study.winner(progress=False)


# -- what is trained


def test_the_five_best_configurations_and_the_default_train_with_five_seeds_of_their_own(go):
    objective = Noisy()
    study = go(objective, {"x": hpo.Int(0, 19, default=0)})
    done = len(objective.trained)
    found = winner(study)
    jobs = objective.trained[done:]
    tops = [trial.number for trial in study.ranking(5)]
    assert [c.number for c in found.candidates] == tops
    assert [c.first for c in found.candidates] == [study.trial(number).value for number in tops]
    expected = [(number, study.trial(number).params) for number in tops] + [(None, {"x": 0})]
    assert [(job.params, job.seed) for job in jobs] == [
        (params, fresh_seed(0, number, i)) for number, params in expected for i in range(5)
    ]
    assert not {job.seed for job in jobs} & {trial.seed for trial in study.trials}
    fresh = [c.fresh for c in (*found.candidates, found.default)]
    assert np.ravel(fresh).tolist() == [objective.value(job) for job in jobs]
    assert study.epochs_spent == 20, "the check costs nothing of the budget"


def test_a_configuration_that_was_tried_often_is_one_candidate(go):
    study = go(Noisy(), {"x": hpo.Int(0, 2, default=1)}, trials=30, searcher="random")
    found = winner(study)
    assert sorted(c.params["x"] for c in found.candidates) == [0, 1, 2]
    assert found.default in found.candidates, "the default configuration is one of them: it trains once"
    assert all(c.first == max(t.value for t in study.trials if t.params == c.params) for c in found.candidates)


def test_candidates_train_to_the_epoch_that_they_have_reached(go):
    objective = Noisy()
    study = go(objective, searcher="halving", epochs=9, trials=2)
    done = len(objective.trained)
    found = winner(study)
    assert found.epochs == study.best.epochs
    assert {(job.start, job.target, job.epochs) for job in objective.trained[done:]} == {(0, found.epochs, 9)}


@pytest.mark.parametrize(
    ("space", "default"),
    [
        ({"x": hpo.Int(0, 9, default=3), "k": 7}, {"x": 3, "k": 7}),
        ({"x": hpo.Int(0, 9), "k": 7}, None),
        ({"k": ["a", "b"], "x": hpo.Int(0, 9, default=3, when={"k": ["a"]})}, None),
        (
            {"k": hpo.Choice(["a", "b"], default="b"), "x": hpo.Int(0, 9, when={"k": ["a"]}), "y": hpo.Float(2, 2)},
            {"k": "b", "y": 2.0},
        ),
    ],
)
def test_the_default_configuration_has_the_defaults_and_constants_of_what_is_active(space, default):
    assert default_params(Space(space)) == default


# -- who wins, and what it is worth


def test_a_lucky_trial_loses_to_the_better_one(go):
    objective = Noisy(noise=0.3)
    study = go(objective, seed=3)
    assert quality(study.best.params) < 1.7, "luck put it first"
    found = winner(study)
    assert found.number != study.best.number
    assert quality(found.candidate.params) > quality(study.best.params)
    assert found.test.metrics == {"score": quality(found.candidate.params)}


def test_only_the_best_fresh_model_of_the_winner_is_tested(go):
    objective = Noisy()
    study = go(objective)
    found = winner(study)
    [job] = objective.tested
    assert (job.params, job.seed) == (found.candidate.params, found.seed)
    assert objective.value(job) == max(found.candidate.fresh)
    assert study._store.uses(1)[0].seed == found.seed


def test_over_50_studies_first_scores_flatter_and_means_of_fresh_seeds_do_not(go):
    optimism, errors = [], []
    for seed in range(50):
        study = go(Noisy(), seed=seed)
        found = winner(study)
        optimism.append(found.optimism)
        errors += [c.mean - quality(c.params) for c in found.candidates]
        study.close()
    assert np.mean(optimism) > 3 * np.std(optimism) / math.sqrt(50)
    assert abs(np.mean(errors)) < 3 / math.sqrt(5 * len(errors))


def test_configurations_that_fail_with_a_fresh_seed_cannot_win(go):
    objective = Noisy(noise=0)
    study = go(objective)
    objective.broken = lambda job: job.params["x"] == 19 and job.seed == fresh_seed(0, study.best.number, 2)
    found = winner(study)
    assert [math.isnan(value) for value in found.candidates[0].fresh] == [False, False, True, False, False]
    assert found.candidate.params == {"x": 18}
    assert "is out: 1 of its 5 fresh seeds failed (ValueError: broken)." in found.sentences[-1]


def test_where_all_fail_the_test_data_is_not_used(go):
    objective = Noisy()
    study = go(objective)
    objective.broken = lambda job: True
    found = winner(study)
    assert (found.number, found.test, objective.tested, study.test_uses) == (None, None, [], 0)


# -- stored


def test_a_stored_winner_is_returned_without_training_or_testing(go):
    objective = Noisy()
    study = go(objective)
    assert study.known_winner() is None
    found = winner(study)
    done = len(objective.trained)
    assert winner(study) == study.known_winner() == found
    again = hpo.load_study(study.name, study.path)
    assert winner(again) == found, "though this objective could not be imported"
    assert (len(objective.trained), len(objective.tested), study.test_uses) == (done, 1, 1)


def test_new_best_trials_are_checked_and_others_are_not(go):
    objective = Noisy(noise=0)
    initial = [{"x": x} for x in (15, 14, 13, 12, 11, 1, 18, 19)]
    study = go(objective, initial=initial, trials=5)
    first = winner(study)
    assert first.candidate.params == {"x": 15}
    study.resume(trials=6, progress=False)  # x = 1
    assert study.known_winner() == first
    study.resume(trials=8, progress=False)
    assert study.known_winner() is None
    assert winner(study).candidate.params == {"x": 19}
    assert (len(objective.tested), study.test_uses) == (2, 2)


def test_a_model_that_was_tested_is_not_tested_again(go):
    objective = Noisy(noise=0)
    study = go(objective, initial=[{"x": x} for x in (15, 11, 12)], trials=2)
    first = winner(study)
    study.resume(trials=3, progress=False)
    second = winner(study)
    assert len(second.candidates) > len(first.candidates)
    assert (second.seed, second.test) == (first.seed, first.test)
    assert (len(objective.tested), study.test_uses) == (1, 1)


def test_uses_are_counted_over_all_studies_of_the_same_test_data(go):
    one, two, other = go(Noisy()), go(Noisy(), seed=1), go(Noisy(data="other data"))
    assert (one.test_uses, two.test_uses) == (0, 0)
    for study in (one, two, other):
        winner(study)
    assert (one.test_uses, two.test_uses, other.test_uses) == (2, 2, 1)


# -- what may go wrong


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_leaves_the_study_as_it_was_and_the_winner_to_be_found(go, capsys):
    objective = Noisy()
    study, whole = go(objective), go(Noisy())
    trials = study.trials
    objective.broken = lambda job: len(objective.trained) == 30 and os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        study.winner()
    assert f"the winner is not known yet; `hpo resume --store {study.path} {study.name}`" in capsys.readouterr().err
    assert (study.trials, study.known_winner(), study.test_uses) == (trials, None, 0)
    assert winner(study) == winner(whole)


def test_an_objective_without_test_data_has_no_winner(go):
    study = go(lambda params: 0.0, direction="maximize", trials=1)
    with pytest.raises(UsageError, match="has no test data"):
        study.winner()
    assert not study.has_test_data
    assert study.test_uses == 0


def test_a_study_without_result_has_no_winner(go):
    with pytest.raises(NoResultError, match="has no result yet"):
        go(Noisy(), trials=0).winner()


def test_another_objective_is_refused(go):
    with pytest.raises(ConflictError, match="noise"):
        go(Noisy()).winner(Noisy(noise=2.0))


def test_two_processes_do_not_check_one_study(go):
    study = go(Noisy())
    lock = study._store.driver_lock(1)
    assert lock.acquire()
    with pytest.raises(LockedError, match="is being driven by"):
        study.winner()
    lock.release()
    assert winner(study).test is not None
