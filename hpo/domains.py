"""What one hyperparameter may be: `Float`, `Int` or `Choice`.

Every domain maps its values to the unit interval and back (`encode`, `decode`), so that a searcher may
work in the unit cube, and enumerates itself (`grid_size`, `grid_value`, `grid_index`), so that grid and
controller share one discretisation.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from hpo.values import UNSET, canonical, not_json, plain, tag, untag

When = Mapping[str, Iterable[Any]]


@dataclass(frozen=True, kw_only=True)
class Domain(ABC):
    """Base of the three domains.

    Attributes:
        default: the value of an incomplete configuration; unset: there is none.
        when: active only if each parent named here has one of the values listed for it.
    """

    default: Any = UNSET
    when: When | None = None

    @abstractmethod
    def problem(self) -> str | None:
        """Why this domain is not well formed, or None."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """How many values there are; None: a continuum."""

    @abstractmethod
    def accept(self, value: Any) -> Any:
        """`value` as a plain Python value of this domain; raises ValueError with the reason if it is outside."""

    @abstractmethod
    def decode(self, u: float) -> Any:
        """The value at `u` in [0, 1); uniform `u` gives the domain's own distribution."""

    @abstractmethod
    def encode(self, value: Any) -> float:
        """The place of `value` in [0, 1]; `decode(encode(v)) == v` for discrete domains."""

    @abstractmethod
    def grid_size(self, points: int) -> int:
        """How many values the discretised domain has; `points` is for continua and logarithmic integers."""

    @abstractmethod
    def grid_value(self, index: int, points: int) -> Any:
        """Value number `index` of the discretised domain, in ascending order."""

    @abstractmethod
    def grid_index(self, value: Any, points: int) -> int:
        """Index of the discretised value nearest to `value`."""

    def to_json(self) -> dict[str, Any]:
        """A lossless description; the inverse of `domain_from_json`."""
        data: dict[str, Any] = {"type": type(self).__name__.lower(), **self._json()}
        if self.default is not UNSET:
            data["default"] = tag(self.default)
        if self.when is not None:
            data["when"] = {parent: [tag(value) for value in values] for parent, values in self.when.items()}
        return data

    @abstractmethod
    def _json(self) -> dict[str, Any]: ...


def _no_number(value: Any, integral: bool) -> str | None:
    """Why `value` cannot be a bound or step, or None."""
    kinds = (int,) if integral else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return f"{value!r} ({type(value).__name__}) where {'an integer' if integral else 'a number'} is expected"
    if not integral and not math.isfinite(value):
        return f"{value!r} where a finite number is expected"
    if integral and not -(2**63) <= value < 2**63:
        return f"{value} does not fit into 64 bits"
    return None


@dataclass(frozen=True, kw_only=True)
class _Range(Domain):
    """What Float and Int share: bounds, log scale, step."""

    def _range_problem(self, integral: bool) -> str | None:
        low, high, step, log = self.low, self.high, self.step, self.log  # type: ignore[attr-defined]
        for label, value in (("low", low), ("high", high), *([("step", step)] if step is not None else [])):
            if (reason := _no_number(value, integral)) is not None:
                return f"{label} is {reason}"
        if low > high:
            return f"low = {low} is above high = {high}: swap them"
        if math.isinf(float(high) - float(low)):
            return f"the range from {low} to {high} overflows a float: narrow it"
        if log and low < (1 if integral else math.ulp(0.0)):
            bound = ">= 1" if integral else "> 0"
            return f"log=True with low = {low}: a logarithmic range needs low {bound}"
        if step is None:
            return None
        if step <= 0:
            return f"step = {step} must be positive"
        if log:
            return f"log=True together with step = {step}: choose one of them"
        if (float(high) - float(low)) / step > 2**53:
            return f"step = {step} is too fine for the range {low} to {high}: leave it out"
        if (_decimal(high) - _decimal(low)) % _decimal(step) != 0:
            below = _decimal(low) + (_decimal(high) - _decimal(low)) // _decimal(step) * _decimal(step)
            return f"step = {step} does not divide the range {low} to {high}: high = {below} would fit"
        return None

    def _json(self) -> dict[str, Any]:
        names = ("low", "high", "log", "step")
        return {name: value for name in names if (value := getattr(self, name)) is not None and value is not False}


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))  # 0.1 as written, so that 0.3 is three steps of 0.1


