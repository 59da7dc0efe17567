"""The winner's figure tells who won, by what, and what the test data said."""

import math

import pytest

from hpo import Choice, Float, search
from hpo.comparison.winner import Candidate, judge
from hpo.objective import TestScore
from hpo.report.studies.winner import entries, figure, strips
from hpo.report.study_data import StudyData

MARKUP = "<b>bold</b>"


@pytest.fixture
def study(tmp_path):
    space = {MARKUP: Float(0, 1), "choice": Choice(["<script>", "b"])}
    more = {"direction": "maximize", "progress": False, "store": tmp_path / "s.db"}
    return search(lambda params: params[MARKUP], space, "random", 8, **more)


def known(study, tested=True):
    """Store a winner of hand-made fresh values: the second best trial of the search wins, the third is out."""
    fresh = [(0.5, 0.6, 0.7, 0.8, 0.9), (0.8, 0.8, 0.9, 0.9, 0.9), (0.9, math.nan, 0.9, 0.9, 0.9)]
    fresh += [(0.1, 0.1, 0.1, 0.2, 0.2)] * 2
    top = study.top(5)
    candidates = [
        Candidate(trial.number, trial.params, trial.value, values, "ValueError" if i == 2 else None)
        for i, (trial, values) in enumerate(zip(top, fresh, strict=True))
    ]
    default = Candidate(None, top[0].params, None, (0.3, 0.4, 0.5, 0.6, 0.7))
    winner = judge(candidates, default, "maximize", top[0].epochs)
    if tested:
        object.__setattr__(winner, "test", TestScore({"value": 0.85}, 0.7, 0.95))
    store = study.writable_store()
    store.record_winner(store.study(study.name).id, winner.to_json(), None)
    store.close()
    return study.known_winner()


def test_the_table_has_every_candidate_and_the_caption_the_words_of_the_winner(study):
    winner = known(study)
    shown = figure(StudyData(study))
    numbers = [trial.number for trial in study.top(5)]
    assert [row[0] for row in shown.table.rows] == [
        f"trial {numbers[0]} (runner-up)",
        f"trial {numbers[1]} (winner)",
        f"trial {numbers[2]} (out)",
        f"trial {numbers[3]}",
        f"trial {numbers[4]}",
        "the default configuration",
    ]
    first, won, out = shown.table.rows[:3]
    assert first[2:7] == (pytest.approx(0.7), pytest.approx(math.sqrt(0.025)), 0.5, 0.9, 0)
    assert won[2] == pytest.approx(0.86)
    assert out[2:4] == (None, None)
    assert out[6] == 1
    assert all(sentence in shown.text for sentence in winner.sentences)
    assert "value 0.85 (95 % interval of the first: 0.7 to 0.95)" in shown.text


def test_every_fresh_value_is_drawn_in_its_row_and_the_test_score_beside_the_winner(study):
    winner = known(study)
    drawn = figure(StudyData(study)).draw()
    firsts, fresh, means, test = drawn.data
    assert len(fresh.x) == 29  # six configurations with five seeds, one failed
    assert [x for x, y in zip(fresh.x, fresh.y, strict=True) if y == 1] == [0.8, 0.8, 0.9, 0.9, 0.9]
    assert list(means.y) == [0, 1, 3, 4, 5]
    assert list(firsts.x) == [trial.value for trial in study.top(5)]
    assert (test.x[0], test.error_x.array[0], test.error_x.arrayminus[0]) == pytest.approx((0.85, 0.1, 0.15))
    assert 1 < test.y[0] < 1.5
    assert [strip.name for strip in strips(winner)] == [annotation.text for annotation in drawn.layout.annotations]
    assert len(entries(winner)) == 6


def test_without_a_winner_the_best_trial_is_told(study):
    shown = figure(StudyData(study))
    assert shown.draw is None
    assert f"Trial {study.best.number} has the best value" in shown.text
    assert shown.table.rows[0] == ("value", study.best.value)
    assert dict(shown.table.rows[1:]).keys() == study.best.params.keys()


def test_a_study_without_success_has_no_figure(tmp_path):
    def fails(params):
        raise ValueError

    more = {"direction": "maximize", "progress": False, "store": tmp_path / "s.db"}
    assert figure(StudyData(search(fails, {"x": Float(0, 1)}, "random", 2, **more))) is None
