"""What each command prints, and its exit code."""

import csv
import io
import json

import pytest
from rich.console import Console

from hpo import Choice, Float, load_study, search
from hpo.cli import render

RUN = ("run", "objectives:square", "--direction", "minimize", "--searcher", "random")
HOSTILE = "<img onerror=x>[red]=1+1"


# -- run


def test_a_run_prints_its_answer_on_stdout_and_its_progress_on_stderr(hpo):
    found = hpo(*RUN, "--trials", 12)
    best = load_study().best
    assert found.code == 0
    assert found.out.startswith(f"best of 12 trials in study square-random-0: trial {best.number}\n")
    assert f"x     {best.params['x']:.6g}\n" in found.out
    assert f"value (minimized)  {best.value:.6g}\n" in found.out
    assert "`hpo show square-random-0` lists the trials" in found.out
    first, *_, last = found.err.splitlines()
    assert first.startswith("study square-random-0: new; 0/12 trials; batch 1024 (random's default); device cpu")
    assert last.startswith("study square-random-0: complete; 12/12 trials, best ")


def test_progress_is_a_line_every_tenth_when_it_is_no_terminal(hpo):
    found = hpo(*RUN, "--trials", 40, "--batch", 1)
    lines = [line for line in found.err.splitlines() if line[0].isdigit()]
    assert 1 <= len(lines) <= 10
    assert lines[-1].startswith("40/40 trials")


def test_quiet_is_quiet_and_verbose_has_a_line_for_every_trial(hpo):
    assert hpo(*RUN, "--trials", 3, "--quiet").err == ""
    assert [line for line in hpo(*RUN, "--trials", 3, "--verbose").err.splitlines() if line.startswith("trial ")] == [
        f"trial {t.number}: {t.value:.6g} (x={t.params['x']:.6g}, kind={t.params['kind']})" for t in load_study().trials
    ]


def test_json_is_one_strict_document_on_stdout(hpo):
    found = hpo(
        "run", "objectives:infinite", "--direction", "maximize", "--searcher", "random", "--trials", 8, "--json"
    )
    data = found.json()
    assert data["study"] == "infinite-random-0"
    assert data["trials"] == 8
    assert data["failed"] > 0
    assert data["best"]["value"] == data["best"]["params"]["x"]


def test_no_trials_only_create_the_study(hpo):
    found = hpo(*RUN, "--trials", 0, "--json")
    assert (found.code, found.json()["states"], found.err) == (0, {}, "")
    assert hpo("resume", "--trials", 2, "--quiet").code == 0


def test_a_named_run_goes_on_to_the_total(squares):
    found = squares(*RUN, "--trials", 15, "--name", "squares")
    assert "found with 12 trials" in found.err
    assert "best of 15 trials" in found.out


def test_set_changes_searcher_and_space(hpo):
    found = hpo("run", "objectives:epochs", "--direction", "minimize", "--searcher", "halving", "--epochs", 4,
                "--set", "searcher.eta=2", "--set", "space.kind=b", "--trials", 0, "--json")  # fmt: skip
    data = found.json()
    assert data["searcher"]["eta"] == 2
    assert data["batch"] == 4
    assert data["space"][1]["options"] == ["b"]


def test_a_searcher_of_ones_own_and_of_optuna(hpo, home):
    (home / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom searchers.random import Random\n"
        "@dataclass(eq=False)\nclass Mine(Random):\n    pass\n"
    )
    assert hpo(*RUN[:-1], "mine:Mine", "--trials", 2, "--quiet").out.startswith("best of 2 trials in study square-mine")
    assert hpo(*RUN[:-1], "optuna:QMCSampler", "--trials", 2, "--quiet").code == 0
    assert load_study().spec.settings == {"sampler": "QMCSampler"}


def test_a_study_file_and_the_shared_objective(hpo, home):
    (home / "small.toml").write_text('trials = 1\nepochs = 1\nsearcher = "random"\n[space]\nwidth = 8\n')
    found = hpo("run", "small.toml", "--quiet")
    assert found.code == 0, found.err
    assert "in study small-random-0" in found.out
    assert "validation accuracy" in found.out
    assert "test accuracy" in found.out
    assert hpo("best").out == found.out  # tested once, and stored


