"""The contract between a search algorithm and everything else.

A searcher is a dataclass whose fields are its settings: `Halving(eta=2)`. `bind` gives it a study; from
then on its state is a fold over two events, and the random numbers of a proposal come from
`self.rng(number, purpose)`, keyed by (study seed, trial number, purpose). A subclass writes

    _start()             build the state before the first event                       (optional)
    _ask(n)              up to n proposals; must not change the searcher's state
    _asked(proposals)    these were started; the only place besides _tell that changes state   (optional)
    _tell(results)       these ended, in the order of their trial numbers             (optional)
    may_continue(number) whether a paused trial may be continued; others are dropped  (if it continues any)

and the base owns validation, numbering, pending trials, failures, direction and exhaustion. The order of calls:

    call                         before bind    bound          exhausted
    bind(space, ...)             a bound copy   a bound copy   a bound copy, fresh
    ask(n) / propose(n)          RuntimeError   proposals      []
    tell(pending trial)          RuntimeError   accepted       accepted
    tell(foreign trial)          RuntimeError   accepted       accepted
    tell(trial told before and
         not continued since)    RuntimeError   ValueError     ValueError
    replay(n, proposals)         RuntimeError   accepted       accepted
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
from hpo.numbers import Numbers
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
        value: what to maximise; None if the evaluation failed or was not finite, or is of another's trial that was
            trained to fewer epochs than this searcher trains its own.
        epochs: epoch reached.
        own: whether this searcher proposed the trial.
    """

    number: int
    params: Mapping[str, Any]
    value: float | None
    epochs: int
    own: bool


@dataclass(frozen=True)
class Needs:
    """What a searcher needs in a study to be more than random draws, and where it ends.

    Attributes:
        startup: successful results before its proposals depend on results; None: they never do, by design.
        trials: full trainings below which it is hardly itself, >= 1.
        why: what these are for, as the end of a sentence: "10 random ones before its model begins, ...".
        blind: why results have no effect in this study, though they should; empty: they have.
        most: how many configurations it can propose in all; None: as many as the space has.
    """

    startup: int | None = None
    trials: int = 1
    why: str = ""
    blind: str = ""
    most: int | None = None


