"""Study files: a question, a space and a budget in TOML, and changes to them from the command line.

question = "Does momentum help?"                # shown by `hpo studies`, and so is:
expect = "Most at small learning rates."
trials = 50                                    # budget in full trainings
epochs = 30                                    # the most that one trial trains
free_running = false                           # true: propose as trials end, rather than in rounds
searcher = "tpe"                               # or a table: {name = "halving", eta = 2}

[objective]                                    # or a text: "module:function", with direction above
name = "simplenn"
data = "moons"                                 # or a table: files are looked for beside the study file

[space]                                        # or the name of one of the objective's spaces
learning_rate = {type = "float", low = 1e-3, high = 1.0, log = true}
optimizer = ["sgd", "momentum"]                # options
momentum = {type = "float", low = 0.5, high = 0.99, when = {optimizer = ["momentum"]}}
width = 64                                     # a constant

[override.grid.space]                          # what is different under searcher "grid"
learning_rate = [0.001, 0.01, 0.1]
"""

import contextlib
import dataclasses
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hpo.domains import Domain
from hpo.errors import HpoError, LoadError, NotFoundError, UsageError, did_you_mean
from hpo.function_objective import FunctionObjective
from hpo.objective import Objective
from hpo.plan import DEFAULT_SEARCHER, DEFAULT_TRIALS, Plan, specify
from hpo.registry import entries, import_object
from hpo.resolve import DEFAULT_OBJECTIVE, objective_by_name, resolve_objective
from hpo.space import Space, as_domain
from hpo.training import objective_keys
from hpo.values import brief

MAX_BYTES = 1_000_000
MAX_PARTS = 20  # of a key with dots between, for which tomllib takes the square of the time
MAX_MESSAGE = 1_000  # characters of an error, however long the text or number that it quotes
_QUOTED = re.compile(r""""(?:[^"\\\n]|\\.)*"|'[^'\n]*'|#[^\n]*""")  # texts and comments
_NAMED = (str, dict)
KEYS: dict[str, type | tuple[type, ...]] = {
    "question": str,
    "expect": str,
    "objective": _NAMED,
    "space": _NAMED,
    "searcher": _NAMED,
    "trials": int,
    "epochs": int,
    "seed": int,
    "batch": int,
    "free_running": bool,
    "direction": str,
    "name": str,
    "override": dict,
}
SETTABLE = [key for key in KEYS if key != "override"]
_EXPECTED = {str: "text", int: "an integer", bool: "true or false", dict: "a table", _NAMED: "a name or a table"}


def shipped() -> dict[str, dict[str, Any]]:
    """Name to content of the studies that come with hpo."""
    files = sorted(resources.files("studies").iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): tomllib.loads(file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".toml")
    }


def read_plan(study: str | None, *, searcher: str | None, changes: Sequence[str], flags: Mapping[str, Any]) -> Plan:
    """The plan that the command line describes.

    Args:
        study: a shipped study, a TOML file or "module:function"; None: the shared objective as it comes.
        searcher: overrides the study's own, settings included.
        changes: `key=value` for any key, e.g. "searcher.eta=4".
        flags: trials, epochs, seed, batch, direction, name, and "objective" with keys of the shared objective; None
            where not given. They win over `changes`, which win over the study's own overrides.

    Raises:
        HpoError: naming file and key, what was found and what was expected.
    """
    typed = [_parse(change) for change in changes]
    where, label, table = _find(study)
    with _naming(where):
        return _plan(table, label, searcher, typed, flags)


@dataclasses.dataclass(frozen=True)
class Question:
    """What a study asks, whichever searcher is to answer.

    Attributes:
        objective: what is optimised.
        space: the search space.
        spaces: of the searchers whose override changes it, by name.
        trials: the study's budget in full trainings; None: it does not say.
        epochs: the most that one trial trains; None: it does not say.
        label: what the study is called; None: it has no name of its own.
    """

    objective: Objective
    space: Space
    spaces: Mapping[str, Space]
    trials: int | None
    epochs: int | None
    label: str | None


