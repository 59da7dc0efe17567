"""What one hyperparameter may be: `Float`, `Int` or `Choice`.

Every domain maps its values to the unit interval and back (`encode`, `decode`), so that a searcher may
work in the unit cube, and enumerates itself (`grid_size`, `grid_value`, `grid_index`), so that grid and
controller share one discretisation.
"""

import dataclasses
import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import MISSING, dataclass
from fractions import Fraction
from typing import Any, ClassVar

from hpo.errors import did_you_mean
from hpo.values import UNSET, brief, canonical, cell, exact, held, log_spaced, middle, not_json, plain, tag, untag

When = Mapping[str, Iterable[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Domain(ABC):
    """Base of the three domains; equal are those with the same JSON, so 1, 1.0 and True make a difference.

    Attributes:
        default: the value of an incomplete configuration; unset: there is none.
        when: active only if each parent named here has one of the values listed for it.
    """

    default: Any = UNSET
    when: When | None = None

    def __post_init__(self) -> None:
        if isinstance(self.when, Mapping):
            when = {parent: held(values) for parent, values in self.when.items()}
            object.__setattr__(self, "when", when or None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Domain) and repr(self.to_json()) == repr(other.to_json())

    def __hash__(self) -> int:
        return hash(repr(self.to_json()))

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
        """The place of `value` in [0, 1]; `decode(encode(v)) == v` for up to 2^50 values (logarithmic Int: 2^40)."""

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


@dataclass(frozen=True, eq=False)
class _Range(Domain):
    """What Float and Int share: bounds, log scale, step."""

    low: Any
    high: Any
    log: bool = False
    step: Any = None

    _kinds: ClassVar[tuple[type, ...]]
    _expected: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high", "log", "step"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    def problem(self) -> str | None:
        low, high, step = self.low, self.high, self.step
        for label, value in (("low", low), ("high", high), *([("step", step)] if step is not None else [])):
            if isinstance(value, bool) or not isinstance(value, self._kinds):
                return f"{label} is {brief(value)} ({type(value).__name__}), expected {self._expected}"
            if isinstance(value, float) and not math.isfinite(value):
                return f"{label} is {value}, expected a finite number"
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                return f"{label} is {brief(value)}, which does not fit into 64 bits"
        if not isinstance(self.log, bool):
            return f"log is {brief(self.log)}, expected True or False"
        if low > high:
            return f"low = {low} is above high = {high}: swap them"
        if math.isinf(high - low):
            return f"the range from {low} to {high} overflows a float: narrow it"
        if self.log and low <= 0:
            return f"log=True with low = {low}: a logarithmic range needs low > 0"
        if step is None:
            return None
        if step <= 0:
            return f"step = {step} must be positive"
        if self.log:
            return f"log=True together with step = {step}: choose one of them"
        if (rest := (exact(high) - exact(low)) % exact(step)) != 0:
            fitting = type(high)(exact(high) - rest)
            return f"step = {step} does not divide the range {low} to {high}: high = {fitting} would fit"
        return None

    def _json(self) -> dict[str, Any]:
        names = ("low", "high", "log", "step")
        return {name: value for name in names if (value := getattr(self, name)) is not None and value is not False}


@dataclass(frozen=True, eq=False)
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

    _kinds = (int, float)
    _expected = "a number"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if isinstance(value, float) or (type(value) is int and abs(value) < 2**1023):
                object.__setattr__(self, name, float(value) + 0.0)  # + 0.0 turns -0.0 into 0.0

    def problem(self) -> str | None:
        if (reason := super().problem()) is not None or self.low == self.high:
            return reason
        spacing = math.ulp(max(abs(self.low), abs(self.high)))  # of the floats there
        if self.step is not None and self.step < spacing:
            return f"step = {self.step} is finer than floats are near {self.high}: the values would coincide"
        if self.step is None and self.high - self.low < 2**20 * spacing:
            return f"the range from {self.low} to {self.high} is too narrow for floats: less than a million fit in"
        return None

    @functools.cached_property
    def _lattice(self) -> tuple[Fraction, Fraction, int] | None:
        """First value, step and number of values, unless it is a continuum."""
        step = 1.0 if self.low == self.high else self.step
        if step is None:
            return None
        first, gap = exact(self.low), exact(step)
        return first, gap, int((exact(self.high) - first) / gap) + 1

    @property
    def size(self) -> int | None:
        return None if self._lattice is None else self._lattice[2]

    def accept(self, value: Any) -> float:
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"found {brief(value)} ({type(value).__name__}), expected a number")
        if self.step is not None and math.isfinite(value):
            nearest = self.grid_value(self.grid_index(value, 0), 0)
            if math.isclose(value, nearest, rel_tol=2**-52, abs_tol=1e-9 * self.step):
                return nearest
        if not self.low <= value <= self.high:
            raise ValueError(f"found {brief(value)}, expected {self.low} to {self.high}")
        if self.step is not None:
            raise ValueError(f"found {brief(value)}, expected {self.low} plus a multiple of {self.step}")
        return float(value) + 0.0

    def decode(self, u: float) -> float:
        if (size := self.size) is not None:
            return self.grid_value(cell(u, size), 0)
        if self.log:
            value = math.exp((1 - u) * math.log(self.low) + u * math.log(self.high))
        else:
            value = (1 - u) * self.low + u * self.high
        return min(max(value, self.low), self.high)

    def encode(self, value: float) -> float:
        if (size := self.size) is not None:
            return middle(self.grid_index(value, 0), size)
        scale = math.log if self.log else float
        return (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))

    def grid_size(self, points: int) -> int:
        return points if (size := self.size) is None else size

    def grid_value(self, index: int, points: int) -> float:
        if self._lattice is not None:
            first, gap, _ = self._lattice
            return float(first + index * gap)
        u = index / (points - 1) if points > 1 else 0.5
        if u in (0.0, 1.0):
            return self.high if u else self.low
        value = self.decode(u)
        short = float(f"{value:.12g}")  # 0.01 rather than 0.010000000000000002
        return short if abs(self.encode(short) - u) * points < 1e-6 else value

    def grid_index(self, value: float, points: int) -> int:
        if self._lattice is not None:
            first, gap, size = self._lattice
            return min(max(round((exact(value) - first) / gap), 0), size - 1)
        return round(self.encode(value) * (points - 1))