@dataclass(frozen=True)
class Float(_Range):
    """A real number in [low, high].

    Args:
        low: smallest value, included.
        high: greatest value, included.
        log: uniform in the logarithm; needs low > 0.
        step: only low, low + step, low + 2 step, ..., high; must divide the range.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = plain(getattr(self, name))
            if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1023:
                value = float(value)
            object.__setattr__(self, name, value)

    def problem(self) -> str | None:
        return self._range_problem(integral=False)

    @property
    def size(self) -> int | None:
        if self.low == self.high:
            return 1
        if self.step is None:
            return None
        return int((_decimal(self.high) - _decimal(self.low)) / _decimal(self.step)) + 1

    def accept(self, value: Any) -> float:
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"found {value!r} ({type(value).__name__}), expected a number")
        if not self.low <= value <= self.high:
            raise ValueError(f"found {value!r}, expected {self.low} to {self.high}")
        value = float(value)
        if self.step is not None:
            nearest = self.grid_value(self.grid_index(value, 0), 0)
            if not math.isclose(value, nearest, rel_tol=1e-12, abs_tol=1e-9 * self.step):
                raise ValueError(f"found {value!r}, expected {self.low} plus a multiple of {self.step}")
            value = nearest
        return value

    def decode(self, u: float) -> float:
        if (size := self.size) is not None:
            return self.grid_value(_cell(u, size), 0)
        if self.log:
            value = math.exp((1 - u) * math.log(self.low) + u * math.log(self.high))
        else:
            value = (1 - u) * self.low + u * self.high
        return min(max(value, self.low), self.high)

    def encode(self, value: float) -> float:
        if (size := self.size) is not None:
            return (self.grid_index(value, 0) + 0.5) / size
        if self.log:
            low, high, value = math.log(self.low), math.log(self.high), math.log(value)
        else:
            low, high = self.low, self.high
        return (value - low) / (high - low)

    def grid_size(self, points: int) -> int:
        return points if (size := self.size) is None else size

    def grid_value(self, index: int, points: int) -> float:
        if self.step is not None and self.low != self.high:
            return float(_decimal(self.low) + index * _decimal(self.step))
        if index == 0 and self.grid_size(points) > 1:
            return self.low
        if self.grid_size(points) == 1:
            return self.low if self.low == self.high else self.decode(0.5)
        if index == points - 1:
            return self.high
        value = self.decode(index / (points - 1))
        return float(f"{value:.12g}")  # 0.01 rather than 0.010000000000000002

    def grid_index(self, value: float, points: int) -> int:
        if self.step is not None and self.low != self.high:
            index = round((_decimal(float(value)) - _decimal(self.low)) / _decimal(self.step))
            return min(max(index, 0), cast("int", self.size) - 1)
        if self.grid_size(points) == 1:
            return 0
        return round(self.encode(value) * (points - 1))


@dataclass(frozen=True)
class Int(_Range):
    """An integer in [low, high].

    Args:
        low: smallest value, included.
        high: greatest value, included.
        log: uniform in the logarithm; needs low >= 1.
        step: only low, low + step, ..., high; must divide the range.
    """

    low: int
    high: int
    log: bool = False
    step: int | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    def problem(self) -> str | None:
        return self._range_problem(integral=True)

    @property
    def size(self) -> int:
        return (self.high - self.low) // (self.step or 1) + 1

    def accept(self, value: Any) -> int:
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"found {value!r} ({type(value).__name__}), expected an integer")
        if not self.low <= value <= self.high:
            raise ValueError(f"found {value}, expected {self.low} to {self.high}")
        if (value - self.low) % (self.step or 1):
            raise ValueError(f"found {value}, expected {self.low} plus a multiple of {self.step}")
        return value

    def _log_edges(self) -> tuple[float, float]:
        # every integer owns the cell half a unit to either side, so that the ends are not drawn too rarely
        return math.log(self.low - 0.5), math.log(self.high + 0.5)

    def decode(self, u: float) -> int:
        if self.log:
            low, high = self._log_edges()
            return min(max(round(math.exp((1 - u) * low + u * high)), self.low), self.high)
        return self.low + _cell(u, self.size) * (self.step or 1)

    def encode(self, value: int) -> float:
        if self.log:
            low, high = self._log_edges()
            return (math.log(value) - low) / (high - low)
        return ((value - self.low) // (self.step or 1) + 0.5) / self.size

    def _log_grid(self, points: int) -> list[int]:
        scale = Float(self.low, self.high, log=True)
        return sorted({round(scale.grid_value(i, points)) for i in range(points)})

    def _thinned(self, points: int) -> bool:
        return self.log and self.size > points > 0

    def grid_size(self, points: int) -> int:
        return len(self._log_grid(points)) if self._thinned(points) else self.size

    def grid_value(self, index: int, points: int) -> int:
        return self._log_grid(points)[index] if self._thinned(points) else self.low + index * (self.step or 1)

    def grid_index(self, value: int, points: int) -> int:
        if not self._thinned(points):
            return (value - self.low) // (self.step or 1)
        grid = self._log_grid(points)
        return min(range(len(grid)), key=lambda i: abs(math.log(grid[i] / value)))


@dataclass(frozen=True)
class Choice(Domain):
    """One of a list of options.

    Args:
        options: distinct values: None, bool, int, finite float, str, or lists, tuples and dicts of these.
            Compared with their type: 1, 1.0 and True are three options.
        ordered: the options have an order that a searcher may use.
    """

    options: tuple[Any, ...]
    ordered: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.options, Iterable) and not isinstance(self.options, (str, bytes)):
            object.__setattr__(self, "options", tuple(plain(option) for option in self.options))

    def problem(self) -> str | None:
        if not isinstance(self.options, tuple):
            return f"options are {self.options!r}, expected a list of values"
        if not self.options:
            return "no options: list at least one"
        for option in self.options:
            if (reason := not_json(option)) is not None:
                return f"option {option!r} {reason}"
        first: dict[str, Any] = {}
        for option in self.options:
            text = canonical(option)
            if text in first:
                return f"option {option!r} is listed twice: options must differ"
            first[text] = option
        return None

    @property
    def size(self) -> int:
        return len(self.options)

    def _index(self, value: Any) -> int:
        table = self.__dict__.get("_table")
        if table is None:  # built once: a million options are looked up, not scanned
            table = {canonical(option): index for index, option in enumerate(self.options)}
            object.__setattr__(self, "_table", table)
        try:
            return int(table[canonical(plain(value))])
        except (KeyError, TypeError, ValueError):
            shown = ", ".join(repr(option) for option in self.options[:12])
            more = f", ... ({len(self.options)} options)" if len(self.options) > 12 else ""
            kind = type(value).__name__
            raise ValueError(f"found {value!r} ({kind}), expected one of {shown}{more}") from None

    def accept(self, value: Any) -> Any:
        return self.options[self._index(value)]

    def decode(self, u: float) -> Any:
        return self.options[_cell(u, len(self.options))]

    def encode(self, value: Any) -> float:
        return (self._index(value) + 0.5) / len(self.options)

    def grid_size(self, points: int) -> int:
        return len(self.options)

    def grid_value(self, index: int, points: int) -> Any:
        return self.options[index]

    def grid_index(self, value: Any, points: int) -> int:
        return self._index(value)

    def _json(self) -> dict[str, Any]:
        return {"options": [tag(option) for option in self.options]} | ({"ordered": True} if self.ordered else {})


def _cell(u: float, size: int) -> int:
    """Which of `size` equal cells of [0, 1) holds u; exact for sizes beyond 2^53, where floats round."""
    return min(int(u * 2**53) * size >> 53, size - 1)


_KEYS = {
    "float": ("low", "high", "log", "step", "default", "when"),
    "int": ("low", "high", "log", "step", "default", "when"),
    "choice": ("options", "ordered", "default", "when"),
}


def domain_from_json(data: Mapping[str, Any]) -> Domain:
    """The inverse of `Domain.to_json`; raises ValueError with the reason for anything else."""
    kind = data.get("type")
    if kind not in _KEYS:
        raise ValueError(f"type is {kind!r}, expected one of {', '.join(map(repr, _KEYS))}")
    if unknown := sorted(set(data) - {"type", *_KEYS[kind]}):
        raise ValueError(f"unknown key {unknown[0]!r} of a {kind}, expected {', '.join(_KEYS[kind])}")
    required = ("options",) if kind == "choice" else ("low", "high")
    if missing := [key for key in required if key not in data]:
        raise ValueError(f"a {kind} needs {missing[0]!r}")
    fields = {key: value for key, value in data.items() if key != "type"}
    for key in ("log", "ordered"):
        if not isinstance(fields.get(key, False), bool):
            raise ValueError(f"{key} is {fields[key]!r}, expected true or false")
    if "default" in fields:
        fields["default"] = untag(fields["default"])
    if "when" in fields:
        when = fields["when"]
        if not isinstance(when, dict) or any(not isinstance(values, list) for values in when.values()):
            raise ValueError(f"when is {when!r}, expected a list of values for each parent")
        fields["when"] = {parent: [untag(value) for value in values] for parent, values in when.items()}
    if kind == "choice":
        if not isinstance(fields["options"], list):
            raise ValueError(f"options are {fields['options']!r}, expected a list")
        fields["options"] = tuple(untag(option) for option in fields["options"])
    return cast("Domain", {"float": Float, "int": Int, "choice": Choice}[kind](**fields))
