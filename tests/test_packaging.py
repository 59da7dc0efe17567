"""What an installed copy promises: dependencies, versions, files, and imports on every platform."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata, resources
from pathlib import Path

import pytest

import hpo.store

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~ \[]", requirement)[0].lower() for requirement in requirements}


def test_constraints_pin_every_dependency_for_every_platform() -> None:
    versions = pinned()
    assert versions["torch"] == "2.13.0"
    extras = PROJECT["optional-dependencies"]
    wanted = names(PROJECT["dependencies"]) | names(extras["test"]) | names(extras["ci"])
    assert wanted <= {name.lower() for name in versions}
    foreign = [name for name, version in versions.items() if "+" in version or re.match("nvidia|triton|cuda", name)]
    assert foreign == []


def test_tested_versions_are_the_pinned_ones() -> None:
    installed = {found.name.lower(): found.version.partition("+")[0] for found in metadata.distributions()}
    pairs = {name: (version, installed.get(name.lower(), version)) for name, version in pinned().items()}
    assert {name: pair for name, pair in pairs.items() if pair[0] != pair[1]} == {}, "pinned, installed"


def test_package_carries_its_data_and_its_plug_ins() -> None:
    assert (resources.files("hpo") / "py.typed").is_file()
    assert (resources.files("studies") / "tutorial.toml").is_file()
    assert all((resources.files("hpo.report") / name).is_file() for name in ("template.html", "page.css", "page.js"))
    points = {point.name for point in metadata.entry_points(group="hpo.searchers")}
    assert {"grid", "random", "tpe", "halving", "nas", "optuna"} <= points
    assert metadata.version("hpo-arena") == PROJECT["version"]


# third-party packages come first: it is our modules that have to do without
WITHOUT_POSIX = """
import importlib, os, pkgutil, sys
import click, cmaes, jinja2, numpy, optuna, pandas, plotly, rich, scipy, sklearn.datasets, torch
for name in ("fcntl", "resource"):
    sys.modules[name] = None
for name in ("fork", "setsid"):
    delattr(os, name)
import hpo, searchers, studies
count = 0
for package in (hpo, searchers, studies):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != "hpo.__main__":  # running it is its purpose
            importlib.import_module(module.name)
            count += 1
print(count)
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this platform has none of them anyway")
@pytest.mark.ci
def test_every_module_imports_without_fcntl_resource_fork_and_setsid() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_POSIX], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 40


def test_version_is_the_same_everywhere() -> None:
    import hpo

    assert hpo.__version__ == PROJECT["version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_module_of_the_store_has_its_place_in_the_overview() -> None:
    modules = {path.stem for path in (ROOT / "hpo" / "store").glob("*.py")} - {"__init__"}
    assert modules <= set(re.findall(r"\w+", hpo.store.__doc__ or ""))
