"""What a comparison shows: a line for each searcher, live in a terminal."""

import io
import re
import sys

from hpo import Float, compare

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
        compare(bowl, SPACE, ["random", "tpe"], direction="minimize", seeds=2, trials=20, name="c",
                store=folder / "hpo.db", **more)  # fmt: skip
    return stream.getvalue()


def test_every_searcher_has_a_line_each_tenth(tmp_path, monkeypatch):
    text = shown(io.StringIO(), monkeypatch, tmp_path)
    lines = text.splitlines()
    assert lines[0].startswith("bowl: reference (20 random trials) ")
    [estimate] = [line for line in lines if "about" in line]
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


def test_progress_can_be_left_out(tmp_path, monkeypatch):
    assert shown(io.StringIO(), monkeypatch, tmp_path, progress=False) == ""
