"""The ledger of halving says who entered, who went on, what it cost and what early ranks were worth."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from hpo import Float, search
from hpo.report.figure import MAX_LINES, MAX_POINTS
from hpo.report.studies.rungs import figure, ledger, paths_of, spearman, thinned
from hpo.report.study_data import StudyData
from hpo.seeding import generator
from hpo.trial import Evaluation, State
from searchers.halving import Halving


def evaluation(id_, number, bracket, rung, value, *, charged=1, state=State.DONE):
    info = {"bracket": bracket, "rung": rung}
    return Evaluation(id_, number, 3**rung - 1, 3**rung, 3**rung, charged, state, value, 0.0, info)


def by_hand():
    """A bracket of six trials, of which one fails and three go on, and the beginning of a second bracket."""
    first = [(0, 0.1), (1, 0.2), (2, 0.3), (3, 0.4), (4, 0.5)]
    found = [evaluation(i, number, 0, 0, value) for i, (number, value) in enumerate(first)]
    found.append(evaluation(5, 5, 0, 0, float("nan"), state=State.FAILED))
    second = [(2, 0.9), (3, 0.7), (4, 0.8)]
    found += [evaluation(6 + i, number, 0, 1, value, charged=2) for i, (number, value) in enumerate(second)]
    found += [evaluation(9, 2, 0, 2, 0.95, charged=6), evaluation(10, 6, 1, 0, 0.6)]
    found.append(evaluation(11, 7, 1, 0, None, charged=0, state=State.RUNNING))
    return found


def test_the_ledger_is_that_counted_by_hand():
    rows = [tuple(vars(rung).values()) for rung in ledger(by_hand(), maximized=True)]
    # ranks (1, 2, 3) in rung 0 against (3, 1, 2): 1 - 6 (4 + 1 + 1) / (3 (9 - 1)) = -0.5
    assert rows == [
        (None, 0, 1, 8, 3, 1, 0.6, pytest.approx(0.35), 7, pytest.approx(-0.5)),
        (None, 1, 3, 3, 1, 0, 0.9, 0.8, 6, None),
        (None, 2, 9, 1, 0, 0, 0.95, 0.95, 6, None),
        (0, 0, 1, 6, 3, 1, 0.5, pytest.approx(0.3), 6, pytest.approx(-0.5)),
        (0, 1, 3, 3, 1, 0, 0.9, 0.8, 6, None),
        (0, 2, 9, 1, 0, 0, 0.95, 0.95, 6, None),
        (1, 0, 1, 2, 0, 0, 0.6, 0.6, 1, None),
    ]
    assert ledger(by_hand(), maximized=False)[0].best == 0.1
    assert ledger([], maximized=True) == []


def test_the_correlation_is_scipys_with_ties_and_none_where_there_is_none():
    rng = generator(0, "spearman")
    for n in (3, 5, 40):
        a, b = rng.integers(0, 6, n).tolist(), rng.integers(0, 6, n).tolist()
        if len(set(a)) > 1 and len(set(b)) > 1:
            assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert spearman([1, 2], [2, 1]) is None
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert spearman([1, 2, 3], [10, 20, 30]) == 1


def test_of_many_trials_those_that_went_furthest_are_drawn():
    paths = {i: [(0, 0.0)] for i in range(MAX_POINTS + 50)}
    paths |= {i: [(0, 0.0), (1, 0.0)] for i in range(3000, 3000 + MAX_LINES)} | {9999: [(0, 0.0), (1, 0.0), (2, 0.0)]}
    kept = thinned(paths)
    assert 9999 in kept
    assert sum(len(path) > 1 for path in kept.values()) == MAX_LINES
    assert sum(len(path) == 1 for path in kept.values()) == MAX_POINTS


def learner(params):
    for epoch in range(9):
        yield params["x"] * (1 + epoch)


@pytest.fixture
def halved(tmp_path):
    space = {"x": Float(0, 1)}
    more = {"direction": "maximize", "progress": False, "store": tmp_path / "s.db"}
    return StudyData(search(learner, space, Halving(eta=3), trials=6, epochs=9, **more))


def test_the_ledger_of_a_real_study_adds_up(halved):
    found = ledger(halved.evaluations, halved.maximized)
    whole = [rung for rung in found if rung.bracket is None]
    assert sum(rung.charged for rung in whole) == halved.study.epochs_spent
    assert [rung.epochs for rung in whole] == [1, 3, 9]
    complete = [rung for rung in found if rung.bracket == 0]
    assert [(rung.entered, rung.promoted) for rung in complete] == [(9, 3), (3, 1), (1, 0)]
    assert complete[0].correlation == pytest.approx(1)  # the order never changes


def test_a_line_goes_through_the_rungs_of_a_trial(halved):
    shown = figure(halved)
    drawn = shown.draw()
    paths = paths_of(halved.evaluations)
    assert sum(value is not None for trace in drawn.data for value in trace.y) == sum(map(len, paths.values()))
    last = max(paths.items(), key=lambda item: (len(item[1]), -item[0]))[1]
    assert list(drawn.data[-1].y[:3]) == [value for _, value in last]
    assert np.allclose(np.diff(list(drawn.data[-1].x[:3])), 1)
    assert "1 from 1 to 3 epochs" in shown.text


def test_a_study_without_rungs_has_no_ledger(tmp_path):
    more = {"direction": "maximize", "progress": False, "store": tmp_path / "s.db"}
    assert figure(StudyData(search(learner, {"x": Float(0, 1)}, "random", trials=2, epochs=9, **more))) is None
