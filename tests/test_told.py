"""A new study that is told the trials of an old one, `search(..., from_study="old")`."""

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo import Choice, Float, Int, load_study
from hpo.errors import ConflictError, NotFoundError, UsageError
from hpo.store import Store
from hpo.trial import State

SPACE = {"x": Float(-1, 1), "kind": Choice(("a", "b"))}


def valley(p: dict[str, Any]) -> float:
    if p["x"] < -0.9:
        raise ValueError("too small")
    return float(p["x"] - 0.3) ** 2 + (p["kind"] == "b") + float(p.get("y", 0.0))


def slope(p: dict[str, Any], epochs: int) -> Iterator[float]:
    for epoch in range(1, epochs + 1):
        yield p["x"] + 1 / epoch


def constant(p: dict[str, Any]) -> float:
    return 1.0


@pytest.fixture
def go(tmp_path: Path) -> Callable[..., hpo.Study]:
    """`search` in one store, random and of `valley` unless told otherwise."""

    def run(objective: Any = valley, space: Any = SPACE, searcher: Any = "random", **more: Any) -> hpo.Study:
        given = {"direction": "minimize", "progress": False, "store": tmp_path / "hpo.db", "trials": 6} | more
        return hpo.search(objective, space, searcher, **given)

    return run


def ends(study: hpo.Study) -> list[tuple[Any, ...]]:
    return [(t.params, t.value, t.seed, t.state, t.epochs, dict(t.curve), t.reason, t.error) for t in study.trials]


def test_the_old_trials_are_the_first_ones_and_cost_nothing(go: Callable[..., hpo.Study]) -> None:
    old = go(name="old", trials=40)
    new = go(searcher="tpe", name="new", from_study="old", trials=5)
    assert ends(new)[:40] == ends(old)
    assert {trial.state for trial in old.trials} == {State.DONE, State.FAILED}
    assert len(new.trials) == 45
    assert (new.epochs_spent, new.budget, new.told_from) == (5, 5, ("old", 40))
    assert new.best_value <= old.best_value
    assert new.trials[3].info == {"from_study": "old", "from_trial": 3}
    assert (old.told_from, go(trials=1).told_from) == (None, None)


def test_a_searcher_with_a_model_starts_informed(go: Callable[..., hpo.Study]) -> None:
    go(name="old", trials=60)
    alone, told = go(searcher="tpe", trials=8), go(searcher="tpe", trials=8, from_study="old")
    first, informed = alone.trials, told.trials[60:]
    assert [t.params for t in first] != [t.params for t in informed]
    assert sum(t.params["kind"] == "a" for t in informed) >= 7  # the better one
    assert sum(abs(t.params["x"] - 0.3) for t in informed) < sum(abs(t.params["x"] - 0.3) for t in first) / 2


def test_a_grid_does_not_propose_what_it_was_told(go: Callable[..., hpo.Study], capsys: Any) -> None:
    space = {"k": Choice((1, 2, 3)), "on": Choice((True, False))}
    old = go(constant, space, "grid", name="old", trials=4)
    new = go(constant, space, "grid", seed=1, name="new", from_study="old", trials=10)
    points = [json.dumps(trial.params) for trial in new.trials]
    assert points[:4] == [json.dumps(trial.params) for trial in old.trials]
    assert len(points) == len(set(points)) == 6
    third = go(constant, space, "grid", seed=2, from_study="new", trials=10, progress=True)
    assert (len(third.trials), third.epochs_spent) == (6, 0)
    assert "exhausted" in capsys.readouterr().err


def test_halving_learns_from_those_of_its_first_rung_and_promotes_its_own(go: Callable[..., hpo.Study]) -> None:
    space = {"x": Float(0, 1)}
    old = go(slope, space, "halving", epochs=9, name="old", trials=3)
    new = go(slope, space, "halving", epochs=9, seed=1, name="new", from_study="old", trials=3)
    count = len(old.trials)
    assert ends(new)[:count] == ends(old)
    assert {t.epochs for t in new.trials[:count]} == {1, 3, 9}
    assert {e.start for e in new.evaluations()[count:]} == {0, 1, 3}
    assert {e.number for e in new.evaluations()[count:]} == set(range(count, len(new.trials)))
    assert new.best_value == min(trial.value for trial in new.trials if trial.epochs == 9)


