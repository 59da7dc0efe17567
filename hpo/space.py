"""A search space: named hyperparameters, some active only under conditions on others.

    Space({
        "optimizer": Choice(["sgd", "momentum"]),
        "momentum": Float(0.5, 0.99, when={"optimizer": ["momentum"]}),
        "learning_rate": Float(1e-4, 1.0, log=True),
        "width": [64, 128, 256],      # short for Choice
        "depth": 2,                   # short for a constant
    })

A *configuration* has a value for every active hyperparameter and for no other.
"""

import functools
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hpo.domains import Choice, Domain, Int, domain_from_json
from hpo.errors import SpaceError, did_you_mean
from hpo.values import UNSET, canonical

MAX_NAME = 255


class Space(Mapping[str, Domain]):
    """An immutable, validated search space; iterates over its names as declared.

    Args:
        domains: name to `Float`, `Int` or `Choice`; a list stands for a Choice, a single value for a
            constant, a dict for a domain in JSON form (`{"type": "float", "low": 0, "high": 1}`).

    Raises:
        SpaceError: naming the hyperparameter, what was found and what was expected.
    """

    def __init__(self, domains: Mapping[str, Any]) -> None:
        if isinstance(domains, Space):
            domains = domains._domains
        if not isinstance(domains, Mapping):
            raise SpaceError(
                f"the space is a {type(domains).__name__}, expected a dict of name to Float, Int or Choice"
            )
        if not domains:
            raise SpaceError("the space is empty: declare at least one hyperparameter")
        self._domains: dict[str, Domain] = {}
        for raw, value in domains.items():
            name = _name(raw)
            if name in self._domains:
                raise SpaceError(f"hyperparameter {name!r} is declared twice")
            self._domains[name] = _domain(name, value)
        # name -> parent -> canonical values under which it is active
        self._allowed = {name: self._conditions(name) for name in self._domains}
        self.order: tuple[str, ...] = tuple(self._parents_first())
        for name, domain in self._domains.items():
            if domain.default is not UNSET:
                try:
                    domain.accept(domain.default)
                except ValueError as error:
                    raise SpaceError(f"hyperparameter {name!r}: the default is outside: {error}") from None

    def __getitem__(self, name: str) -> Domain:
        return self._domains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._domains)

    def __len__(self) -> int:
        return len(self._domains)

    def __repr__(self) -> str:
        return f"Space({self._domains!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and canonical(self.to_json()) == canonical(other.to_json())

    def __hash__(self) -> int:
        return hash(canonical(self.to_json()))

    @property
    def conditional(self) -> bool:
        """Whether some hyperparameter is active only under a condition."""
        return any(self._allowed.values())

    @functools.cached_property
    def size(self) -> int | None:
        """How many configurations there are; None: a continuum, or too many conditions to count."""
        from hpo.grid import Grid

        if any(domain.size is None for domain in self.values()):
            return None
        try:
            return Grid(self, points=0).size
        except SpaceError:
            return None

    def parents(self, name: str) -> tuple[str, ...]:
        """The hyperparameters that the activity of `name` depends on directly."""
        return tuple(self._allowed[name])

    def is_active(self, name: str, params: Mapping[str, Any]) -> bool:
        """Whether `name` is active given the values of its parents in `params`; inactive parents are absent."""
        return all(
            parent in params and canonical(params[parent]) in values for parent, values in self._allowed[name].items()
        )

    def validate(self, params: Mapping[str, Any], where: str = "configuration") -> dict[str, Any]:
        """`params` as a configuration of plain Python values, in declared order; defaults fill what is left out.

        Raises:
            SpaceError: an unknown, inactive or missing hyperparameter, or a value outside its domain.
        """
        if not isinstance(params, Mapping):
            raise SpaceError(f"{where}: found {type(params).__name__}, expected a dict of name to value")
        given = {_name(name): value for name, value in params.items()}
        for name in given:
            if name not in self._domains:
                raise SpaceError(f"{where}: unknown hyperparameter {name!r}: {did_you_mean(name, self._domains)}")
        result: dict[str, Any] = {}
        for name in self.order:
            if not self.is_active(name, result):
                if name in given:
                    raise SpaceError(f"{where}: {name!r} is given but inactive: {self._why_inactive(name)}")
                continue
            value = given.get(name, self._domains[name].default)
            if value is UNSET:
                raise SpaceError(f"{where}: {name!r} is missing and has no default: give it a value")
            try:
                result[name] = self._domains[name].accept(value)
            except ValueError as error:
                raise SpaceError(f"{where}: {name!r}: {error}") from None
        return {name: result[name] for name in self if name in result}

    def sample(self, rng: np.random.Generator) -> dict[str, Any]:
        """An independent random configuration: uniform in each domain's own scale."""
        return self.decode(rng.random(len(self)))

    def decode(self, u: Sequence[float] | np.ndarray) -> dict[str, Any]:
        """The configuration at a point of the unit cube, (D,) with one coordinate per name, in declared order."""
        point = dict(zip(self, (float(x) for x in u), strict=True))
        return self.build(lambda name, domain: domain.decode(point[name]))

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """The place of a configuration in the unit cube, (D,) float64; inactive coordinates are 0.5."""
        return np.array([self._domains[name].encode(params[name]) if name in params else 0.5 for name in self])

    def build(self, choose: Any) -> dict[str, Any]:
        """A configuration whose values come from `choose(name, domain)`, asked parents first for active names only."""
        result: dict[str, Any] = {}
        for name in self.order:
            if self.is_active(name, result):
                result[name] = choose(name, self._domains[name])
        return {name: result[name] for name in self if name in result}

    def to_json(self) -> list[dict[str, Any]]:
        """A lossless description; `Space.from_json` is its inverse."""
        return [{"name": name, **domain.to_json()} for name, domain in self.items()]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> "Space":
        """The inverse of `to_json`."""
        return cls({item["name"]: {k: v for k, v in item.items() if k != "name"} for item in data})

    def _why_inactive(self, name: str) -> str:
        conditions = (
            f"{parent} in {list(values)}"  # as declared, not as canonical text
            for parent, values in (self._domains[name].when or {}).items()
        )
        return "it needs " + " and ".join(conditions)

    def _conditions(self, name: str) -> dict[str, set[str]]:
        when = self._domains[name].when
        if when is None:
            return {}
        if not isinstance(when, Mapping):
            raise SpaceError(f"hyperparameter {name!r}: when is {when!r}, expected {{parent: [values]}}")
        conditions: dict[str, set[str]] = {}
        for raw, values in when.items():
            parent = _name(raw)
            if parent not in self._domains:
                hint = did_you_mean(parent, self._domains)
                raise SpaceError(f"hyperparameter {name!r}: its parent {parent!r} is not declared: {hint}")
            domain = self._domains[parent]
            if not isinstance(domain, (Choice, Int)):
                raise SpaceError(f"hyperparameter {name!r}: its parent {parent!r} is a Float, expected Choice or Int")
            if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
                raise SpaceError(f"hyperparameter {name!r}: when[{parent!r}] is {values!r}, expected a list of values")
            try:
                conditions[parent] = {canonical(domain.accept(value)) for value in values}
            except ValueError as error:
                raise SpaceError(f"hyperparameter {name!r}: a value of when[{parent!r}]: {error}") from None
            if not conditions[parent]:
                raise SpaceError(f"hyperparameter {name!r}: when[{parent!r}] is empty: it could never be active")
        return conditions

    def _parents_first(self) -> Iterator[str]:
        done: set[str] = set()
        waiting = list(self._domains)
        while waiting:
            ready = [name for name in waiting if done.issuperset(self._allowed[name])]
            if not ready:
                raise SpaceError(f"the conditions of {', '.join(map(repr, waiting))} form a cycle: cut it")
            yield from ready
            done.update(ready)
            waiting = [name for name in waiting if name not in done]


def _name(raw: Any) -> str:
    if not isinstance(raw, str):
        raise SpaceError(f"hyperparameter name {raw!r} is a {type(raw).__name__}, expected a string")
    name = unicodedata.normalize("NFC", raw)
    if not name or len(name) > MAX_NAME:
        raise SpaceError(f"hyperparameter name {name[:20]!r} has {len(name)} characters, expected 1 to {MAX_NAME}")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise SpaceError(f"hyperparameter name {name!r} has a control character: use printable text")
    return name


def _domain(name: str, value: Any) -> Domain:
    if isinstance(value, Domain):
        domain = value
    elif isinstance(value, list):
        domain = Choice(tuple(value))
    elif isinstance(value, Mapping):
        try:
            domain = domain_from_json(value)
        except ValueError as error:
            raise SpaceError(f"hyperparameter {name!r}: {error}") from None
    elif value is None or isinstance(value, (bool, int, float, str)):
        domain = Choice((value,))
    else:
        raise SpaceError(
            f"hyperparameter {name!r}: found {value!r} ({type(value).__name__}), expected Float, Int, Choice, "
            "a list of options or a constant"
        )
    if (reason := domain.problem()) is not None:
        raise SpaceError(f"hyperparameter {name!r}: {reason}")
    return domain