@dataclass(frozen=True, eq=False)
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

    _kinds = (int,)
    _expected = "an integer"

    @property
    def size(self) -> int:
        return (self.high - self.low) // (self.step or 1) + 1

    def accept(self, value: Any) -> int:
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"found {brief(value)} ({type(value).__name__}), expected an integer")
        if not self.low <= value <= self.high:
            raise ValueError(f"found {brief(value)}, expected {self.low} to {self.high}")
        if (value - self.low) % (self.step or 1):
            raise ValueError(f"found {value}, expected {self.low} plus a multiple of {self.step}")
        return int(value)

    def _log_edges(self) -> tuple[float, float]:
        # every integer owns the cell half a unit to either side, so that the ends are not drawn too rarely
        return math.log(self.low - 0.5), math.log(self.high + 0.5)

    def decode(self, u: float) -> int:
        if self.log and self.low < self.high:
            low, high = self._log_edges()
            return min(max(round(math.exp((1 - u) * low + u * high)), self.low), self.high)
        return self.low + cell(u, self.size) * (self.step or 1)

    def encode(self, value: int) -> float:
        if self.log and self.low < self.high:
            low, high = self._log_edges()
            return (math.log(value) - low) / (high - low)
        return middle((value - self.low) // (self.step or 1), self.size)

    def _log_grid(self, points: int) -> tuple[int, ...] | None:
        """The grid of a logarithmic range with more than `points` values; None: the grid is all values."""
        return log_spaced(self.low, self.high, points) if self.log and self.size > points > 0 else None

    def grid_size(self, points: int) -> int:
        return self.size if (grid := self._log_grid(points)) is None else len(grid)

    def grid_value(self, index: int, points: int) -> int:
        grid = self._log_grid(points)
        return self.low + index * (self.step or 1) if grid is None else grid[index]

    def grid_index(self, value: int, points: int) -> int:
        if (grid := self._log_grid(points)) is None:
            return (value - self.low) // (self.step or 1)
        return min(range(len(grid)), key=lambda i: abs(math.log(grid[i] / value)))


@dataclass(frozen=True, eq=False)
class Choice(Domain):
    """One of a list of options.

    Args:
        options: distinct values: None, bool, int, finite float, str, or lists, tuples and dicts of these.
            Compared with their type: 1, 1.0 and True are three options (but a list equals a tuple).
        ordered: the options have an order that a searcher may use.
    """

    options: Sequence[Any]
    ordered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.options, Iterable) and not isinstance(self.options, (str, bytes, Mapping, Set)):
            object.__setattr__(self, "options", tuple(plain(option) for option in self.options))

    def problem(self) -> str | None:
        if isinstance(self.options, Set):
            return f"options are the set {brief(self.options)}, whose order changes between runs: use a list"
        if not isinstance(self.options, tuple):
            return f"options are {brief(self.options)}, expected a list of values"
        if not self.options:
            return "no options: list at least one"
        if not isinstance(self.ordered, bool):
            return f"ordered is {brief(self.ordered)}, expected True or False"
        for option in self.options:
            if (reason := not_json(option)) is not None:
                return f"option {brief(option)} {reason}"
        if len(self._index) < len(self.options):
            twice = next(option for i, option in enumerate(self.options) if self._index[canonical(option)] != i)
            return f"option {brief(twice)} is listed twice: options must differ"
        return None

    @property
    def size(self) -> int:
        return len(self.options)

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {canonical(option): i for i, option in enumerate(self.options)}  # a million are looked up, not scanned

    def accept(self, value: Any) -> Any:
        return self.grid_value(self.grid_index(value, 0), 0)

    def decode(self, u: float) -> Any:
        return self.grid_value(cell(u, self.size), 0)

    def encode(self, value: Any) -> float:
        return middle(self.grid_index(value, 0), self.size)

    def grid_size(self, points: int) -> int:
        return self.size

    def grid_value(self, index: int, points: int) -> Any:
        return plain(self.options[index])  # a copy: whoever changes a list changes no option

    def grid_index(self, value: Any, points: int) -> int:
        try:
            return self._index[canonical(plain(value))]
        except (KeyError, TypeError, ValueError, RecursionError):
            listed = ", ".join(brief(option) for option in self.options[:12])
            more = f", ... ({self.size} options)" if self.size > 12 else ""
            found = f"{brief(value)} ({type(value).__name__})"
            raise ValueError(f"found {found}, expected one of {listed}{more}") from None

    def _json(self) -> dict[str, Any]:
        return {"options": [tag(option) for option in self.options]} | ({"ordered": True} if self.ordered else {})


_KINDS: dict[str, type[Domain]] = {"float": Float, "int": Int, "choice": Choice}


def domain_from_json(data: Mapping[str, Any]) -> Domain:
    """The inverse of `Domain.to_json`; raises ValueError if its keys are not those of a domain."""
    fields = dict(data)
    kind = fields.pop("type", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        found = "no type is given" if kind is None else f"type is {brief(kind)}"
        raise ValueError(f"{found}, expected one of {', '.join(map(repr, _KINDS))}")
    known = {field.name: field.default is MISSING for field in dataclasses.fields(_KINDS[kind])}
    if unknown := [key for key in fields if key not in known]:
        raise ValueError(f"unknown key {brief(unknown[0])} of a {kind}: {did_you_mean(unknown[0], known)}")
    if missing := [key for key, required in known.items() if required and key not in fields]:
        raise ValueError(f"a {kind} needs {missing[0]!r}")
    for key in ("default", "options"):
        if key in fields:
            fields[key] = untag(fields[key])
    if isinstance(fields.get("when"), Mapping):
        fields["when"] = {parent: untag(values) for parent, values in fields["when"].items()}
    return _KINDS[kind](**fields)
