"""Typed JSON: how values that users choose are compared, written down and read back."""

import json
import math
from typing import Any, Final


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()  # "no default", since None may be one of a Choice's options


def canonical(value: Any) -> str:
    """The JSON text that identifies a value: 1, 1.0 and True stay apart, NaN and infinities raise ValueError."""
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """`value` with a NumPy scalar turned into the Python number it holds."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return value.item()
    return value


def not_json(value: Any) -> str | None:
    """Why `value` cannot be an option, or None."""
    if value is None or isinstance(value, (bool, int, str)):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "is not finite: it could not be compared or stored"
    if isinstance(value, (list, tuple)):
        return next((reason for item in value if (reason := not_json(item))), None)
    if isinstance(value, dict):
        if any(not isinstance(key, str) or key == "__tuple__" for key in value):
            return "is a dict with a key that is not a string"
        return next((reason for item in value.values() if (reason := not_json(item))), None)
    return f"has type {type(value).__name__}: it could not be stored; name it by a string and look it up"


def tag(value: Any) -> Any:
    """JSON that keeps tuples apart from lists."""
    if isinstance(value, tuple):
        return {"__tuple__": [tag(item) for item in value]}
    if isinstance(value, list):
        return [tag(item) for item in value]
    if isinstance(value, dict):
        return {key: tag(item) for key, item in value.items()}
    return value


def untag(value: Any) -> Any:
    """The inverse of `tag`."""
    if isinstance(value, dict):
        if set(value) == {"__tuple__"}:
            return tuple(untag(item) for item in value["__tuple__"])
        return {key: untag(item) for key, item in value.items()}
    return [untag(item) for item in value] if isinstance(value, list) else value
