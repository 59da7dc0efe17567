"""Any Python function as an objective: what it may take, return and raise."""

import decimal
import fractions
import functools
import math

import numpy as np
import pytest
import torch

from hpo import Float, FunctionObjective, search
from hpo.errors import UsageError
from hpo.trial import Job, State
from hpo.values import as_value

SPACE = {"x": Float(0, 1)}


def job(number=0, start=0, target=1, epochs=1, params=None):
    return Job(1, number, number, params or {"x": 0.5}, 1000 + number, start, target, epochs)


def steps(run, target):
    return [(step.epoch, step.value) for step in run.advance(target)]


@pytest.fixture
def trials(tmp_path):
    """A function that searches with an objective and returns its trials."""

    def run(objective, count=3, **more):
        arguments = {"searcher": "random", "direction": "minimize", "progress": False, "store": tmp_path / "hpo.db"}
        return search(objective, SPACE, trials=count, **(arguments | more)).trials

    return run


def counting(p):
    total = 0.0
    while True:
        total += p["x"]
        yield total


class Counter:
    def __call__(self, p):
        yield from counting(p)


def plain_function(p):
    return p["x"]


bound = functools.partial(lambda p, k: k * p["x"], k=2)


# -- what a function takes


def test_epochs_and_seed_are_passed_by_name():
    seen = []

    def f(p, seed, epochs, other=None, *rest, **more):
        seen.append((p, seed, epochs, other, rest, more))
        return 0.0

    objective = FunctionObjective(f)
    assert steps(objective.start(job(3, target=5, epochs=9)), 5) == [(5, 0.0)]
    assert seen == [({"x": 0.5}, 1003, 5, None, (), {})]
    assert (objective.has_epochs, objective.restarts) == (True, True)


def test_a_function_of_the_configuration_alone_has_no_epochs():
    objective = FunctionObjective(lambda p: p["x"])
    assert (objective.has_epochs, objective.restarts, objective.is_generator) == (False, False, False)


@pytest.mark.parametrize(
    "function",
    [counting, Counter(), functools.partial(lambda p, k: (yield k), k=1), functools.wraps(counting)(lambda p: None)],
    ids=["function", "object", "partial", "decorated"],
)
def test_generators_are_recognised_in_every_wrapping(function):
    objective = FunctionObjective(function)
    assert (objective.has_epochs, objective.restarts, objective.is_generator) == (True, False, True)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (3, "expected a function"),
        (lambda: 0, "takes no argument"),
        (lambda *, p: 0, "takes no argument"),
        (lambda p, batch: 0, "'batch'"),
        (eval("lambda p, seed, /: 0"), "'seed'"),
    ],
)
def test_what_cannot_be_called_is_refused(function, why):
    with pytest.raises(UsageError, match=why):
        FunctionObjective(function)


def test_asynchronous_functions_are_refused():
    async def f(p):
        return 0.0

    with pytest.raises(UsageError, match="asynchronous"):
        FunctionObjective(f)


@pytest.mark.parametrize("function", [counting, lambda p, epochs: 0])
def test_batched_functions_have_no_epochs(function):
    with pytest.raises(UsageError, match="batched"):
        FunctionObjective(function, batched=True)


# -- where it is found again


def test_a_function_is_described_by_the_place_where_the_very_same_object_is():
    assert FunctionObjective(plain_function).describe() == {"function": f"{__name__}:plain_function"}


@pytest.mark.parametrize("function", [bound, Counter(), counting.__call__, lambda p: 0])
def test_what_cannot_be_imported_again_says_so(function):
    assert "<" in FunctionObjective(function).describe()["function"]


def test_a_partial_is_found_where_it_was_imported_from():
    assert FunctionObjective(bound, path="somewhere:bound").describe() == {"function": "somewhere:bound"}


# -- what it returns


@pytest.mark.parametrize(
    "value",
    [
        2,
        2.0,
        np.float32(2),
        np.int64(2),
        np.array(2.0),
        torch.tensor(2),
        torch.tensor(2.0),
        torch.tensor(2.0, requires_grad=True),
        np.longdouble(2),
        fractions.Fraction(2),
    ],
)
def test_real_scalars_are_accepted(value):
    found = as_value(value, "it")
    assert type(found) is float
    assert found == 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), torch.tensor(float("-inf"))])
