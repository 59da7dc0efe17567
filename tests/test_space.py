"""Spaces: names, conditions, configurations, lossless JSON."""

import dataclasses
import itertools
import json
import pickle
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpo.domains import Choice, Domain, Float, Int
from hpo.errors import SpaceError
from hpo.space import Space

NESTED = Space(
    {
        "momentum": Float(0.5, 0.99, when={"optimizer": ["momentum", "nesterov"]}),
        "optimizer": ["sgd", "momentum", "nesterov", "adam"],
        "dampening": Float(0, 1, default=0, when={"optimizer": ["momentum"], "layers": range(2, 4)}),
        "layers": Int(1, 3),
        "schedule": Choice(["flat", "step"], when={"optimizer": ["sgd", "momentum"]}),
        "drop_every": Int(1, 9, when={"schedule": ["step"]}),
    }
)


def test_short_forms_stand_for_domains() -> None:
    space = Space(
        {
            "a": [1, 2.0, None],
            "b": 3,
            "c": "x",
            "d": None,
            "e": {"type": "float", "low": 0, "high": 1, "default": 0.5},
            "f": np.float32(0.5),
            "g": [[1, 2], {"k": 1}],
        }
    )
    assert dict(space) == {
        "a": Choice((1, 2.0, None)),
        "b": Choice((3,)),
        "c": Choice(("x",)),
        "d": Choice((None,)),
        "e": Float(0, 1, default=0.5),
        "f": Choice((0.5,)),
        "g": Choice(([1, 2], {"k": 1})),
    }
    assert Space(space) == space
    assert Space(dict(space)) == space


@pytest.mark.parametrize(
    "name",
    ["__class__", ".", "/", "../..", "-rf", "--help", " ", "a b", "x" * 255, "名前", "👩‍💻", "__tuple__", "name"],
)
def test_odd_names_are_legal(name: str) -> None:
    space = Space({name: [1, 2], "child": Float(0, 1, when={name: [2]})})
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    assert space.validate({name: 2, "child": 0.5}) == {name: 2, "child": 0.5}


def test_names_that_differ_in_case_differ() -> None:
    assert list(Space({"lr": 1, "LR": 2, "Lr": 3})) == ["lr", "LR", "Lr"]


