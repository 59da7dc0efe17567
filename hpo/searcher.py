"""The contract between a search algorithm and everything else.

A searcher is a dataclass whose fields are its settings: `Halving(eta=2)`. `bind` gives it a study; from
then on its state is a fold over two events, and the random numbers of a proposal come from
`self.rng(number, purpose)`, keyed by (study seed, trial number, purpose). A subclass writes

    _ask(n)             up to n proposals; must not change the searcher's state
    _asked(proposals)   these were started; the only place besides _tell that changes state   (optional)
    _tell(results)      these ended, in the order of their trial numbers                       (optional)

and the base owns validation, numbering, pending trials, failures, direction and exhaustion. The order of calls:

    call                         before bind    bound          exhausted
    bind(space, ...)             a bound copy   a bound copy   a bound copy, fresh
    ask(n) / propose(n)          RuntimeError   proposals      []
    tell(pending trial)          RuntimeError   accepted       accepted
    tell(foreign trial)          RuntimeError   accepted       accepted
    tell(trial told before and
         not continued since)    RuntimeError   ValueError     ValueError
    replay(n, proposals)         RuntimeError   like ask(n)    like ask(n)
"""

import copy
import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from hpo import seeding
from hpo.errors import DataError, HpoError, MismatchError, UsageError
from hpo.space import Space
from hpo.trial import Outcome, Proposal, State
from hpo.values import canonical

MAX_COUNTED = 1_000_000  # finite spaces above this size are not watched for exhaustion


class SearcherError(HpoError):
    """A searcher broke its contract: a defect of that searcher."""


@dataclass(frozen=True)
class Result:
    """An outcome as a searcher sees it.

    Attributes:
        number: the trial.
        params: its configuration.
        value: what to maximise; None if the evaluation failed or was not finite.
        epochs: epoch reached.
        own: whether this searcher proposed the trial.
    """

    number: int
    params: Mapping[str, Any]
    value: float | None
    epochs: int
    own: bool


