"""Objectives written for Optuna, run by hpo as they are: `search(hpo.from_optuna(objective), space)`.

    Optuna                          here
    trial.suggest_*                 the hyperparameter of this name, which the space declares alike
    trial.report(value, step)       steps count from 0: step + 1 epochs are trained
    trial.should_prune()            true once the evaluation's epochs are trained, see `hpo.live_trial`
    raise TrialPruned               the evaluation ends with the last value reported; without one it fails
    trial.set_user_attr             stored with the trial

NOTE: a TrialPruned that should_prune() did not ask for ends the trial, too, with its last reported value; its user
attribute "hpo:pruned" is the last step then.
"""

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import TrialPruned
from optuna.trial import BaseTrial

from hpo import seeding
from hpo.domains import Choice, Domain, Float, Int
from hpo.errors import SpaceError, UsageError
from hpo.function_objective import FunctionObjective, found_at
from hpo.global_randomness import Randomness
from hpo.integrations.optuna_sampler import as_sampler as as_sampler
from hpo.live_trial import LiveTrial
from hpo.optuna_space import domain_of
from hpo.space import Space
from hpo.trial import Job
from hpo.values import UNSET, brief

_ABSENT = (
    "an objective under hpo has no trial.{name}: it can suggest, report, ask whether to prune and set user attributes; "
    "take what it needs of the study from outside"
)


def from_optuna(objective: Any) -> "OptunaObjective":
    """An Optuna objective, `f(trial) -> value`, as an objective of hpo.

    Without a space, the objective is called once with a trial that answers with the middle of every range, and what
    it asked for is the space: hyperparameters that it asks for under conditions only may be missing there.

    Args:
        objective: a function, or an object that can be called.

    Raises:
        UsageError: not callable, or asynchronous.
    """
    return OptunaObjective(objective)


class OptunaObjective(FunctionObjective):
    """See `from_optuna`; `function` is the Optuna objective."""

    def __init__(self, objective: Any, direction: str | None = None, path: str | None = None) -> None:
        plain = FunctionObjective(objective, path=path)
        if plain.is_generator:
            raise UsageError(f"objective {objective!r} is a generator, expected an Optuna objective, f(trial) -> value")
        super().__init__(self._evaluate, direction=direction)
        self.function = objective
        self.name, self.path = plain.name, plain.path
        self._source = plain.source()
        self._space: Space | None = None
        self._notices: list[str] = []

    def describe(self) -> dict[str, Any]:
        """As of any function; a decorated one is found under the name that now stands for this objective."""
        path = self.path.replace("<", "").replace(">", "")
        found = found_at(*path.split(":"))
        known = isinstance(found, OptunaObjective) and found.function is self.function
        return {"function": path if known else self.path, "optuna": True}

    def source(self) -> str | None:
        """Hash of the Optuna objective's source text; None where Python cannot find it."""
        return self._source

    def call(self, params: Any, **known: Any) -> Any:
        """The Optuna objective, its trial answering from `params`."""
        return self._evaluate(params, known["trial"])

    def check_space(self, space: Space) -> None:
        """Take note of what is declared, which `suggest_*` is compared with."""
        self._space = space

    def space(self, name: str = "default") -> Space | None:
        """What the objective asks for when it is called once."""
        if name != "default":
            return None
        found = _record(self)
        lines = ", ".join(f'"{key}": {_text(domain)}' for key, domain in found.items())
        self._notices = [f"space recorded from one call of {self.name!r}, which counts for nothing: {{{lines}}}"]
        return found

    def notices(self) -> Sequence[str]:
        """What was recorded."""
        return self._notices

    def _evaluate(self, params: Mapping[str, Any], trial: LiveTrial) -> Any:
        view = SuggestingTrial(params, trial, self._space)
        try:
            return self.function(view)
        except TrialPruned:
            if trial.reports.last is None:
                raise
            step, value = trial.reports.last
            if not view.asked_to_end:
                trial.reports.user_attrs["hpo:pruned"] = step
            return value


