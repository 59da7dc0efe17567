"""A searcher driven as the loop drives it, on an objective that is computed from configuration and epoch."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.domains import Choice, Float, Int
from hpo.searcher import Searcher
from hpo.space import Space
from hpo.trial import Outcome, Proposal, Reason, State
from hpo.values import canonical

EPOCHS = 9  # most epochs of the simulated objective
MIXED = Space(
    {
        "rate": Float(1e-4, 1.0, log=True),
        "momentum": Float(0.0, 0.9),
        "dropout": Float(0.0, 0.75, step=0.25),
        "units": Int(4, 64, log=True),
        "layers": Int(1, 4),
        "batch": Choice((16, 32, 64), ordered=True),
        "kind": Choice(("relu", "tanh")),
        "flag": Choice((None, False, True)),
        "alike": Choice((1, 1.0, True)),
        "shape": Choice(([8], [8, 8], {"deep": True})),
        "constant": 3,
    }
)
CONDITIONAL = Space(
    {
        "optimizer": Choice(("sgd", "momentum", "adam")),
        "momentum": Float(0.5, 0.99, when={"optimizer": ["momentum"]}),
        "nesterov": Choice((False, True), when={"optimizer": ["momentum"]}),
        "damping": Float(0.0, 0.5, when={"nesterov": [False]}),
        "rate": Float(1e-4, 1.0, log=True),
        "layers": Int(1, 3),
        "width_2": Int(8, 64, when={"layers": [2, 3]}),
    }
)
SINGLE = Space({"rate": Float(0.1, 0.1), "units": 8})
FINITE = Space({"kind": Choice(("a", "b")), "units": Int(1, 3), "extra": Choice((0, 1), when={"kind": ["b"]})})
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