# -- exit codes and errors


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "objectives:square", "--trials", "3"], 2, "give the direction"),
        ([*RUN, "--trials", "1e3"], 2, "not a valid integer"),
        ([*RUN, "--trials", "-1"], 2, "trials is -1"),
        ([*RUN, "--timeout", "0"], 2, "timeout is '0'"),
        ([*RUN, "--timeout", "nan"], 2, "timeout is 'nan'"),
        ([*RUN, "--seed", str(2**64)], 2, "seed is 18446744073709551616"),
        ([*RUN, "--trails", "3"], 2, "No such option '--trails'. (Did you mean"),
        ([*RUN, "--set", "searcher.points=3"], 2, "searcher 'random' has no setting 'points'"),
        ([*RUN, "--set", "space.knd=a"], 2, "did you mean 'kind'?"),
        ([*RUN, "--name", "a\x1b]0;b"], 2, "study name 'a\\x1b]0;b'"),
        (["rn"], 2, "did you mean 'run'?"),
        (["export"], 2, "--format"),
        (
            ["run", "objectives:failing", "--direction", "minimize", "--trials", "3"],
            3,
            "with: ValueError: the reason (",
        ),
        (["run", "tutoral"], 4, "did you mean 'tutorial'?"),
        (["run", "missing.toml"], 4, "no study file missing.toml"),
        ([*RUN[:-1], "rndom"], 4, "did you mean 'random'?"),
        (["searchers", "tpee"], 4, "did you mean 'tpe'?"),
        (["ls", "--store", "nowhere.db"], 4, "no store at nowhere.db"),
        (["run", "objectives:squar", "--direction", "minimize"], 78, "did you mean 'square'?"),
        (["run", "no_such_module:f", "--direction", "minimize"], 78, "No module named 'no_such_module'"),
        (["run", "broken.toml"], 78, "broken.toml is not valid TOML"),
        (["ls", "--store", "objectives.py"], 65, "not an SQLite file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_errors_are_one_line_with_their_exit_code(hpo, home, arguments, code, message):
    (home / "broken.toml").write_text("trials = = 3")
    found = hpo(*arguments)
    assert (found.code, found.out) == (code, "")
    last = found.err.splitlines()[-1]
    assert last.startswith("hpo: ")
    assert message in last
    assert "Traceback" not in found.err
    assert len(found.err.splitlines()) == 1 or code == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "sqares"], 4, "did you mean 'squares'?"),
        (["show", "squares", "12"], 4, "no trial 12: the study has trials 0 to 11"),
        (["show", "squares", "x"], 2, "'x' is not a valid integer"),
        (["resume", "squares", "--trials", "-1"], 2, "trials is -1"),
    ],
    ids=str,
)
def test_errors_about_stored_studies(squares, arguments, code, message):
    found = squares(*arguments)
    assert (found.code, len(found.err.splitlines())) == (code, 1)
    assert message in found.err


def test_a_conflict_lists_the_differences_and_changes_nothing(squares, home):
    before = (home / "hpo.db").read_bytes()
    found = squares(*RUN, "--name", "squares", "--seed", 3, "--batch", 7)
    assert found.code == 5
    assert found.err.splitlines()[1:] == ["  seed: stored 0, now 3", "  batch: stored 1024, now 7"]
    assert (home / "hpo.db").read_bytes() == before


def test_a_locked_study_says_who_drives_it(squares):
    study = load_study("squares")
    study.ask()
    found = squares("resume", "squares", "--trials", 20)
    study.close()
    assert found.code == 75
    assert "is being driven by process" in found.err


# -- looking


def test_ls_show_best_and_export_tell_the_same(squares):
    study = load_study("squares")
    best = study.best
    assert squares("ls", "--json").json()[0]["best"] == best.value
    shown = squares("show", "squares", "--json").json()
    assert [trial["number"] for trial in shown["best"]] == [trial.number for trial in study.ranking(10)]
    assert squares("show", "squares", best.number, "--json").json()["curve"] == {}
    assert squares("best", "--json").json()["best"]["params"] == best.params
    for command in (["ls"], ["show"], ["show", "squares", 3], ["best", "squares"]):
        assert "squares" in squares(*command).out


def test_export_jsonl_has_an_object_for_the_study_and_one_a_trial(squares):
    first, *lines = squares("export", "squares", "--format", "jsonl").out.splitlines()
    trials = load_study("squares").trials
    assert json.loads(first)["study"]["name"] == "squares"
    assert [list(json.loads(line))[:7] for line in lines] == [
        ["number", "state", "params", "value", "epochs", "seed", "error"]
    ] * 12
    assert [json.loads(line)["value"] for line in lines] == [trial.value for trial in trials]


