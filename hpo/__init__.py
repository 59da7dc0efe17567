"""hpo: hyperparameter search with pluggable searchers, in which every trial is stored and a killed run goes on.

    from hpo import Choice, Float, search

    study = search(lambda p: (p["x"] - 2) ** 2, {"x": Float(-10, 10)}, direction="minimize")
    print(study.best_params)

The public names below are loaded when they are first used: `import hpo` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.api import create_study as create_study
    from hpo.api import search as search
    from hpo.comparison.compare import compare as compare
    from hpo.comparison.comparison import Comparison as Comparison
    from hpo.comparison.comparison import load_comparison as load_comparison
    from hpo.domains import Choice as Choice
    from hpo.domains import Float as Float
    from hpo.domains import Int as Int
    from hpo.errors import HpoError as HpoError
    from hpo.estimators import SimpleNNClassifier as SimpleNNClassifier
    from hpo.estimators import SimpleNNRegressor as SimpleNNRegressor
    from hpo.function_objective import FunctionObjective as FunctionObjective
    from hpo.integrations.optuna import from_optuna as from_optuna
    from hpo.live_trial import LiveTrial as LiveTrial
    from hpo.objective import Objective as Objective
    from hpo.search_cv import HPOSearchCV as HPOSearchCV
    from hpo.searcher import Searcher as Searcher
    from hpo.space import Space as Space
    from hpo.study import Study as Study
    from hpo.study import load_study as load_study
    from hpo.training.modules.objective import TorchObjective as TorchObjective
    from hpo.training.saved import load_model as load_model
    from hpo.trial import Outcome as Outcome
    from hpo.trial import Proposal as Proposal
    from hpo.trial import Trial as Trial

_HOME = {
    "Choice": "hpo.domains",
    "Comparison": "hpo.comparison.comparison",
    "Float": "hpo.domains",
    "FunctionObjective": "hpo.function_objective",
    "HPOSearchCV": "hpo.search_cv",
    "HpoError": "hpo.errors",
    "Int": "hpo.domains",
    "LiveTrial": "hpo.live_trial",
    "Objective": "hpo.objective",
    "Outcome": "hpo.trial",
    "Proposal": "hpo.trial",
    "Searcher": "hpo.searcher",
    "SimpleNNClassifier": "hpo.estimators",
    "SimpleNNRegressor": "hpo.estimators",
    "Space": "hpo.space",
    "Study": "hpo.study",
    "TorchObjective": "hpo.training.modules.objective",
    "Trial": "hpo.trial",
    "compare": "hpo.comparison.compare",
    "create_study": "hpo.api",
    "from_optuna": "hpo.integrations.optuna",
    "load_comparison": "hpo.comparison.comparison",
    "load_model": "hpo.training.saved",
    "load_study": "hpo.study",
    "search": "hpo.api",
}

__all__ = sorted(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
