"""Searchers of hpo as samplers of Optuna: `optuna.create_study(sampler=as_sampler("tpe", space))`.

What a sampler proposes for a trial is a function of the trials before it in Optuna's study: the searcher's state is a
fold over them, in which each was asked, and told at once if it has finished by now. So another process with a sampler
of the same arguments goes on alike, and with n_jobs=1 the trials are those of `ask` and `tell`.

Optuna      told as
COMPLETE    done
PRUNED      done, with the last value reported, as Optuna counts it; without one failed
FAIL        failed
RUNNING     pending

Trials that it did not propose (enqueued by the user, of another sampler) are told when they have finished, like those
that a study already had; trials whose parameters are no configuration of the space are not told at all.

NOTE: a proposal is noted at once in its trial's system attribute "hpo:proposed", since Optuna stores a parameter only
when the objective asks for it: trials that begin side by side know of each other.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo import seeding
from hpo.domains import Choice, Domain
from hpo.errors import DataError, SpaceError
from hpo.optuna_space import distribution, domain_of
from hpo.registry import make_searcher
from hpo.searcher import Searcher
from hpo.space import Space
from hpo.trial import Outcome, Proposal, State
from hpo.values import canonical

_NOTED = "hpo:proposed"


def as_sampler(
    searcher: str | type[Searcher] | Searcher,
    space: Space | Mapping[str, Any],
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
) -> "SearcherSampler":
    """A sampler for `optuna.create_study` that proposes what a searcher of hpo would.

    Parameters outside the space, and all of them when the searcher has nothing to propose, are drawn at random.

    Args:
        searcher: a name ("tpe"), a Searcher class or an instance.
        space: what it searches; the objective suggests these names with these ranges.
        seed: all randomness.
        settings: of a searcher that is no instance.

    Raises:
        SpaceError: a hyperparameter that Optuna cannot express.
        MismatchError: the searcher cannot work without epochs, which Optuna has no word for.
    """
    name, unbound = make_searcher(searcher, settings)
    return SearcherSampler(name, unbound, Space(space), seed)


@dataclasses.dataclass(frozen=True)
class _Event:
    """A trial that was asked for, or the end of one."""

    number: int
    params: Mapping[str, Any]
    told: bool = False
    value: float | None = None


class SearcherSampler(BaseSampler):
    """See `as_sampler`; may be used by several threads, and pickled.

    Args:
        name: of the searcher.
        searcher: unbound.
        space: the space.
        seed: all randomness.
    """

    def __init__(self, name: str, searcher: Searcher, space: Space, seed: int) -> None:
        searcher.bind(space, seed=seed)  # refused now rather than in the first trial
        self._distributions = {name: _distribution(name, domain) for name, domain in space.items()}
        self._arguments = (name, searcher, space, seed)
        self._identity = canonical([name, searcher.settings(), space.to_json(), seed])
        self._space = space
        self._searcher: Searcher | None = None
        self._direction: StudyDirection | None = None
        self._applied: list[_Event] = []
        self._finished: dict[int, tuple[_Event, ...]] = {}
        self._study: tuple[Any, int] | None = None  # whose trials those are
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments  # the rest is made again from the study

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The space, in every trial."""
        return dict(self._distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The searcher's next proposal: its active hyperparameters."""
        _check_single(study)
        with self._lock:
            before = [other for other in study.get_trials(deepcopy=False) if other.number < trial.number]
            if self._study != (place := (study._storage, study._study_id)):
                self._study, self._finished = place, {}
            events = [event for other in before for event in self._events(other)]
            searcher = self._folded(study.direction, events)
            searcher.skip_to(trial.number)
            proposals = searcher.ask(1)
            if proposals:
                params = dict(proposals[0].params)
                self._applied.append(_Event(trial.number, params))
                noted: Any = {"by": self._identity, "params": params}
                study._storage.set_trial_system_attr(trial._trial_id, _NOTED, noted)
            else:
                params = searcher.space.sample(searcher.rng(trial.number, "nothing proposed"))
        return {name: value for name, value in params.items() if name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random value, the same whenever this parameter of this trial is sampled."""
        _check_single(study)
        u = seeding.generator(self._arguments[-1], trial.number, "independent", param_name).random()
        return domain_of(param_distribution).decode(u)

    def _events(self, trial: FrozenTrial) -> tuple[_Event, ...]:
        """What a trial is to the searcher; nothing if its parameters are not a configuration of the space."""
        if trial.number in self._finished:
            return self._finished[trial.number]
        events = tuple(self._read(trial))
        if trial.state.is_finished():
            self._finished[trial.number] = events  # which never changes again
        return events

    def _read(self, trial: FrozenTrial) -> Iterator[_Event]:
        noted: Any = trial.system_attrs.get(_NOTED, {})
        proposed = noted["params"] if noted.get("by") == self._identity else {}
        found = {**proposed, **trial.params}
        try:
            params = self._space.validate({name: found[name] for name in self._space if name in found})
        except SpaceError:
            return
        if params == proposed:
            yield _Event(trial.number, params)
        if trial.state.is_finished():
            valued = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            yield _Event(trial.number, params, told=True, value=trial.value if valued else None)

    def _folded(self, direction: StudyDirection, events: list[_Event]) -> Searcher:
        """The searcher after `events`: from where it is if it has seen a beginning of them, else from nothing."""
        seen = len(self._applied)
        if self._searcher is None or direction != self._direction or events[:seen] != self._applied:
            _, searcher, space, seed = self._arguments
            self._searcher = searcher.bind(space, direction=direction.name.lower(), seed=seed)
            self._direction, seen = direction, 0
        self._applied = events[:seen]  # these very objects: the next comparison is quick
        for event in events[seen:]:
            _apply(self._searcher, event)
            self._applied.append(event)
        return self._searcher


def _apply(searcher: Searcher, event: _Event) -> None:
    if event.told:
        state = State.FAILED if event.value is None else State.DONE
        searcher.tell([Outcome(event.number, event.params, state, event.value)])
        return
    searcher.skip_to(event.number)
    with contextlib.suppress(DataError):  # asked for beside others, which it now knows more of
        searcher.replay(1, [Proposal(event.params, 1)])


def _distribution(name: str, domain: Domain) -> BaseDistribution:
    unordered = dataclasses.replace(domain, ordered=False) if isinstance(domain, Choice) else domain
    return distribution(name, unordered)


def _check_single(study: Study) -> None:
    if len(study.directions) > 1:
        raise ValueError(f"a searcher of hpo optimises one value, the study has {len(study.directions)}")
