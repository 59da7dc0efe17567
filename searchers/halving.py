"""Synchronous successive halving: many short trainings, the best of which train on.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016,
https://proceedings.mlr.press/v51/jamieson16.html; in the notation of Li et al., "Hyperband", JMLR 18 (2018),
https://jmlr.org/papers/v18/16-558.html, with R the most epochs of a trial:

    rungs     r_s = R, r_(i-1) = floor(r_i / eta), while that is at least min_epochs
    bracket   eta^s new trials to r_0; of those in rung i the best floor(n_i / eta) train on to r_(i+1)

NOTE: survivors continue from where they are, so a bracket of 27 trials at R = 27, eta = 3 costs 81 epochs instead
of the 108 that training anew at each rung would.
NOTE: brackets of this one shape follow each other until the budget is spent; Hyperband also runs wider first rungs.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hpo.errors import MismatchError, UsageError
from hpo.registry import make_searcher
from hpo.searcher import Needs, Result, Searcher
from hpo.trial import Outcome, Proposal, State


@dataclass(eq=False)
class Halving(Searcher):
    """Successive halving: at each rung the best 1/eta of the trials train on, from where they are.

    Args:
        eta: one in `eta` survives a rung, >= 2.
        min_epochs: the first rung trains at least so many epochs, >= 1.
        searcher: proposes the new trials: a name, a table {name = ..., settings}, a class or an instance; told
            the outcomes of the first rung, where all trials are comparable.
    """

    needs_epochs: ClassVar[bool] = True

    eta: int = 3
    min_epochs: int = 1
    searcher: Any = dataclasses.field(default="random", metadata={"nested": True})

    def __post_init__(self) -> None:
        if self.eta < 2:
            raise UsageError(f"searcher 'halving': eta is {self.eta}, expected at least 2")
        if self.min_epochs < 1:
            raise UsageError(f"searcher 'halving': min_epochs is {self.min_epochs}, expected at least 1")
        table = dict(self.searcher) if isinstance(self.searcher, dict) else {"name": self.searcher}
        kind = table.pop("name", "random")
        self._inner_name, self._unbound = make_searcher(kind, table)
        if self._unbound.needs_epochs:
            raise MismatchError(
                f"searcher 'halving': searcher is {self._inner_name!r}, which stops trials itself: "
                "choose one that proposes whole trials, such as 'random' or 'tpe'"
            )

    def settings(self) -> dict[str, Any]:
        """See `Searcher.settings`."""
        inner = self._unbound.settings()
        searcher = {"name": self._inner_name, **inner} if inner else self._inner_name
        return {"eta": self.eta, "min_epochs": self.min_epochs, "searcher": searcher}

    @property
    def replays_asks(self) -> bool:
        """As the searcher that proposes."""
        return bool(self._unbound.replays_asks)

    @property
    def default_batch(self) -> int:
        """The first rung of a bracket."""
        return self._width

    @property
    def exhausted(self) -> bool:
        """Whether the proposing searcher is exhausted and nothing is left to promote."""
        return self._inner.exhausted and not self._members

    def needs(self) -> Needs | None:
        """A bracket, and as many as hold the trials that the proposing searcher needs; None if that does not say."""
        inner = self._inner.needs()
        if inner is None:
            return None
        brackets = -(-inner.trials // self._width)
        trials = -(-brackets * bracket_epochs(self.rungs, self.eta) // self.rungs[-1])
        rungs = ", ".join(map(str, self.rungs))
        why = f"{brackets} bracket{'s' * (brackets > 1)} of {self._width} trials with rungs at {rungs} epochs"
        if brackets > 1:
            why += f", since {self._inner_name} needs {inner.trials} trials in the first rung ({inner.why})"
        return Needs(inner.startup, trials, why, inner.blind, inner.most)

    def may_continue(self, number: int) -> bool:
        """Whether the trial is in the rung under way."""
        return number in self._members

    def _start(self) -> None:
        assert self.epochs is not None
        if self.min_epochs > self.epochs:
            raise MismatchError(
                f"searcher 'halving': min_epochs is {self.min_epochs}, but a trial trains {self.epochs} epochs at most"
            )
        self.rungs = rung_epochs(self.epochs, self.eta, self.min_epochs)
        self._width: int = self.eta ** (len(self.rungs) - 1)
        self._inner = self._unbound.bind(self.space, seed=self.seed, epochs=self.rungs[0])
        self._bracket = 0
        self._open_rung(0, ())

    def _open_rung(self, rung: int, survivors: Iterable[int]) -> None:
        self._rung = rung
        self._members: dict[int, Result | None] = dict.fromkeys(survivors)  # trial -> its result in this rung
        self._to_promote = list(self._members)

    def _ask(self, n: int) -> list[Proposal]:
        info = {"bracket": self._bracket, "rung": self._rung}
        target = self.rungs[self._rung]
        if self._rung > 0:
            return [Proposal({}, target, number, info) for number in self._to_promote[:n]]
        wanted = min(n, self._width - len(self._members))
        new = self._inner.propose(wanted) if wanted > 0 else []
        return [Proposal(proposal.params, target, info={**proposal.info, **info}) for proposal in new]

    def _asked(self, proposals: Sequence[Proposal]) -> None:
        new = [proposal for proposal in proposals if proposal.continues is None]
        self._inner.accept([dataclasses.replace(proposal, epochs=self.rungs[0]) for proposal in new])
        self._members.update(dict.fromkeys(range(self.next_number - len(new), self.next_number)))
        begun = {proposal.continues for proposal in proposals}
        self._to_promote = [number for number in self._to_promote if number not in begun]

    def _tell(self, results: Sequence[Result]) -> None:
        for result in results:
            if result.own:
                self._members[result.number] = result
        told = [result for result in results if not result.own or self._rung == 0]
        self._inner.tell([self._as_outcome(result) for result in told])
        if self._rung_is_complete():
            self._promote()

    def _as_outcome(self, result: Result) -> Outcome:
        # a foreign trial of other epochs is not comparable: its configuration is known, its value is not
        value = result.value if result.epochs == self.rungs[0] else None
        state = State.FAILED if value is None else State.DONE
        return Outcome(result.number, result.params, state, value, result.epochs)

    def _rung_is_complete(self) -> bool:
        filled = self._rung > 0 or len(self._members) >= self._width or self._inner.exhausted
        return filled and bool(self._members) and None not in self._members.values()

    def _promote(self) -> None:
        results = [result for result in self._members.values() if result is not None]
        last = self._rung + 1 == len(self.rungs)
        survivors = [] if last else best(results, max(1, len(results) // self.eta))
        if survivors:
            self._open_rung(self._rung + 1, survivors)
        else:
            self._bracket += 1
            self._open_rung(0, ())


def rung_epochs(most: int, eta: int, least: int) -> list[int]:
    """The epochs of the rungs, ascending, the last `most`.

    In integers: floor(log(243, 3)) is 4 in floating point, which would lose a rung.
    """
    rungs = [most]
    while rungs[0] // eta >= least:
        rungs.insert(0, rungs[0] // eta)
    return rungs


def bracket_epochs(rungs: Sequence[int], eta: int) -> int:
    """Epochs that a bracket without failures trains, each trial from where it is."""
    steps = zip((0, *rungs), rungs, strict=False)
    return sum(eta ** (len(rungs) - 1 - i) * (after - before) for i, (before, after) in enumerate(steps))


def best(results: Iterable[Result], count: int) -> list[int]:
    """Numbers of the `count` best, the earlier trial of equals; failed ones never survive."""
    ranked = sorted((r for r in results if r.value is not None), key=lambda r: (-(r.value or 0.0), r.number))
    return [result.number for result in ranked[:count]]
