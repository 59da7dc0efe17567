"""The command `hpo`, in this process where that is enough and in one of its own where it is not."""

import contextlib
import io
import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass

import pytest

from hpo.cli import main

OBJECTIVES = """
import os, time
from hpo import Choice, Float

space = {"x": Float(-1, 1), "kind": Choice(("a", "b"))}

def square(p):
    return p["x"] ** 2

def failing(p):
    raise ValueError("the reason\\nin two lines")

def infinite(p):
    return float("inf") if p["x"] < 0 else p["x"]

calls = 0

def hold(after):
    # wait, after so many calls in this process, until the file "hold" is gone
    global calls
    calls += 1
    while calls > after and os.path.exists("hold"):
        time.sleep(0.01)

def held(p):
    hold(6)
    return p["x"] ** 2

def epochs(p):
    for epoch in range(1, 100):
        hold(40)
        with open("epochs.log", "a") as log:
            log.write(".")
        yield p["x"] ** 2 + 1 / epoch
"""


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self):
        """Its output by a parser that takes strict JSON only."""

        def refuse(name):
            raise AssertionError(f"{name} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory with a module of objectives."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("HPO_STORE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "objectives", raising=False)
    (tmp_path / "objectives.py").write_text(OBJECTIVES)
    return tmp_path


@pytest.fixture
def flowers(home):
    """A working directory with tables: flowers.csv of 60 rows, and some that nothing can be learned from."""
    kinds, sides = ("lily", "rose", "rose"), ("south", "north")
    parts = ["train"] * 40 + ["val"] * 10 + ["test"] * 10
    rows = [f"{i},{i % 7},{i * 1000 % 13},{kinds[i % 3]},{sides[i % 2]},{part}" for i, part in enumerate(parts)]
    (home / "flowers.csv").write_text("\n".join(["id,leaves,height,kind,side,part", *rows]) + "\n")
    (home / "one.csv").write_text("x,kind\n" + "1,rose\n" * 20)
    (home / "empty.csv").write_text("")
    (home / "header.csv").write_text("x,kind\n")
    (home / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    return home


@pytest.fixture
def hpo(home, monkeypatch):
    """The command in this process."""

    def run(*arguments):
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", ["hpo", *map(str, arguments)])
            patch.setattr(warnings, "showwarning", warnings.showwarning)
            patch.setattr(warnings, "filters", [("default", None, Warning, None, 0)])
            with pytest.raises(SystemExit) as ended:
                main()
        return Ended(ended.value.code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def start(home):
    """The command in a process of its own, begun and not waited for."""
    begun = []

    def run(*arguments, **more):
        environment = {key: value for key, value in os.environ.items() if key != "HPO_STORE"} | more.pop("env", {})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
        command = [sys.executable, "-m", "hpo", *map(str, arguments)]
        process = subprocess.Popen(command, cwd=home, env=environment, **pipes)
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def call(start):
    """The command in a process of its own, to its end."""

    def run(*arguments, **more):
        process = start(*arguments, **more)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    return run


@pytest.fixture
def squares(hpo):
    """The command after a run of 12 trials under the name "squares"."""
    found = hpo("run", "objectives:square", "--direction", "minimize", "--searcher", "random", "--trials", 12,
                "--name", "squares")  # fmt: skip
    assert found.code == 0, found.err
    return hpo
