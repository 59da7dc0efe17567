"""`hpo report`."""

import csv
import io

from reported_studies import ESCAPE, FORMULA, HOSTILE, NAMES, TURNED, hostile_study

import hpo as hpo_arena

UNSEEN = {"\u202e", "\x1b"}


def test_without_a_file_the_data_of_every_figure_is_printed(squares):
    found = squares("report")
    assert found.code == 0, found.err
    assert found.out.startswith("squares\n")
    data = squares("report", "--json").json()
    assert [section["name"] for section in data] == ["squares"]
    for figure in data[0]["figures"]:
        assert f"{figure['title']}. {figure['caption']}" in found.out
        assert not figure["reading"] or figure["reading"] not in found.out  # of what is drawn
        assert all(name in found.out for name in figure["head"])
        assert all(len(row) == len(figure["head"]) for row in figure["rows"])
    assert {"history", "slice"} <= {figure["key"] for figure in data[0]["figures"]}


def test_a_file_is_written_once_and_again_by_force(squares, home):
    found = squares("report", "squares", "-o", "report.html")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("report.html: ")
    assert found.out.endswith(" figures on squares\n")
    assert (home / "report.html").read_text("utf-8").startswith("<!doctype html>")
    again = squares("report", "-o", "report.html")
    assert (again.code, again.out) == (73, "")
    assert "exists: give another name, or --force" in again.err
    assert squares("report", "-o", "report.html", "--force", "--json").json()["path"] == "report.html"


def test_what_cannot_be_reported_is_told_in_a_line_and_leaves_no_file(hpo, squares, home):
    for arguments, code, told in (
        (("square", "-o", "a.html"), 4, "no study or comparison 'square' in store hpo.db: did you mean 'squares'?"),
        (("squares", "-o", "no/a.html"), 73, "make it first"),
        (("squares", "--force"), 2, "--force is for -o FILE"),
        (("--store", "none.db", "-o", "a.html"), 4, "no store at none.db"),
    ):
        found = hpo("report", *arguments)
        assert (found.code, found.out) == (code, "")
        assert told in found.err
    hpo("run", "objectives:square", "--direction", "minimize", "--trials", 0, "--name", "empty", "--quiet")
    found = hpo("report", "-o", "a.html")
    assert (found.code, found.out) == (3, "")
    assert "'empty' has no trials yet; `hpo resume empty` goes on" in found.err
    assert not (home / "a.html").exists()


def test_comparisons_are_reported_by_name_and_where_they_are_the_latest(squares, home):
    comparison = hpo_arena.compare(
        lambda p: p["x"], {"x": hpo_arena.Float(0, 1)}, ["random", "tpe"], seeds=2, trials=3, direction="maximize",
        name="squares", progress=False,
    )  # fmt: skip
    run = comparison.studies[-1]
    missed = squares("report", f"{run}x")
    assert run not in missed.err.replace(f"{run}x", "")
    assert squares("report", run).code == 0
    found = squares("report").out
    assert comparison.analysis.sentences[0] in found
    (section, study) = squares("report", "squares", "--json").json()
    assert section["verdict"] == list(comparison.analysis.sentences)
    assert study["verdict"] == []
    assert {"anytime-1", "final-1"} <= {figure["key"] for figure in section["figures"]}


def test_names_reach_terminal_and_spreadsheet_as_text(hpo, home):
    study = hostile_study(home / "hpo.db", 40)
    printed = hpo("report", study.name).out
    assert not UNSEEN & set(printed)
    for name in (study.name, *NAMES.values()):
        assert name in printed
    as_json = hpo("report", "--json")
    assert as_json.out.isascii()
    assert as_json.json()[0]["name"] == study.name
    written = hpo("export", "--format", "csv").out
    head, *rows = csv.reader(io.StringIO(written))
    assert f"'{FORMULA}" in head
    cells = {cell for row in rows for cell in row}
    assert cells >= {f"'{FORMULA}"} | set(HOSTILE) - {FORMULA, TURNED, ESCAPE}
    assert not any(cell.startswith(("=", "+", "-", "@")) and not cell[1:2].isdigit() for cell in [*head, *cells])
