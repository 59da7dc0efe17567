"""Searchers under their labels: what users write, and what is stored of it."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo.errors import HpoError, UsageError
from hpo.registry import make_searcher, searcher_name
from hpo.searcher import Searcher
from hpo.values import brief

MAX_LABEL = 255  # characters


class SearchersError(UsageError):
    """Searchers that cannot be compared, all of them.

    Args:
        wrong: a line for each.
        good: labels of the others.

    Attributes:
        what: the error without advice.
        good: as given.
    """

    def __init__(self, wrong: Sequence[str], good: Sequence[str]) -> None:
        self.what = f"these searchers cannot be compared: {'; '.join(wrong)}"
        self.good = tuple(good)
        others = ", ".join(map(repr, good))
        advice = f"leave them out and compare {others}" if good else "name others: `hpo searchers` lists them"
        super().__init__(f"{self.what}; {advice}")


@dataclass(frozen=True)
class Labelled:
    """A searcher of a comparison.

    Attributes:
        kind: its registered name, or module:Class.
        settings: all of its settings, JSON.
    """

    kind: str
    settings: Mapping[str, Any]
    _made: Searcher | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, searcher: Any, settings: Mapping[str, Any] | None = None) -> Labelled:
        """A searcher as `make_searcher` takes it."""
        kind, made = make_searcher(searcher, settings)
        return cls(kind, made.settings(), made)

    @property
    def searcher(self) -> Searcher:
        """The searcher itself, unbound; one that is stored is loaded here, for those who only read need it not."""
        return make_searcher(self.kind, self.settings)[1] if self._made is None else self._made

    def to_json(self) -> dict[str, Any]:
        """What is stored of it."""
        return {"name": self.kind, "settings": dict(self.settings)}


def labelled(searchers: Any) -> dict[str, Labelled]:
    """Label to searcher, in the order given; see `read`.

    Raises:
        SearchersError: naming all that cannot be used, each with its reason.
    """
    found, wrong = read(searchers)
    if wrong:
        raise SearchersError(wrong, list(found))
    return found


def read(searchers: Any) -> tuple[dict[str, Labelled], list[str]]:
    """Label to searcher, in the order given, and a line for each that cannot be used.

    Args:
        searchers: a list of texts such as "halving:eta=2", whose label they are, of Searcher classes and instances,
            and of dicts from labels to any of them.

    Raises:
        UsageError: that is no list, or an empty one.
    """
    if isinstance(searchers, (str, bytes)) or not isinstance(searchers, Iterable):
        raise UsageError(f"searchers is {brief(searchers)}, expected a list such as ['random', 'halving:eta=2']")
    found: dict[str, Labelled] = {}
    wrong: list[str] = []
    pairs: list[tuple[Any, Any]] = []
    for given in [searchers] if isinstance(searchers, Mapping) else searchers:
        pairs += given.items() if isinstance(given, Mapping) else [(None, given)]
    for given_label, searcher in pairs:
        label = given_label
        try:
            made = _made(searcher)
            label = _label(searcher, made) if given_label is None else given_label
            check_name("label", label)
            if label in found:
                raise UsageError("it is there already: once is enough, or the other needs a label of its own")
            found[label] = made
        except HpoError as error:
            shown = searcher if isinstance(searcher, str) and given_label is None else label
            wrong.append(f"{shown if isinstance(shown, str) and shown else brief(searcher)}: {error}")
    if not found and not wrong:
        raise UsageError("searchers is empty, expected at least one, e.g. random")
    return found, wrong


def check_name(what: str, name: Any) -> None:
    """Raise UsageError for a name that is no printable text of 1 to MAX_LABEL characters."""
    if not (isinstance(name, str) and name and name.isprintable() and len(name) <= MAX_LABEL):
        raise UsageError(f"{what} {brief(name)}: expected printable text of 1 to {MAX_LABEL} characters")


def _made(searcher: Any) -> Labelled:
    if not isinstance(searcher, str):
        return Labelled.of(searcher)
    return Labelled.of(*_parsed(searcher))


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    """`halving:eta=2:min_epochs=3` as a name and settings."""
    if not text.strip():
        raise UsageError("it is empty, expected a name such as random")
    parts = text.split(":")
    first = next((i for i, part in enumerate(parts) if "=" in part), len(parts))
    if not first or not parts[0].strip():
        raise UsageError("expected NAME:SETTING=VALUE, e.g. halving:eta=2")
    settings: dict[str, Any] = {}
    for part in parts[first:]:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or key in settings:
            raise UsageError(f"{brief(part)}: expected SETTING=VALUE, each setting once, e.g. halving:eta=2")
        settings[key] = _value(value)
    return ":".join(part.strip() for part in parts[:first]), settings


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text


def _label(searcher: Any, made: Labelled) -> str:
    """The text itself; of an instance its name and the settings that are not the defaults."""
    if isinstance(searcher, str):
        return searcher.strip()
    if inspect.isclass(searcher):
        return searcher_name(searcher)
    defaults = {f.name: f.default for f in dataclasses.fields(made.searcher) if f.init}
    told = {key: value for key, value in made.settings.items() if value != defaults.get(key)}
    return ":".join([made.kind, *(f"{key}={value}" for key, value in told.items())])
