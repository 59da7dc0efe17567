"""A run in which too much fails ends, says why, and can go on as if nothing had been."""

import pytest

from hpo import Choice, Float, compare, load_study, search
from hpo.errors import TooManyFailuresError, UsageError
from hpo.failure_limit import FailureLimit

SPACE = {"x": Float(0, 1)}


def half(p):
    if p["x"] < 0.5:
        raise (KeyError if p["x"] < 0.1 else ValueError)(f"x is {p['x']}")
    return p["x"]


@pytest.fixture
def run(tmp_path):
    def call(function=half, trials=24, **more):
        settings = {"direction": "minimize", "batch": 4, "name": "study", "progress": False} | more
        return search(function, SPACE, "random", trials, store=tmp_path / "hpo.db", **settings)

    return call


@pytest.mark.parametrize(
    ("given", "count", "share"),
    [(0, 0, None), (5, 5, None), (0.5, None, 0.5), ("5", 5, None), (" 0.25 ", None, 0.25), (".5", None, 0.5),
     ("50%", None, 0.5), ("12.5 %", None, 0.125)],
)  # fmt: skip
def test_a_whole_number_is_a_count_and_any_other_a_share(given, count, share):
    found = FailureLimit.read(given)
    assert (found.count, found.share) == (count, share)


@pytest.mark.parametrize(
    "given", [-1, 1.0, 0.0, 1.5, float("nan"), True, "", "half", "100%", "0%", "1.0", "-1", "5 trials", "٥", [5]]
)
def test_anything_else_is_refused_before_there_is_a_study(run, tmp_path, given):
    with pytest.raises(UsageError, match=r"max_failures is .*expected a count of trials such as 5, or a share"):
        run(max_failures=given)
    assert not (tmp_path / "hpo.db").exists()


def test_the_run_ends_with_the_round_in_which_too_much_failed(run, tmp_path):
    with pytest.raises(TooManyFailuresError) as caught:
        run(max_failures=3)
    assert caught.value.exit_code == 3
    study = load_study("study", tmp_path / "hpo.db")
    counts, failed = study.counts(), study.failures()["exception"]
    assert counts["failed"] > 3
    assert sum(counts.values()) < 24
    first = study.trial(failed[0])
    text = str(caught.value)
    assert f"{counts['failed']} of its {sum(counts.values())} trials that ended have failed, max_failures is 3" in text
    assert f"all with reason exception, as trial {first.number}: {first.error.splitlines()[-1]}" in text
    assert "mend the objective" in text
    assert f"--max-failures {2 * counts['failed']} study`" in text


def test_the_most_frequent_reason_is_told(run):
    def f(p):
        if p["x"] < 0.3:
            raise ValueError("rare")
        return float("nan")

    with pytest.raises(TooManyFailuresError, match=r"of them with reason non_finite, as trial \d+: the value is nan"):
        run(f, max_failures=20)


def test_as_many_as_allowed_end_nothing(run):
    failed = run(name="free").counts()["failed"]
    assert run(name="allowed", max_failures=failed).counts()["done"] == 24 - failed
    with pytest.raises(TooManyFailuresError):
        run(name="refused", max_failures=failed - 1)


def test_a_share_is_judged_only_after_ten_trials(run, tmp_path):
    def bad_beginning(p):
        bad_beginning.calls += 1
        if bad_beginning.calls <= 4:
            raise ValueError("cold")
        return 1.0

    bad_beginning.calls = 0
    assert run(bad_beginning, max_failures="50%").counts() == {"done": 20, "failed": 4}

    def bad(p):
        raise ValueError("never")

    with pytest.raises(TooManyFailuresError, match="12 of its 12 trials"):
        run(bad, max_failures=0.5, name="bad")


def test_a_study_that_was_ended_goes_on_to_the_same_trials(run, tmp_path):
    whole = run(name="whole")
    with pytest.raises(TooManyFailuresError):
        run(name="parts", max_failures=1)
    before = load_study("parts", tmp_path / "hpo.db")
    ended = sum(before.counts().values())
    with pytest.raises(TooManyFailuresError):  # there are as many as before: nothing begins
        before.resume(half, max_failures=1, progress=False)
    assert sum(before.counts().values()) == ended
    before.resume(half, progress=False)
    assert [(t.params, t.value, t.state, t.reason) for t in before.trials] == [
        (t.params, t.value, t.state, t.reason) for t in whole.trials
    ]


def test_paused_trials_have_ended_and_a_failed_one_counts_once(tmp_path):
    def f(p):
        if p["x"] == 3:
            raise ValueError("three")
        while True:
            yield p["x"]

    study = search(f, {"x": Choice(range(9))}, "halving", 3, epochs=9, batch=9, direction="minimize", progress=False,
                   store=tmp_path / "hpo.db", max_failures=0.12)  # fmt: skip
    assert study.counts()["failed"] <= 0.12 * sum(study.counts().values())


def test_callbacks_hear_of_the_trials_that_ended_it(run):
    heard = []
    with pytest.raises(TooManyFailuresError):
        run(max_failures=0, callbacks=[lambda study, trial: heard.append(trial.state)])
    assert "failed" in heard


def test_a_comparison_ends_by_the_failures_of_one_run_and_goes_on(tmp_path):
    how = {"seeds": 1, "trials": 6, "direction": "minimize", "name": "-both", "store": tmp_path / "hpo.db"}
    with pytest.raises(TooManyFailuresError, match=r"^study '-both/.* --max-failures 12 --name=-both`$"):
        compare(half, SPACE, ["random", "tpe"], progress=False, max_failures=5, **how)
    with pytest.raises(TooManyFailuresError):  # nothing begins
        compare(name="-both", store=how["store"], progress=False, max_failures=5)
    assert compare(half, SPACE, ["random", "tpe"], progress=False, **how).results.searchers


def test_failures_that_a_study_was_told_do_not_count(run):
    failed = run(trials=16).counts()["failed"]
    assert failed > 3
    told = run(trials=4, name="told", from_study="study", max_failures=3)
    assert told.counts()["failed"] > 3
    with pytest.raises(TooManyFailuresError) as caught:
        told.resume(half, trials=40, max_failures=1)
    counts = told.counts()
    own = counts["failed"] - failed
    assert f"{own} of its {counts['failed'] + counts['done'] - 16} trials that ended have failed" in str(caught.value)
