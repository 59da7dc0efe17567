"""The checks; each takes a function that makes an unbound searcher and raises AssertionError."""

import functools
import json
from collections.abc import Callable
from typing import Any

from hpo.errors import MismatchError
from hpo.grid import Grid
from hpo.searcher import Searcher
from hpo.space import Space
from hpo.testing.simulation import EPOCHS, FINITE, SPACES, Asked, Simulation, require, texts
from hpo.trial import Outcome, Reason, State
from hpo.values import canonical

Make = Callable[[], Searcher]


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


def usual(make: Make) -> Space:
    """The first of the spaces with more than a handful of configurations that the searcher accepts."""
    return next(iter(accepted(make, "conditional", "mixed", "finite").values()))


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
    for space in accepted(make, "mixed", "conditional", "finite").values():
        u = [[(i + 0.5) / 5] * len(space) for i in range(5)]
        simulation = Simulation(bind(make, space))
        simulation.tell_outcomes([simulation.foreign(number, space.decode(u[number])) for number in (0, 1)])
        simulation.ask(3)
        failed = Outcome(31, space.decode(u[3]), State.FAILED, reason=Reason.OOM)
        simulation.tell_outcomes([simulation.foreign(30, space.decode(u[2])), failed])
        simulation.ask(2)
        simulation.tell()
        simulation.tell_outcomes([simulation.foreign(50, space.decode(u[4]))])
        simulation.run([2])


@_check
def seed_decides(make: Make) -> None:
    """The same seed gives the same trials, another seed others."""
    for name, space in accepted(make, "mixed", "conditional", "finite").items():
        first, again, other = (Simulation(bind(make, space, seed=seed)).run([4, 4]) for seed in (1, 1, 2))
        require(first == again, f"two studies with one seed differ on the {name} space")
        require(first != other, f"two seeds give the same trials on the {name} space")


@_check
def direction_turns_the_sign(make: Make) -> None:
    """Minimising the negated value is the same study as maximising the value."""
    space = usual(make)
    up = Simulation(bind(make, space)).run([6, 6, 1])
    down = Simulation(bind(make, space, direction="minimize"), sign=-1.0).run([6, 6, 1])
    require(up == down, "minimising -f and maximising f are different studies")


@_check
def proposing_changes_nothing(make: Make) -> None:
    """`propose` may be repeated: what was not accepted never happened (unless `replays_asks`)."""
    simulation = Simulation(bind(make, usual(make)))
    simulation.run([6])
    if not simulation.searcher.replays_asks:
        first, _, again = (texts(simulation.searcher.propose(n)) for n in (4, 2, 4))
        require(first == again, "asking twice gives two answers")


@_check
def studies_are_independent(make: Make) -> None:
    """`bind` gives a copy without history, from an instance in use too, and studies do not see each other."""
    space, searcher, epochs = usual(make), make(), EPOCHS if make().needs_epochs else None
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
        for n, keep, tell in [(4, None, 2), (2, None, None), (3, 2, 1), (1, None, 0)]:
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
    space, searcher = usual(make), make()
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
