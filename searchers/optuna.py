"""Optuna's samplers as searchers; `tpe` is its tree-structured Parzen estimator, set up for batches and conditions.

Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019,
https://arxiv.org/abs/1907.10902; Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011,
https://papers.nips.cc/paper/4443; Watanabe, "Tree-Structured Parzen Estimator", 2023, https://arxiv.org/abs/2304.11127

The history lives in an in-memory Optuna study: pending trials as RUNNING, which the samplers take for poor or
unknown results (constant liar), failures as FAIL, which they ignore.

NOTE: a configuration of a finite space is not proposed twice. Optuna's samplers do repeat themselves; they are
asked again a few times, then an untried configuration is drawn at random.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import TrialState, create_trial

from hpo import seeding
from hpo.domains import Choice, Domain, Float
from hpo.errors import SpaceError, UsageError, did_you_mean
from hpo.grid import Grid
from hpo.optuna_space import distribution, quiet
from hpo.searcher import Needs, Result, Searcher
from hpo.space_limits import check_modelled
from hpo.trial import Proposal
from hpo.values import canonical

STARTUP = 10  # random trials of Optuna's TPE and Gaussian process
GENERATIONS = 5  # of CMA-ES, below which it has hardly moved
RETRIES = 3  # how often a sampler that repeats itself is asked again
LARGEST = 1e100  # values are clipped to it, so that their squares are finite


@dataclass(frozen=True)
class _Axis:
    """How one hyperparameter looks to Optuna: `raw` takes its values to Optuna's, `value` takes them back."""

    distribution: BaseDistribution
    raw: Callable[[Any], Any]
    value: Callable[[Any], Any]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        d = self.distribution
        if isinstance(d, FloatDistribution):
            return self.value(trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log))
        if isinstance(d, IntDistribution):
            return self.value(trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log))
        assert isinstance(d, CategoricalDistribution)
        return self.value(trial.suggest_categorical(name, d.choices))


def _axis(name: str, domain: Domain) -> _Axis:
    if isinstance(domain, Choice) and domain.ordered:
        return _Axis(IntDistribution(0, domain.size - 1), lambda v: domain.grid_index(v, 0), domain.options.__getitem__)
    try:
        expressed = distribution(name, domain)
    except SpaceError:
        if isinstance(domain, Choice):
            indices = CategoricalDistribution(range(domain.size))
            return _Axis(indices, lambda v: domain.grid_index(v, 0), domain.options.__getitem__)
        return _Axis(FloatDistribution(0.0, 1.0), domain.encode, domain.decode)
    if isinstance(domain, Float):  # exp(log(low)) may fall short of low by a rounding error
        return _Axis(expressed, lambda v: v, lambda raw: min(max(float(raw), domain.low), domain.high))
    return _Axis(expressed, lambda v: v, lambda raw: raw)


@dataclass(eq=False)
class _OptunaSearcher(Searcher):
    """What all of them share: a history in Optuna's terms.

    A sampler is either *fresh*: made anew for each ask, seeded by the number of the next trial, so that its
    proposals are a function of the history; or it `replays_asks`: one for the study, with a memory of its own.
    """

    @abstractmethod
    def _sampler(self, seed: int) -> BaseSampler:
        """The sampler, its random numbers seeded with `seed` < 2^32."""

    def _start(self) -> None:
        check_modelled(self.label, self.space)
        # a constant tells a model nothing
        self._axes = {name: _axis(name, domain) for name, domain in self.space.items() if domain.size != 1}
        with quiet():
            self._study = optuna.create_study(direction="maximize", sampler=self._seeded("study"))
        self._running: dict[int, int] = {}  # pending trial -> its number in Optuna's study
        self._offered: list[tuple[int, dict[str, Any]]] = []  # RUNNING in Optuna's study, not started yet

    def _seeded(self, *key: int | str) -> BaseSampler:
        return self._sampler(seeding.derive(self.seed, *key, "optuna") % 2**32)

    def _ask(self, n: int) -> list[Proposal]:
        self._withdraw(self._offered)
        with quiet():
            if not self.replays_asks:
                self._study.sampler = self._seeded(self.next_number)
            try:
                self._offer(n if (left := self.untried()) is None else min(n, left))
                return [Proposal(params) for _, params in self._offered]
            finally:
                if not self.replays_asks:  # as if never asked: these samplers ignore FAIL trials
                    self._withdraw(self._offered)

    def _offer(self, n: int) -> None:
        """Suggest `n` configurations, each RUNNING while the next are suggested."""
        taken: set[str] = set()
        untried = self._untried(taken)
        for _ in range(n):
            for _ in range(1 + RETRIES):
                trial = self._study.ask()
                params = self._build(trial)
                if self.countable is None or not (self.tried(params) or canonical(params) in taken):
                    number = trial.number
                    break
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                params = next(untried)
                number = self._add(params)
            self._offered.append((number, params))
            if self.countable is not None:
                taken.add(canonical(params))

    def _build(self, trial: optuna.Trial) -> dict[str, Any]:
        def choose(name: str, domain: Domain) -> Any:
            return self._axes[name].suggest(trial, name) if name in self._axes else domain.decode(0.5)

        return self.space.validate(self.space.build(choose), f"proposal of {self.label!r}")

    def _untried(self, taken: set[str]) -> Iterator[dict[str, Any]]:
        """Configurations of a finite space in random order, without those seen and taken."""
        grid = Grid(self.space, points=0)
        for index in range(grid.size):
            params = grid[seeding.permute(index, grid.size, self.seed, self.next_number, "untried")]
            if not self.tried(params) and canonical(params) not in taken:
                yield params

    def _asked(self, proposals: Sequence[Proposal]) -> None:
        first = self.next_number - len(proposals)
        offered, self._offered = self._offered, []
        for i, proposal in enumerate(proposals):
            if i < len(offered) and canonical(offered[i][1]) == canonical(dict(proposal.params)):
                self._running[first + i] = offered[i][0]
            else:
                self._withdraw(offered[i : i + 1])
                self._running[first + i] = self._add(proposal.params)
        self._withdraw(offered[len(proposals) :])

    def _tell(self, results: Sequence[Result]) -> None:
        for result in results:
            number = self._running.pop(result.number, None)
            if number is None:
                number = self._add(result.params)
            if result.value is None:
                self._study.tell(number, state=TrialState.FAIL)
            else:
                self._study.tell(number, min(max(result.value, -LARGEST), LARGEST), TrialState.COMPLETE)

    def _add(self, params: Mapping[str, Any]) -> int:
        """Note `params` as RUNNING; returns the number in Optuna's study."""
        raw = {name: self._axes[name].raw(value) for name, value in params.items() if name in self._axes}
        spaces = {name: self._axes[name].distribution for name in raw}
        self._study.add_trial(create_trial(state=TrialState.RUNNING, params=raw, distributions=spaces))
        return self._study.get_trials(deepcopy=False)[-1].number

    def _withdraw(self, offered: list[tuple[int, dict[str, Any]]]) -> None:
        for number, _ in offered:
            self._study.tell(number, state=TrialState.FAIL)
        offered.clear()


