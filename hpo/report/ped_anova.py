"""Importance of hyperparameters by Optuna's PED-ANOVA, on a study that is built in memory.

Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces",
IJCAI 2023, https://arxiv.org/abs/2304.10255: how far the values of the best tenth of the trials are spread otherwise
than those of all, for each hyperparameter on its own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpo.domains import Choice, Domain
from hpo.optuna_space import nearest, quiet
from hpo.trial import Trial

MIN_TRIALS: Final = 10  # the best tenth of fewer would be no trial
MAX_OPTIONS: Final = 1_000  # the method takes time and memory with the square of their number
_SOME_TIME: Final = datetime(2000, 1, 1)  # Optuna asks for one


class _Given(FrozenTrial):
    """A trial that is neither copied nor checked when it is added: that takes longer than everything else."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Given:
        return self

    def _validate(self) -> None:
        """Its values are from the space."""


def ped_anova(space: Mapping[str, Domain], trials: Sequence[Trial], direction: str) -> dict[str, float]:
    """Name to share of the importance, most important first; the shares add up to 1.

    Args:
        space: the hyperparameters that vary; those with more than MAX_OPTIONS options are left out.
        trials: with finite values that can be compared.
        direction: "maximize" or "minimize".

    Returns:
        Empty for fewer than MIN_TRIALS trials, and where the best tenth is spread as all are.
    """
    if len(trials) < MIN_TRIALS:
        return {}
    axes = {
        name: nearest(name, domain)
        for name, domain in space.items()
        if not (isinstance(domain, Choice) and domain.size > MAX_OPTIONS)
    }
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values that are all equal: told by an empty result
        study = optuna.create_study(direction=StudyDirection[direction.upper()])
        for trial in trials:
            params = {name: axes[name][1](value) for name, value in trial.params.items() if name in axes}
            study.add_trial(
                _Given(
                    number=trial.number,
                    trial_id=-1,
                    state=TrialState.COMPLETE,
                    value=trial.value,
                    datetime_start=_SOME_TIME,
                    datetime_complete=_SOME_TIME,
                    params=params,
                    distributions={name: axes[name][0] for name in params},
                    user_attrs={},
                    system_attrs={},
                    intermediate_values={},
                )
            )
        found = PedAnovaImportanceEvaluator().evaluate(study)
    total = math.fsum(found.values())
    if not (math.isfinite(total) and total > 0):
        return {}
    place = {name: i for i, name in enumerate(space)}  # equals in the order of the space, whatever Optuna's sets say
    return {name: found[name] / total for name in sorted(found, key=lambda name: (-found[name], place[name]))}
