"""From what users write to what the framework works with: objectives, durations, numbers."""

import copy
import inspect
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

from hpo.errors import LoadError, NotFoundError, UsageError, did_you_mean
from hpo.execution import Execution
from hpo.function_objective import FunctionObjective
from hpo.objective import Objective
from hpo.registry import entries, import_object, load
from hpo.values import brief, plain

DEFAULT_OBJECTIVE = "simplenn"
MAX_TRIALS = 10**9
MAX_SECONDS = 1e10  # three centuries
MAX_WORKERS = 1024  # processes on one machine
MAX_RETRIES = 100
MIN_MEMORY = 64 * 2**20  # bytes: an interpreter alone needs a part of it
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def resolve_objective(objective: Any, direction: str | None = None) -> Objective:
    """An objective from None (the shared one), a registered name, "module:function", a callable or an Objective."""
    if direction not in (None, "maximize", "minimize"):
        raise UsageError(f"direction is {direction!r}, expected 'maximize' or 'minimize'")
    path = None
    if objective is None:
        objective = DEFAULT_OBJECTIVE
    if isinstance(objective, str):
        path = objective if ":" in objective else None
        objective = load("objectives", objective) if path is None else import_object(path)
    if inspect.isclass(objective) and issubclass(objective, Objective):
        objective = objective()
    found: Objective = (
        objective if isinstance(objective, Objective) else FunctionObjective(objective, direction=direction, path=path)
    )
    if path is not None and isinstance(found, FunctionObjective) and "<" in found.path:
        found = copy.copy(found)
        found.path = path
    if found.direction is None:
        if direction is None:
            raise UsageError(
                f"objective {found.name!r} does not say whether more is better: "
                "give the direction (--direction), 'maximize' or 'minimize'"
            )
        found = copy.copy(found)  # the caller's own stays as it is
        found.direction = direction
    elif direction is not None and direction != found.direction:
        raise UsageError(
            f"direction is {direction!r}, but objective {found.name!r} is to {found.direction}: leave it out"
        )
    return found


def stored_objective(description: Mapping[str, Any], direction: str) -> Objective:
    """The objective that a study's specification describes.

    Raises:
        LoadError: it was defined in a script or notebook, or cannot be imported.
    """
    if (path := description.get("function")) is not None:
        if path.startswith("__main__:") or "<" in path:
            raise LoadError(
                f"the study's objective {path!r} was defined in a script or notebook, or made by a program: run that "
                "again with the name of the study, or call study.resume(objective=...)"
            )
        function = import_object(path)
        if isinstance(function, Objective):
            return resolve_objective(path, direction)
        if description.get("optuna"):
            from hpo.integrations.optuna import OptunaObjective

            return OptunaObjective(function, direction, path)
        batched = bool(description.get("batched", False))
        return FunctionObjective(function, batched=batched, direction=direction, path=path)
    if (path := description.get("build")) is not None:
        return _beside(path, description)
    if "by_hand" in description:
        raise LoadError(
            "the study was made for asking and telling by hand: it has no objective to run; study.ask() and "
            "study.tell() go on"
        )
    name = description.get("name")
    if name not in entries("objectives"):
        raise LoadError(
            f"the study's objective {brief(name or dict(description))} is not registered: install the package that "
            "has it, or call study.resume(objective=...)"
        )
    settings = {key: value for key, value in description.items() if key != "name"}
    try:
        return objective_by_name(name, settings)
    except NotFoundError as error:
        raise LoadError(f"{error}; the study was made with it: put it back, or start a new study") from None


def _beside(path: str, description: Mapping[str, Any]) -> Objective:
    """The objective of this description that stands in the module of its `build`, whose data came from Python."""
    module = path.partition(":")[0]
    if module != "__main__" and "<" not in path:
        import_object(path)
        for value in vars(sys.modules[module]).values():
            if isinstance(value, Objective) and value.describe() == description:
                return value
    raise LoadError(
        f"the study trains modules of {path!r} on data that came from Python: run that again with the name of the "
        "study, or call study.resume(objective=TorchObjective(build, data)); one that stands in the module of build, "
        "objective = TorchObjective(build, data), is found"
    )


def objective_by_name(name: str, settings: Mapping[str, Any]) -> Objective:
    """A registered objective with settings; raises UsageError for one that it does not have."""
    kind = load("objectives", name)
    known = inspect.signature(kind).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        for setting in settings:
            if setting not in known:
                raise UsageError(f"objective {name!r} has no setting {setting!r}: {did_you_mean(setting, known)}")
    try:
        objective: Objective = kind(**settings)
    except TypeError as error:
        raise UsageError(f"objective {name!r}: {error}") from None
    return objective


def make_execution(
    workers: int | None = None,
    trial_timeout: float | str | None = None,
    trial_memory: int | str | None = None,
    retries: int = 1,
    fresh: bool = False,
    executor: Any = None,
) -> Execution:
    """How trials are run, from what users write; see `Execution` and `hpo.api.search`.

    Whether `executor` is a cluster is seen where it is `connected`.
    """
    if workers is not None and executor is not None:
        raise UsageError(
            f"workers is {brief(workers)} and a Dask cluster is given: workers are processes of this machine; a "
            "cluster has its own: leave one of them out"
        )
    return Execution(
        workers=None if workers is None else whole("workers", workers, 1, MAX_WORKERS),
        trial_timeout=seconds(trial_timeout, "trial_timeout"),
        trial_memory=_bytes("trial_memory", trial_memory),
        retries=whole("retries", retries, 0, MAX_RETRIES),
        fresh=fresh,
        cluster=executor,
    )


def _bytes(name: str, memory: int | str | None) -> int | None:
    """An amount of memory in bytes, from a number of them or a text such as "512MiB", "2GiB", "2GB"."""
    if memory is None:
        return None
    value, given = 0.0, plain(memory)
    if isinstance(given, int) and not isinstance(given, bool):
        value = float(min(given, 2**63))
    elif isinstance(given, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", given, re.I)):
        value = float(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index(match[2].upper() or " ")
    if not MIN_MEMORY <= value < 2**63:
        raise UsageError(
            f"{name} is {brief(memory)}, expected at least {MIN_MEMORY >> 20}MiB: bytes, or a text like '512MiB', "
            "'2GiB', '2GB'"
        )
    return int(value)


def seconds(timeout: float | str | None, name: str = "timeout") -> float | None:
    """A duration in seconds, from a number or a text such as "90s", "10m", "2h", "1d"."""
    if timeout is None:
        return None
    value, given = math.nan, plain(timeout)
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        value = float(given) if given <= MAX_SECONDS else math.nan
    elif isinstance(given, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", given)):
        value = float(match[1]) * _UNITS[match[2]]
    if not 0 < value <= MAX_SECONDS:
        found = brief(timeout)
        raise UsageError(f"{name} is {found}, expected a positive number of seconds, or like '90s', '10m', '2h'")
    return value


def whole(name: str, value: Any, low: int, high: int) -> int:
    """An integer argument within its range."""
    found = plain(value)
    if isinstance(found, bool) or not isinstance(found, int):
        raise UsageError(f"{name} is {brief(value)} ({type(value).__name__}), expected an integer")
    if not low <= found <= high:
        raise UsageError(f"{name} is {brief(found)}, expected {low} to {high}")
    return found
