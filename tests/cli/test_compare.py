"""`hpo compare`."""

import os
import signal
import time

import pytest

from hpo import load_comparison
from hpo.store import Store

ARGUMENTS = ("compare", "objectives:square", "--direction", "minimize", "--trials", 4)

STUDY = """
objective = "objectives:square"
direction = "minimize"
trials = 5
[override.grid]
trials = 2
[override.grid.space]
kind = "a"
"""


def test_the_verdict_comes_first_and_the_tables_follow(hpo):
    found = hpo(*ARGUMENTS, "--searchers", "random,grid", "--seeds", 5, "--name", "which")
    assert found.code == 0, found.err
    assert "random" in found.out.splitlines()[0]
    assert "square" in found.out.splitlines()[0]
    assert "20 random trials" in found.err
    assert "for 40 trials: 2 searchers x 5 seeds" in found.err
    assert "comparison which: 5 seeds cannot show any difference in 1 test: --seeds 6 or more" in found.err
    assert "square: grid 20/20 trials" in found.err
    again = hpo("compare", "--name", "which", "--quiet")
    assert (again.code, again.err) == (0, "")
    assert again.out == found.out


def test_json_has_all_that_is_printed(hpo):
    found = hpo(*ARGUMENTS, "--searchers", "random,optuna:RandomSampler", "--seeds", 2, "--quiet", "--json").json()
    assert found["verdict"] == " ".join(found["sentences"])
    [task] = found["tasks"]
    assert (task["name"], task["budget"], task["unit"]) == ("square", 4, "trials")
    labels = {"random": 2, "optuna:RandomSampler": 2}
    for key in ("final", "regret", "searcher_seconds", "failed", "exhausted"):
        assert {label: len(values) for label, values in task[key].items()} == labels
    assert {label: set(by) for label, by in task["targets"].items()} == {label: set(labels) for label in labels}
    assert task["targets"]["random"]["random"]["reached"] >= 1
    assert [(pair["a"], pair["b"], pair["adjusted"]) for pair in task["pairs"]] == [
        ("random", "optuna:RandomSampler", "nan")
    ]
    assert found["across"] is None


def test_json_of_several_tasks_has_what_is_told_across_them(hpo):
    found = hpo("compare", "objectives:square", "objectives:infinite", "--direction", "minimize", "--trials", 3,
                "--searchers", "random,grid", "--seeds", 1, "--quiet", "--json").json()  # fmt: skip
    across = found["across"]
    assert set(across["ranks"]) == {"random", "grid"}
    assert (across["friedman"], across["iman_davenport"], across["detectable"]) == ("nan", "nan", "nan")
    assert "by_share" not in across


def test_the_last_line_says_how_to_draw_it(hpo):
    more = ("--searchers", "random", "--seeds", 1, "--quiet")
    out = hpo(*ARGUMENTS, *more, "--store", "other db", "--name", "-odd").out
    assert out.splitlines()[-1] == (
        "comparison -odd in other db; `hpo report --store 'other db' -o report.html -- -odd` draws it"
    )
    assert hpo("report", "--store", "other db", "-o", "report.html", "--", "-odd").code == 0


def test_a_comparison_without_any_success_fails(hpo):
    found = hpo("compare", "objectives:failing", "--direction", "minimize", "--trials", 2, "--seeds", 1, "--quiet",
                "--searchers", "random", "--name", "lost")  # fmt: skip
    assert (found.code, found.out) == (3, "")
    assert "comparison 'lost' has no result: no trial of study 'lost/failing/random/0' succeeded" in found.err
    assert "ValueError: the reason" in found.err


def test_studies_are_tasks_with_one_budget_and_each_searcher_has_its_space(hpo, home):
    (home / "mine.toml").write_text(STUDY)
    found = hpo("compare", "mine.toml", "objectives:epochs", "--direction", "minimize", "--epochs", 3, "--seeds", 1,
                "--searchers", "random,grid", "--name", "two")  # fmt: skip
    assert found.code == 0, found.err
    results = load_comparison("two").results
    assert [(task.name, task.budget, task.unit) for task in results.tasks] == [
        ("mine", 5, "trials"),
        ("epochs", 75, "epochs"),
    ]
    assert results.runs["mine", "grid", 0].trials[-1] == 3  # of kind "a" alone
    assert results.runs["mine", "grid", 0].exhausted
    assert results.facts["space of grid on mine"] == "its own, other in kind"
    assert "space of grid on mine" in found.out