def read_question(study: str | None, *, changes: Sequence[str], flags: Mapping[str, Any]) -> Question:
    """The question of a study; arguments and errors as in `read_plan`."""
    typed = [_parse(change) for change in changes]
    for edit in typed:
        if other := next((key for key in edit if key not in ("objective", "space", "direction")), None):
            raise UsageError(
                f"--set {other}: searchers are compared under one budget: --set changes space and objective here; "
                "settings of a searcher stand in its label, halving:eta=4"
            )
    where, label, table = _find(study)
    with _naming(where):
        found, objective, space = _assembled(table, {}, typed, flags)
        spaces = {}
        for searcher, override in table.get("override", {}).items():
            if "space" in override:
                _, _, other_space = _assembled(table, {"space": override["space"]}, typed, flags)
                spaces[searcher] = other_space
    return Question(objective, space, spaces, found.get("trials"), found.get("epochs"), label)


@contextlib.contextmanager
def _naming(where: str | None) -> Iterator[None]:
    """Let errors say which study they are about."""
    try:
        yield
    except HpoError as error:
        if where is None:
            raise
        message = str(error)
        cut = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}..."
        raise type(error)(f"{where}: {cut}") from None


def _plan(
    table: dict[str, Any],
    label: str | None,
    searcher: str | None,
    typed: list[dict[str, Any]],
    flags: Mapping[str, Any],
) -> Plan:
    """See `read_plan`; `typed` are its changes as tables."""
    named = [edit["searcher"] for edit in typed if isinstance(edit.get("searcher"), str)]
    if chosen := [searcher] if searcher is not None else named[-1:]:
        table = table | {"searcher": chosen[0]}
        typed = [edit for edit in typed if not isinstance(edit.get("searcher"), str)]
    override = table.get("override", {}).get(_searcher_name(table), {})
    table, objective, space = _assembled(table, override, typed, flags)
    settings = _named(table.get("searcher", DEFAULT_SEARCHER))
    name = settings.pop("name", DEFAULT_SEARCHER)
    spec = specify(
        objective,
        space,
        name,
        settings=settings,
        epochs=table.get("epochs"),
        seed=table.get("seed", 0),
        batch=table.get("batch"),
        free_running=table.get("free_running", False),
    )
    return Plan(objective, spec, table.get("trials", DEFAULT_TRIALS), name=table.get("name"), label=label)


def _assembled(
    table: dict[str, Any], override: Mapping[str, Any], typed: Sequence[dict[str, Any]], flags: Mapping[str, Any]
) -> tuple[dict[str, Any], Objective, Space]:
    """The table with all changes, its objective and space."""
    edits = [override, *typed, _typed_flags(flags)]
    space: Any = table.get("space")
    space_edits: dict[str, Any] = {}
    for edit in edits:
        for key, value in edit.items():
            if key == "space" and isinstance(value, dict):
                space_edits |= value
            elif key == "space":
                space = value
            else:
                table = table | {key: _merged(key, table.get(key), value)}
    _check_flags(table, flags.get("objective"))
    objective, module_space = _objective(table)
    whole_space = _space(space, objective, module_space)
    if isinstance(objective, FunctionObjective):  # only the shared objective knows what else it could take
        _check_known(whole_space, [edit["space"] for edit in typed if isinstance(edit.get("space"), dict)])
    return table, objective, edited(whole_space, space_edits)