def _model(startup: int) -> Needs:
    return Needs(startup, 2 * startup, f"{startup} at random before its model begins, and as many for the model")


_FRESH: dict[str, Callable[[int], BaseSampler]] = {
    "RandomSampler": lambda seed: RandomSampler(seed=seed),
    "TPESampler": lambda seed: TPESampler(seed=seed, constant_liar=True),
    "GPSampler": lambda seed: GPSampler(seed=seed, warn_independent_sampling=False),
}
_REPLAYED: dict[str, Callable[[int], BaseSampler]] = {
    "CmaEsSampler": lambda seed: CmaEsSampler(seed=seed, warn_independent_sampling=False),
    "QMCSampler": lambda seed: QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False),
}
SAMPLERS = {**_FRESH, **_REPLAYED}


@dataclass(eq=False)
class Optuna(_OptunaSearcher):
    """One of Optuna's samplers with Optuna's defaults, `optuna:GPSampler` for short.

    NOTE: the Gaussian process is fitted from its prior at every ask rather than from its last fit, so
    that resuming a study repeats no fit. CMA-ES and quasi-Monte Carlo carry state of
    their own, and their asks are run again on resume. Quasi-Monte Carlo is scrambled, or seeds had no effect.

    Args:
        sampler: RandomSampler, TPESampler, GPSampler, CmaEsSampler or QMCSampler.
    """

    variant_setting: ClassVar[str | None] = "sampler"

    sampler: str = "TPESampler"

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            hint = did_you_mean(str(self.sampler), SAMPLERS)
            raise UsageError(f"searcher 'optuna': sampler is {self.sampler!r}, expected one of Optuna's: {hint}")

    @property
    def label(self) -> str:
        """Name for messages, with the sampler."""
        return f"optuna:{self.sampler}"

    def needs(self) -> Needs:
        """As its sampler."""
        if self.sampler in ("RandomSampler", "QMCSampler"):
            return Needs()
        return self._generations() if self.sampler == "CmaEsSampler" else _model(STARTUP)

    def _generations(self) -> Needs:
        """Of CMA-ES, which leaves choices and what is not always active to random draws."""
        moved = [
            name
            for name, axis in self._axes.items()
            if not isinstance(axis.distribution, CategoricalDistribution) and not self.space.parents(name)
        ]
        if not moved:
            return Needs(1, blind="CMA-ES moves numbers that are always active, and the space has none")
        size = 4 + math.floor(3 * math.log(len(moved)))  # Hansen, https://arxiv.org/abs/1604.00772, equation 48
        why = f"{GENERATIONS} generations of {size}, which its distribution takes to move"
        return Needs(2 * size, GENERATIONS * size, why)  # the second generation is nearly as the first, which is blind

    @property
    def replays_asks(self) -> bool:
        """Whether the sampler has a memory of its own."""
        return self.sampler in _REPLAYED

    def _sampler(self, seed: int) -> BaseSampler:
        return SAMPLERS[self.sampler](seed)


@dataclass(eq=False)
class TPE(_OptunaSearcher):
    """Tree-structured Parzen estimator.

    Hyperparameters are modelled one by one where all are always active; under conditions, jointly within each
    group that is active together.

    Args:
        startup_trials: random trials before the model takes over, failures not counted, >= 1.
    """

    startup_trials: int = 10

    def __post_init__(self) -> None:
        if self.startup_trials < 1:
            raise UsageError(f"searcher 'tpe': startup_trials is {self.startup_trials}, expected at least 1")

    def needs(self) -> Needs:
        """The random trials, and as many that use them."""
        return _model(self.startup_trials)

    def _sampler(self, seed: int) -> BaseSampler:
        joint = self.space.conditional
        return TPESampler(
            seed=seed, n_startup_trials=self.startup_trials, multivariate=joint, group=joint, constant_liar=True
        )