@pytest.mark.parametrize(
    ("domains", "words"),
    [
        ({}, ["empty", "at least one"]),
        (["a"], ["(list)", "expected a dict"]),
        ({"": 1}, ["''", "0 characters", "1 to 255"]),
        ({"x" * 10_000: 1}, ["'xxx", "10000 characters"]),
        ({"a\x00": 1}, [r"'a\x00'", "control character"]),
        ({"a\nb": 1}, ["control character"]),
        ({"a\u2028b": 1}, ["control character"]),
        ({"\ud800": 1}, ["control character"]),
        ({3: 1}, ["3", "3 (int)", "string"]),
        ({"\u00e9": 1, "e\u0301": 2}, ["'\u00e9'", "twice"]),
        ({"lr": Float(1, 0)}, ["'lr'", "low = 1.0", "high = 0.0"]),
        ({"a": (1, 2)}, ["'a'", "(1, 2) (tuple)", "expected Float"]),
        ({"a": print}, ["'a'", "builtin_function_or_method"]),
        ({"a": []}, ["'a'", "at least one"]),
        ({"a": float("nan")}, ["'a'", "nan", "not finite"]),
        ({"a": list(range(1000)) * 2}, ["'a'", "option 0 is listed twice"]),
        ({"a": {"low": 0, "high": 1}}, ["'a'", "no type is given", "'float', 'int', 'choice'"]),
        ({"a": {"type": ["float"]}}, ["'a'", "type is ['float']"]),
        ({"a": {"type": "float", "low": 0}}, ["'a'", "needs 'high'"]),
        ({"a": {"type": "choice"}}, ["'a'", "needs 'options'"]),
        ({"a": {"type": "int", "low": 0, "high": 1, "lo": 1, 3: 4}}, ["'a'", "unknown key 'lo'"]),
        ({"a": {"type": "int", "low": "0", "high": 1}}, ["'a'", "low is '0' (str)"]),
        ({"a": {"type": "int", "low": 1, "high": 2, "log": 1}}, ["'a'", "log is 1", "True or False"]),
        ({"a": {"type": "choice", "options": "xy"}}, ["'a'", "'xy'"]),
        ({"a": Float(0, 1, default=2)}, ["'a'", "default", "found 2", "0.0 to 1.0"]),
        ({"a": Float(0, 1, default=None)}, ["'a'", "default", "None (NoneType)"]),
        ({"a": Choice([1], default=True)}, ["'a'", "default", "True (bool)", "one of 1"]),
        ({"a": 1, "b": Float(0, 1, when={"A": [1]})}, ["'b'", "'A' is not declared", "known: a, b"]),
        ({"a": 1, "b": Float(0, 1, when={"a": [2]})}, ["'b'", "when['a']", "found 2", "one of 1"]),
        ({"a": 1, "b": Float(0, 1, when={"a": [True]})}, ["'b'", "when['a']", "True (bool)"]),
        ({"a": 1, "b": Float(0, 1, when={"a": []})}, ["'b'", "when['a'] is empty"]),
        ({"a": "x", "b": Float(0, 1, when={"a": "x"})}, ["'b'", "when['a'] is 'x'", "list"]),
        ({"a": 1, "b": Float(0, 1, when={"a": 1})}, ["'b'", "when['a'] is 1", "list"]),
        ({"a": 1, "b": Float(0, 1, when=[("a", 1)])}, ["'b'", "when is [('a', 1)]", "{parent: [values]}"]),
        ({"a": {"type": "int", "low": 1, "high": 1, "when": "b"}}, ["'a'", "when is 'b'"]),
        ({"a": Float(0, 1), "b": Choice([1], when={"a": [0.5]})}, ["'b'", "'a' is a Float", "Choice or Int"]),
        ({"a": Choice([1], when={"a": [1]})}, ["cycle", "'a'"]),
        (
            {"a": Choice([1], when={"b": [1]}), "b": Choice([1], when={"a": [1]}), "z": Choice([1], when={"a": [1]})},
            ["cycle", "'a'", "'b'"],
        ),
        (
            {"\u00e9": 1, "b": Choice([1], when={"\u00e9": [1], "e\u0301": [1]})},
            ["'b'", "'\u00e9' twice"],
        ),
    ],
    ids=lambda value: None,
)
def test_malformed_space_says_which_hyperparameter_and_why(domains: Any, words: list[str]) -> None:
    with pytest.raises(SpaceError) as caught:
        Space(domains)
    message = str(caught.value)
    assert len(message) < 400
    for word in words:
        assert word in message
    assert "'z'" not in message  # depends on a cycle, is not in it


@pytest.mark.parametrize("data", [[1], [{}], [{"type": "int"}], [{"name": 1, "type": "int"}], [], [{"name": "a"}] * 2])
def test_json_that_is_no_space_is_refused(data: Any) -> None:
    with pytest.raises(SpaceError):
        Space.from_json(data)


def test_conditions_nest_and_multiply() -> None:
    def active(**params: Any) -> set[str]:
        return {name for name in NESTED if NESTED.is_active(name, params)}

    assert active() == {"optimizer", "layers"}
    assert active(optimizer="adam", layers=3) == {"optimizer", "layers"}
    assert active(optimizer="nesterov", layers=3) == {"optimizer", "layers", "momentum"}
    assert active(optimizer="momentum", layers=1) == {"optimizer", "layers", "momentum", "schedule"}
    assert active(optimizer="momentum", layers=2) == {"optimizer", "layers", "momentum", "schedule", "dampening"}
    assert "drop_every" in active(optimizer="sgd", layers=1, schedule="step")
    assert NESTED.parents("dampening") == ("optimizer", "layers")
    assert NESTED.conditional
    assert not Space({"a": 1}).conditional
    assert NESTED.order == ("optimizer", "layers", "momentum", "dampening", "schedule", "drop_every")


def test_conditions_are_compared_with_their_type() -> None:
    space = Space({"a": [1, True, 1.0], "b": Choice([0], when={"a": [True]})})
    assert [space.is_active("b", {"a": value}) for value in (1, True, 1.0)] == [False, True, False]


