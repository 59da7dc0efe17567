"""What a report has in it, and that its file is whole or not there."""

import getpass
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from reported_studies import hostile_study, plain_study

import hpo
from hpo import Float, create_study
from hpo.errors import CannotCreateError, NoResultError, StorageError
from hpo.report import build, comparisons, studies
from hpo.report.build import sections, write_report


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, where they are about something else."""
    monkeypatch.setattr(studies, "KEYS", ())


def test_a_study_has_its_figures_in_order_with_caption_and_data(store: Path) -> None:
    (section,) = sections([plain_study(store)])
    keys = [figure.key for figure in section.figures]
    assert keys == [key for key in studies.KEYS if key in keys]
    assert {"history", "slice", "reproduce"} <= set(keys)
    for figure in section.figures:
        assert figure.title
        assert figure.caption.endswith(".")
        assert all(len(row) == len(figure.table.head) for row in figure.table.rows)
    assert section.facts["searcher"] == "random"
    assert section.facts["trials"] == "12 done"
    assert section.facts["spent"] == "12 of 12 trials"


def test_a_page_tells_nothing_of_machine_user_or_folders(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report([plain_study(store), hostile_study(store, 20)], path)
    text = path.read_text("utf-8").split("<script>", 1)[0]  # scripts are the same on every machine
    assert "somebody" not in text
    assert str(Path.cwd()) not in text
    assert str(Path.home()) + os.sep not in text
    for name in (socket.gethostname(), getpass.getuser()):
        assert len(name) < 4 or name == "root" or name not in text


@pytest.mark.usefixtures("quick")
def test_a_file_that_exists_is_refused_before_the_work(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    study = plain_study(store)
    with monkeypatch.context() as patch:
        patch.setattr(build, "sections", None)  # not called
        with pytest.raises(CannotCreateError, match="exists"):
            write_report([study], path)
        with pytest.raises(CannotCreateError, match="make it first"):
            write_report([study], tmp_path / "no" / "report.html")
    assert path.read_text() == "old"
    write_report([study], path, overwrite=True)
    assert path.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), ZeroDivisionError()])
def test_what_fails_leaves_no_file(
    error: BaseException, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    folder = tmp_path / "out"
    folder.mkdir()
    study = plain_study(store)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError if isinstance(error, OSError) else type(error)):
        write_report([study], folder / "report.html")
    assert list(folder.iterdir()) == []


def test_a_study_in_which_nothing_has_ended_has_no_report(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    study = create_study({"x": Float(0, 1)}, "random", direction="maximize", store=store, name="empty")
    with pytest.raises(NoResultError, match=r"'empty' has no trials yet; study\.ask\(\) and study\.tell\(\) goes on"):
        write_report([study], path)
    study.ask()
    with pytest.raises(NoResultError, match="1 trial, which has not ended"):
        write_report([study], path)
    study.close()
    planned = plain_study(store, 0, name="planned")
    with pytest.raises(NoResultError, match=r"`hpo resume --store .* planned` goes on"):
        write_report([planned], path)
    assert not path.exists()


def test_a_study_in_which_all_trials_failed_has_a_report(store: Path, tmp_path: Path) -> None:
    def fail(params: Any) -> float:
        raise ValueError("always")

    study = hpo.search(fail, {"x": Float(0, 1)}, "random", 3, direction="maximize", store=store, progress=False)
    (section,) = write_report([study], tmp_path / "report.html")
    assert section.facts["best"] == "none"
    assert section.trials is not None
    assert [row[5] for row in section.trials.rows] == ["ValueError: always"] * 3


def test_a_comparison_has_verdict_and_figures_then_a_run_of_each_searcher(store: Path, tmp_path: Path) -> None:
    space = {"x": Float(0.0, 1.0)}
    searchers = ["random", {"other": "random"}]
    comparison = hpo.compare(
        lambda p: p["x"], space, searchers, seeds=3, trials=4, direction="maximize", store=store, progress=False
    )
    first, *runs = write_report([comparison], tmp_path / "report.html")
    assert tuple(first.sentences) == comparison.analysis.sentences
    keys = list(dict.fromkeys(figure.key.split("-")[0] for figure in first.figures))
    assert keys == [key for key in (*comparisons.KEYS, "reproduce") if key in keys]
    assert {"anytime", "final", "runs", "reproduce"} <= set(keys)
    assert [run.folded for run in runs] == [True, True]
    for label, section in zip(("random", "other"), runs, strict=True):
        assert section.title.startswith(f"A run of {label}: ")
        values = comparison.results.of(comparison.results.tasks[0].name, label)
        assert section.facts["chosen"].startswith(f"of {label}'s runs on ")
        middle = sorted(run.final for run in values)[1]
        assert [run.study for run in values if run.final == middle] == [section.name]
    text = (tmp_path / "report.html").read_text("utf-8")
    assert text.count('<details class="folded">') == 2
    assert "somebodys-folder" not in text
    assert first.facts["single runs in a page"] == f"of each searcher on {comparison.results.tasks[0].name}"
    assert "searcher random" not in first.facts
    assert first.facts["searcher other"] == "random"


def test_a_comparison_of_many_searchers_says_why_no_run_is_shown(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MAX_FOLDED", 1)
    monkeypatch.setattr(comparisons, "KEYS", ())
    comparison = hpo.compare(
        lambda p: p["x"], {"x": Float(0, 1)}, ["random", "tpe"], seeds=1, trials=1, direction="maximize", store=store,
        progress=False,
    )  # fmt: skip
    (section,) = sections([comparison])
    assert section.facts["single runs in a page"].startswith("none, of more than 1 searchers; ")
