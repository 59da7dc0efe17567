"""What a comparison shows: a line for each searcher, live in a terminal."""

import io
import re
import sys
from types import SimpleNamespace

from hpo import Float, compare
from hpo.comparison.progress import Board
from hpo.store import Store
from hpo.trial import Job, Outcome, Progress, State

SPACE = {"x": Float(-1, 1)}


def bowl(params):
    if params["x"] > 0.95:
        raise ValueError("too large")
    return params["x"] ** 2


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, monkeypatch, folder, **more):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        settings = {"direction": "minimize", "seeds": 2, "trials": 20, "name": "c", "store": folder / "hpo.db"}
        compare(bowl, SPACE, ["random", "tpe"], **(settings | more))
    return stream.getvalue()


def test_every_searcher_has_a_line_each_tenth(tmp_path, monkeypatch):
    text = shown(io.StringIO(), monkeypatch, tmp_path)
    lines = text.splitlines()
    assert lines[0].startswith("bowl: reference (20 random trials) ")
    [estimate] = [line for line in lines if "at most about" in line]
    assert re.search(r"for 80 trials: 2 searchers x 2 seeds; store .*hpo\.db$", estimate)
    for label in ("random", "tpe"):
        of = [line for line in lines if line.startswith(f"bowl: {label} ")]
        assert of[-1].startswith(f"bowl: {label} 40/40 trials, best ")
        assert len(of) <= 10
    assert text.count("too large") == 1


def test_nothing_is_said_of_what_is_there_already(tmp_path, monkeypatch):
    shown(io.StringIO(), monkeypatch, tmp_path)
    assert shown(io.StringIO(), monkeypatch, tmp_path) == ""


def test_a_terminal_has_live_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("hpo.comparison.progress.REFRESH_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    text = shown(Terminal(), monkeypatch, tmp_path)
    assert "\x1b[" in text
    assert "bowl: tpe 40/40 trials" in text


def test_a_terminal_shows_what_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("hpo.comparison.progress.REFRESH_SECONDS", 0.0)
    monkeypatch.setattr("hpo.comparison.progress.LEFT_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("hpo.loop.WAIT_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    assert "bowl: about 1 s left" in shown(Terminal(), monkeypatch, tmp_path)


def test_failures_before_an_interruption_are_counted(tmp_path, monkeypatch):
    shown(io.StringIO(), monkeypatch, tmp_path)
    store = Store(tmp_path / "hpo.db")
    failed = sum(store.counts(row.id).get("failed", 0) for row in store.studies() if "reference" not in row.name)
    store.close()
    text = shown(io.StringIO(), monkeypatch, tmp_path, seeds=3)
    first = next(line for line in text.splitlines() if line.startswith("bowl: random"))
    counted = re.search(r"best .*, (\d+) failed in all", first)
    assert int(counted[1]) >= failed > 0


def test_the_pace_leaves_out_what_came_before_the_first_event(monkeypatch):
    """Helpers take 50 s to start; then 3 units are done in 2 s each."""
    board = Board(enabled=False)
    clock = iter((0.0, 50.0, 52.0, 54.0, 56.0))
    monkeypatch.setattr("hpo.comparison.progress.time.monotonic", lambda: next(clock))
    board.begin_task("t", "epochs", {"random": (7, 100)}, 0)
    assert board.pace is None
    driver = SimpleNamespace(study=1, name="s", spec=SimpleNamespace(direction="minimize", trial_epochs=9),
                             store=SimpleNamespace(best=lambda *_: None))  # fmt: skip
    board.follow({"random": [driver]})
    assert board.pace is None
    job = Job(study=1, evaluation=0, number=0, params={}, seed=0, start=0, target=9, epochs=9)
    board.progress(driver, Progress(job, 1, {}))
    assert board.pace == 50.0  # that is all that is known
    for epoch in (2, 3):
        board.progress(driver, Progress(job, epoch, {}))
        assert board.pace == 2.0
    board.outcomes(driver, [Outcome(0, {}, State.DONE, 0.5, epochs=9, charged=4, evaluation=0)])
    assert board.pace == 2.0


def test_progress_can_be_left_out(tmp_path, monkeypatch):
    assert shown(io.StringIO(), monkeypatch, tmp_path, progress=False) == ""