@dataclass(eq=False)
class Searcher(ABC):
    """Base of all searchers; see the module's text for the contract.

    Class attributes say what a searcher can do, and `bind` refuses what it cannot.
    """

    needs_epochs: ClassVar[bool] = False  # stops trials early, so the objective must have epochs
    replays_asks: ClassVar[bool] = False  # _ask itself changes state: resume has to run it again
    variant_setting: ClassVar[str | None] = None  # the setting that `name:VARIANT` sets

    def bind(self, space: Space, *, direction: str = "maximize", seed: int = 0, epochs: int | None = None) -> Self:
        """A copy of this searcher, with the same settings and no history, for one study.

        Args:
            space: the search space.
            direction: of the values that will be told, "maximize" or "minimize".
            seed: the study's seed.
            epochs: the most that one trial may train; None for an objective without epochs.

        Raises:
            MismatchError: naming searcher and what it cannot handle.
        """
        if direction not in ("maximize", "minimize"):
            raise UsageError(f"direction is {direction!r}, expected 'maximize' or 'minimize'")
        bound = copy.copy(self)
        bound.space = space
        bound.seed = seed
        bound.epochs = epochs
        bound._sign = 1.0 if direction == "maximize" else -1.0
        bound._next = 0
        bound._reached = {}
        bound._params = {}
        bound._pending = {}
        bound._seen = set()
        if self.needs_epochs and epochs is None:
            raise MismatchError(
                f"searcher {self.label!r} needs an objective with epochs, and this one has none: "
                "use a generator or f(params, epochs), or another searcher"
            )
        bound._start()
        return bound

    space: Space = dataclasses.field(init=False, repr=False)
    seed: int = dataclasses.field(init=False, repr=False)
    epochs: int | None = dataclasses.field(init=False, repr=False)

    @property
    def label(self) -> str:
        """Name for messages."""
        return type(self).__name__.lower()

    @property
    def default_batch(self) -> int:
        """How many proposals a round has unless the user says otherwise; may depend on space and epochs once bound."""
        return 8

    @property
    def used_up(self) -> bool:
        """Whether every configuration of a finite space has been tried, by this searcher or anyone."""
        return self._countable is not None and len(self._seen) >= self._countable

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to propose, whatever is told next."""
        return self.used_up

    def settings(self) -> dict[str, Any]:
        """The settings as JSON; `type(self)(**settings)` gives an equal searcher."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}

    def rng(self, number: int, purpose: str = "propose") -> np.random.Generator:
        """The stream of trial `number` for one purpose."""
        return seeding.generator(self.seed, number, purpose)

    @property
    def next_number(self) -> int:
        """Number that the next new trial will get."""
        return self._next

    def is_pending(self, number: int) -> bool:
        """Whether trial `number` has been asked for and not been told."""
        return number in self._pending

    def reached(self, number: int) -> int:
        """Epochs that trial `number` was trained when it was last told; 0 for one that never was."""
        return self._reached.get(number, 0)

    # -- asking

    def ask(self, n: int) -> list[Proposal]:
        """Up to `n` proposals, all of them started: `propose`, then `accept`."""
        proposals = self.propose(n)
        self.accept(proposals)
        return proposals

    def propose(self, n: int) -> list[Proposal]:
        """Up to `n` validated proposals, none of them started; new trials are numbered in this order.

        Fewer, or none, while results are outstanding or when `exhausted`.
        """
        if not hasattr(self, "_pending"):
            raise RuntimeError(f"searcher {self.label!r} has no study yet: call bind(space) first")
        if n < 1:
            raise UsageError(f"ask({n}): expected at least 1")
        if self.exhausted:
            return []
        proposals = self._within_space([self._checked(proposal) for proposal in self._ask(n)])
        continued = [p.continues for p in proposals if p.continues is not None]
        if len(proposals) > n or len(set(continued)) < len(continued):
            raise SearcherError(f"searcher {self.label!r} proposed {len(proposals)} for ask({n}), or one trial twice")
        if not proposals and not self._pending and not self.exhausted:
            raise SearcherError(
                f"searcher {self.label!r} proposed nothing, with no result outstanding and space left: it would spin"
            )
        return proposals

    def accept(self, proposals: Sequence[Proposal]) -> None:
        """Note that `proposals`, a beginning of what `propose` gave, were started."""
        for proposal in proposals:
            number = proposal.continues
            if number is None:
                number, self._next = self._next, self._next + 1
                self._params[number] = proposal.params
                self._see(proposal.params)
            self._pending[number] = proposal
        self._asked(proposals)

    def replay(self, n: int, proposals: Sequence[Proposal]) -> None:
        """Bring the searcher to the state after `ask(n)` that started `proposals`, as a store recorded them."""
        if self.replays_asks:
            again = self.propose(n)[: len(proposals)]
            found, stored = (
                [canonical([dict(p.params), p.epochs, p.continues]) for p in ps] for ps in (again, proposals)
            )
            if found != stored:
                raise DataError(
                    f"searcher {self.label!r} no longer proposes what is stored for trial {self._next}: "
                    "the study was made with other package versions; start a new study"
                )
        self.accept(proposals)

    # -- telling

    def tell(self, outcomes: Iterable[Outcome]) -> None:
        """Take in outcomes: of proposals, failures included, and of trials that were never proposed here."""
        if not hasattr(self, "_pending"):
            raise RuntimeError(f"searcher {self.label!r} has no study yet: call bind(space) first")
        results = []
        for outcome in sorted(outcomes, key=lambda o: o.number):
            own = outcome.number in self._pending
            if not own and outcome.number in self._params:
                raise ValueError(f"trial {outcome.number} was told before and has not been continued since")
            params = self.space.validate(outcome.params, f"trial {outcome.number}")
            self._pending.pop(outcome.number, None)
            self._next = max(self._next, outcome.number + 1)
            self._params[outcome.number] = params
            self._reached[outcome.number] = outcome.epochs
            self._see(params)
            value = outcome.value
            ok = outcome.state == State.DONE and value is not None and math.isfinite(value)
            reward = self._sign * value if ok and value is not None else None
            results.append(Result(outcome.number, params, reward, outcome.epochs, own))
        self._tell(results)

    # -- for subclasses

    def _start(self) -> None:
        """Build the state before the first event."""

    @abstractmethod
    def _ask(self, n: int) -> list[Proposal]:
        """Up to `n` proposals; must not change state (unless `replays_asks`)."""

    def _asked(self, proposals: Sequence[Proposal]) -> None:
        """These were started; new ones got the numbers up to `next_number`."""

    def _tell(self, results: Sequence[Result]) -> None:
        """These ended."""

    # -- own bookkeeping

    _sign: float = dataclasses.field(init=False, repr=False)
    _next: int = dataclasses.field(init=False, repr=False)
    _reached: dict[int, int] = dataclasses.field(init=False, repr=False)
    _params: dict[int, Mapping[str, Any]] = dataclasses.field(init=False, repr=False)
    _pending: dict[int, Proposal] = dataclasses.field(init=False, repr=False)
    _seen: set[str] = dataclasses.field(init=False, repr=False)

    @property
    def _countable(self) -> int | None:
        size = self.space.size
        return size if size is not None and size <= MAX_COUNTED else None

    def _see(self, params: Mapping[str, Any]) -> None:
        if self._countable is not None:
            self._seen.add(canonical(dict(params)))

    def _within_space(self, proposals: list[Proposal]) -> list[Proposal]:
        """`proposals` up to the new one that completes a finite space: what follows could only repeat."""
        if self._countable is None:
            return proposals
        seen, kept = set(self._seen), []
        for proposal in proposals:
            if proposal.continues is None:
                if len(seen) >= self._countable:
                    continue
                seen.add(canonical(dict(proposal.params)))
            kept.append(proposal)
        return kept

    def _checked(self, proposal: Proposal) -> Proposal:
        most = 1 if self.epochs is None else self.epochs
        epochs = most if proposal.epochs is None else proposal.epochs
        if proposal.continues is None:
            params, reached = self.space.validate(proposal.params, f"proposal of {self.label!r}"), 0
        else:
            number = proposal.continues
            if number in self._pending or number not in self._reached:
                raise SearcherError(f"searcher {self.label!r} continues trial {number}, which is not paused")
            params, reached = dict(self._params[number]), self._reached[number]
        if not reached < epochs <= most:
            raise SearcherError(
                f"searcher {self.label!r} trains to epoch {epochs}, expected more than {reached} and at most {most}"
            )
        return dataclasses.replace(proposal, params=params, epochs=epochs)
