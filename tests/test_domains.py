"""Domains: what is well formed, exact encodings, distributions, grids."""

import copy
import enum
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpo.domains import Choice, Domain, Float, Int
from hpo.values import UNSET, brief

DRAWS = 20_000


def uniform_draws() -> list[float]:
    return [float(u) for u in np.random.default_rng(7).random(DRAWS)]


class Colour(enum.StrEnum):
    RED = "red"


SELF_CONTAINING: list[object] = []
SELF_CONTAINING.append(SELF_CONTAINING)


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (Float(2, 1), ["low = 2.0", "high = 1.0"]),
        (Float(0, 1, log=True), ["log=True", "low = 0.0", "> 0"]),
        (Int(0, 8, log=True), ["log=True", "low = 0", "> 0"]),
        (Float(-1.0, 1, log=True), ["log=True", "low = -1.0"]),
        (Float(math.nan, 1), ["low is nan", "finite"]),
        (Float(0, math.inf), ["high is inf", "finite"]),
        (Float(0, True), ["high is True (bool)", "a number"]),
        (Float("0", 1), ["low is '0' (str)", "a number"]),  # type: ignore[arg-type]
        (Float(None, 1), ["low is None (NoneType)", "a number"]),  # type: ignore[arg-type]
        (Float(0, 10**400), ["high is 1000", "64 bits"]),
        (Float(0, 10**5000), ["high is <int>", "64 bits"]),
        (Float(-1e308, 1e308), ["-1e+308 to 1e+308", "overflows"]),
        (Float(1.0, math.nextafter(1.0, 2)), ["too narrow"]),
        (Float(0.0, 5e-324), ["too narrow"]),
        (Float(0, 1, step=0.3), ["step = 0.3", "0.0 to 1.0", "high = 0.9 would fit"]),
        (Float(0, 1, step=2), ["step = 2.0", "does not divide", "high = 0.0"]),
        (Float(0, 1, step=0), ["step = 0.0", "positive"]),
        (Float(0, 1, step=math.nan), ["step is nan"]),
        (Float(1e16, 1e16 + 4, step=0.5), ["step = 0.5", "finer"]),
        (Float(1, 2, log=True, step=0.5), ["log=True together with step"]),
        (Float(1, 2, log="yes"), ["log is 'yes'", "True or False"]),  # type: ignore[arg-type]
        (Int(0, 2**63), ["high is 9223372036854775808", "64 bits"]),
        (Int(0, 10**5000), ["high is <int>", "64 bits"]),
        (Int(0, 1.0), ["high is 1.0 (float)", "an integer"]),  # type: ignore[arg-type]
        (Int(False, 1), ["low is False (bool)", "an integer"]),
        (Int(0, 10, step=3), ["step = 3", "0 to 10", "high = 9 would fit"]),
        (Int(0, 10, step=-1), ["step = -1", "positive"]),
        (Choice([]), ["at least one"]),  # type: ignore[arg-type]
        (Choice("abc"), ["'abc'", "list of values"]),  # type: ignore[arg-type]
        (Choice(3), ["3", "list of values"]),  # type: ignore[arg-type]
        (Choice({"a": 1}), ["{'a': 1}", "list of values"]),  # type: ignore[arg-type]
        (Choice({"a"}), ["order", "use a list"]),  # type: ignore[arg-type]
        (Choice(("a", "b"), ordered=1), ["ordered is 1"]),  # type: ignore[arg-type]
        (Choice((1, 2, 1)), ["option 1 is listed twice"]),
        (Choice(([1], (1,))), ["[1]", "listed twice"]),
        (Choice((math.nan,)), ["nan", "not finite"]),
        (Choice(([math.inf],)), ["inf", "not finite"]),
        (Choice((print,)), ["builtin_function_or_method", "name it by a string"]),
        (Choice((Colour.RED,)), ["Colour", "name it by a string"]),
        (Choice(({1: "a"},)), ["key that is not a string"]),
        (Choice(({"__tuple__": [1]},)), ["__tuple__"]),
        (Choice(("\ud800",)), ["surrogate"]),
        (Choice((10**5000,)), ["4096 bits"]),
        (Choice((SELF_CONTAINING,)), ["20 levels"]),
    ],
    ids=brief,
)
def test_malformed_domain_says_what_was_found_and_expected(domain: Domain, words: list[str]) -> None:
    problem = domain.problem()
    assert problem is not None
    assert len(problem) < 300
    for word in words:
        assert word in problem


