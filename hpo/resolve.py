"""From what users write to what the framework works with: objectives, durations, numbers."""

import math
import re
from collections.abc import Mapping
from typing import Any

from hpo.errors import LoadError, UsageError
from hpo.function_objective import FunctionObjective
from hpo.objective import Objective
from hpo.registry import import_object, load

DEFAULT_OBJECTIVE = "simplenn"
MAX_TRIALS = 10**9
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def resolve_objective(objective: Any, direction: str | None = None) -> Objective:
    """An objective from None (the shared one), a registered name, "module:function", a callable or an Objective."""
    if direction not in (None, "maximize", "minimize"):
        raise UsageError(f"direction is {direction!r}, expected 'maximize' or 'minimize'")
    if objective is None:
        objective = DEFAULT_OBJECTIVE
    if isinstance(objective, str):
        objective = import_object(objective) if ":" in objective else load("objectives", objective)()
    found: Objective = (
        objective if isinstance(objective, Objective) else FunctionObjective(objective, direction=direction)
    )
    if found.direction is None:
        if direction is None:
            raise UsageError(
                f"objective {found.name!r} does not say whether more is better: "
                "give direction='maximize' or direction='minimize'"
            )
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
                f"the study's objective {path!r} was defined in a script or notebook: run that script again with the "
                "same name, or call study.resume(objective=...)"
            )
        batched = bool(description.get("batched", False))
        return FunctionObjective(import_object(path), batched=batched, direction=direction)
    if "name" not in description:
        raise LoadError("the study was made for asking and telling by hand: it has no objective to run")
    settings = {key: value for key, value in description.items() if key != "name"}
    return objective_by_name(description["name"], settings)


def objective_by_name(name: str, settings: Mapping[str, Any]) -> Objective:
    """A registered objective with settings."""
    try:
        objective: Objective = load("objectives", name)(**settings)
    except TypeError as error:
        raise UsageError(f"objective {name!r}: {error}") from None
    return objective


def seconds(timeout: float | str | None) -> float | None:
    """A duration in seconds, from a number or a text such as "90s", "10m", "2h", "1d"."""
    if timeout is None:
        return None
    value: float | None = None
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        value = float(timeout)
    elif isinstance(timeout, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", timeout)):
        value = float(match[1]) * _UNITS[match[2]]
    if value is None or not math.isfinite(value) or value <= 0:
        raise UsageError(f"timeout is {timeout!r}, expected a positive number of seconds, or like '90s', '10m', '2h'")
    return value


def whole(name: str, value: Any, low: int, high: int) -> int:
    """An integer argument within its range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} is {value!r} ({type(value).__name__}), expected an integer")
    if not low <= value <= high:
        raise UsageError(f"{name} is {value}, expected {low} to {high}")
    return value
