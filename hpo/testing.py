"""Does a searcher keep the contract of `hpo.searcher`? For authors of searchers, in their own tests:

    @pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
    def test_my_searcher_keeps_the_contract(check):
        check(lambda: MySearcher(setting=3))

Every check takes a function that makes an unbound searcher, drives it as the loop does, on an objective that
is computed from configuration and epoch, and raises AssertionError. `check_searcher` runs them all.
Spaces that a searcher refuses at `bind` with MismatchError are left out, but one at least it has to accept.
"""

import functools
import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.domains import Choice, Float, Int
from hpo.errors import MismatchError
from hpo.grid import Grid
from hpo.registry import make_searcher
from hpo.searcher import Searcher
from hpo.space import Space
from hpo.trial import Outcome, Proposal, Reason, State
from hpo.values import canonical

Make = Callable[[], Searcher]

EPOCHS = 9  # most epochs of the simulated objective
MIXED = Space(
    {
        "rate": Float(1e-4, 1.0, log=True),
        "momentum": Float(0.0, 0.9),
        "dropout": Float(0.0, 0.75, step=0.25),
        "units": Int(4, 64, log=True),
        "layers": Int(1, 4),
        "batch": Choice([16, 32, 64], ordered=True),
        "kind": Choice(["relu", "tanh"]),
        "flag": Choice([None, False, True]),
        "alike": Choice([1, 1.0, True]),
        "shape": Choice([[8], [8, 8], {"deep": True}]),
        "constant": 3,
    }
)
CONDITIONAL = Space(
    {
        "optimizer": Choice(["sgd", "momentum", "adam"]),
        "momentum": Float(0.5, 0.99, when={"optimizer": ["momentum"]}),
        "nesterov": Choice([False, True], when={"optimizer": ["momentum"]}),
        "damping": Float(0.0, 0.5, when={"nesterov": [False]}),
        "rate": Float(1e-4, 1.0, log=True),
        "layers": Int(1, 3),
        "width_2": Int(8, 64, when={"layers": [2, 3]}),
    }
)
SINGLE = Space({"rate": Float(0.1, 0.1), "units": 8})
FINITE = Space({"kind": Choice(["a", "b"]), "units": Int(1, 3), "extra": Choice([0, 1], when={"kind": ["b"]})})
SPACES = {"mixed": MIXED, "conditional": CONDITIONAL, "single-valued": SINGLE, "finite": FINITE}


def require(condition: object, message: str) -> None:
    """An assertion that `python -O` keeps."""
    if not condition:
        raise AssertionError(message)


def score(space: Space, params: Mapping[str, Any], epochs: int) -> float:
    """The simulated objective, to be maximised: its optimum is at 0.3 in every coordinate, more epochs are better."""
    u = space.encode(params)
    return -float(((u - 0.3) ** 2).mean()) * (1 + 2 / epochs)


@dataclass(frozen=True)
class Asked:
    """The event `ask(n)`: what was proposed, and the beginning of it that was started."""

    n: int
    proposed: list[Proposal]
    started: list[Proposal]


@dataclass(frozen=True)
class Told:
    """The event `tell(outcomes)`."""

    outcomes: list[Outcome]


