"""What is written into a store comes back, through the store and through plain SQL."""

import math
from dataclasses import replace

import pytest

from hpo.errors import DataError, NotFoundError
from hpo.store import Store, codec, default_path
from hpo.store.reader import Use
from hpo.store.store import trial_seed
from hpo.trial import Reason, State


def same(a, b):
    return a == b or (a != a and b != b)


def test_studies_are_readable_with_any_sqlite_tool(one):
    assert one.sql("SELECT id, name, spec, trials, source, owner_host FROM studies") == [
        (one.row.id, "study", '{"seed":7,"direction":"maximize"}', 10, None, None)
    ]


def test_events_are_readable_with_any_sqlite_tool(one):
    jobs = one.start({"x": 1}, {"x": 2})
    one.end(jobs, [0.5, 0.25], tell=True)
    one.start({"x": 3}, n=5)
    assert one.sql("SELECT seq, kind, n FROM events ORDER BY seq") == [(0, "asked", 2), (1, "told", 2), (2, "asked", 5)]


def test_trials_are_readable_with_any_sqlite_tool(one):
    one.end(one.start({"x": 1.5, "kind": "é"}), [0.5])
    one.start({"x": 2})
    assert one.sql("SELECT number, params, seed, state, epochs, value, value_kind, seconds, reason FROM trials") == [
        (0, '{"x":1.5,"kind":"é"}', trial_seed(7, 0), "done", 4, 0.5, "finite", 0.5, None),
        (1, '{"x":2}', trial_seed(7, 1), "running", 0, None, None, 0.0, None),
    ]


def test_evaluations_and_curves_are_readable_with_any_sqlite_tool(one):
    job = one.start({"x": 1}, epochs=2, info={"rung": 0})
    one.end(job, [0.5], curve={"loss": [1.0, 0.5]}, tell=True)
    assert one.sql(
        "SELECT id, number, asked, told, start, target, info, state, epochs, charged, value, curve FROM evaluations"
    ) == [(0, 0, 0, 1, 0, 2, '{"rung":0}', "done", 2, 2, 0.5, '{"loss":[1.0,0.5]}')]
    assert one.sql("SELECT curve ->> '$.loss[1]' FROM evaluations") == [(0.5,)]


def test_the_environment_is_readable_with_any_sqlite_tool(one):
    one.store.begin_run(one.row.id, 12, {"python": "3.11"})
    one.store.begin_run(one.row.id, None, {"python": "3.12"})
    assert one.sql("SELECT run, environment ->> 'python' FROM runs ORDER BY run") == [(0, "3.11"), (1, "3.12")]
    assert one.store.environments(one.row.id) == [{"python": "3.11"}, {"python": "3.12"}]
    assert one.store.study().trials == 12


@pytest.mark.parametrize(
    ("value", "columns"),
    [
        (None, (None, None)),
        (math.nan, (None, "nan")),
        (math.inf, (math.inf, "inf")),
        (-math.inf, (-math.inf, "-inf")),
        (0.0, (0.0, "finite")),
        (5e-324, (5e-324, "finite")),
        (-1.7976931348623157e308, (-1.7976931348623157e308, "finite")),
        (0.1 + 0.2, (0.1 + 0.2, "finite")),
        (2.0**53 + 2, (2.0**53 + 2, "finite")),
    ],
)
def test_every_value_comes_back_exactly(one, value, columns):
    jobs = one.start({"x": 1})
    one.end(jobs, [value], state=State.FAILED if value is None or not math.isfinite(value) else State.DONE)
    assert one.sql("SELECT value, value_kind FROM trials") == [columns]
    assert one.sql("SELECT value, value_kind FROM evaluations") == [columns]
    assert same(one.trial(0).value, value)
    (outcome,) = one.store.open_round(one.row.id, 4)[1]
    assert same(outcome.value, value)


def test_curves_with_values_that_are_not_finite_come_back_exactly(one):
    curve = {"loss": [math.nan, math.inf, -math.inf, 0.1, -0.0], "a name, 'quoted'": [1e-300] * 5}
    one.end(one.start({"x": 1}), [0.5], curve=curve)
    found = one.trial(0).curve
    assert list(found) == list(curve)
    assert all(same(a, b) for name in curve for a, b in zip(found[name], curve[name], strict=True))
    assert math.copysign(1, found["loss"][-1]) == -1