def test_non_finite_scalars_pass_unchanged(value):
    assert repr(as_value(value, "it")) == repr(float(value))


class Odd:
    def __repr__(self):
        raise RuntimeError("no repr")


REFUSED = {
    "NoneType": None,
    "str": "0.5",
    "bool": np.bool_(True),
    "complex": 1j,
    "tuple": (1.0, 2.0),
    "list": [1.0],
    "dict": {"value": 1.0},
    "Decimal": decimal.Decimal("0.5"),
    "ndarray": np.array([1.0]),
    "Tensor": torch.tensor([1.0]),
    "bytes": b"1",
    "set": {1.0},
    "complex64": np.complex64(1),
    "str_": np.str_("1"),
    "datetime64": np.datetime64("2020"),
    "generator": (i for i in range(3)),
    "Odd": Odd(),
}


@pytest.mark.parametrize("value", [True, np.bool_(True), torch.tensor(True)])
def test_booleans_are_no_numbers(value):
    with pytest.raises(TypeError, match="expected a number"):
        as_value(value, "it")


@pytest.mark.parametrize("kind", REFUSED)
def test_anything_else_is_refused_by_the_name_of_its_type(kind):
    with pytest.raises(TypeError, match=rf"^it .*\b{kind}\b.*expected a number"):
        as_value(REFUSED[kind], "it")


class Convertible:
    def __float__(self):
        raise RuntimeError("nobody may ask")


@pytest.mark.parametrize(
    ("value", "found", "advice"),
    [
        ((0.5, 1.0), "tuple of 2 values", "return the one that is optimised"),
        ([0.5], "list of 1 value", ""),
        (np.array([[0.5]]), r"ndarray of shape \(1, 1\)", r"without dimensions: return value.item\(\)"),
        (torch.ones(1, requires_grad=True), r"Tensor of shape \(1,\)", r"without dimensions: return value.item\(\)"),
        (np.zeros((2, 3)), r"ndarray of shape \(2, 3\)", ""),
        (Convertible(), "Convertible", ""),
    ],
)
def test_what_is_no_single_number_is_told_by_how_much_it_holds(value, found, advice):
    with pytest.raises(TypeError, match=rf"\({found}\), expected a number.*{advice}$"):
        as_value(value, "it")


def test_a_number_whose_own_conversion_fails_fails_its_trial_only(trials):
    class Broken(float):
        def __float__(self):
            raise RuntimeError("no")

    found = trials(lambda p: Broken(1.0) if p["x"] < 0.5 else p["x"], 8)
    assert [t.state == State.FAILED for t in found] == [t.params["x"] < 0.5 for t in found]


@pytest.mark.parametrize("value", [2**53 + 1, 10**400, 10**5000, fractions.Fraction(1, 3)], ids=range(4))
def test_numbers_that_no_float_equals_are_refused(value):
    with pytest.raises(TypeError, match="no float equals"):
        as_value(value, "it")


@pytest.mark.parametrize("kind", ["NoneType", "str", "ndarray"])
def test_a_refused_value_fails_its_trial_and_the_run_goes_on(trials, kind):
    def f(p):
        return REFUSED[kind] if p["x"] < 0.5 else p["x"]

    found = trials(f, 8)
    assert {trial.state for trial in found} == {State.DONE, State.FAILED}
    for trial in found:
        assert (trial.state == State.FAILED) == (trial.params["x"] < 0.5)
        if trial.state == State.FAILED:
            assert (trial.reason, trial.value) == ("exception", None)
            assert trial.error.startswith("TypeError: the objective returned")
            assert kind in trial.error
            assert "Traceback" not in trial.error  # none of ours


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_non_finite_values_fail_are_stored_exactly_and_never_best(tmp_path, value):
    def f(p):
        return value if p["x"] < 0.5 else p["x"]

    for direction in ("minimize", "maximize"):
        study = search(f, SPACE, "random", 8, direction=direction, progress=False, store=tmp_path / "hpo.db")
        assert study.best.params["x"] >= 0.5
        bad = [trial for trial in study.trials if trial.params["x"] < 0.5]
        assert bad
        assert {(repr(trial.value), trial.state, trial.reason) for trial in bad} == {
            (repr(value), State.FAILED, "non_finite")
        }