def _typed_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given; what is no key of a study is a setting of its objective."""
    given = {key: value for key, value in flags.items() if value is not None}
    settings = {key: value for key, value in given.items() if key not in KEYS}
    return {key: value for key, value in given.items() if key in KEYS} | ({"objective": settings} if settings else {})


def edited(space: Space, edits: Mapping[str, Any]) -> Space:
    """`space` with some domains replaced or added; conditions that can no longer hold take their child along."""
    if not edits:
        return space
    domains: dict[str, Any] = dict(space)
    domains |= {name: as_domain(name, value) for name, value in edits.items()}
    for name in space.order:
        domain = domains[name]
        if name in edits or not domain.when:
            continue
        when = {parent: _still_possible(domains.get(parent), values) for parent, values in domain.when.items()}
        if all(when.values()):
            domains[name] = dataclasses.replace(domain, when=when)
        else:
            del domains[name]
    return Space(domains)


def _still_possible(parent: Domain | None, values: Iterable[Any]) -> list[Any]:
    def possible(value: Any) -> bool:
        try:
            parent.accept(value)  # type: ignore[union-attr]
        except ValueError:
            return False
        return True

    return [] if parent is None else [value for value in values if possible(value)]


def _find(study: str | None) -> tuple[str | None, str | None, dict[str, Any]]:
    """What messages call the study, the beginning of its name, its content."""
    if study is None:
        return None, None, {}
    if ":" in study and not study.endswith(".toml"):
        return None, None, {"objective": study}
    if study.endswith(".toml"):
        where, table, folder = f"study file {study}", _read(Path(study)), Path(study).parent
        with _naming(where):
            _check(table)
            _check_overrides(table)
        return where, Path(study).stem, _located(table, folder)
    known = shipped()
    if study not in known:
        hint = f"write {study[:-3]}:FUNCTION" if study.endswith(".py") else did_you_mean(study, known)
        raise NotFoundError(f"no study {study!r}, nor is it a FILE.toml or module:function: {hint}")
    return f"study {study!r}", study, known[study]


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise LoadError(f"study file {path} has {path.stat().st_size} bytes, expected at most {MAX_BYTES}")
        return _parsed(path.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"no study file {path}: `hpo init` writes one, `hpo studies` lists hpo's own") from None
    except OSError as error:
        raise LoadError(f"study file {path} cannot be read: {error.strerror}: check name and permissions") from error
    except UnicodeDecodeError:
        raise LoadError(f"study file {path} is not UTF-8 text: save it as UTF-8") from None
    except ValueError as error:
        raise LoadError(f"study file {path} is not valid TOML: {error}") from error


def _parsed(text: str) -> dict[str, Any]:
    """The content of a TOML text; raises ValueError for one that is none, or nested too deep."""
    bare = re.sub(r"[ \t]+", " ", _QUOTED.sub("x", text)).replace(" .", ".").replace(". ", ".")
    if any(word.count(".") >= MAX_PARTS for word in re.split(r"[^\w.-]+", bare)):
        raise ValueError(f"a key has more than {MAX_PARTS} parts with dots between")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _check(table: Mapping[str, Any], inside: str = "") -> None:
    """Refuse unknown keys and values of other types."""
    for key, value in table.items():
        if key not in KEYS or (inside and key == "override"):
            raise UsageError(f"unknown key {brief(inside + key)}: {did_you_mean(key, SETTABLE if inside else KEYS)}")
        if not isinstance(value, KEYS[key]) or (isinstance(value, bool) and KEYS[key] is not bool):
            raise UsageError(f"{inside}{key} is {brief(value)}, expected {_EXPECTED[KEYS[key]]}")


def _check_overrides(table: Mapping[str, Any]) -> None:
    """Every override, not only the one that applies: a slip shows at once."""
    known = entries("searchers")
    for searcher, override in table.get("override", {}).items():
        if searcher not in known:
            raise UsageError(f"override.{searcher}: no such searcher: {did_you_mean(searcher, known)}")
        if not isinstance(override, dict):
            raise UsageError(f"override.{searcher} is {brief(override)}, expected a table")
        _check(override, f"override.{searcher}.")


def _check_flags(table: Mapping[str, Any], settings: Mapping[str, Any] | None) -> None:
    """Refuse what the command line says about data where the study's objective has its own."""
    name = _named(table.get("objective")).get("name", DEFAULT_OBJECTIVE)
    if settings and name != DEFAULT_OBJECTIVE:
        option = f"--{next(iter(settings)).replace('_', '-')}"
        raise UsageError(f"{option} is for the objective {DEFAULT_OBJECTIVE!r}, but the study's is {brief(name)}")


