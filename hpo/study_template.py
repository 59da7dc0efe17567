"""A study file to begin with: what can be said in it, with what it means and what it may be.

Lines that begin with "# " are for reading; "#name = value" is a key, ready to have its "#" taken away.
"""

import json
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from hpo.domains import Choice, Domain
from hpo.plan import DEFAULT_SEARCHER, DEFAULT_TRIALS
from hpo.registry import entries
from hpo.text import printable
from hpo.training.data import Dataset
from hpo.training.generated import DATA_SETS
from hpo.training.hyperparameters import KNOWN, METRICS, known_for
from hpo.training.objective import SimpleNNObjective
from hpo.training.objective_keys import KEYS
from hpo.values import UNSET

MAX_COLUMNS = 100  # of a table that are listed
_MAX_LEVELS = 8  # of a column
_WIDTH = 110  # of comments
_DOMAINS = """\
# A hyperparameter is a range, a list of options, or a constant, which the search leaves alone:
#   {type = "float", low = 0.001, high = 0.1, log = true}    evenly in the logarithm
#   {type = "float", low = 0.0, high = 0.5, step = 0.1}
#   {type = "int", low = 1, high = 3}
#   {type = "choice", options = [16, 32, 64], ordered = true}
#   ["sgd", "adam"]    options without an order
#   0.01
# A range or choice may also have
#   default = 0.01    what it is in the default configuration, which the winner is compared with
#   when = {optimizer = ["momentum", "nesterov"]}    it is there only if the optimizer is one of these
"""
_OVERRIDE = """\
# What is different under one searcher: any key of the study. Here, what a grid tries of a range.
[override.grid.space]
learning_rate = [0.001, 0.01, 0.1]
"""


def template(file: str, objective: SimpleNNObjective, settings: Mapping[str, Any]) -> str:
    """The text of a study file that runs as it is.

    Args:
        file: what it will be called.
        objective: what it trains.
        settings: keys of `[objective]` that are set, see `objective_keys.KEYS`; files as seen from the study file.
    """
    space = objective.space()
    assert space is not None
    return "\n".join(
        [*_head(file, objective, settings), *_objective(objective, settings), *_space(space, objective.dataset.task)]
    )


def toml(value: Any) -> str:
    """A value in TOML: text, a boolean, a finite number, or lists and dicts of these."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.replace("\x7f", "\\u007f")  # JSON lets DEL pass, TOML does not


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else toml(name)


def _head(file: str, objective: SimpleNNObjective, settings: Mapping[str, Any]) -> Iterator[str]:
    about = f"{objective.dataset.target} of {settings['data']}" if objective.digest else settings["data"]
    yield f"# A study. `hpo run {_said(shlex.quote(file))}` searches; its options change for once what is said here."
    yield "# Take away the # of a line that begins with #name to use it.\n"
    yield f"question = {toml(f'Which network is best for {about}?')}"
    yield 'expect = "Better than the default configuration."    # what you believe before you look'
    yield f"trials = {DEFAULT_TRIALS}    # budget in full trainings"
    yield f"epochs = {objective.default_epochs}    # the most that one trial trains"
    others = ", ".join(name for name in entries("searchers") if name != DEFAULT_SEARCHER)
    yield f'searcher = {toml(DEFAULT_SEARCHER)}    # or {others}; with settings: {{name = "halving", eta = 4}}'
    yield "#seed = 0    # determines every trial"
    yield "#batch = 8    # proposals a round; more is faster, fewer use results sooner"
    yield '#name = "mine"    # of the study in the store; running it again goes on with it\n'


def _objective(objective: SimpleNNObjective, settings: Mapping[str, Any]) -> Iterator[str]:
    yield "# What is optimised: a small network on your table or on generated data. For a Python function instead,"
    yield '# objective = "module:function" and direction = "minimize" above, and no [objective].'
    yield "[objective]"
    yield 'name = "simplenn"'
    legal = {"data": DATA_SETS, "metric": METRICS[objective.dataset.task]}
    for name, key in KEYS.items():
        yield from _comment(key.meaning + (f"; known: {', '.join(legal[name])}" if name in legal else ""))
        example = objective.metric if name == "metric" else key.example
        yield f"{name} = {toml(settings[name])}" if name in settings else f"#{name} = {toml(example)}"
    if objective.digest:
        yield from _columns(objective.dataset)
    yield ""


def _columns(data: Dataset) -> Iterator[str]:
    if data.classes:
        more = f", ... ({len(data.classes)} in all)" if data.classes[MAX_COLUMNS:] else ""
        yield from _comment(f"Classes of {data.target}: {', '.join(data.classes[:MAX_COLUMNS])}{more}")
    yield from _comment(f"Columns besides {data.target}:")
    columns = data.schema.columns
    for column in columns[:MAX_COLUMNS]:
        levels = ", ".join(column.levels[:_MAX_LEVELS]) + (", ..." if column.levels[_MAX_LEVELS:] else "")
        yield f"#   {_said(column.name)}: " + _said(f"text, {levels}" if column.kind == "levels" else column.kind)
    if columns[MAX_COLUMNS:]:
        yield f"#   ... ({len(columns)} in all)"


def _space(space: Mapping[str, Domain], task: str) -> Iterator[str]:
    yield _DOMAINS + "[space]"
    for name, domain in space.items():
        yield from _comment(_about(name, task))
        yield f"{name} = {toml(_short(domain))}"
    yield "\n# All others. Left out, they have their defaults."
    for name in KNOWN:
        if name not in space:
            yield from _comment(_about(name, task))
            yield f"#{name} = {toml(_suggestion(name, task))}"
    yield "\n" + _OVERRIDE


def _about(name: str, task: str) -> str:
    """What a hyperparameter means, what it may be, and its default."""
    known = known_for(name, task)
    legal = ", ".join(map(_bare, known.options)) if known.options else known.expected
    default = f"that of {name.rpartition('_')[0]}" if known.default is None else _bare(known.default)
    return f"{known.meaning}: {legal}; default {default}"


def _default(name: str, task: str) -> Any:
    """The default of a hyperparameter; of one layer's, that of the whole network."""
    default = known_for(name, task).default
    return KNOWN[name.rpartition("_")[0]].default if default is None else default


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else toml(value)


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(_said(text), _WIDTH - 2, break_long_words=False))


def _suggestion(name: str, task: str) -> Any:
    """All options, or the default of a number."""
    options, default = known_for(name, task).options, _default(name, task)
    return {"type": "choice", "options": options, "default": default} if options else default


def _short(domain: Domain) -> Any:
    """A domain as short as a study file can have it."""
    if isinstance(domain, Choice) and domain.default is UNSET and not domain.when and not domain.ordered:
        return list(domain.options) if len(domain.options) > 1 else domain.options[0]
    return domain.to_json()


def _said(text: str) -> str:
    """Foreign text in a comment: one line without control characters."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")