def test_a_trial_sums_up_its_evaluations(one):
    one.end(one.start({"x": 1}, epochs=1, info={"rung": 0}), [0.25], curve={"v": [0.25]}, tell=True)
    assert (one.trial(0).state, one.trial(0).epochs, one.trial(0).target) == (State.PAUSED, 1, None)
    (job,) = one.start({"x": 1}, continues=0, epochs=4, info={"rung": 1})
    assert (job.evaluation, job.number, job.start, job.target, job.seed) == (1, 0, 1, 4, trial_seed(7, 0))
    assert (one.trial(0).state, one.trial(0).value, one.trial(0).target) == (State.RUNNING, 0.25, 4)
    one.end([job], [0.75], curve={"v": [0.3, 0.5, 0.75]})
    trial = one.trial(0)
    assert (trial.state, trial.epochs, trial.value, trial.seconds) == (State.DONE, 4, 0.75, 1.0)
    assert trial.curve == {"v": [0.25, 0.3, 0.5, 0.75]}
    assert trial.info == {"rung": 0}
    assert one.store.charged(one.row.id) == 4


def test_a_failure_keeps_reason_and_error(one):
    one.end(one.start({"x": 1}), [None], state=State.FAILED, reason=Reason.EXCEPTION, error="Traceback\nValueError: x")
    trial = one.trial(0)
    assert (trial.state, trial.reason, trial.error) == (State.FAILED, "exception", "Traceback\nValueError: x")


@pytest.mark.parametrize("letter", ["x", "é", "\U0001f600", "\udcff", "\0"])
def test_a_long_error_keeps_its_two_ends_within_64_kilobytes(one, letter):
    error = "Traceback: begin " + letter * 200_000 + " end: ValueError"
    one.end(one.start({"x": 1}), [None], state=State.FAILED, error=error)
    assert one.sql("SELECT length(CAST(error AS BLOB)) <= 64000 FROM evaluations") == [(1,)]
    stored = one.trial(0).error
    assert len(stored.encode()) > 60_000
    assert stored.startswith("Traceback: begin ")
    assert stored.endswith(" end: ValueError")
    assert "left out" in stored


def test_an_error_that_fits_is_not_touched():
    assert codec.cut("x" * 64_000) == "x" * 64_000
    assert codec.cut(None) is None
    assert codec.cut("lone \udcff") == "lone \\udcff"


def test_parameters_of_every_kind_come_back_with_their_types(one):
    params = {
        "int": 2**62 + 1,
        "huge": 10**30,
        "float": 0.1,
        "whole": 1.0,
        "true": True,
        "none": None,
        "text": "'; DROP TABLE trials; -- \U0001f600",
        "list": [1, [2.0, {"a": False}]],
        "tuple": (1, [2, ("a",)], {"b": ()}),
    }
    one.start(params)
    found = one.trial(0).params
    assert found == params
    assert [type(v) for v in found.values()] == [type(v) for v in params.values()]


def test_enqueued_trials_are_pending_and_get_the_first_numbers(one, new_study):
    row = new_study(one.store, "enqueued", initial=[{"x": 3}, {"x": 4}])
    assert [(t.number, t.params, t.state) for t in one.store.pending(row.id, 9)] == [
        (0, {"x": 3}, State.PENDING),
        (1, {"x": 4}, State.PENDING),
    ]
    assert one.store.counts(row.id) == {"pending": 2}


def test_every_use_of_test_data_is_recorded_and_counted_over_studies(one, new_study):
    other = new_study(one.store, "other")
    use = Use(0, 2**62, 4, "the data", {"accuracy": 0.5, "loss": math.inf})
    one.store.record_winner(one.row.id, {}, use)
    one.store.record_winner(other.id, {}, replace(use, seed=3))
    one.store.record_winner(other.id, {}, replace(use, data="other data"))
    columns = "study, number, seed, epochs, data, metrics"
    assert one.sql(f"SELECT {columns} FROM tests")[0] == (
        one.row.id, 0, 2**62, 4, "the data", '{"accuracy":0.5,"loss":"inf"}'
    )  # fmt: skip
    assert one.store.uses(one.row.id) == [use]
    assert one.store.count_uses("the data") == 2
    assert one.store.count_uses("no data") == 0


