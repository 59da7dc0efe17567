"""Whatever is typed after `hpo`: an answer, or one line that says what is wrong, and its exit code."""

import subprocess
import sys

import click
import pytest
from fuzzing import EXIT_CODES, MEGABYTES, SECONDS, TEXTS, fuzz
from hypothesis import given
from hypothesis import strategies as st
from peak_memory import PEAK

from hpo.cli import COMMANDS, cli

pytestmark = pytest.mark.ci

LISTENING = {"serve", "dashboard"}
NUMBERS = ("0", "1", "2", "-1", "3.5", "1e3", "x", "", "999999999999", "9" * 5000, "nan", "٣", "0x1", " 1")
# as files only in the working directory; arguments have no NUL, but bytes that are no text
HARMLESS = ["\udcff", *(text for text in TEXTS if not set("/\0\ud800") & set(text) and ".." not in text)]
plain = st.text(st.characters(codec="utf-8", exclude_characters="/.\0"), max_size=10)
files = st.sampled_from(
    ["flowers.csv", "model.pt", "study.toml", "hpo.db", "objectives.py", "missing.csv", ".", "none/x"]
)
studies = st.sampled_from(
    ["squares", "failing", "flowers", "square", "objectives:square", "objectives:nothing", "optimizers"]
)
ANY = st.one_of(files, studies, st.sampled_from(HARMLESS), plain, st.sampled_from(NUMBERS))
KNOWN = {  # options whose values decide how long a command takes, or where it looks
    "--timeout": ["0.2s", "0", "-1", "x", "nan", "0.01"],
    "--trials": ["0", "1", "2", "-1", "x", "1e3", "9" * 5000],
    "--epochs": ["1", "2", "0", "-1", "x", "9" * 5000],
    "--seeds": ["1", "2", "0", "-1", "x"],
    "--batch": ["1", "2", "0", "-1", "x", "9" * 30],
    "--workers": ["0", "-1", "1", "x", "99999999"],
    "--folds": ["1", "2", "0", "-1", "x", "99999"],
    "--dask": ["x", "tcp://", "127.0.0.1:1", ""],
    "--device": ["auto", "cpu", "cuda", "x", ""],
    "--format": ["csv", "jsonl", "x"],
    "--searcher": ["random", "grid", "tpe", "halving", "nas", "rnd", "optuna:x", "a:b", ""],
    "--searchers": ["random", "random,grid", "x", "", ",", "random,random"],
    "--store": ["hpo.db", "hpo.db", "hpo.db", "new.db", "flowers.csv", ".", "none/x.db", ""],
    "--direction": ["minimize", "maximize", "x"],
    "--data": ["flowers.csv", "moons", "model.pt", "x"],
    "--set": ["searcher.eta=4", "space.width=8", "=", "x", "space.x=[", "trials=1", "objective.folds=2"],
    "--top": ["0", "3", "-1", "x", "9" * 30],
    "--limit": ["0", "3", "-1", "x", "9" * 30],
    "--retries": ["0", "1", "-1", "x", "9" * 30],
}
SHORT = {"run": ["--timeout", "0.3s", "--trials", "1", "--epochs", "1"], "resume": ["--timeout", "0.3s"],
         "compare": ["--timeout", "0.3s", "--trials", "1", "--epochs", "1", "--seeds", "2"]}  # fmt: skip


def options_of(name):
    return cli.get_command(click.Context(cli), name).params


@st.composite
def lines(draw):
    """A command with some of its options and arguments."""
    name = draw(st.sampled_from(sorted(set(COMMANDS) - LISTENING)))
    words = list(SHORT.get(name, []))
    for parameter in options_of(name):
        if isinstance(parameter, click.Argument):
            for _ in range(
                draw(st.sampled_from([0, 1, 1, 1, 2, 3])) if parameter.nargs == -1 or not parameter.required else 1
            ):
                words.append(draw(ANY | studies))
            continue
        if draw(st.integers(0, 3)):
            continue
        option = draw(st.sampled_from(parameter.opts))
        words.append(option)
        if not parameter.is_flag:
            known = next((KNOWN[each] for each in parameter.opts if each in KNOWN), None)
            value = st.sampled_from(known) if known else ANY
            words += [draw(value) for _ in range(max(parameter.nargs, 1))]
    if draw(st.integers(0, 9)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(HARMLESS) | plain))
    if "--store" not in words:
        words += ["--store", "hpo.db"] if any("--store" in p.opts for p in options_of(name)) else []
    return [name, *words]


@given(lines())
@fuzz(300)
def test_any_command_answers_or_says_what_is_wrong(home, hpo, words):
    hpo(*words)


@given(st.lists(st.sampled_from([*COMMANDS, *HARMLESS, "--version", "-h"]) | plain, max_size=3))
@fuzz(150)
def test_any_words_are_a_command_or_refused(home, hpo, words):
    if "init" not in words and "run" not in words and "compare" not in words:
        hpo(*words)


MEASURED = f"""{PEAK}
import sys
from hpo.cli import main
sys.argv = ["hpo", *sys.argv[1:]]
try:
    main()
finally:
    print(peak(), file=open("peak.txt", "w"))
"""


@given(lines())
@fuzz(8, 300)
def test_so_does_one_in_a_process_of_its_own(home, words):
    words = [word.encode(errors="surrogateescape") for word in words]
    ended = subprocess.run([sys.executable, "-c", MEASURED, *words], cwd=home, capture_output=True, timeout=2 * SECONDS)
    assert ended.returncode in EXIT_CODES | {0}, (words, ended)
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    assert int((home / "peak.txt").read_text()) / 1024 < 450 + MEGABYTES  # with torch and pandas
