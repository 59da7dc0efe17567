"""`hpo searchers`: what can propose."""

import dataclasses
import inspect
import re
from typing import Any

import click

from hpo.cli import options, render
from hpo.values import brief


@click.command("searchers")
@click.argument("name", required=False)
@options.as_json
def command(name: str | None, as_json: bool) -> None:
    """List the searchers, or show the settings of searcher NAME with their defaults (`--set searcher.KEY=VALUE`)."""
    from hpo.errors import LoadError
    from hpo.registry import entries, load

    if name is not None:
        data = _describe(name, load("searchers", name))
        if as_json:
            render.emit_json(data)
            return
        render.line(f"{name}: {data['summary']}")
        if data["settings"]:
            rows = [[s["name"], s["default"], s["meaning"]] for s in data["settings"]]
            render.table(["setting", "default", "meaning"], rows)
        else:
            render.line("it has no settings")
        return
    listed = []
    for known in entries("searchers"):
        try:
            listed.append(_describe(known, load("searchers", known)))
        except LoadError as error:  # one broken plug-in hides no other
            listed.append({"name": known, "summary": f"cannot be loaded: {error}", "settings": []})
    if as_json:
        render.emit_json(listed)
        return
    rows = [[d["name"], d["summary"], ", ".join(s["name"] for s in d["settings"])] for d in listed]
    render.table(["searcher", "what it does", "settings"], rows)


def _describe(name: str, kind: Any) -> dict[str, Any]:
    from hpo.errors import LoadError
    from hpo.searcher import Searcher

    if not (inspect.isclass(kind) and issubclass(kind, Searcher)):
        raise LoadError(f"searcher {name!r} is {brief(kind)}, expected a Searcher class")
    text = inspect.getdoc(kind) or ""
    settings = [
        {"name": field.name, "default": _default(field), "meaning": _meaning(text, field.name)}
        for field in dataclasses.fields(kind)
        if field.init
    ]
    return {"name": name, "summary": text.split("\n\n")[0].replace("\n", " "), "settings": settings}


def _default(field: dataclasses.Field[Any]) -> Any:
    """As JSON; text for what is none."""
    if field.default_factory is not dataclasses.MISSING:
        return repr(field.default_factory())
    plain = field.default is None or isinstance(field.default, (bool, int, float, str))
    return "required" if field.default is dataclasses.MISSING else field.default if plain else repr(field.default)


def _meaning(text: str, setting: str) -> str:
    """What the docstring's Args section says about a setting."""
    found = re.search(rf"^    {re.escape(setting)}(?: \([^)]*\))?: (.*(?:\n {{8,}}.*)*)", text, re.MULTILINE)
    return re.sub(r"\s+", " ", found[1]) if found else ""