@pytest.mark.ci
def test_short_trainings_do_not_mislead_a_searcher_of_whole_ones(go: Callable[..., hpo.Study]) -> None:
    space = {"x": Float(0, 1)}
    go(slope, space, "random", epochs=1, name="short", trials=30)
    go(slope, space, "random", epochs=4, seed=3, name="bare", trials=1)
    for old in ("short", "bare"):
        new = go(slope, space, "tpe", epochs=4, name=f"from {old}", from_study=old, trials=1)
        searcher = new.spec.bound_searcher()
        for event in Store(new.path).history(new._id):
            if event.kind == "told":
                searcher.tell(event.outcomes)
                break
        values = [trial.value for trial in searcher._study.trials]  # type: ignore[attr-defined]
        assert (values == [None] * 30) if old == "short" else (len(values) == 1 and values[0] is not None)


def test_the_epochs_that_a_trial_has_decide_what_it_is(go: Callable[..., hpo.Study]) -> None:
    space = {"x": Float(0, 1)}
    old = go(slope, space, "halving", epochs=9, name="old", trials=3)
    reached = [trial.epochs for trial in old.trials]
    count = {epochs: reached.count(epochs) for epochs in (1, 3, 9)}
    with pytest.warns(UserWarning, match=f"not told: {count[9]} trained to more than 3 epochs"):
        new = go(slope, space, "halving", epochs=3, name="new", from_study="old", trials=0)
    assert new.counts() == {"paused": count[1], "done": count[3]}
    more = go(slope, space, "halving", epochs=27, name="more", from_study="old", trials=0)
    assert more.counts() == {"paused": len(reached)}


@pytest.mark.ci
def test_what_has_no_place_in_the_new_space_is_left_out_and_said(go: Callable[..., hpo.Study]) -> None:
    old = go(name="old", trials=20)
    inside = [t.params for t in old.trials if t.params["x"] >= 0 and t.params["kind"] == "a"]
    narrow = {"x": Float(0, 1), "kind": Choice(("c", "a")), "y": Float(0, 1, default=0.0)}
    found = rf"not told: {20 - len(inside)} outside the new space \(trial 0: .*\); it is told {len(inside)}$"
    with pytest.warns(UserWarning, match=found):
        new = go(space=narrow, from_study="old", trials=0)
    assert [t.params for t in new.trials] == [p | {"y": 0.0} for p in inside]  # as a default says
    for y in (0.5, Float(0, 1), Float(1, 1)):
        with pytest.raises(
            UsageError, match=r"no trial to tell a new study: 20 outside the new space .*'y' is missing"
        ):
            go(space={**SPACE, "y": y}, name="none", from_study="old")
    with pytest.raises(NotFoundError):
        load_study("none", old.path)


@pytest.mark.ci
def test_conditions_of_the_new_space_hold(go: Callable[..., hpo.Study]) -> None:
    old = go(space={"kind": Choice(("a", "b")), "x": Float(-0.5, 1, when=None)}, name="old", trials=12)
    new_space = {"kind": Choice(("a", "b")), "x": Float(-0.5, 1), "y": Float(0, 1, default=0.0, when={"kind": ["b"]})}
    new = go(space=new_space, from_study="old", trials=0)
    assert [t.params for t in new.trials] == [
        t.params | ({"y": 0.0} if t.params["kind"] == "b" else {}) for t in old.trials
    ]


def test_trials_that_have_not_ended_are_left_out(go: Callable[..., hpo.Study], tmp_path: Path) -> None:
    space = {"x": Float(0, 1)}
    by_hand = hpo.create_study(space, "random", direction="minimize", store=tmp_path / "hpo.db", name="hand")
    for _ in range(3):
        by_hand.ask()
    by_hand.tell(1, 0.5)
    by_hand.close()
    with pytest.warns(UserWarning, match="not told: 2 without a result; it is told 1"):
        new = hpo.create_study(space, "tpe", direction="minimize", store=tmp_path / "hpo.db", from_study="hand")
    assert [(t.number, t.value, t.params) for t in new.trials] == [(0, 0.5, by_hand.trial(1).params)]
    assert new.ask().number == 1