def test_params_edited_by_the_function_change_no_record(tmp_path):
    def f(p):
        p["layers"].append(9)
        p["x"] = p.pop("x") + 1
        return p["x"]

    study = search(
        f, {**SPACE, "layers": [[1, 2]]}, "random", 4, direction="minimize", progress=False, store=tmp_path / "hpo.db"
    )
    assert all(trial.params["layers"] == [1, 2] and 0 <= trial.params["x"] <= 1 for trial in study.trials)
    assert study.best.value == study.best.params["x"] + 1


# -- what it raises


def test_an_exception_fails_its_trial_with_the_users_frames_only(trials):
    def inner(p):
        raise ValueError("the reason\nin two lines")

    def f(p):
        return inner(p)

    for trial in trials(f):
        assert (trial.state, trial.reason, trial.value) == (State.FAILED, "exception", None)
        assert trial.error.startswith("Traceback (most recent call last):\n")
        assert trial.error.rstrip().endswith("ValueError: the reason\nin two lines")
        places = [line for line in trial.error.splitlines() if line.startswith("  File")]
        assert len(places) == 2
        assert all(__file__ in place for place in places)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration(1)], ids=repr)
@pytest.mark.parametrize("generator", [False, True])
def test_exits_raised_inside_fail_the_trial_only(trials, error, generator):
    def f(p):
        if p["x"] < 0.5:
            raise error
        return p["x"]

    def g(p):
        yield f(p)

    found = trials(g if generator else f, 8, **({"epochs": 1} if generator else {}))
    assert [t.state == State.FAILED for t in found] == [t.params["x"] < 0.5 for t in found]
    assert {t.reason for t in found} == {None, "exception"}


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_out_of_memory_is_a_reason_of_its_own(trials, error):
    def f(p):
        raise error("no room")

    assert {(trial.state, trial.reason) for trial in trials(f)} == {(State.FAILED, "oom")}


# -- generators


def test_a_generator_is_paused_at_the_rung_and_pulled_on():
    run = FunctionObjective(counting).start(job(target=2, epochs=4))
    assert steps(run, 2) == [(1, 0.5), (2, 1.0)]
    assert steps(run, 4) == [(3, 1.5), (4, 2.0)]


def test_closing_runs_the_generators_finally_blocks_at_once():
    closed = []

    def f(p):
        try:
            yield 1.0
            yield 2.0
        finally:
            closed.append(p["x"])

    run = FunctionObjective(f).start(job(target=1, epochs=2))
    steps(run, 1)
    run.close()
    assert closed == [0.5]


def test_closing_what_never_began_is_harmless():
    FunctionObjective(counting).start(job()).close()


def test_a_generator_that_ends_early_counts_as_having_reached_its_target(trials):
    def f(p):
        yield 3.0
        yield 2.0

    for trial in trials(f, epochs=10):
        assert (trial.state, trial.value, trial.epochs) == (State.DONE, 2.0, 10)
        assert trial.curve == {"value": [3.0, 2.0]}


def test_a_generator_that_yields_nothing_fails(trials):
    def f(p):
        yield from ()

    for trial in trials(f, epochs=4):
        assert (trial.state, trial.reason) == (State.FAILED, "exception")
        assert "without yielding" in trial.error


def test_a_decorated_generator_that_returns_a_number_fails_with_a_reason(trials):
    @functools.wraps(counting)
    def last(p):
        return 0.5

    for trial in trials(last, epochs=4):
        assert trial.state == State.FAILED
        assert "wraps a generator but returned 0.5 (float)" in trial.error


def test_non_finite_epochs_stop_a_generator_at_once(trials):
    def f(p):
        yield 1.0
        yield math.nan
        raise AssertionError("it was pulled on")

    for trial in trials(f, epochs=5):
        assert (trial.state, trial.reason, trial.epochs) == (State.FAILED, "non_finite", 2)
        assert math.isnan(trial.value)


def test_a_generator_may_take_seed_and_the_most_epochs():
    def f(p, epochs, seed):
        yield epochs
        yield seed

    assert steps(FunctionObjective(f).start(job(7, target=2, epochs=9)), 2) == [(1, 9.0), (2, 1007.0)]
