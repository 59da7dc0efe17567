"""How values are written into a store and read back, without loss."""

import json
import math
from collections.abc import Mapping
from typing import Any

from hpo.store.damage import AlteredError
from hpo.values import brief, tag, untag

MAX_TEXT = 64_000  # bytes kept of a traceback or log, in UTF-8


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # strict, as what is written


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


def load(text: str) -> dict[str, Any]:
    """The inverse of `dump` for what every column of JSON holds, an object.

    Raises:
        AlteredError: the text is none.
    """
    try:
        found = _DECODER.decode(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise AlteredError(f"{brief(text, 40)} where JSON is expected") from error
    if not isinstance(found, dict):
        raise AlteredError(f"{brief(found)} where an object is expected")
    return found


def readable(*columns: Any) -> bool:
    """Whether columns of JSON can be read, of rows that nobody has checked."""
    try:
        return all(isinstance(text, str) and load(text) is not None for text in columns)
    except AlteredError:
        return False


def _floats(values: Any) -> list[float]:
    """Numbers, some of them as text."""
    try:
        return [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise AlteredError(f"{brief(values)} where numbers are expected") from None


def dump_params(params: Mapping[str, Any]) -> str:
    """A configuration as JSON, without loss: a tuple is `{"__tuple__": [...]}`."""
    return dump({name: tag(value) for name, value in params.items()})


def load_params(text: str) -> dict[str, Any]:
    """The inverse of `dump_params`."""
    return {name: untag(value) for name, value in load(text).items()}


def json_float(value: float | None) -> float | str | None:
    """A float as strict JSON: 'nan', 'inf' and '-inf' are strings."""
    if value is None or math.isfinite(value):
        return value
    return split(value)[1]


def dump_floats(values: Mapping[str, float]) -> str:
    """Named floats as JSON, non-finite ones as text."""
    return dump({name: json_float(value) for name, value in values.items()})


def load_floats(text: str) -> dict[str, float]:
    """The inverse of `dump_floats`."""
    found = load(text)
    return dict(zip(found, _floats(found.values()), strict=True))


def dump_curve(curve: Mapping[str, list[float]]) -> str:
    """A curve as JSON, non-finite numbers as text."""
    return dump({name: [json_float(value) for value in values] for name, values in curve.items()})


def load_curve(text: str) -> dict[str, list[float]]:
    """The inverse of `dump_curve`."""
    return {name: _floats(values) for name, values in load(text).items()}


def cut(text: str | None) -> str | None:
    """A text of bounded size: the beginning and the end, which of a traceback names the exception."""
    if text is None:
        return None
    data = text.encode(errors="backslashreplace")  # half a surrogate pair is no UTF-8, which SQLite wants
    if len(data) <= MAX_TEXT:
        return data.decode()
    half = (MAX_TEXT - 100) // 2  # 100: for the line between
    begin, end = (part.decode(errors="ignore") for part in (data[:half], data[-half:]))
    return f"{begin}\n... {len(data) - 2 * half} bytes left out ...\n{end}"
