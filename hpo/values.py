"""Values that users choose: how they are compared, written down as typed JSON, read back and put in a line."""

import functools
import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

MAX_DEPTH = 20  # of lists and dicts inside each other
MAX_BITS = 4096  # of an integer option; Python refuses to print integers far above that


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"  # a copy, or the one unpickled in another process, is the same object


UNSET: Final = _Unset()  # "no default", since None may be one of a Choice's options

_ADDRESS = re.compile(" at 0x[0-9a-fA-F]+>")  # in memory, which tells nobody anything
_ENCODER = json.JSONEncoder(sort_keys=True, allow_nan=False, ensure_ascii=False)


def canonical(value: Any) -> str:
    """The JSON text that identifies a value: 1, 1.0 and True stay apart, NaN and infinities raise ValueError."""
    return _ENCODER.encode(value)


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """`value` with NumPy scalars turned into the Python numbers they hold; lists, tuples and dicts are copied."""
    kind = type(value)
    if kind in (list, tuple) and depth:
        return kind(plain(item, depth - 1) for item in value)
    if kind is dict and depth:
        return {key: plain(item, depth - 1) for key, item in value.items()}
    if kind.__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return value.item()
    return value


def as_value(value: Any, subject: str) -> float:
    """A real scalar as a float: int, float, NumPy scalar, tensor without dimensions.

    Args:
        value: what was found.
        subject: beginning of the message, "the objective returned".

    Raises:
        TypeError: anything else, named by its type; a number that no float equals.
    """
    found = plain(value)
    if type(found).__module__.partition(".")[0] == "torch" and getattr(found, "ndim", None) == 0:
        found = found.item()
    if isinstance(found, bool) or not isinstance(found, numbers.Real):
        raise TypeError(f"{subject} {brief(value, 60)} ({_kind(value)}), expected a number{_advice(value)}")
    try:
        result = float(found)
        exact = math.isnan(result) or result == found
    except OverflowError:
        exact = False
    if not exact:
        raise TypeError(f"{subject} {brief(value, 60)} ({type(value).__name__}), which no float equals: make it one")
    return result


def _kind(value: Any) -> str:
    """The type of a value, and how much it holds where that is what is wrong with it."""
    name = type(value).__name__
    if type(value) in (tuple, list):
        return f"{name} of {len(value)} value{'s' * (len(value) != 1)}"
    shape = getattr(value, "shape", ())
    return f"{name} of shape {tuple(shape)}" if isinstance(shape, tuple) and shape else name


def _advice(value: Any) -> str:
    """What to return instead, where that can be told."""
    if type(value) in (tuple, list) and len(value) > 1:
        return ": return the one that is optimised"
    if value is None:
        return ": return the value that is optimised"
    shape = getattr(value, "shape", ())
    one = isinstance(shape, tuple) and shape and all(length == 1 for length in shape)
    return " without dimensions: return value.item()" if one else ""


def not_json(value: Any, depth: int = MAX_DEPTH) -> str | None:
    """Why `value` cannot be an option, or None."""
    kind = type(value)
    if value is None or kind is bool:
        return None
    if kind is int:
        return None if value.bit_length() <= MAX_BITS else f"is an integer of more than {MAX_BITS} bits"
    if kind is float:
        return None if math.isfinite(value) else "is not finite: it could not be compared or stored"
    if kind is str:
        surrogate = any("\ud800" <= c <= "\udfff" for c in value) if not value.isascii() else False
        return "has half a surrogate pair: it is no valid text and could not be stored" if surrogate else None
    if kind not in (list, tuple, dict):
        # subclasses too (enumerations, named tuples): they would come back from a store as something else
        return f"has type {kind.__name__}: it could not be stored; name it by a string and look it up"
    if not depth:
        return f"is nested more than {MAX_DEPTH} levels deep"
    if kind is dict:
        if any(type(key) is not str for key in value):
            return "has a dict key that is not a string"
        if "__tuple__" in value:
            return "has the dict key '__tuple__', which is taken: it marks tuples in stored spaces"
    items = [*value, *value.values()] if kind is dict else value
    return next((reason for item in items if (reason := not_json(item, depth - 1)) is not None), None)


def brief(value: Any, limit: int = 80) -> str:
    """`value` for a message: its repr, cut at `limit` characters."""
    try:
        text = repr(value)
    except Exception:  # an integer of too many digits, an object with a broken repr
        return f"<{type(value).__name__}>"
    text = _ADDRESS.sub(">", text)
    return text if len(text) <= limit else f"{text[:limit]}..."


def tag(value: Any) -> Any:
    """JSON that keeps tuples apart from lists."""
    if isinstance(value, tuple):
        return {"__tuple__": [tag(item) for item in value]}
    if isinstance(value, list):
        return [tag(item) for item in value]
    if isinstance(value, dict):
        return {key: tag(item) for key, item in value.items()}
    return value


def untag(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The inverse of `tag`; what is nested deeper than an option may be is left as it is."""
    if not depth:
        return value
    if isinstance(value, dict):
        if set(value) == {"__tuple__"} and isinstance(value["__tuple__"], list):
            return tuple(untag(item, depth - 1) for item in value["__tuple__"])
        return {key: untag(item, depth - 1) for key, item in value.items()}
    return [untag(item, depth - 1) for item in value] if isinstance(value, list) else value


def held(values: Any) -> Any:
    """An iterable as a tuple, so that it can be read more than once; what is no list of values, as it is."""
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping)) else values


def exact(value: float) -> Fraction:
    """The number as it is written, so that 0.3 is three steps of 0.1."""
    return Fraction(repr(value))


def cell(u: float, size: int) -> int:
    """Which of `size` equal cells of [0, 1) holds u; in integers, since floats round beyond 2^53."""
    return min(max(int(u * 2**53), 0) * size >> 53, size - 1)


def middle(index: int, size: int) -> float:
    """The middle of cell number `index` of `size` equal cells of [0, 1)."""
    return (2 * index + 1) / (2 * size)


@functools.lru_cache(maxsize=1024)
def log_spaced(low: int, high: int, points: int) -> tuple[int, ...]:
    """At most `points` different integers, evenly spaced in the logarithm; with two or more, the ends are included."""
    if points == 1:
        return (min(max(round(math.sqrt(low * high)), low), high),)
    ratio = math.log(high / low)
    inner = (round(low * math.exp(ratio * i / (points - 1))) for i in range(1, points - 1))
    return tuple(sorted({low, high} | {min(max(value, low), high) for value in inner}))
