"""Studies for the tests of reports, one whose every name must not get out among them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hpo
from hpo import Choice, Float, Int

SCRIPT = "<script>alert('script')</script>"
IMAGE = "<img src=x onerror=alert('image')>"
ENDING = "</script><b>bold</b>"
LINK = '<a href="javascript:alert(1)">link</a>'
TURNED = "\u202egnp.exe"
ESCAPE = "\x1b[31mred"
MARKUP = "[red]markup[/red]"
FORMULA = "=1+1"
TEMPLATE = "%{x} {{ 7 * 7 }} $x^2$"
HOSTILE = (SCRIPT, IMAGE, ENDING, LINK, TURNED, ESCAPE, MARKUP, FORMULA, TEMPLATE)
NAMES = {"choice": ENDING, "rate": f"{IMAGE}{MARKUP}", "when": LINK, "count": FORMULA}


def hostile_function(params: dict[str, Any]) -> float:
    """Fails now and then, with a message that is none."""
    if params[NAMES["rate"]] > 0.1:
        raise ValueError(f"{IMAGE} {SCRIPT} {ESCAPE} {TURNED} {MARKUP} '/home/somebody/{FORMULA}.csv'")
    return float(params[NAMES["rate"]]) + params.get(NAMES["count"], 0) + HOSTILE.index(params[NAMES["choice"]])


def hostile_study(store: Path, trials: int = 60, searcher: str = "tpe") -> hpo.Study:
    """A study in which every text is one that must not get out; some of its trials fail."""
    space = {
        NAMES["choice"]: Choice(HOSTILE),
        NAMES["rate"]: Float(1e-5, 1.0, log=True),
        NAMES["count"]: Int(1, 9, when={NAMES["choice"]: [SCRIPT, LINK, TURNED]}),
        NAMES["when"]: Float(0.0, 1.0, when={NAMES["choice"]: [IMAGE]}),
    }
    return hpo.search(
        hostile_function, space, searcher, trials, direction="maximize", store=store, name=f"{SCRIPT}{IMAGE}[red]",
        progress=False,
    )  # fmt: skip


def plain_study(store: Path, trials: int = 12, **more: Any) -> hpo.Study:
    """Two numbers, and a value that is their sum."""
    space = {"x": Float(0.0, 1.0), "rate": Float(1e-4, 1.0, log=True)}
    return hpo.search(
        lambda p: p["x"] + p["rate"], space, "random", trials, direction="maximize", store=store, progress=False, **more
    )


def _halving(store: Path) -> list[Any]:
    return [hpo.search(data="moons", searcher="halving", trials=8, epochs=9, store=store, progress=False)]


def _nas(store: Path) -> list[Any]:
    space = {
        "depth": Int(1, 3),
        "width_1": Choice((8, 16, 32), ordered=True),
        "activation_1": Choice(("relu", "tanh")),
        "width_2": Choice((8, 16, 32), ordered=True, when={"depth": [2, 3]}),
        "width_3": Choice((8, 16, 32), ordered=True, when={"depth": [3]}),
    }
    return [hpo.search(space=space, data="spirals", searcher="nas", trials=60, epochs=2, store=store, progress=False)]


def _hostile(store: Path) -> list[Any]:
    return [hostile_study(store), plain_study(store, 30, name="second")]


def _comparison(store: Path) -> list[Any]:
    tasks = {IMAGE: lambda p: -((p["x"] - 0.3) ** 2) - abs(p["y"]), "plane": lambda p: p["x"] + p["y"]}
    space = {"x": Float(0.0, 1.0), "y": Float(-1.0, 1.0)}
    searchers = [{SCRIPT: "random"}, {FORMULA: "tpe"}]
    return [
        hpo.compare(
            tasks, space, searchers, seeds=10, trials=20, direction="maximize", name=f"{ENDING}{LINK}", store=store,
            progress=False,
        )
    ]  # fmt: skip


REPORTS: dict[str, Callable[[Path], list[Any]]] = {
    "halving": _halving,
    "nas": _nas,
    "hostile": _hostile,
    "comparison": _comparison,
}