def test_spelling_of_a_condition_makes_no_difference() -> None:
    def spelled(values: Any, parent: str = "\u00e9") -> Space:
        return Space({"e\u0301": ["x", "y", "z"], "b": Float(0, 1, default=1, when={parent: values})})

    spellings = [["x", "y"], ("y", "x"), {"x", "y"}, ["x", "y", "x"], iter(["y", "x"]), np.array(["x", "y"])]
    assert {spelled(values) for values in spellings} == {spelled(["x", "y"], "e\u0301")}
    assert Space({"a": 1, "b": Float(0, 1, default=np.int64(1))}) == Space({"a": 1, "b": Float(0, 1, default=1.0)})
    assert Space({"a": 1, "b": Float(0, 1, when={})}) == Space({"a": 1, "b": Float(0, 1)})


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ([], ["list", "expected a dict"]),
        ({"optimiser": "adam"}, ["unknown", "'optimiser'", "did you mean 'optimizer'"]),
        ({"optimizer": "adam"}, ["'layers' is missing"]),
        ({"optimizer": "adam", "layers": 4}, ["'layers'", "found 4", "1 to 3"]),
        ({"optimizer": "adam", "layers": True}, ["'layers'", "True (bool)"]),
        ({"optimizer": "adam", "layers": 1, "momentum": 0.9}, ["'momentum'", "inactive", "['momentum', 'nesterov']"]),
        ({"optimizer": "sgd", "layers": 1, "schedule": "flat", "drop_every": 1}, ["'drop_every'", "['step']"]),
        ({3: 1}, ["3", "3 (int)"]),
    ],
)
def test_configuration_outside_the_space_says_what_and_where(params: Any, words: list[str]) -> None:
    with pytest.raises(SpaceError) as caught:
        NESTED.validate(params, "trial 7")
    for word in words:
        assert word in str(caught.value)


def test_one_name_in_two_spellings_is_not_two_values() -> None:
    space = Space({"\u00e9": [1, 2]})
    assert space.validate({"e\u0301": 2}) == {"\u00e9": 2}
    with pytest.raises(SpaceError, match="twice"):
        space.validate({"\u00e9": 1, "e\u0301": 2})


def test_validated_configuration_has_declared_order_and_defaults_of_active_names_only() -> None:
    params = NESTED.validate({"layers": 2, "schedule": "flat", "optimizer": "momentum", "momentum": 0.9})
    assert list(params.items()) == [
        ("momentum", 0.9),
        ("optimizer", "momentum"),
        ("dampening", 0.0),
        ("layers", 2),
        ("schedule", "flat"),
    ]
    assert NESTED.validate(params) == params
    assert "dampening" not in NESTED.validate({"optimizer": "adam", "layers": 2})


@given(st.integers(0, 2**32))
def test_samples_are_valid_and_survive_the_unit_cube(seed: int) -> None:
    params = NESTED.sample(np.random.default_rng(seed))
    assert NESTED.validate(params) == params
    u = NESTED.encode(params)
    assert u.shape == (len(NESTED),)
    assert ((u >= 0) & (u <= 1)).all()
    assert all(u[i] == 0.5 for i, name in enumerate(NESTED) if name not in params)
    again = NESTED.decode(u)
    assert again == pytest.approx(params)
    assert list(again) == list(params)


def test_conditions_do_not_distort_the_distribution() -> None:
    rng = np.random.default_rng(3)
    draws = [NESTED.sample(rng) for _ in range(8000)]
    counts = [sum(d["optimizer"] == name for d in draws) for name in ("sgd", "momentum", "nesterov", "adam")]
    assert stats.chisquare(counts).pvalue > 1e-3
    for optimizer in ("momentum", "nesterov"):
        values = [d["momentum"] for d in draws if d["optimizer"] == optimizer]
        assert stats.kstest(values, stats.uniform(0.5, 0.49).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("domains", "size"),
    [
        ({"a": [1, 2, 3], "b": Int(0, 9)}, 30),
        ({"a": Float(0, 1)}, None),
        ({"a": Float(0, 1, step=0.1), "b": Float(2, 2)}, 11),
        ({"a": Int(1, 1000, log=True)}, 1000),
        ({"a": [1, 2], "b": Choice([1, 2, 3], when={"a": [1]})}, 4),
        ({f"a{i}": Int(0, 2**60 - 1) for i in range(100)}, 2**6000),
        ({"n": Int(0, 2**60), "b": Choice([1, 2, 3], when={"n": [5, 7]})}, 2**60 + 1 + 4),
    ],
)
def test_size_counts_configurations(domains: Mapping[str, Any], size: int | None) -> None:
    assert Space(domains).size == size


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def domains(draw: st.DrawFn, parents: Mapping[str, Domain]) -> Domain:
    when = None
    if parents and draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(sorted(parents)), min_size=1, max_size=2, unique=True))
        when = {
            name: [parents[name].decode(u) for u in draw(st.lists(st.floats(0, 1), min_size=1, max_size=3))]
            for name in chosen
        }
    domain: Domain
    match draw(st.sampled_from(["float", "int", "choice"])):
        case "float":
            low, high = sorted(draw(st.lists(st.floats(5e-324, 1e308), min_size=2, max_size=2)))
            domain = Float(low, high, log=draw(st.booleans()), when=when)
        case "int":
            low, high = sorted(draw(st.lists(st.integers(1, 2**63 - 1), min_size=2, max_size=2)))
            domain = Int(low, high, log=draw(st.booleans()), when=when)
        case _:
            options = draw(st.lists(plain_values, min_size=1, max_size=4))
            domain = Choice(tuple(options), ordered=draw(st.booleans()), when=when)
    if domain.problem() is not None:
        domain = Choice((draw(st.integers()),), when=when)
    if draw(st.booleans()):
        domain = dataclasses.replace(domain, default=domain.decode(draw(st.floats(0, 1))))
    return domain


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6)
    names = draw(st.lists(texts, min_size=1, max_size=5, unique_by=lambda text: unicodedata.normalize("NFC", text)))
    declared: dict[str, Domain] = {}
    for name in names:
        discrete = {parent: domain for parent, domain in declared.items() if not isinstance(domain, Float)}
        declared[name] = draw(domains(discrete))
    return Space(dict(draw(st.permutations(list(declared.items())))))