def _located(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A study file in `folder` with the files that it names found from there."""
    found = dict(table)
    if isinstance(table.get("objective"), dict):
        found["objective"] = objective_keys.located(table["objective"], folder)
    if "override" in table:
        found["override"] = {searcher: _located(edit, folder) for searcher, edit in table["override"].items()}
    return found


def _check_known(space: Space, edits: Iterable[Mapping[str, Any]]) -> None:
    for name in itertools.chain.from_iterable(edits):
        if name not in space:
            raise UsageError(f"--set 'space.{name}': no such hyperparameter: {did_you_mean(name, space)}")


def _parse(change: str) -> dict[str, Any]:
    """`searcher.eta=4` as a nested table; a value that is not TOML is text."""
    key, equals, text = change.partition("=")
    section, dot, name = key.strip().partition(".")
    where = f"--set {brief(change)}"
    if not equals or not section:
        raise UsageError(f"{where}: expected KEY=VALUE, for instance searcher.eta=4")
    if section not in SETTABLE:
        raise UsageError(f"{where}: unknown key {section!r}: {did_you_mean(section, SETTABLE)}")
    if dot and (not name or KEYS[section] is not _NAMED):
        raise UsageError(f"{where}: {section!r} has no keys of its own: write {section}=VALUE")
    value: Any = text.strip()
    try:
        read = _parsed(f"value = {value}")
        value = read["value"] if len(read) == 1 else value
    except ValueError:
        if value[:1] in ("[", "{", '"', "'"):
            raise UsageError(f"{where}: the value is not valid TOML: texts inside lists need quotes") from None
    result = {section: {name: value} if name else value}
    with _naming(where):
        _check(result)
    return result


def _merged(key: str, old: Any, new: Any) -> Any:
    """The value of `key` after a change of it: new settings win, old ones stay."""
    if not isinstance(new, dict):
        return new
    return objective_keys.combined(_named(old), new) if key == "objective" else _named(old) | new


def _named(found: Any) -> dict[str, Any]:
    """A searcher or objective as a table: `"tpe"` is short for `{name = "tpe"}`."""
    if found is None:
        return {}
    return dict(found) if isinstance(found, dict) else {"name": found}


def _searcher_name(table: Mapping[str, Any]) -> str:
    name = _named(table.get("searcher")).get("name", DEFAULT_SEARCHER)
    return str(name).partition(":")[0]


def _objective(table: Mapping[str, Any]) -> tuple[Objective, Any]:
    """The objective, and the `space` beside it where it is a function in a module."""
    settings, direction = _named(table.get("objective")), table.get("direction")
    path = settings.pop("name", DEFAULT_OBJECTIVE)
    if not isinstance(path, str):
        raise UsageError(f"objective.name is {brief(path)}, expected text")
    if path == DEFAULT_OBJECTIVE:
        settings = objective_keys.arguments(settings)
    if ":" not in path:
        return resolve_objective(objective_by_name(path, settings), direction), None
    if settings:
        raise UsageError(f"objective {path!r} is a function: it takes no settings such as {next(iter(settings))!r}")
    objective = resolve_objective(path, direction)
    try:
        return objective, import_object(f"{path.partition(':')[0]}:space")
    except LoadError:
        return objective, None  # the study file has one, or it is missed later


def _space(found: Any, objective: Objective, module_space: Any) -> Space:
    if isinstance(found, Mapping):
        return Space(found)
    if found is None and module_space is not None:
        return Space(module_space)
    own = objective.space(found or "default")
    if own is None:
        missing = f"it has no space called {found!r}" if found else "give it one under [space], or beside the function"
        raise UsageError(f"objective {objective.name!r} needs a search space: {missing}")
    return own