@dataclass(eq=False)
class Searcher(ABC):
    """Base of all searchers; see the module's text for the contract.

    Class attributes say what a searcher can do, and `bind` refuses what it cannot.
    """

    needs_epochs: ClassVar[bool] = False  # stops trials early, so the objective must have epochs
    variant_setting: ClassVar[str | None] = None  # the setting that `name:VARIANT` sets

    def bind(
        self, space: Space | Mapping[str, Any], *, direction: str = "maximize", seed: int = 0, epochs: int | None = None
    ) -> Self:
        """A copy of this searcher, with the same settings and no history, for one study.

        Args:
            space: the search space.
            direction: of the values that will be told, "maximize" or "minimize".
            seed: the study's seed.
            epochs: the most that one trial may train; None for an objective without epochs.

        Raises:
            MismatchError: naming searcher and what it cannot handle.
        """
        if epochs is not None and epochs < 1:
            raise UsageError(f"epochs is {epochs}, expected at least 1")
        if direction not in ("maximize", "minimize"):
            raise UsageError(f"direction is {direction!r}, expected 'maximize' or 'minimize'")
        bound = copy.copy(self)
        bound.space = Space(space)
        bound.seed = seed
        bound.epochs = epochs
        bound._sign = 1.0 if direction == "maximize" else -1.0
        bound._next = 0
        bound._told = Numbers()
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
    def replays_asks(self) -> bool:
        """Whether `_ask` itself changes state, so that resume has to run it again."""
        return False

    @property
    def countable(self) -> int | None:
        """How many configurations the space has, where they are watched for exhaustion."""
        size = self.space.size
        return size if size is not None and size <= MAX_COUNTED else None

    def untried(self) -> int | None:
        """How many configurations of a countable space were neither proposed nor told."""
        return None if self.countable is None else self.countable - len(self._seen)

    def tried(self, params: Mapping[str, Any]) -> bool:
        """Whether a configuration of a countable space was proposed or told."""
        return canonical(dict(params)) in self._seen

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing left to propose, whatever is told next."""
        self._require_study()
        return self.untried() == 0

    def needs(self) -> Needs | None:
        """What it needs in the study that it is bound to, for `hpo doctor`; None: it does not say."""
        return None

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

    def notices(self, trials: int) -> list[str]:
        """What the user should know before a run with a budget of `trials` full trainings, a line each."""
        return []

    def skip_to(self, number: int) -> None:
        """Let the next new trial have `number`, or the one it would have if that is greater."""
        self._require_study()
        self._next = max(self._next, number)

    def is_pending(self, number: int) -> bool:
        """Whether trial `number` has been asked for and not been told."""
        return number in self._pending

    def reached(self, number: int) -> int:
        """Epochs that trial `number` was trained when it was last told; 0 for one that never was."""
        return self._reached.get(number, self._most if number in self._told else 0)

    def may_continue(self, number: int) -> bool:
        """Whether a later proposal may continue trial `number`; others need not be kept under training."""
        return False

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
        self._require_study()
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
        self._require_study()
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
        self._require_study()
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
        """Take in outcomes: of proposals, failures included, and of trials that were never proposed here.

        Raises:
            ValueError: a trial that is not outstanding, or a pending one with another configuration.
            SpaceError: a foreign trial outside the space. Nothing is taken in then.
        """
        self._require_study()
        ordered = sorted(outcomes, key=lambda outcome: outcome.number)
        params = [self._told_params(outcome) for outcome in ordered]
        if len({outcome.number for outcome in ordered}) < len(ordered):
            raise ValueError("a trial is told twice")
        results = []
        for outcome, configuration in zip(ordered, params, strict=True):
            number = outcome.number
            own = self._pending.pop(number, None) is not None
            self._next = max(self._next, number + 1)
            self._told.add(number)
            if outcome.epochs < self._most:
                self._reached[number] = outcome.epochs
                self._params[number] = configuration
            else:  # it cannot be continued: a long study keeps nothing of it
                self._reached.pop(number, None)
                self._params.pop(number, None)
            self._see(configuration)
            reward = self._reward(outcome) if own or self._is_whole(outcome) else None
            results.append(Result(number, configuration, reward, outcome.epochs, own))
        self._tell(results)

    def _told_params(self, outcome: Outcome) -> Mapping[str, Any]:
        number = outcome.number
        if number not in self._pending:
            if number in self._told:
                raise ValueError(f"trial {number} was told before and has not been continued since")
            return self.space.validate(outcome.params, f"trial {number}")
        if canonical(dict(outcome.params)) != canonical(dict(self._params[number])):
            raise ValueError(f"trial {number} was proposed with {self._params[number]}, told with {outcome.params}")
        return self._params[number]

    def _reward(self, outcome: Outcome) -> float | None:
        ok = outcome.state == State.DONE and outcome.value is not None and math.isfinite(outcome.value)
        return self._sign * outcome.value if ok and outcome.value is not None else None

    def _is_whole(self, outcome: Outcome) -> bool:
        """Whether its value compares with those of whole trainings, for a searcher that knows no others."""
        return self.needs_epochs or self.epochs is None or outcome.epochs >= self.epochs

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
    _told: Numbers = dataclasses.field(init=False, repr=False)
    _reached: dict[int, int] = dataclasses.field(init=False, repr=False)  # epochs of those that may go on
    _params: dict[int, Mapping[str, Any]] = dataclasses.field(init=False, repr=False)  # of those that may go on
    _pending: dict[int, Proposal] = dataclasses.field(init=False, repr=False)
    _seen: set[str] = dataclasses.field(init=False, repr=False)

    @property
    def _most(self) -> int:
        """Epochs that a trial trains at most."""
        return 1 if self.epochs is None else self.epochs

    def _require_study(self) -> None:
        if not hasattr(self, "_pending"):
            raise RuntimeError(f"searcher {self.label!r} has no study yet: call bind(space) first")

    def _see(self, params: Mapping[str, Any]) -> None:
        if self.countable is not None:
            self._seen.add(canonical(dict(params)))

    def _within_space(self, proposals: list[Proposal]) -> list[Proposal]:
        """`proposals` up to the first that could only repeat, because a finite space is used up."""
        if self.countable is None:
            return proposals
        seen = set(self._seen)
        for i, proposal in enumerate(proposals):
            if proposal.continues is None:
                if len(seen) >= self.countable:
                    return proposals[:i]
                seen.add(canonical(dict(proposal.params)))
        return proposals

    def _checked(self, proposal: Proposal) -> Proposal:
        number, most = proposal.continues, self._most
        if number is not None and (number in self._pending or number not in self._told):
            raise SearcherError(f"searcher {self.label!r} continues trial {number}, which is not paused")
        reached = 0 if number is None else self.reached(number)
        epochs = most if proposal.epochs is None else proposal.epochs
        if not reached < epochs <= most:
            raise SearcherError(
                f"searcher {self.label!r} trains to epoch {epochs}, expected more than {reached} and at most {most}"
            )
        if number is None:
            params = self.space.validate(proposal.params, f"proposal of {self.label!r}")
        else:
            params = dict(self._params[number])
        return dataclasses.replace(proposal, params=params, epochs=epochs)