@given(spaces())
def test_json_is_lossless(space: Space) -> None:
    text = json.dumps(space.to_json(), allow_nan=False)
    again = Space.from_json(json.loads(text))
    assert again == space
    assert hash(again) == hash(space)
    assert json.dumps(again.to_json()) == text
    assert repr(again) == repr(space)  # tuples are tuples again, integers integers
    assert again.order == space.order
    assert pickle.loads(pickle.dumps(space)) == space
    assert Space(dict(space)) == space


@given(spaces(), st.integers(0, 2**32))
def test_every_space_samples_valid_configurations(space: Space, seed: int) -> None:
    params = space.sample(np.random.default_rng(seed))
    assert repr(space.validate(params)) == repr(params)
    u = space.encode(params)
    assert ((u >= 0) & (u <= 1)).all()


def test_different_spaces_are_unequal() -> None:
    kinds: list[Any] = [
        [1],
        [1.0],
        [True],
        ["1"],
        [None],
        [[1]],
        [(1,)],
        [1, 2],
        [2, 1],
        Choice([1], ordered=True),
        Choice([1], default=1),
        Choice([None], default=None),
        Int(1, 1),
        Float(1, 1),
        Int(1, 2),
        Int(1, 2, log=True),
        Int(1, 2, step=1),
        Choice([1], when={"p": [1]}),
        Choice([1], when={"p": [True]}),
    ]
    for one, two in itertools.combinations(kinds, 2):
        assert Space({"p": [1, True], "a": one}) != Space({"p": [1, True], "a": two})
    assert Space({"a": 1, "b": 1}) != Space({"b": 1, "a": 1})  # the order is part of the space


@pytest.mark.ci
def test_a_million_options_and_ten_thousand_names_are_usable() -> None:
    options = Space({"a": list(range(10**6))})
    assert options.size == 10**6
    assert options.validate({"a": 999_999}) == {"a": 999_999}
    names = Space(
        {"root": [0, 1]} | {f"p{i}": Float(0, 1, when={"root": [1]} if i % 2 else None) for i in range(10_000)}
    )
    params = names.decode([0.9] * 10_001)
    assert len(params) == 10_001
    assert names.validate(params) == params
    assert len(names.decode([0.1] * 10_001)) == 5_001


def test_a_chain_of_conditions_declared_backwards_is_ordered() -> None:
    count = 2000
    links = {f"p{i}": Choice([0, 1], when={f"p{i - 1}": [1]} if i else None) for i in reversed(range(count))}
    assert Space(links).order == tuple(f"p{i}" for i in range(count))


def test_a_constant_is_its_own_default():
    space = Space({"a": 5, "b": Float(2, 2), "c": Int(1, 3, default=2), "d": [1, 2]})
    assert space.validate({"d": 1}) == {"a": 5, "b": 2.0, "c": 2, "d": 1}
    with pytest.raises(SpaceError, match="'d' is missing and has no default"):
        space.validate({})
