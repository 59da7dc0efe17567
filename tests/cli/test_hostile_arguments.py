"""Arguments out of range, bombs, traps in the way of files, terminals of every kind: told in a line, nothing made."""

import csv
import io
import os

import pytest

import hpo as package
from hpo import Choice

RUN = ("run", "objectives:square", "--direction", "minimize", "--searcher", "random")
OUT_OF_RANGE = [
    *(("--trials", value) for value in (-1, 10**12, "1e3", "nan")),
    *(("--timeout", value) for value in ("0", "nan", "inf", "-1", "1e999", "9" * 5000)),
    *(("--workers", value) for value in (0, -1, 100_000)),
    *(("--retries", value) for value in (-1, 10**6)),
    *(("--trial-timeout", value) for value in ("0", "nan", "")),
    *(("--trial-memory", value) for value in ("0", "1KiB", "9" * 30, "nan")),
]
OF_A_RUN = [
    *(("--seed", value) for value in (-1, 2**64, "x")),
    *(("--batch", value) for value in (0, -1, 10**12)),
    *(("--epochs", value) for value in (0, -1, 10**12)),
    *(("--name", value) for value in ("", "x" * 256, "a\nb", "a\x1b[2J", "\ud800", "a\u202eb", "x" * 10_000)),
    *(
        ("--set", value)
        for value in ("trials=" + "9" * 5000, "space.x=" + "[" * 2000, "batch=nan", "space.\x00=1", "seed=inf")
    ),
    ("--set", 'space.x={type="float", low=-1e308, high=1e308}'),
    ("--set", 'space.x={type="int", low=0, high=9223372036854775808}'),
    ("--set", "space.kind=[nan]"),
    ("--set", "space.kind=[]"),
    ("--set", "space.kind=[1, 1]"),
    ("--set", f"space.{'x' * 256}=1"),
]


LIMITS = ("--retries", "--trial-timeout", "--trial-memory")  # no options of a comparison


def refused(found):
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("hpo: ")
    assert len(found.err.splitlines()) == 1
    assert len(found.err) < 1500
    assert "Traceback" not in found.err
    assert not {"\x1b", "\u202e"} & set(found.err)


@pytest.mark.parametrize("argument", [*OUT_OF_RANGE, *OF_A_RUN], ids=lambda pair: f"{pair[0]} {str(pair[1])[:25]!r}")
def test_a_run_refuses_it_before_there_is_a_store(hpo, home, argument):
    refused(hpo(*RUN, *argument))
    assert not list(home.glob("*.db*"))


def test_going_on_refuses_it_and_leaves_the_store_as_it_is(squares, home):
    before = (home / "hpo.db").read_bytes()
    for argument in OUT_OF_RANGE:
        refused(squares("resume", "squares", *argument))
    assert (home / "hpo.db").read_bytes() == before


@pytest.mark.ci
def test_a_comparison_refuses_it_before_there_is_a_store(hpo, home):
    compare = ("compare", "objectives:square", "--direction", "minimize")
    known = [argument for argument in (*OUT_OF_RANGE, *OF_A_RUN[:3]) if argument[0] not in LIMITS]
    for argument in (*known, ("--seeds", 0), ("--seeds", -1), ("--seeds", 10**12), ("--seeds", "nan")):
        refused(hpo(*compare, *argument))
        assert not list(home.glob("*.db*")), argument


@pytest.mark.ci
def test_what_stands_in_the_way_of_a_report_is_left_alone(squares, home):
    target = home / "target.txt"
    target.write_text("mine")
    (home / "link.html").symlink_to(target)
    (home / "nowhere.html").symlink_to(home / "gone" / "x.html")
    for name in ("link.html", "nowhere.html", "target.txt"):
        assert squares("report", "-o", name).code == 73
    assert target.read_text() == "mine"
    assert squares("report", "--force", "-o", "link.html").code == 0
    assert target.read_text() == "mine", "the link was replaced, not followed"
    assert not (home / "link.html").is_symlink()
    assert not (home / "gone").exists()


CHOICES = (
    1,
    1.0,
    True,
    None,
    "1",
    "",
    "a\nb",
    "名",
    (1, (2,)),
    [1, [2.5]],
    {"k": {"d": [None, "x"]}},
    2**62 + 1,
    -0.5,
    5e-324,
)


def own(params):
    return float(repr(params["c"]) != "None")


def test_every_kind_of_choice_comes_back_as_it_was(hpo, home):
    space = {"c": Choice(CHOICES), "when 1.0": Choice((0,), when={"c": [1.0]})}
    study = package.search(own, space, "grid", len(CHOICES), direction="maximize", progress=False, name="choices")
    again = package.load_study("choices")
    found = sorted(repr(trial.params["c"]) for trial in again.trials)
    assert found == sorted(map(repr, CHOICES))
    assert {repr(trial.params["c"]) for trial in again.trials if "when 1.0" in trial.params} == {"1.0"}
    again.resume(own, trials=20, progress=False)
    assert len(again.trials) == len(CHOICES)
    assert again.spec.space == study.spec.space
    lines = [line for line in hpo("export", "--format", "jsonl").out.splitlines() if '"number"' in line]
    assert len(lines) >= len(CHOICES)
    rows = list(csv.DictReader(io.StringIO(hpo("export", "--format", "csv").out, newline="")))
    assert len(rows) == len(CHOICES)
    assert "4611686018427387905" in {row["c"] for row in rows}


ODD = """
space = {'مرحبا': [1, 2], '👩\u200d🔬': ['é', 'e\u0301x'], '名前': ['\\u202e', 'ß']}

def f(p):
    print('名前')
    if p['مرحبا'] == 1:
        raise ValueError('名前 \\ud83d')
    return 1.0
"""


@pytest.mark.ci
@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "C", "LC_ALL": "C"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "cp437", "TERM": "dumb", "COLUMNS": "20"},
    ],
    ids=lambda environment: " ".join(f"{key}={value}" for key, value in environment.items()),
)
def test_every_terminal_shows_every_name_in_some_form(call, home, environment):
    (home / "odd.py").write_text(ODD, encoding="utf-8")
    name = "größe 名前 مرحبا \U0001f600"
    run = ("run", "odd:f", "--direction", "maximize", "--searcher", "grid", "--trials", 8, "--name", name)
    shown = [("show", name), ("show", name, "0"), ("best", name), ("report", name), ("report", "-o", "page.html")]
    commands = [run, ("ls",), *shown, ("export", "--format", "csv")]
    for command in commands:
        found = call(*command, env=environment | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}, encoding="latin-1")
        assert found.code == 0, (command, found.err)
        assert "Traceback" not in found.out.replace("Traceback (most recent call last)", "", 1)
    assert "名前" in (home / "page.html").read_text("utf-8")


@pytest.mark.ci
def test_bytes_that_are_no_text_are_refused_as_names(call, home):
    found = call(*RUN, "--trials", 1, b"--name=\xff\xfe".decode("utf-8", "surrogateescape"))
    assert found.code == 2
    assert "study name '\\udcff\\udcfe'" in found.err
    assert call("show", b"\xff".decode("utf-8", "surrogateescape")).code == 4
