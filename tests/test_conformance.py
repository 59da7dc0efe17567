"""Every registered searcher keeps the contract, and every check can fail."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from hpo.errors import MismatchError
from hpo.registry import entries, make_searcher
from hpo.searcher import Searcher
from hpo.testing import CHECKS, check_never_repeats, check_processes
from hpo.trial import Proposal

VARIANTS = ["optuna:GPSampler", "optuna:CmaEsSampler", "optuna:QMCSampler", "optuna:RandomSampler"]
NAMES = [*entries("searchers"), *VARIANTS]
NAMED = [pytest.param(name, marks=pytest.mark.ci) if name.endswith("GPSampler") else name for name in NAMES]
SETTINGS = {  # with which a model takes over within the few trials of a check
    "tpe": {"startup_trials": 4},
    "halving of tpe": {"searcher": {"name": "tpe", "startup_trials": 4}},
    "halving of cmaes": {"searcher": "optuna:CmaEsSampler"},
}


def maker(name):
    return lambda: make_searcher(name.split(" of ")[0], SETTINGS.get(name))[1]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small Gaussian processes are no faster on many threads, and much slower on busy ones."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("name", [*NAMED, "halving of tpe", "halving of cmaes"])
def test_registered_searchers_keep_the_contract(name, check):
    check(maker(name))


@pytest.mark.ci
def test_trials_are_the_same_in_every_process():
    check_processes(NAMES, [1])


@pytest.mark.parametrize("name", ["grid", "tpe", "optuna", *VARIANTS])
def test_searchers_that_promise_it_never_repeat_a_configuration(name):
    check_never_repeats(maker(name))


@dataclass(eq=False)
class Honest(Searcher):
    """Random search around the best so far: keeps the contract, and its proposals depend on the history."""

    shift: float = 0.1

    def _start(self):
        self.best, self.where = -np.inf, None

    def _ask(self, n):
        return [Proposal(self.space.decode(self.point(self.next_number + i))) for i in range(n)]

    def point(self, number):
        u = self.rng(number).random(len(self.space))
        return u if self.where is None or number % 2 else (self.where + self.shift * u) % 1

    def _tell(self, results):
        for result in results:
            if result.value is not None and result.value > self.best:
                self.best, self.where = result.value, self.space.encode(result.params)


class TooMany(Honest):
    def _ask(self, n):
        return super()._ask(n + 1)


class Outside(Honest):
    def propose(self, n):
        return [dataclasses.replace(p, params={**p.params, "other": 1}) for p in super().propose(n)]


class NumPy(Honest):
    def propose(self, n):
        def turn(value):
            return np.float64(value) if isinstance(value, float) else value

        return [
            dataclasses.replace(p, params={name: turn(value) for name, value in p.params.items()})
            for p in super().propose(n)
        ]


class Adding(Honest):
    def _tell(self, results):
        self.total = sum(result.value for result in results)


class GivesUp(Honest):
    def _start(self):
        super()._start()
        self.failures = 0

    def _tell(self, results):
        self.failures += sum(result.value is None for result in results)

    def _ask(self, n):
        return [] if self.failures > 4 else super()._ask(n)


class OwnOnly(Honest):
    def _start(self):
        super()._start()
        self.asked = {}

    def _asked(self, proposals):
        self.asked.update({self.next_number - 1 - i: p for i, p in enumerate(reversed(proposals))})

    def _tell(self, results):
        for result in results:
            self.asked.pop(result.number)


class Unseeded(Honest):
    def point(self, number):
        return np.random.default_rng().random(len(self.space))


class SeedIgnored(Honest):
    def point(self, number):
        return np.random.default_rng(number).random(len(self.space))


class RawValues(Honest):
    def tell(self, outcomes):
        outcomes = list(outcomes)
        super().tell(outcomes)
        self.where = self.space.encode(max(outcomes, key=lambda o: o.value or 0.0).params)


class Counting(Honest):
    def _start(self):
        super()._start()
        self.calls = 0

    def _ask(self, n):
        self.calls += 1
        return super()._ask(n)

    def point(self, number):
        return (super().point(number) + 0.1 * self.calls) % 1


class Shared(Honest):
    def __post_init__(self):
        self.history = []

    def _tell(self, results):
        self.history += results

    def point(self, number):
        return (super().point(number) + 0.1 * len(self.history)) % 1


class ReplayLost(Honest):
    def replay(self, n, proposals):
        pass


class Stuck(Honest):
    def point(self, number):
        return np.full(len(self.space), 0.1)


class Tired(Honest):
    @property
    def exhausted(self):
        return self.next_number > 3


class Endless(Honest):
    @property
    def exhausted(self):
        return False


class Silent(Honest):
    needs_epochs: ClassVar[bool] = True

    def bind(self, space, *, direction="maximize", seed=0, epochs=None):
        return super().bind(space, direction=direction, seed=seed, epochs=epochs or 1)


class Undeclared(Honest):
    def _start(self):
        super()._start()
        if self.epochs is None:
            raise MismatchError("needs epochs")


@dataclass(eq=False)
class Doubling(Honest):
    def __post_init__(self):
        self.shift *= 2


BROKEN = [
    ("proposals_are_valid", TooMany),
    ("proposals_are_valid", Outside),
    ("values_are_plain_python", NumPy),
    ("failures_are_survived", Adding),
    ("failures_are_survived", GivesUp),
    ("foreign_trials_are_accepted", OwnOnly),
    ("seed_decides", Unseeded),
    ("seed_decides", SeedIgnored),
    ("direction_turns_the_sign", RawValues),
    ("proposing_changes_nothing", Counting),
    ("studies_are_independent", Shared),
    ("history_replays", ReplayLost),
    ("history_replays", Counting),
    ("finite_space_is_used_up", Stuck),
    ("finite_space_is_used_up", Tired),
    ("finite_space_is_used_up", Endless),
    ("need_of_epochs_is_stated", Silent),
    ("need_of_epochs_is_stated", Undeclared),
    ("settings_rebuild_it", Doubling),
]


@pytest.mark.parametrize(("name", "kind"), BROKEN, ids=[f"{name}-{kind.__name__}" for name, kind in BROKEN])
def test_the_check_finds_the_broken_searcher(name, kind):
    with pytest.raises(AssertionError, match=f"^{name}: "):
        CHECKS[name](kind)


def test_every_check_has_a_broken_searcher_and_passes_an_honest_one():
    assert {name for name, _ in BROKEN} == set(CHECKS)
    for check in CHECKS.values():
        check(Honest)


def test_a_repeat_is_found():
    with pytest.raises(AssertionError, match="repeat"):
        check_never_repeats(Stuck)


def test_dependence_on_the_hash_seed_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "hashing.py").write_text(
        "from dataclasses import dataclass\n"
        "from hpo.searcher import Searcher\n"
        "from hpo.trial import Proposal\n"
        "@dataclass(eq=False)\n"
        "class Hashing(Searcher):\n"
        "    def _ask(self, n):\n"
        "        numbers = range(self.next_number, self.next_number + n)\n"
        "        return [Proposal(self.space.sample(self.rng(i, str(hash('rate'))))) for i in numbers]\n"
    )
    with pytest.raises(AssertionError, match="PYTHONHASHSEED=1: hashing:Hashing"):
        check_processes(["random", "hashing:Hashing"], [1])


def test_a_searcher_that_refuses_every_space_is_found():
    class Picky(Honest):
        def _start(self):
            raise MismatchError("searcher 'picky' likes no space")

    with pytest.raises(AssertionError, match="refuses every space"):
        CHECKS["proposals_are_valid"](Picky)
