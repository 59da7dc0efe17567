"""What hpo stands on: Python, SQLite, the packages, the GPU, the plug-ins."""

import platform
import re
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from hpo.errors import LoadError
from hpo.examination import NOTE, OK, PROBLEM, Item
from hpo.registry import entries, load
from hpo.store.database import SQLITE_VERSION

SHOWN: Final = ("torch", "numpy", "optuna", "scikit-learn", "scipy", "pandas", "plotly", "distributed")

# Package to (first version without, what is wrong before).
HOLES: Final = {
    "torch": (
        ((2, 6), "loading a crafted file runs code even with weights_only=True (CVE-2025-32434)"),
        ((2, 10), "loading a crafted file corrupts memory even with weights_only=True (CVE-2026-24747)"),
    )
}


def examine_machine() -> Iterator[Item]:
    """Looks at this Python and what is installed; imports torch and every plug-in."""
    yield Item("hpo", OK, _version("hpo-arena") or "not installed, run from its sources")
    yield Item("Python", OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield sqlite_item(SQLITE_VERSION)
    for package in SHOWN:
        version = _version(package)
        if version is not None:
            yield package_item(package, version)
    yield _gpu()
    for group in ("searchers", "objectives"):
        yield from _plug_ins(group)


def sqlite_item(version: tuple[int, ...]) -> Item:
    """The library behind every store."""
    text = ".".join(map(str, version))
    if (3, 7, 0) <= version <= (3, 51, 2):
        return Item(
            "SQLite",
            OK,
            f"{text}; 3.7.0 to 3.51.2 can lose commits in WAL mode, which hpo does not use: it matters only to a store "
            "that another program put into WAL mode",
        )
    return Item("SQLite", OK, text)


def package_item(package: str, version: str) -> Item:
    """An installed package, and what is known to be wrong with its version."""
    number = tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3])
    found = [(first, hole) for first, hole in HOLES.get(package, ()) if number < first]
    if not found:
        return Item(package, OK, version)
    first = ".".join(map(str, max(first for first, _ in found)))
    holes = "; ".join(hole for _, hole in found)
    return Item(package, PROBLEM, f"{version}: {holes}", f"install {package} {first} or later; load no foreign models")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> Item:
    try:
        import torch

        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            return Item("GPU", OK, f"torch sees {', '.join(names)}")
        if torch.backends.mps.is_available():
            return Item("GPU", OK, "torch sees an Apple GPU (mps)")
    except Exception as error:  # a driver that does not fit may fail in any way
        found = " ".join(f"{type(error).__name__}: {error}".split())
        return Item("GPU", NOTE, f"torch cannot say ({found})", "trials run on the processor with --device cpu")
    return Item("GPU", OK, "torch sees none: trials run on the processor")


def _plug_ins(group: str) -> Iterator[Item]:
    good = []
    for name in entries(group):
        try:
            load(group, name)
            good.append(name)
        except LoadError as error:
            advice = "update or uninstall its package; everything else works without it"
            yield Item(f"{group[:-1]} {name}", PROBLEM, str(error), advice)
    yield Item(group, OK, ", ".join(good) or "none")