class Simulation:
    """A bound searcher driven as the loop does, every answer checked; `events` is what a store would hold."""

    def __init__(self, searcher: Searcher, sign: float = 1.0) -> None:
        self.searcher = searcher
        self.sign = sign
        self.events: list[Asked | Told] = []
        self.open: list[tuple[int, Proposal]] = []  # started, with their trial numbers
        self.reached: dict[int, int] = {}

    @property
    def proposals(self) -> list[Proposal]:
        """All that were started, in order."""
        return [proposal for event in self.events if isinstance(event, Asked) for proposal in event.started]

    def ask(self, n: int, keep: int | None = None) -> list[Proposal]:
        """Ask for `n`, start the first `keep` of them."""
        searcher = self.searcher
        proposed = searcher.propose(n)
        require(len(proposed) <= n, f"ask({n}) gave {len(proposed)} proposals")
        require(
            proposed or self.open or searcher.exhausted,
            f"ask({n}) gave nothing, though no result is outstanding and the searcher is not exhausted",
        )
        for proposal in proposed:
            self._check(proposal)
        started = proposed[:keep]
        number = searcher.next_number
        searcher.accept(started)
        for proposal in started:
            self.open.append((number if proposal.continues is None else proposal.continues, proposal))
            number += proposal.continues is None
        require(searcher.next_number == number, f"next_number is {searcher.next_number}, expected {number}")
        if started:  # an empty answer starts nothing, so a store knows nothing of it
            self.events.append(Asked(n, proposed, started))
        return started

    def tell(self, count: int | None = None, fail: Callable[[int], bool] = lambda number: False) -> None:
        """Tell the outcomes of the first `count` open proposals; those in `fail` raised, or gave NaN if odd."""
        told, self.open = self.open[:count], self.open[len(self.open[:count]) :]
        self.tell_outcomes([self._outcome(number, p, fail(number)) for number, p in told])

    def tell_outcomes(self, outcomes: list[Outcome]) -> None:
        """Tell what may never have been asked for."""
        self.searcher.tell(outcomes)
        self.events.append(Told(outcomes))
        self.reached.update({outcome.number: outcome.epochs for outcome in outcomes})

    def run(self, sizes: Sequence[int], fail: Callable[[int], bool] = lambda number: False) -> list[str]:
        """A round of each size; returns all proposals as text."""
        for n in sizes:
            self.ask(n)
            self.tell(fail=fail)
        return texts(self.proposals)

    def foreign(self, number: int, params: Mapping[str, Any]) -> Outcome:
        """The outcome of a fully trained trial."""
        epochs = self.searcher.epochs or 1
        return Outcome(number, params, State.DONE, self.sign * score(self.searcher.space, params, epochs), epochs)

    def _check(self, proposal: Proposal) -> None:
        space, most = self.searcher.space, self.searcher.epochs or 1
        params = dict(proposal.params)
        require(space.validate(params) == params, f"proposal {params} is not a configuration of the space")
        start = 0 if proposal.continues is None else self.reached.get(proposal.continues)
        require(start is not None, f"trial {proposal.continues} is continued before any of its results was told")
        epochs = proposal.epochs
        require(
            epochs is not None and (start or 0) < epochs <= most, f"trains from epoch {start} to {epochs} of {most}"
        )
        busy = proposal.continues is not None and any(number == proposal.continues for number, _ in self.open)
        require(not busy, f"trial {proposal.continues} is continued while it is running")

    def _outcome(self, number: int, proposal: Proposal, failed: bool) -> Outcome:
        epochs = proposal.epochs or 1
        charged = epochs - self.reached.get(number, 0)
        if failed and number % 2:
            return Outcome(number, proposal.params, State.DONE, math.nan, epochs, charged, reason=Reason.NON_FINITE)
        if failed:
            return Outcome(number, proposal.params, State.FAILED, None, epochs, charged, reason=Reason.EXCEPTION)
        value = self.sign * score(self.searcher.space, proposal.params, epochs)
        return Outcome(number, proposal.params, State.DONE, value, epochs, charged, {"value": [value] * charged})


def texts(proposals: Sequence[Proposal]) -> list[str]:
    """Proposals as text, to be compared."""
    return [canonical([dict(p.params), p.epochs, p.continues]) for p in proposals]


def bind(make: Make, space: Space, **study: Any) -> Searcher:
    """A searcher for a study with epochs if it needs them."""
    searcher = make()
    return searcher.bind(space, **({"epochs": EPOCHS if searcher.needs_epochs else None} | study))


def accepted(make: Make, *names: str) -> dict[str, Space]:
    """Those of the named SPACES, all by default, that the searcher accepts: one at least."""
    spaces = {}
    for name in names or SPACES:
        try:
            bind(make, SPACES[name])
            spaces[name] = SPACES[name]
        except MismatchError:
            pass
    require(spaces, f"refuses every space: {', '.join(names or SPACES)}")
    return spaces


CHECKS: dict[str, Callable[[Make], None]] = {}


def _check(function: Callable[[Make], None]) -> Callable[[Make], None]:
    """Registers a check; whatever a searcher raises in it becomes an AssertionError."""

    @functools.wraps(function)
    def check(make: Make) -> None:
        try:
            function(make)
        except AssertionError as error:
            raise AssertionError(f"{function.__name__}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{function.__name__}: {type(error).__name__}: {error}") from error

    CHECKS[function.__name__] = check
    return check


def check_searcher(make: Make) -> None:
    """Run every check."""
    for check in CHECKS.values():
        check(make)


