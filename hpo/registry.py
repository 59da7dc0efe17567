"""Searchers and objectives by name: the entry points `hpo.searchers` and `hpo.objectives` of installed packages."""

import dataclasses
import functools
import importlib
import inspect
import operator
import os
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hpo.errors import LoadError, NotFoundError, UsageError, did_you_mean
from hpo.values import brief


@functools.cache  # a scan of all installed packages
def entries(group: str) -> dict[str, EntryPoint]:
    """Name to entry point of `group`, "searchers" or "objectives"; loads nothing."""
    return {point.name: point for point in sorted(entry_points(group=f"hpo.{group}"), key=lambda p: p.name)}


def load(group: str, name: str) -> Any:
    """The class registered as `name`.

    Raises:
        NotFoundError: an unknown name, with the nearest known one.
        LoadError: its package cannot be imported.
    """
    known = entries(group)
    if name not in known:
        raise NotFoundError(f"no {group[:-1]} {name!r}: {did_you_mean(name, known)}")
    try:
        return known[name].load()
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way
        raise LoadError(
            f"{group[:-1]} {name!r} ({known[name].value}) cannot be loaded: {type(error).__name__}: {error}; "
            "update or remove the package that has it"
        ) from error


def import_object(path: str) -> Any:
    """The object at `module:name`, the working directory included in the search; the name may have dots.

    Raises:
        LoadError: there is no such module or name, or importing it fails.
    """
    module_name, _, name = path.partition(":")
    directory = os.getcwd()
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a user's module may fail in any way
        hint = f" (write {module_name[:-3]!r}, without .py)" if module_name.endswith(".py") else ""
        if not hint and isinstance(error, ModuleNotFoundError) and error.name == module_name.partition(".")[0]:
            hint = f": it is looked for in this folder, {directory}, then where Python looks"
        raise LoadError(
            f"{path!r}: module {module_name!r} cannot be imported: {type(error).__name__}: {error}{hint}"
        ) from error
    try:
        return operator.attrgetter(name)(module)
    except AttributeError:
        public = [key for key in vars(module) if not key.startswith("_")]
        raise LoadError(f"{path!r}: module {module_name!r} has no {name!r}: {did_you_mean(name, public)}") from None


def make_searcher(searcher: Any, settings: Mapping[str, Any] | None = None) -> tuple[str, Any]:
    """The name and the unbound instance of a searcher.

    Args:
        searcher: a registered name ("tpe"), a name with its variant ("optuna:GPSampler"), "module:Class",
            a Searcher class or an instance.
        settings: values of its settings; not with an instance.

    Raises:
        NotFoundError: an unknown name.
        UsageError: an unknown setting or a value that it refuses.
    """
    from hpo.searcher import Searcher

    settings = dict(settings or {})
    if isinstance(searcher, Searcher):
        if settings:
            raise UsageError(f"the searcher is an instance: give {', '.join(settings)} to its constructor")
        return searcher_name(type(searcher)), searcher
    if isinstance(searcher, str):
        name, _, rest = searcher.partition(":")
        if rest and name not in (known := entries("searchers")):
            try:
                kind = import_object(searcher)
            except LoadError as error:
                raise LoadError(f"searcher {error}; if none of yours: {did_you_mean(name, known)}") from error
        else:
            kind = load("searchers", name)
            if rest:
                if kind.variant_setting is None:
                    raise UsageError(f"searcher {name!r} has no variants: write {name!r} instead of {searcher!r}")
                settings[kind.variant_setting] = rest
    else:
        kind = searcher
    if not (inspect.isclass(kind) and issubclass(kind, Searcher)):
        found = f"{brief(searcher)}, a {type(kind).__name__}" if kind is not searcher else brief(searcher)
        raise UsageError(f"searcher is {found}, expected a name, a Searcher class or an instance of one")
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for key, value in settings.items():
        if key not in fields:
            raise UsageError(f"searcher {searcher_name(kind)!r} has no setting {key!r}: {did_you_mean(key, fields)}")
        default = fields[key].default
        checked = type(default) in (int, float, bool, str) and not fields[key].metadata.get("nested")
        if checked and not _fits(value, type(default)):
            raise UsageError(
                f"searcher {searcher_name(kind)!r}: {key} is {brief(value)} ({type(value).__name__}), "
                f"expected {type(default).__name__}"
            )
    for key, field in fields.items():
        if key not in settings and field.default is field.default_factory is dataclasses.MISSING:
            raise UsageError(f"searcher {searcher_name(kind)!r} needs a value of its setting {key!r}")
    return searcher_name(kind), kind(**settings)


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or kind is bool:
        return type(value) is kind
    return isinstance(value, (int, float) if kind is float else kind)


def searcher_name(kind: type) -> str:
    """The name that `kind` is registered under, else `module:Class`."""
    path = f"{kind.__module__}:{kind.__qualname__}"
    return next((name for name, point in entries("searchers").items() if point.value == path), path)