def test_winners_are_kept_in_order_without_a_use_where_nothing_was_tested(one):
    one.start({"x": 1}, {"x": 2})
    for winner in ({"number": None}, {"number": 1, "fresh": ["nan", 0.5]}):
        one.store.record_winner(one.row.id, winner, None)
    assert one.store.winners(one.row.id) == [{"number": None}, {"number": 1, "fresh": ["nan", 0.5]}]
    assert one.sql("SELECT trials FROM winners") == [(2,), (2,)]
    assert one.store.uses(one.row.id) == []


def test_trials_are_read_in_pages(one):
    one.start(*({"x": i} for i in range(25)))
    assert [t.number for t in one.store.trials(one.row.id, 20)] == [20, 21, 22, 23, 24]
    assert [t.number for t in one.store.trials(one.row.id, 3, 2)] == [3, 4]
    assert one.store.trials(one.row.id, 25) == []


@pytest.mark.parametrize("number", [-1, 3, 10**30])
def test_a_trial_that_does_not_exist_is_named_with_those_that_do(one, number):
    one.start({"x": 1}, {"x": 2}, {"x": 3})
    with pytest.raises(NotFoundError, match=rf"no trial {number}: the study has trials 0 to 2"):
        one.trial(number)


def test_an_unknown_study_is_named_with_the_nearest(one):
    with pytest.raises(NotFoundError, match=r"no study 'stdy' in store .*: did you mean 'study'\?"):
        one.store.study("stdy")
    with pytest.raises(NotFoundError, match="no study"):
        one.store.study("\udcff")


def test_an_empty_store_has_no_latest_study(path):
    with pytest.raises(NotFoundError, match="has no study yet"):
        Store(path, "create").study()


def test_a_cell_that_is_no_json_is_a_data_error(one):
    one.start({"x": 1})
    with one.store.db.transaction() as db:
        db.execute("UPDATE trials SET params = '{'")
    with pytest.raises(DataError, match="did not write"):
        one.trial(0)


def test_the_path_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("HPO_STORE", raising=False)
    assert str(default_path()) == "hpo.db"
    monkeypatch.setenv("HPO_STORE", str(tmp_path / "other.db"))
    assert Store(mode="create").path == tmp_path / "other.db"


def test_the_health_of_the_latest_evaluation_that_ended_is_the_trials(one):
    one.end(one.start({"x": 1}, epochs=1), [0.25], health={"gap": 0.5, "gradient_first": 1e-9}, tell=True)
    (job,) = one.start({"x": 1}, continues=0, epochs=4)
    assert one.trial(0).health == {"gap": 0.5, "gradient_first": 1e-9}  # while it trains on
    one.end([job], [math.nan], state=State.FAILED, health={"gap": math.nan})
    assert math.isnan(one.trial(0).health["gap"])
    assert one.sql("SELECT health FROM evaluations") == [('{"gap":0.5,"gradient_first":1e-09}',), ('{"gap":"nan"}',)]
    (outcome,) = one.store.open_round(one.row.id, 4)[1]
    assert list(outcome.health) == ["gap"]


def test_summaries_are_trials_without_their_curves(one):
    one.end(one.start({"x": 1}, epochs=1), [0.25], health={"gap": 0.5}, curve={"v": [0.25]}, tell=True)
    one.start({"x": 1}, continues=0, epochs=4)
    one.start({"x": 2})
    assert one.store.summaries(one.row.id) == [
        replace(one.trial(0), curve={}, target=None),
        replace(one.trial(1), target=None),
    ]


def test_the_last_target_is_that_of_the_latest_evaluation_that_ended(one):
    one.end(one.start({"x": 1}, epochs=2), [0.25], tell=True)
    one.start({"x": 1}, continues=0, epochs=4)
    one.start({"x": 2})
    assert [one.store.last_target(one.row.id, number) for number in range(2)] == [2, None]