@pytest.mark.parametrize(
    "domain",
    [
        Float(5e-324, 1.0, log=True),
        Float(5e-324, 1e-300),
        Float(-8e307, 8e307),
        Float(0, 1.7e308),
        Float(0.0, 0.3, step=0.1),
        Int(-(2**63), 2**63 - 1),
        Int(0, 2**62, step=2),
        Int(1, 2**63 - 1, log=True),
        Choice((1, 1.0, True, None, "1", "", (), [0], {}, 2**100, -0.5)),
        Choice(("\x00\n",)),
        Choice((np.int64(3), np.float32(0.5), [np.int8(1)])),
    ],
    ids=brief,
)
def test_extreme_domains_are_legal(domain: Domain) -> None:
    assert domain.problem() is None


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Float(0.5, 0.5), 0.5),
        (Float(0.5, 0.5, log=True), 0.5),
        (Float(0.5, 0.5, step=3.0), 0.5),
        (Int(7, 7), 7),
        (Int(7, 7, log=True), 7),
        (Int(2**63 - 1, 2**63 - 1, log=True), 2**63 - 1),
        (Choice(("only",)), "only"),
    ],
    ids=brief,
)
def test_one_value_is_a_legal_constant(domain: Domain, value: object) -> None:
    assert domain.problem() is None
    assert (domain.size, domain.grid_size(5)) == (1, 1)
    assert domain.encode(value) == 0.5
    assert {domain.decode(u) for u in (0.0, 0.3, 1.0)} == {value}
    assert domain.grid_value(0, 5) == value
    assert domain.grid_index(value, 5) == 0


def test_options_are_compared_with_their_type() -> None:
    domain = Choice((1, 1.0, True))
    assert domain.problem() is None
    for option in domain.options:
        accepted = domain.accept(option)
        assert (type(accepted), accepted) == (type(option), option)
    with pytest.raises(ValueError, match=r"expected one of 1, 1\.0"):
        Choice((1, 1.0)).accept(True)
    assert Choice((1,)) != Choice((True,))
    assert Choice((1,)) == Choice([1])  # type: ignore[arg-type]
    assert len({Choice(([1],)), Choice(([1],)), Choice(([1.0],))}) == 2


def test_a_configuration_may_be_changed_without_changing_the_options() -> None:
    mine = [64, 64]
    domain = Choice((mine, {"sizes": mine}))
    mine.append(1)
    for take in (lambda: domain.accept([64, 64]), lambda: domain.decode(0.0), lambda: domain.grid_value(0, 1)):
        take().append(32)
    assert domain.options == ([64, 64], {"sizes": [64, 64]})


def test_numpy_values_become_python_values() -> None:
    assert type(Int(np.int64(1), np.int32(5)).accept(np.int8(3))) is int  # type: ignore[arg-type]
    assert type(Float(0, 1).accept(np.float32(0.5))) is float
    assert Float(0, 1).to_json() == Float(np.float64(0), np.int64(1)).to_json()  # type: ignore[arg-type]
    assert [type(x) for x in Choice((np.bool_(True), [np.int64(1)])).options[1]] == [int]


