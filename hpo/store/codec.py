"""How values are written into a store and read back, without loss."""

import json
import math
from collections.abc import Mapping
from typing import Any

MAX_ERROR = 64_000  # characters kept of a traceback


def split(value: float | None) -> tuple[float | None, str | None]:
    """A float as the columns `value`, `value_kind`."""
    if value is None:
        return None, None
    if math.isnan(value):
        return None, "nan"
    return float(value), "finite" if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def join(number: float | None, kind: str | None) -> float | None:
    """The inverse of `split`."""
    if kind is None:
        return None
    return math.nan if kind == "nan" else number


def dump(data: Any) -> str:
    """Strict JSON."""
    return json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def json_float(value: float | None) -> float | str | None:
    """A float as strict JSON: 'nan', 'inf' and '-inf' are strings."""
    if value is None or math.isfinite(value):
        return value
    return split(value)[1]


def dump_curve(curve: Mapping[str, list[float]]) -> str:
    """A curve as JSON, non-finite numbers as text."""
    return dump({name: [json_float(value) for value in values] for name, values in curve.items()})


def load_curve(text: str) -> dict[str, list[float]]:
    """The inverse of `dump_curve`."""
    return {name: [float(value) for value in values] for name, values in json.loads(text).items()}


def cut(error: str | None) -> str | None:
    """An error text of bounded length: the beginning and the end, which names the exception."""
    if error is None or len(error) <= MAX_ERROR:
        return error
    half = MAX_ERROR // 2
    return f"{error[:half]}\n... {len(error) - 2 * half} characters left out ...\n{error[-half:]}"