@pytest.mark.ci
def test_enqueued_configurations_come_before_them(go: Callable[..., hpo.Study]) -> None:
    mine = [{"x": 0.25, "kind": "b"}, {"x": 0.5, "kind": "a"}]
    go(name="old", trials=4)
    new = go(initial=mine, name="new", from_study="old", trials=5)
    assert [t.params for t in new.trials[:2]] == mine
    assert (new.enqueued, new.told_from, new.counts()) == (2, ("old", 4), {"done": 9})
    assert len(go(initial=mine, name="new", from_study="old", trials=7).trials) == 11
    third = go(name="third", from_study="new", seed=4, trials=1)  # handed on, and on
    assert third.told_from == ("new", 11)


@pytest.mark.ci
def test_the_same_command_goes_on_even_when_the_old_study_has_grown(go: Callable[..., hpo.Study]) -> None:
    go(name="old", trials=4)
    first = ends(go(name="new", from_study="old", trials=2))
    go(name="old", trials=8)
    again = go(name="new", from_study="old", trials=3)
    assert again.told_from == ("old", 4)
    assert ends(again)[:6] == first
    assert len(go(name="new", trials=4).trials) == 8
    go(name="other", trials=1)
    for name, stored in (("other", "null"), ("new", '"old"')):
        with pytest.raises(ConflictError, match=f'from: stored {stored}, now "third"'):
            go(name=name, from_study="third")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"direction": "maximize"}, 'direction: stored "minimize", now "maximize"'),
        ({"objective": constant}, "objective.function: stored .*valley.*now .*constant"),
    ],
    ids=["direction", "objective"],
)
def test_values_that_mean_something_else_are_refused(go: Callable[..., hpo.Study], change: Any, line: str) -> None:
    study = go(name="old")
    before = study.path.read_bytes()
    with pytest.raises(ConflictError, match=f"(?s)would mislead.*{line}"):
        go(name="new", from_study="old", **change)
    assert study.path.read_bytes() == before


def test_a_study_that_is_not_there_makes_nothing(go: Callable[..., hpo.Study], tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no store at"):
        go(from_study="old")
    assert not (tmp_path / "hpo.db").exists()
    go(name="old", trials=0)
    with pytest.raises(NotFoundError, match="did you mean 'old'"):
        go(name="new", from_study="odl")
    with pytest.raises(UsageError, match="'old' has no trial to tell a new study: it has no trials"):
        go(name="new", from_study="old")
    with pytest.raises(UsageError, match="from_study is 3, expected the name"):
        go(name="new", from_study=3)
    with pytest.raises(NotFoundError):
        load_study("new", tmp_path / "hpo.db")


@pytest.mark.ci
def test_a_changed_source_warns(go: Callable[..., hpo.Study], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    import importlib
    import sys

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "told_objective.py").write_text("def f(p):\n    return p['x']\n")
    go("told_objective:f", {"x": Float(0, 1)}, name="old", trials=2)
    (tmp_path / "told_objective.py").write_text("def f(p):\n    return 2 * p['x']\n")
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "told_objective")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        go("told_objective:f", {"x": Float(0, 1)}, "tpe", name="new", from_study="old", trials=1)
    assert any("has changed since study 'old'" in str(warning.message) for warning in seen)


@pytest.mark.ci
def test_a_range_of_integers_may_become_one_of_numbers(go: Callable[..., hpo.Study]) -> None:
    go(constant, {"n": Int(1, 5)}, name="old", trials=3)
    new = go(constant, {"n": Float(0, 10)}, from_study="old", trials=0)
    assert {type(trial.params["n"]) for trial in new.trials} == {float}


@pytest.mark.ci
def test_what_a_trial_noted_and_how_it_ended_is_kept(go: Callable[..., hpo.Study]) -> None:
    def noting(p: dict[str, Any], trial: Any) -> float:
        trial.set_user_attr("seen", p["x"])
        return float(p["x"])

    old = go(noting, {"x": Float(0, 1)}, name="old", trials=2)
    new = go(noting, {"x": Float(0, 1)}, from_study="old", trials=0)
    assert [t.user_attrs for t in new.trials] == [{"seen": t.params["x"]} for t in old.trials]
    assert [new.spans()[n] for n in (0, 1)] == [pytest.approx(old.spans()[n], abs=2) for n in (0, 1)]