class SuggestingTrial:
    """What an Optuna objective gets: Optuna's trial, whose suggestions are a configuration of hpo.

    Args:
        params: the configuration.
        trial: the evaluation under way.
        space: what is declared; None: what is asked for is not compared with it.

    Attributes:
        asked_to_end: whether `should_prune` has been true.
    """

    def __init__(self, params: Mapping[str, Any], trial: LiveTrial, space: Space | None) -> None:
        self.asked_to_end = False
        self._live = trial
        self._given = params
        self._space = space
        self._params: dict[str, Any] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self._started = datetime.now()

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """The hyperparameter `name`, declared Float(low, high)."""
        return float(self._suggest(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """The hyperparameter `name`, declared Int(low, high)."""
        return int(self._suggest(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """The hyperparameter `name`, declared Choice(choices)."""
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """An older name for `suggest_float`."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """An older name for `suggest_float` with log=True."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """An older name for `suggest_float` with a step."""
        return self.suggest_float(name, low, high, step=q)

    def report(self, value: float, step: int) -> None:
        """See `hpo.live_trial.LiveTrial.report`; as in Optuna, the first value of a step stays."""
        try:
            self._live.report(value, step)
        except UsageError:
            if isinstance(step, bool) or not isinstance(step, int) or step < 0:
                raise
            warnings.warn(f"trial {self.number} reported step {step} twice: the first value stays", stacklevel=2)

    def should_prune(self) -> bool:
        """See `hpo.live_trial.LiveTrial.should_prune`."""
        self.asked_to_end = self._live.should_prune()
        return self.asked_to_end

    def set_user_attr(self, key: str, value: Any) -> None:
        """See `hpo.live_trial.LiveTrial.set_user_attr`."""
        self._live.set_user_attr(key, value)

    def set_constraint(self, key: str, value: float) -> None:
        """Refused: hpo has no constraints."""
        raise NotImplementedError("an objective under hpo has no constraints: let its value be worse instead")

    @property
    def params(self) -> dict[str, Any]:
        """What was suggested so far."""
        return copy.deepcopy(self._params)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Of what was suggested so far."""
        return dict(self._distributions)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What `set_user_attr` was given."""
        return copy.deepcopy(self._live.reports.user_attrs)

    @property
    def number(self) -> int:
        """Of the trial, dense from 0."""
        return self._live.number

    @property
    def datetime_start(self) -> datetime | None:
        """When the evaluation began."""
        return self._started

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(_ABSENT.format(name=name))

    def _suggest(self, name: str, asked: BaseDistribution) -> Any:
        declare = f"declare {_line(name, asked)}"
        if self._space is not None:
            if name not in self._space:
                raise SpaceError(f"the objective suggests {name!r}, which the space does not have: {declare}")
            declared, wanted = _bare(self._space[name]), domain_of(asked)
            if declared != wanted:
                found = f"from {_text(wanted)}, the space declares {_text(declared)}"
                raise SpaceError(f"the objective suggests {name!r} {found}: {declare}")
        if name not in self._given:
            when = None if self._space is None else self._space[name].when
            needs = (
                "" if not when else f" (it needs {brief({parent: list(values) for parent, values in when.items()})})"
            )
            raise SpaceError(
                f"the objective suggests {name!r}, which is inactive in this configuration{needs}: {declare} without "
                "that condition, or suggest it only where it holds"
            )
        self._params[name] = copy.deepcopy(self._given[name])
        self._distributions[name] = asked
        return self._given[name]


BaseTrial.register(SuggestingTrial)  # no subclass: which methods are abstract changes with Optuna's version


def _bare(domain: Domain) -> Domain:
    """Without what Optuna has no word for: default, condition, order; a step of 1 is an Int's own."""
    domain = replace(domain, default=UNSET, when=None)
    if isinstance(domain, Choice):
        return replace(domain, ordered=False)
    return replace(domain, step=None) if isinstance(domain, Int) and domain.step == 1 else domain


def _text(domain: Domain) -> str:
    """As it is written in a program: `Float(1e-05, 0.1, log=True)`."""
    if isinstance(domain, Choice):
        return f"Choice({list(domain.options)!r})"
    assert isinstance(domain, (Float, Int))
    more = ", log=True" * domain.log + (f", step={domain.step}" if domain.step is not None else "")
    return f"{type(domain).__name__}({domain.low}, {domain.high}{more})"


def _line(name: str, asked: BaseDistribution) -> str:
    return f'"{name}": {_text(domain_of(asked))}'


class _Recorder(SuggestingTrial):
    """Answers with the middle of every range."""

    def __init__(self, trial: LiveTrial) -> None:
        super().__init__({}, trial, None)
        self.domains: dict[str, Domain] = {}

    def _suggest(self, name: str, asked: BaseDistribution) -> Any:
        domain = domain_of(asked)
        Space({name: domain})  # refuses a name or an option that no space can have
        if self.domains.setdefault(name, domain) != domain:
            raise SpaceError(
                f"the objective suggests {name!r} both from {_text(self.domains[name])} and {_text(domain)}"
            )
        self._params[name] = domain.decode(0.5)
        self._distributions[name] = asked
        return self._params[name]


def _record(objective: OptunaObjective) -> Space:
    """The space that one call of the objective asks for.

    Raises:
        SpaceError: the call failed, or asked for nothing.
    """
    seed = seeding.derive("from_optuna", "record")
    recorder = _Recorder(LiveTrial(Job(0, 0, 0, {}, seed, 0, 1, 1)))
    try:
        with Randomness(seed).active():
            objective.function(recorder)
    except TrialPruned:
        pass
    except SpaceError:
        raise
    except Exception as error:
        asked = ", ".join(f'"{name}": {_text(domain)}' for name, domain in recorder.domains.items())
        raise SpaceError(
            f"the call of {objective.name!r} that should record its space failed with {type(error).__name__}: {error} "
            f"(until then it asked for {{{asked}}}): declare the space, search(..., space={{...}})"
        ) from error
    if not recorder.domains:
        raise SpaceError(f"objective {objective.name!r} suggested nothing when it was called: declare its space")
    return Space(recorder.domains)
