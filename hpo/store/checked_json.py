"""JSON from a stranger: parsed within bounds, and each field what it is expected to be."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from hpo.store import codec
from hpo.values import brief

MAX_LINE: Final = 8_000_000  # characters
MAX_NESTED: Final = 400_000  # lists and objects in one line: each takes far more memory than its text
MAX_INTEGER: Final = 2**63 - 1
NON_FINITE: Final = ("nan", "inf", "-inf")


class UnexpectedError(ValueError):
    """Something else than was expected; the message says both."""


Check = Callable[[Any], bool]


def parse(line: str) -> Any:
    """One line of strict JSON.

    Raises:
        UnexpectedError: it is none, or too much of it.
    """
    if len(line) > MAX_LINE:
        raise UnexpectedError(f"more than {MAX_LINE} characters, expected one JSON object of less")
    if line.count("{") + line.count("[") > MAX_NESTED:
        raise UnexpectedError(f"more than {MAX_NESTED} lists and objects, expected fewer")
    try:
        return json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        why = "nested too deep" if isinstance(error, RecursionError) else str(error).partition(";")[0]
        if isinstance(error, json.JSONDecodeError):
            why = f"{error.msg.removesuffix(' at').lower()} at character {error.pos + 1}"
        raise UnexpectedError(f"no JSON ({why}), expected one object a line") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def fields(
    found: Any, what: str, expected: Mapping[str, tuple[Check, str]], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`found` as an object that has exactly the expected fields.

    Args:
        found: parsed JSON.
        what: its name in a message.
        expected: name to what its value must fulfil, and that in words.
        optional: names that may be missing.

    Raises:
        UnexpectedError: it has others, or other values.
    """
    if not isinstance(found, dict):
        raise UnexpectedError(f"{what} is {brief(found, 40)}, expected an object")
    for name in expected:
        if name not in found and name not in optional:
            raise UnexpectedError(f"{what} has no {name!r}, expected {expected[name][1]}")
    for name, value in found.items():
        if name not in expected:
            raise UnexpectedError(f"{what} has {brief(name, 40)}, expected only {', '.join(expected)}")
        check, words = expected[name]
        if not check(value):
            raise UnexpectedError(f"{what}: {name} is {brief(value, 60)}, expected {words}")
    return found


def whole(low: int = 0, high: int = MAX_INTEGER) -> tuple[Check, str]:
    """An integer within bounds."""
    return lambda value: type(value) is int and low <= value <= high, f"an integer from {low} to {high}"


def or_null(inner: tuple[Check, str]) -> tuple[Check, str]:
    """What `inner` takes, or null."""
    return lambda value: value is None or inner[0](value), f"{inner[1]}, or null"


def one_of(*options: str) -> tuple[Check, str]:
    """One of some texts."""
    return lambda value: isinstance(value, str) and value in options, f"one of {', '.join(options)}"


def objects(value: Any) -> bool:
    """Whether it is a list of objects."""
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def is_text(value: Any) -> bool:
    """Whether it is text that UTF-8 can write."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def is_seconds(value: Any) -> bool:
    """Whether it is a finite number >= 0."""
    return type(value) in (int, float) and math.isfinite(_float(value)) and value >= 0


def is_number(value: Any) -> bool:
    """Whether it is a finite number, or the text of one that is not."""
    return (type(value) in (int, float) and math.isfinite(_float(value))) or (
        type(value) is str and value in NON_FINITE
    )


def is_object(value: Any) -> bool:
    """Whether it is an object that a store can hold."""
    try:
        return isinstance(value, dict) and codec.dump(value).encode() is not None
    except (ValueError, RecursionError):
        return False


def is_numbers(value: Any) -> bool:
    """Whether it is an object of numbers."""
    return is_object(value) and all(map(is_number, value.values()))


def is_curve(value: Any) -> bool:
    """Whether it is an object of lists of numbers, all of one length."""
    return (
        is_object(value)
        and all(isinstance(item, list) and all(map(is_number, item)) for item in value.values())
        and len({len(item) for item in value.values()}) <= 1
    )


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of many digits
        return math.inf


TEXT: Final = (is_text, "text")
SECONDS: Final = (is_seconds, "a finite number of at least 0")
NUMBER: Final = (is_number, "a number, or the text nan, inf or -inf")
OBJECT: Final = (is_object, "an object")
NUMBERS: Final = (is_numbers, "an object of numbers")
CURVE: Final = (is_curve, "an object of lists of numbers, all of one length")
OBJECTS: Final = (objects, "a list of objects")
