"""Any data at all is a search space, or refused with a reason."""

import json

import numpy as np
import pytest
from fuzzing import attempt, data, deep, fuzz, numbers, scalars, texts
from hypothesis import example, given
from hypothesis import strategies as st

from hpo import Choice, Float, Int, Space
from hpo.errors import HpoError, SpaceError

pytestmark = pytest.mark.ci

NAMES = ("a", "b", "c", "lr")
names = st.sampled_from(NAMES) | texts
values = st.sampled_from([0, 1, 2.0, "x", True, None]) | data


@st.composite
def described(draw):
    """A domain in JSON form, whose keys are mostly those of one."""
    kind = draw(st.sampled_from(["float", "int", "choice"]))
    small = st.integers(-3, 5) | st.sampled_from([0.1, 0.5, 1e-3, 10.0])
    bound = st.one_of(small, small, small, numbers, values)
    fields = {"type": kind}
    if kind == "choice":
        fields["options"] = draw(st.lists(values, max_size=5) | data)
    else:
        fields |= {"low": draw(bound), "high": draw(bound)}
        fields |= draw(st.fixed_dictionaries({}, optional={"step": bound, "log": st.booleans() | scalars}))
    lists = st.lists(values, max_size=3) | data
    conditions = st.dictionaries(names, lists, max_size=2) | data
    fields |= draw(st.fixed_dictionaries({}, optional={"default": values, "when": conditions, "ordered": scalars}))
    if draw(st.integers(0, 9)) == 0:
        fields.pop(draw(st.sampled_from(sorted(fields))))
    if draw(st.integers(0, 9)) == 0:
        fields[draw(texts)] = draw(values)
    return fields


domains = st.one_of(described(), described(), described(), values)


def check(space):
    """What holds of every space that was accepted."""
    if isinstance(space, HpoError):
        assert isinstance(space, SpaceError)
        return
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    assert Space(dict(space)) == space
    rng = np.random.default_rng(0)
    for _ in range(3):
        params = space.sample(rng)
        assert space.validate(params) == params
        point = space.encode(params)
        assert ((point >= 0) & (point <= 1)).all()
        space.decode(np.clip(point, 0, np.nextafter(1, 0)))
    assert space.size is None or space.size >= 1
    hash(space), repr(space)


@given(st.dictionaries(names, domains, min_size=1, max_size=4))
@fuzz(500)
def test_any_dictionary_is_a_space_or_refused(found):
    space = attempt(Space, found)
    attempt(check, space)


@given(
    st.lists(
        st.tuples(names, domains).map(lambda two: {"name": two[0]} | (two[1] if isinstance(two[1], dict) else {}))
        | data,
        max_size=4,
    )
    | data
)
@example(3)
@example(None)
@fuzz(500)
def test_any_list_is_a_stored_space_or_refused(found):
    space = attempt(Space.from_json, found)
    attempt(check, space)


@given(data)
@fuzz(300)
def test_anything_else_is_refused(found):
    attempt(check, attempt(Space, found))


@given(st.sampled_from([Float, Int]), data, data, data, data, data, data)
@fuzz(300)
def test_a_domain_of_any_arguments_is_refused_by_its_space(kind, low, high, log, step, default, when):
    attempt(check, attempt(lambda: Space({"x": kind(low, high, log, step, default=default, when=when)})))


@given(data, data, data)
@fuzz(300)
def test_a_choice_of_anything_is_refused_by_its_space(options, ordered, when):
    attempt(check, attempt(lambda: Space({"x": Choice(options, ordered, when=when)})))


SPACE = Space(
    {
        "x": Float(0, 1),
        "s": Float(0, 1, step=0.1),
        "l": Float(1e-3, 1, log=True),
        "n": Int(0, 2**62),
        "c": Choice([1, 1.0, True, "a", None, (1, 2), [1], {"a": 1}]),
        "d": Float(0, 1, when={"c": [1]}),
    }
)


@given(
    st.dictionaries(st.sampled_from(list(SPACE)) | names, values | st.sampled_from([0.5, 1, "a"]), max_size=7) | data
)
@fuzz(500)
def test_any_configuration_is_inside_the_space_or_refused(params):
    found = attempt(SPACE.validate, params)
    if isinstance(found, HpoError):
        assert isinstance(found, SpaceError)
    else:
        assert SPACE.validate(found) == found


@pytest.mark.parametrize("levels", [19, 20, 21, 500, 5000, 100_000])
@pytest.mark.parametrize("key", ["options", "default", "when", "low", "log", "type", "name", "ordered", "other"])
def test_lists_inside_each_other_are_no_bomb(levels, key):
    found = {"name": "x", "type": "choice", "options": [1, 2]} | {key: deep(levels)}
    attempt(check, attempt(Space.from_json, [found]))
    found.pop("name")
    attempt(check, attempt(Space, {"x": found}))
    attempt(check, attempt(Space, {"x": deep(levels)}))
    attempt(SPACE.validate, {"c": deep(levels)})
