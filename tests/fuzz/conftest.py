"""The command in this process, in a folder with all that it can read; and what memory the hungriest example took."""

import contextlib
import io
import os
import re
import sys
import warnings
from pathlib import Path

import pytest
from fuzzing import EXIT_CODES, MEGABYTES, bounded, most

from hpo.cli import main

OBJECTIVES = """
from hpo import Choice, Float

space = {"x": Float(-1, 1), "kind": Choice(("a", "b"))}

def square(p):
    return p["x"] ** 2

def failing(p):
    raise ValueError("the reason")
"""


@pytest.fixture(autouse=True, scope="module")
def _peak(request):
    most["megabytes"] = 0.0
    yield
    print(f"\n{request.node.name}: at most {most['megabytes']:.1f} MB above what there was before")


def command(*arguments, megabytes=MEGABYTES):
    """Exit code, stdout and stderr of the command; an exception that leaves it is a failure."""
    out, err, argv, stdin = io.StringIO(), io.StringIO(), sys.argv, sys.stdin
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        warnings.simplefilter("default")
        sys.argv = ["hpo", *map(str, arguments)]
        sys.stdin = io.TextIOWrapper(io.BytesIO())
        try:
            with bounded(megabytes=megabytes):
                main()
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.argv, sys.stdin = argv, stdin
    assert code in EXIT_CODES | {0}, (code, err.getvalue())
    assert "Traceback" not in err.getvalue(), err.getvalue()
    told = any(line.startswith("hpo: ") for line in err.getvalue().splitlines())
    problems = re.search(r'^[1-9]\d* problem|"problems": [1-9]', out.getvalue(), re.MULTILINE)
    said = arguments[0] == "doctor" and problems if arguments else "Usage:" in err.getvalue()
    assert code == 0 or told or said, (code, err.getvalue())  # what was found, or help, is no error
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def hpo():
    return command


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The working directory, deep enough for `../..`: a store, a model, a table, a study file, a module."""
    folder = tmp_path_factory.mktemp("a") / "b" / "c"
    folder.mkdir(parents=True)
    before = os.getcwd()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.modules.pop("objectives", None)
    Path("objectives.py").write_text(OBJECTIVES)
    kinds = ("lily", "rose", "rose")
    rows = [f"{i},{i % 7},{i * 1000 % 13},{kinds[i % 3]},{'ab'[i % 2]}" for i in range(60)]
    Path("flowers.csv").write_text("\n".join(["id,leaves,height,kind,side", *rows]) + "\n")
    loads = {"megabytes": 2000}  # whatever is loaded once is no memory of an example
    shared = ("--store", "hpo.db", "--quiet")
    function = ("--direction", "minimize", "--searcher", "random", "--trials", 5)
    command("run", "objectives:square", *function, "--name", "squares", *shared, **loads)
    command("run", "objectives:failing", *function, "--name", "failing", *shared, **loads)
    small = ("--trials", 2, "--epochs", 2, "--searcher", "random")
    command("run", "--data", "flowers.csv", "--target", "kind", "--name", "flowers", *small, *shared, **loads)
    command("init", "study.toml", **loads)
    command("report", "squares", "-o", "report.html", "--store", "hpo.db", **loads)
    code, _, error = command("best", "flowers", "--save", "model.pt", "--store", "hpo.db", **loads)
    assert code == 0, error
    most["megabytes"] = 0.0
    yield folder
    os.chdir(before)
    sys.path.remove(str(folder))