@pytest.mark.parametrize(
    ("domain", "value", "words"),
    [
        (Float(0, 1), math.nan, "found nan, expected 0.0 to 1.0"),
        (Float(0, 1), True, r"True \(bool\), expected a number"),
        (Float(0, 1), "1", r"'1' \(str\), expected a number"),
        (Float(0, 1), 10**5000, "<int>"),
        (Float(0, 1, step=0.25), 0.3, "found 0.3, expected 0.0 plus a multiple of 0.25"),
        (Float(0, 1, step=0.25), 1.25, "found 1.25, expected 0.0 to 1.0"),
        (Float(0, 1, step=0.25), math.inf, "found inf, expected 0.0 to 1.0"),
        (Float(0.5, 0.5), 0.5000001, "expected 0.5 to 0.5"),
        (Int(0, 9), 10, "found 10, expected 0 to 9"),
        (Int(0, 9), 1.0, r"1.0 \(float\), expected an integer"),
        (Int(0, 9, step=3), 4, "found 4, expected 0 plus a multiple of 3"),
        (Choice(tuple(range(100))), -1, r"found -1 \(int\), expected one of 0, .*\(100 options\)"),
        (Choice(("a",)), print, "expected one of 'a'"),
        (Choice(("a",)), "x" * 10_000, "^.{0,150}$"),
    ],
    ids=brief,
)
def test_value_outside_is_refused_with_found_and_expected(domain: Domain, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        domain.accept(value)


def test_a_step_is_taken_as_written_and_rounding_errors_are_forgiven() -> None:
    domain = Float(0.0, 0.3, step=0.1)
    assert [domain.grid_value(i, 0) for i in range(4)] == [0.0, 0.1, 0.2, 0.3]
    assert domain.accept(0.1 + 0.2) == 0.3  # 0.30000000000000004, above high
    fine = Float(1e9, 1e9 + 1, step=1e-4)
    assert [fine.accept(x) for x in 1e9 + np.arange(10) * 1e-4] == [fine.grid_value(i, 0) for i in range(10)]


def test_integers_above_2_to_53_stay_exact() -> None:
    domain = Int(2**53, 2**63 - 1)
    assert domain.accept(2**53 + 1) == 2**53 + 1
    assert domain.size == 2**63 - 2**53
    assert domain.grid_index(2**53 + 1, 3) == 1
    assert domain.grid_value(2**62 + 1, 3) == 2**53 + 2**62 + 1
    narrow = Int(2**62, 2**62 + 1000)
    assert {narrow.decode(narrow.encode(v)) for v in range(2**62, 2**62 + 1001)} == set(range(2**62, 2**62 + 1001))


@st.composite
def ints(draw: st.DrawFn) -> Int:
    log = draw(st.booleans())
    low = draw(st.integers(1, 2**39) if log else st.integers(-(2**63), 2**62))
    step = None if log else draw(st.none() | st.integers(1, 1000))
    limit = 2**40 - low if log else min(2**50 * (step or 1), 2**63 - 1 - low)
    count = draw(st.integers(0, limit // (step or 1)))
    return Int(low, low + count * (step or 1), log=log, step=step)


@st.composite
def floats(draw: st.DrawFn) -> Float:
    if draw(st.booleans()):
        low, step = draw(st.integers(-1000, 1000)) / 100, draw(st.integers(1, 500)) / 100
        return Float(low, float(f"{low + draw(st.integers(0, 1000)) * step:.10g}"), step=step)
    log = draw(st.booleans())
    bounds = st.floats(5e-324 if log else -8e307, 8e307)
    low, high = sorted([draw(bounds), draw(bounds)])
    domain = Float(low, high, log=log)
    return domain if domain.problem() is None else Float(low, low)


discrete = ints() | st.lists(st.integers(), unique=True, min_size=1).map(lambda x: Choice(tuple(x)))


@given(discrete, st.data())
def test_decoding_inverts_encoding_exactly_for_discrete_domains(domain: Int | Choice, data: st.DataObject) -> None:
    assert domain.problem() is None
    if isinstance(domain, Choice):
        value = data.draw(st.sampled_from(domain.options))
    else:
        value = domain.low + data.draw(st.integers(0, domain.size - 1)) * (domain.step or 1)
    assert 0 <= domain.encode(value) <= 1
    assert domain.decode(domain.encode(value)) == value


@given(floats(), st.floats(0, 1))
def test_decoding_inverts_encoding_closely_for_continua(domain: Float, u: float) -> None:
    value = domain.decode(u)
    assert domain.low <= value <= domain.high
    assert domain.accept(value) == value
    assert 0 <= domain.encode(value) <= 1
    again = domain.decode(domain.encode(value))
    if domain.step is not None:
        assert again == value
    elif domain.log:
        assert math.isclose(again, value, rel_tol=1e-12, abs_tol=5e-324)
    else:
        assert math.isclose(again, value, rel_tol=1e-12, abs_tol=1e-12 * (domain.high - domain.low))


@pytest.mark.parametrize("domain", [Float(1, 2), Float(1, 2, log=True), Int(1, 9), Int(1, 9, log=True), Choice((1, 2))])
def test_places_outside_the_cube_count_as_its_faces(domain: Domain) -> None:
    assert domain.decode(-0.1) == domain.decode(0.0)
    assert domain.decode(1.1) == domain.decode(1.0)


@given(floats() | ints(), st.integers(1, 40))
def test_grid_values_are_distinct_ascending_and_inside(domain: Float | Int, points: int) -> None:
    count = min(domain.grid_size(points), 60)
    values = [domain.grid_value(i, points) for i in range(count)]
    assert values == sorted(set(values))
    assert [domain.accept(value) for value in values] == values
    assert [domain.grid_index(value, points) for value in values] == list(range(count))


def test_grids_are_evenly_spaced_in_their_own_scale_with_the_ends_and_round_numbers() -> None:
    assert [Float(1e-4, 1, log=True).grid_value(i, 5) for i in range(5)] == [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    assert [Float(0, 1).grid_value(i, 11) for i in range(11)] == [i / 10 for i in range(11)]
    assert [Int(1, 1000, log=True).grid_value(i, 4) for i in range(4)] == [1, 10, 100, 1000]
    assert [Int(1, 3, log=True).grid_value(i, 10) for i in range(3)] == [1, 2, 3]
    assert (Float(1, 4).grid_value(0, 1), Float(1, 4, log=True).grid_value(0, 1)) == (2.5, 2.0)
    assert Int(1, 2**63 - 1, log=True).grid_value(2, 3) == 2**63 - 1


def test_narrow_ranges_keep_their_grid_inside() -> None:
    domain = Float(1 + 5.1e-9, 1 + 9.9e-9)
    values = [domain.grid_value(i, 9) for i in range(9)]
    assert values == sorted(set(values))
    assert np.ptp(np.diff(values)) < 1e-14


@pytest.mark.parametrize(
    ("domain", "cdf"),
    [
        (Float(-3, 5), stats.uniform(-3, 8).cdf),
        (Float(-8e307, 8e307), lambda x: (np.asarray(x) / 8e307 + 1) / 2),
        (Float(1e-4, 10, log=True), stats.loguniform(1e-4, 10).cdf),
        (
            Float(5e-324, 1e300, log=True),
            lambda x: (np.log(x) - math.log(5e-324)) / (math.log(1e300) - math.log(5e-324)),
        ),
    ],
    ids=["linear", "widest", "log", "widest log"],
)
def test_float_draws_follow_their_density(domain: Float, cdf: object) -> None:
    assert stats.kstest([domain.decode(u) for u in uniform_draws()], cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("domain", "density"),
    [
        (Int(-2, 7), lambda k: 1 / 10),
        (Int(0, 30, step=5), lambda k: 1 / 7),
        (Float(0, 1, step=0.125), lambda k: 1 / 9),
        (Int(1, 12, log=True), lambda k: math.log((k + 0.5) / (k - 0.5)) / math.log(12.5 / 0.5)),
        (Choice(("a", "b", "c", None)), lambda k: 1 / 4),
    ],
    ids=lambda value: brief(value) if isinstance(value, Domain) else "density",
)
def test_discrete_draws_follow_their_probabilities(domain: Domain, density: object) -> None:
    assert callable(density)
    values = [domain.grid_value(i, 1000) for i in range(domain.grid_size(1000))]
    draws = [domain.decode(u) for u in uniform_draws()]
    expected = [DRAWS * density(value) for value in values]
    assert sum(expected) == pytest.approx(DRAWS)
    assert stats.chisquare([draws.count(value) for value in values], expected).pvalue > 1e-3


def test_integers_without_end_are_drawn_uniformly() -> None:
    domain = Int(-(2**63), 2**63 - 1)
    draws = [domain.decode(u) for u in uniform_draws()]
    assert stats.kstest([float(x) for x in draws], stats.uniform(-(2.0**63), 2.0**64).cdf).pvalue > 1e-3


def test_logarithmic_integers_of_a_wide_range_follow_their_density() -> None:
    domain = Int(1, 2**60, log=True)
    draws = np.array([float(domain.decode(u)) for u in uniform_draws()])
    edges = [2.0**k + 0.5 for k in range(0, 60, 6)]
    counts = np.histogram(draws, [0.5, *edges, 2.0**61])[0]
    probability = np.diff(np.log([0.5, *edges, 2.0**60 + 0.5])) / math.log((2.0**60 + 0.5) / 0.5)
    assert stats.chisquare(counts, DRAWS * probability).pvalue > 1e-3


def test_the_missing_default_survives_copies_and_other_processes() -> None:
    domain = Choice((None, 1))
    assert domain.default is UNSET
    assert pickle.loads(pickle.dumps(domain)).default is UNSET
    assert copy.deepcopy(domain).default is UNSET