@_check
def proposals_are_valid(make: Make) -> None:
    """`ask(n)` gives 1 to n configurations of the space for n = 1, 7, 64, with and without epochs."""
    for space in accepted(make).values():
        for epochs in [EPOCHS] if make().needs_epochs else [None, EPOCHS]:
            searcher = bind(make, space, epochs=epochs)
            batch = searcher.default_batch
            require(type(batch) is int and batch >= 1, f"default_batch is {batch!r}, expected an int of at least 1")
            Simulation(searcher).run([1, 7, 64])


@_check
def values_are_plain_python(make: Make) -> None:
    """Values are of Python's own types, never NumPy's, and survive JSON."""
    for space in accepted(make).values():
        simulation = Simulation(bind(make, space))
        simulation.run([1, 7])
        for proposal in simulation.proposals:
            for name, value in proposal.params.items():
                require(
                    _is_plain(value), f"{name!r} is {value!r} of type {type(value).__name__}, expected plain Python"
                )
            json.dumps([dict(proposal.params), dict(proposal.info)], allow_nan=False)


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return type(value) in (type(None), bool, int, float, str, dict)


@_check
def failures_are_survived(make: Make) -> None:
    """Failed trials and NaN change nothing about the contract, even if there is nothing else."""
    for space in accepted(make).values():
        for fail in (lambda number: number % 3 == 0 or number % 4 == 1, lambda number: True):
            Simulation(bind(make, space)).run([5, 5, 1, 4, 1], fail)


@_check
def foreign_trials_are_accepted(make: Make) -> None:
    """Trials of others are taken in: before the first ask, between, failed ones, with numbers far ahead."""
    for space in accepted(make, "mixed", "conditional").values():
        u = [[(i + 0.5) / 5] * len(space) for i in range(5)]
        simulation = Simulation(bind(make, space))
        simulation.tell_outcomes([simulation.foreign(number, space.decode(u[number])) for number in (0, 1)])
        simulation.ask(4)
        failed = Outcome(31, space.decode(u[3]), State.FAILED, reason=Reason.OOM)
        simulation.tell_outcomes([simulation.foreign(30, space.decode(u[2])), failed])
        simulation.ask(4)
        simulation.tell()
        simulation.tell_outcomes([simulation.foreign(50, space.decode(u[4]))])
        simulation.run([3])


@_check
def seed_decides(make: Make) -> None:
    """The same seed gives the same trials, another seed others."""
    for name, space in accepted(make, "mixed", "conditional").items():
        first, again, other = (Simulation(bind(make, space, seed=seed)).run([4, 4]) for seed in (1, 1, 2))
        require(first == again, f"two studies with one seed differ on the {name} space")
        require(first != other, f"two seeds give the same trials on the {name} space")


@_check
def direction_turns_the_sign(make: Make) -> None:
    """Minimising the negated value is the same study as maximising the value."""
    for name, space in accepted(make, "mixed", "conditional").items():
        up = Simulation(bind(make, space)).run([6, 6, 2])
        down = Simulation(bind(make, space, direction="minimize"), sign=-1.0).run([6, 6, 2])
        require(up == down, f"minimising -f and maximising f differ on the {name} space")


@_check
def proposing_changes_nothing(make: Make) -> None:
    """`propose` may be repeated: what was not accepted never happened (unless `replays_asks`)."""
    for name, space in accepted(make, "mixed", "conditional").items():
        simulation = Simulation(bind(make, space))
        simulation.run([6])
        if simulation.searcher.replays_asks:
            continue
        first, _, again = (texts(simulation.searcher.propose(n)) for n in (4, 2, 4))
        require(first == again, f"asking twice gives two answers on the {name} space")


@_check
def studies_are_independent(make: Make) -> None:
    """`bind` gives a copy without history, from an instance in use too, and studies do not see each other."""
    space = next(iter(accepted(make, "mixed", "conditional").values()))
    searcher, epochs = make(), EPOCHS if make().needs_epochs else None
    alone = Simulation(bind(make, space)).run([4, 4])
    one = Simulation(searcher.bind(space, epochs=epochs))
    one.run([4])
    two = Simulation(searcher.bind(space, epochs=epochs))
    require(two.run([4, 4]) == alone, "a study sees another one of the same instance")
    require(one.run([4]) == alone, "a study is disturbed by another one of the same instance")
    require(Simulation(one.searcher.bind(space, epochs=epochs)).run([4, 4]) == alone, "bind keeps history")