def test_all_that_cannot_be_compared_is_named_before_a_store_is_made(hpo, home):
    found = hpo(*ARGUMENTS, "--searchers", "random,halving,tpe")
    assert found.code == 2
    assert "halving on square: searcher 'halving' needs an objective with epochs" in found.err
    assert found.err.endswith("leave them out: --searchers random,tpe\n")
    assert hpo(*ARGUMENTS, "--searchers", "random,halving,tbe").err.endswith("leave them out: --searchers random\n")
    assert not (home / "hpo.db").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--searchers", "random,tbe"), 2, "tbe: no searcher 'tbe'"),
        (("--seeds", "0"), 2, "seeds is 0"),
        (("--trials", "0"), 2, "trials is 0"),
        (("--name", ""), 2, "comparison name ''"),
        (("--data", "moons"), 2, "--data is for a comparison without STUDY"),
        (("--set", "trials=3"), 2, "--set trials: searchers are compared under one budget"),
        (("objectives:square",), 2, "two tasks would be called 'square'"),
        (("nowhere",), 4, "no study 'nowhere'"),
        (("--resplit",), 2, "has no split of data"),
        (("--epochs", "3"), 2, "has no epochs"),
    ],
)
def test_what_cannot_be_compared_is_refused(hpo, home, arguments, code, message):
    found = hpo(*ARGUMENTS, *arguments)
    assert (found.code, message in found.err) == (code, True), found.err
    assert found.err.count("\n") == 1
    assert not (home / "hpo.db").exists()


def test_another_budget_under_the_same_name_is_a_conflict(hpo):
    more = ("--searchers", "random", "--seeds", 1, "--name", "which", "--quiet")
    assert hpo(*ARGUMENTS, *more).code == 0
    found = hpo(*ARGUMENTS, *more, "--trials", 5)
    assert found.code == 5
    assert "task 'square': trials: stored 4, now 5" in found.err


def test_ls_shows_a_comparison_in_one_line_and_its_studies_on_demand(squares):
    assert squares(*ARGUMENTS, "--searchers", "random", "--seeds", 2, "--name", "which", "--quiet").code == 0
    found = squares("ls", "--json").json()
    assert [row.get("name") or row["comparison"] for row in found] == ["squares", "which"]
    assert (found[1]["runs"], found[1]["ended"]) == (2, 2)
    assert len(squares("ls", "--all", "--json").json()) == 1 + 3 + 1
    assert "2 of 2 ended" in squares("ls").out
    assert squares("show", "--json").json()["study"] == "squares"


def test_ls_shows_the_latest_comparisons_and_says_how_many_there_are(hpo):
    for name in ("first", "second"):
        assert hpo(*ARGUMENTS, "--searchers", "random", "--seeds", 1, "--name", name, "--quiet").code == 0
    assert [row["comparison"] for row in hpo("ls", "--limit", 1, "--json").json()] == ["second"]
    assert hpo("ls", "--limit", 1).out.endswith("the latest 1 of 2 comparisons; --limit shows more\n")
    assert "--limit" not in hpo("ls", "--limit", 2).out


def test_an_unfinished_comparison_has_no_verdict(hpo):
    found = hpo(*ARGUMENTS, "--searchers", "random", "--seeds", 2, "--name", "cut", "--timeout", "0.0001")
    assert found.code == 3
    assert "comparison 'cut' is not complete: 0 of 2 runs have ended; `hpo compare --name cut` goes on" in found.err
    assert found.err.count("goes on") == 1
    assert hpo("compare", "--name", "cut", "--quiet").code == 0


def wait_for_trials(home, count):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (home / "hpo.db").exists():
            store = Store(home / "hpo.db")
            if sum(sum(store.counts(row.id).values()) for row in store.studies()) >= count:
                return
        time.sleep(0.05)
    raise AssertionError("nothing happens")


@pytest.mark.ci
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_comparison_that_was_killed_goes_on_to_the_same_results(start, call, home, number):
    def finals(name):
        results = load_comparison(name, home / "hpo.db").results
        return {key: (run.spent, run.incumbent) for key, run in results.runs.items()}

    arguments = ("compare", "objectives:epochs", "--direction", "minimize", "--epochs", 9, "--trials", 6,
                 "--seeds", 3, "--searchers", "random,tpe,halving")  # fmt: skip
    (home / "hold").touch()
    process = start(*arguments, "--name", "killed")
    wait_for_trials(home, 1)
    time.sleep(0.5)
    busy = call("compare", "--name", "killed")
    assert (busy.code, "is being run by process" in busy.err) == (75, True), busy.err
    process.send_signal(number)
    if number == signal.SIGINT:
        (home / "hold").unlink()
    code = process.wait(timeout=60)
    assert code == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    (home / "hold").unlink(missing_ok=True)
    on = call("compare", "--name", "killed")
    assert on.code == 0, on.err
    steady = call(*arguments, "--name", "steady")
    assert steady.code == 0, steady.err
    assert finals("killed") == finals("steady")
    assert not list(home.glob("*.lock")) or os.name != "posix"