def test_export_writes_non_finite_values_as_text_and_reads_back(hpo):
    hpo("run", "objectives:infinite", "--direction", "maximize", "--searcher", "random", "--trials", 8, "--quiet")
    _, *lines = hpo("export", "--format", "jsonl").out.splitlines()
    values = [json.loads(line, parse_constant=str.upper)["value"] for line in lines]
    assert "inf" in values
    assert "INFINITY" not in values
    rows = list(csv.DictReader(io.StringIO(hpo("export", "--format", "csv").out)))
    assert [float(row["value"]) for row in rows] == [float(value) for value in values]


def test_csv_cells_are_no_formulas(hpo, home):
    options = ("=1+1", "+1", "-1", "@x", "\tx", "\rx", 'a, "b"', "two\nlines", "a\rb", -1.5, True, None)
    space = {"=cmd": Choice(options), "number": Float(0, 1)}
    study = search(lambda p: 0.0, space, "random", 60, direction="minimize", progress=False)
    text = hpo("export", "--format", "csv").out
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["number", "state", "value", "epochs", "seconds", "seed", "reason", "'=cmd", "params.number"]
    expected = {option: f"'{option}" for option in options[:6]} | {option: option for option in options[6:9]}
    expected |= {-1.5: "-1.5", True: "true", None: ""}
    assert {row[7] for row in rows[1:]} == {expected[trial.params["=cmd"]] for trial in study.trials}
    assert {len(row) for row in rows} == {9}


def test_searchers_and_their_settings_are_listed(hpo):
    names = [item["name"] for item in hpo("searchers", "--json").json()]
    assert {"grid", "halving", "nas", "optuna", "random", "tpe"} <= set(names)
    settings = hpo("searchers", "halving", "--json").json()["settings"]
    assert [item["name"] for item in settings] == ["eta", "min_epochs", "searcher"]
    assert all(item["meaning"] for item in settings)
    assert "it has no settings" in hpo("searchers", "random").out


def test_studies_are_listed_with_their_questions(hpo):
    assert {"name", "question", "expect"} == set(hpo("studies", "--json").json()[0])
    assert "tutorial" in hpo("studies").out


def test_without_a_command_the_help_goes_to_stderr_as_it_is(hpo):
    found = hpo()
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("Usage:")
    assert len(found.err.splitlines()) > 20


def test_a_table_wider_than_its_terminal_comes_in_parts_and_keeps_every_digit(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(render, "_console", lambda: Console(width=40, file=shown))
    numbers = [round(0.123456 * (n + 1), 6) for n in range(6)]
    render.table(["searcher", *(f"head of {n}" for n in range(6))], [["random", *numbers]])
    said = shown.getvalue()
    assert max(map(len, said.splitlines())) <= 40
    assert all(str(number) in said for number in numbers)
    assert all(f"head of {n}" in said for n in range(6))
    assert said.count("random") == said.count("searcher") == 3


def test_help_lists_every_command(hpo):
    text = hpo("--help").out
    for command in ("run", "resume", "ls", "show", "best", "predict", "export", "searchers", "studies"):
        assert f"\n  {command} " in text
        assert hpo(command, "--help").code == 0


# -- hostile and odd text


def test_hostile_names_are_printed_as_text(hpo, home):
    space = {HOSTILE: Choice(("\x1b]0;owned\x07", "[red]x[/red]"))}

    def objective(p):
        raise ValueError("\x1b[2J [bold] \u202e")

    search(objective, space, "random", 3, direction="minimize", progress=False, name=HOSTILE)
    for command in (["ls"], ["show"], ["show", HOSTILE, "0"], ["show", "--json"], ["best"], ["ls", "--json"]):
        found = hpo(*command)
        text = found.out + found.err
        assert HOSTILE in text
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "[bold]" in hpo("show", HOSTILE, "0").out


def test_names_are_quoted_for_the_shell(hpo, home):
    hpo(*RUN, "--trials", 1, "--name", "a b", "--store", "c d.db")
    out = hpo("best", "--store", "c d.db").out
    assert "`hpo show --store 'c d.db' 'a b'`" in out