@_check
def history_replays(make: Make) -> None:
    """The told and started history, replayed into a fresh copy, gives the same next proposals at every point."""
    for name, space in accepted(make, "conditional", "finite").items():
        live = Simulation(bind(make, space))
        live.run([8])
        for n, keep, tell in [(4, None, 2), (3, None, None), (4, 2, 1), (2, None, None), (3, None, 0)]:
            live.ask(n, keep)
            live.tell(tell, fail=lambda number: number % 5 == 4)
        for place, expected in enumerate(live.events):
            if not isinstance(expected, Asked):
                continue
            resumed = bind(make, space)
            for event in live.events[:place]:
                if isinstance(event, Asked):
                    resumed.replay(event.n, event.started)
                else:
                    resumed.tell(event.outcomes)
            where = f"after {place} events on the {name} space"
            require(texts(resumed.propose(expected.n)) == texts(expected.proposed), f"resumed, it differs {where}")


@_check
def finite_space_is_used_up(make: Make) -> None:
    """On a finite space `exhausted` comes true when all was tried, by itself or others, and proposals stop."""
    size = FINITE.size or 0
    for _ in accepted(make, "finite"):
        simulation = Simulation(bind(make, FINITE))
        while not simulation.searcher.exhausted:
            simulation.run([4])
            most = 50 * size
            require(len(simulation.proposals) < most, f"{most} proposals do not use up {size} configurations")
        tried = {canonical(dict(p.params)) for p in simulation.proposals}
        require(len(tried) == size, f"exhausted after {len(tried)} of {size} configurations")
        require(simulation.ask(3) == [], "exhausted, and proposes all the same")
        others = Simulation(bind(make, FINITE))
        grid = Grid(FINITE, points=0)
        others.tell_outcomes([others.foreign(number, grid[number]) for number in range(size)])
        require(others.searcher.exhausted, "not exhausted, though others have tried every configuration")


@_check
def need_of_epochs_is_stated(make: Make) -> None:
    """A searcher with `needs_epochs` refuses an objective without them; any other accepts it."""
    space = next(iter(accepted(make).values()))
    searcher = make()
    if not searcher.needs_epochs:
        searcher.bind(space, epochs=None)
        return
    try:
        searcher.bind(space, epochs=None)
    except MismatchError:
        return
    raise AssertionError("needs_epochs is set, and an objective without epochs is accepted")


@_check
def settings_rebuild_it(make: Make) -> None:
    """`type(s)(**s.settings())` searches the same, and the settings are JSON."""
    space = next(iter(accepted(make, "mixed", "conditional").values()))
    searcher = make()
    settings = json.loads(json.dumps(searcher.settings(), allow_nan=False))
    runs = [Simulation(bind(m, space)).run([6, 6]) for m in (make, lambda: type(searcher)(**settings))]
    require(runs[0] == runs[1], f"rebuilt from its settings {settings}, it searches differently")


def check_never_repeats(make: Make) -> None:
    """For searchers that promise it: on a finite space no configuration is proposed twice, pending ones included."""
    simulation = Simulation(bind(make, FINITE))
    for n, tell in [(2, 1), (2, 2), (1, 0), (64, None)]:
        simulation.ask(n)
        simulation.tell(tell)
    new = [canonical(dict(p.params)) for p in simulation.proposals if p.continues is None]
    require(len(set(new)) == len(new), f"{len(new) - len(set(new))} of {len(new)} proposals repeat an earlier one")


def fingerprints(names: Sequence[str]) -> dict[str, str]:
    """For each searcher, as `make_searcher` takes it, a digest of the trials of one seed on two spaces."""
    result = {}
    for name in names:
        runs = [
            Simulation(bind(lambda name=name: make_searcher(name)[1], space, seed=5)).run([6, 6])
            for space in (MIXED, CONDITIONAL)
        ]
        result[name] = hashlib.sha256(canonical(runs).encode()).hexdigest()
    return result


def check_processes(names: Sequence[str], hash_seeds: Sequence[int] = (1, 2)) -> None:
    """The same seed gives the same trials in fresh processes that order their sets differently.

    Takes all searchers at once, since starting a process and importing costs more than the check.
    """
    code = "import json, sys; from hpo.testing import fingerprints; print(json.dumps(fingerprints(sys.argv[1:])))"
    here = fingerprints(names)
    for hash_seed in hash_seeds:
        process = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code, *names],
            env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
            capture_output=True,
            text=True,
        )
        require(process.returncode == 0, f"the fresh process failed:\n{process.stderr}")
        there = json.loads(process.stdout.splitlines()[-1])
        differing = [name for name in names if there[name] != here[name]]
        require(not differing, f"other trials in a process with PYTHONHASHSEED={hash_seed}: {', '.join(differing)}")
