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

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from hpo.domains import Choice, Domain, Int, domain_from_json
from hpo.errors import SpaceError, did_you_mean
from hpo.values import UNSET, brief, canonical, plain

if TYPE_CHECKING:
    import numpy as np

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
            found = f"{brief(domains)} ({type(domains).__name__})"
            raise SpaceError(f"the space is {found}, expected a dict of name to Float, Int or Choice")
        if not domains:
            raise SpaceError("the space is empty: declare at least one hyperparameter")
        self._domains: dict[str, Domain] = {}
        for raw, value in domains.items():
            name = _name(raw)
            if name in self._domains:
                raise SpaceError(f"hyperparameter {name!r} is declared twice")
            self._domains[name] = as_domain(name, value)
        conditions = {name: self._conditions(name) for name in self._domains}
        # name -> parent -> canonical values under which it is active
        self._allowed = {
            name: {parent: frozenset(map(canonical, values)) for parent, values in when.items()}
            for name, when in conditions.items()
        }
        self.order: tuple[str, ...] = tuple(self._parents_first())
        self._domains = {name: self._settled(name, when) for name, when in conditions.items()}

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

        A constant is its own default.

        Raises:
            SpaceError: an unknown, inactive or missing hyperparameter, or a value outside its domain.
        """
        if not isinstance(params, Mapping):
            raise SpaceError(f"{where}: found {type(params).__name__}, expected a dict of name to value")
        given: dict[str, Any] = {}
        for raw, value in params.items():
            name = raw if raw in self._domains else _name(raw)
            if name not in self._domains:
                raise SpaceError(f"{where}: unknown hyperparameter {name!r}: {did_you_mean(name, self._domains)}")
            if name in given:
                raise SpaceError(f"{where}: {name!r} is given twice")
            given[name] = value
        result: dict[str, Any] = {}
        for name in self.order:
            if not self.is_active(name, result):
                if name in given:
                    raise SpaceError(f"{where}: {name!r} is given but inactive: {self._why_inactive(name)}")
                continue
            domain = self._domains[name]
            value = given.get(name, domain.default)
            if value is UNSET and domain.size == 1:
                value = domain.grid_value(0, 1)
            if value is UNSET:
                raise SpaceError(f"{where}: {name!r} is missing and has no default: give it a value")
            try:
                result[name] = domain.accept(value)
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
        import numpy as np

        return np.array([self._domains[name].encode(params[name]) if name in params else 0.5 for name in self])

    def build(self, choose: Callable[[str, Domain], Any]) -> dict[str, Any]:
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
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> Space:
        """The inverse of `to_json`."""
        if not isinstance(data, Iterable):
            raise SpaceError(f"the space is {brief(data)}, expected a list of hyperparameters")
        domains: dict[str, Any] = {}
        for item in data:
            if not isinstance(item, Mapping) or "name" not in item:
                raise SpaceError(f"the space lists {brief(item)}, expected a hyperparameter with name and type")
            name = _name(item["name"])
            if name in domains:
                raise SpaceError(f"hyperparameter {name!r} is declared twice")
            domains[name] = {key: value for key, value in item.items() if key != "name"}
        return cls(domains)

    def _why_inactive(self, name: str) -> str:
        when = self._domains[name].when or {}
        return "it needs " + " and ".join(f"{parent} in {brief(list(values))}" for parent, values in when.items())

    def _conditions(self, name: str) -> dict[str, tuple[Any, ...]]:
        """Parent -> the values under which `name` is active, each once, in the parent's order."""
        when = self._domains[name].when
        if when is None:
            return {}
        if not isinstance(when, Mapping):
            raise SpaceError(f"hyperparameter {name!r}: when is {brief(when)}, expected {{parent: [values]}}")
        conditions: dict[str, tuple[Any, ...]] = {}
        for raw, values in when.items():
            parent = _name(raw)
            if parent not in self._domains:
                hint = did_you_mean(parent, self._domains)
                raise SpaceError(f"hyperparameter {name!r}: its parent {parent!r} is not declared: {hint}")
            if parent in conditions:
                raise SpaceError(f"hyperparameter {name!r}: when has its parent {parent!r} twice")
            domain = self._domains[parent]
            if not isinstance(domain, (Choice, Int)):
                raise SpaceError(f"hyperparameter {name!r}: its parent {parent!r} is a Float, expected Choice or Int")
            if not isinstance(values, tuple):  # Domain made one of anything that lists values
                found = brief(values)
                raise SpaceError(f"hyperparameter {name!r}: when[{parent!r}] is {found}, expected a list of values")
            try:
                accepted = {canonical(value): value for value in map(domain.accept, values)}
            except ValueError as error:
                raise SpaceError(f"hyperparameter {name!r}: a value of when[{parent!r}]: {error}") from None
            if not accepted:
                raise SpaceError(f"hyperparameter {name!r}: when[{parent!r}] is empty: it could never be active")
            conditions[parent] = tuple(sorted(accepted.values(), key=functools.partial(domain.grid_index, points=0)))
        return conditions

    def _settled(self, name: str, when: dict[str, tuple[Any, ...]]) -> Domain:
        """The domain with its default and conditions as plain values of their domains, so that equals look equal."""
        domain = self._domains[name]
        default = domain.default
        if default is not UNSET:
            try:
                default = domain.accept(default)
            except ValueError as error:
                raise SpaceError(f"hyperparameter {name!r}: the default is outside: {error}") from None
        elif not when:
            return domain
        return dataclasses.replace(domain, default=default, when=when)

    def _parents_first(self) -> Iterator[str]:
        sorter = TopologicalSorter(self._allowed)
        try:
            sorter.prepare()
        except CycleError as error:
            cycle = [repr(name) for name in error.args[1][1:]]
            listed = " -> ".join(cycle if len(cycle) <= 8 else [*cycle[:8], "..."])
            raise SpaceError(f"conditions form a cycle, {listed} and round again: remove one of them") from None
        place = {name: i for i, name in enumerate(self._domains)}
        while sorter.is_active():
            ready = sorted(sorter.get_ready(), key=place.__getitem__)
            yield from ready
            sorter.done(*ready)


def _name(raw: Any) -> str:
    if not isinstance(raw, str):
        raise SpaceError(f"hyperparameter name {brief(raw)} ({type(raw).__name__}), expected a string")
    name = unicodedata.normalize("NFC", raw)
    if not name or len(name) > MAX_NAME:
        raise SpaceError(f"hyperparameter name {brief(name, 20)} has {len(name)} characters, expected 1 to {MAX_NAME}")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        raise SpaceError(f"hyperparameter name {name!r} has a control character: use printable text")
    return name


def as_domain(name: str, value: Any) -> Domain:
    """`value` as a well-formed domain; lists, constants and dicts in JSON form as in `Space`."""
    value = value if isinstance(value, Domain) else plain(value)
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
            f"hyperparameter {name!r}: found {brief(value)} ({type(value).__name__}), expected Float, Int, Choice, "
            "a list of options or a constant"
        )
    if (reason := domain.problem()) is not None:
        raise SpaceError(f"hyperparameter {name!r}: {reason}")
    return domain
