"""A study file of any content, and any change of one, is a plan or refused with a reason."""

import copy
import json
import math
from importlib import resources

import pytest
from fuzzing import attempt, damaged, data, deep, fuzz, scalars, texts
from hypothesis import example, given
from hypothesis import strategies as st

from hpo.errors import HpoError, LoadError, NotFoundError, UsageError
from hpo.plan import Plan
from hpo.space import Space
from hpo.study_file import KEYS, Question, read_plan, read_question, shipped

pytestmark = pytest.mark.ci

SHIPPED = {file.name: file.read_text() for file in resources.files("studies").iterdir() if file.name.endswith(".toml")}
TABLES = shipped()
SEARCHERS = (
    st.sampled_from([None, None, None, "grid", "random", "tpe", "halving", "nas", "optuna:CmaEsSampler"]) | texts
)
WORDS = sorted(
    {
        *KEYS,
        "name",
        "data",
        "target",
        "folds",
        "type",
        "options",
        "low",
        "high",
        "log",
        "step",
        "when",
        "default",
        "eta",
    }
    | {key for table in TABLES.values() for key in table["space"]}
)


def toml(value):
    """A value in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else str(value)
    return json.dumps("" if value is None else value)


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Writes a study file and reads it as the command line does."""
    path = tmp_path_factory.mktemp("studies") / "study.toml"
    for name in TABLES:  # whatever is loaded once is no memory of an example
        read_plan(name, searcher=None, changes=[], flags={})

    def read(content, searcher=None, changes=()):
        path.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
        check(attempt(read_plan, str(path), searcher=searcher, changes=changes, flags={}))
        if searcher is None:
            check(attempt(read_question, str(path), changes=changes, flags={}))

    return read


def check(found):
    """What holds of every plan."""
    if isinstance(found, (Plan, Question)):
        space = found.space if isinstance(found, Question) else found.spec.space
        assert Space.from_json(space.to_json()) == space
        if isinstance(found, Plan):
            json.dumps(found.spec.to_json(), allow_nan=False)
    else:
        assert isinstance(found, HpoError)


@st.composite
def altered_tables(draw):
    """The content of a shipped study in which some values are others, gone or elsewhere."""
    table = copy.deepcopy(TABLES[draw(st.sampled_from(sorted(TABLES)))])
    for _ in range(draw(st.integers(1, 3))):
        at, key = draw(st.sampled_from(places(table)))
        kind = draw(st.sampled_from(["set", "set", "set", "drop", "rename", "add", "move"]))
        if kind == "set":
            at[key] = draw(st.one_of(data, scalars, st.sampled_from(WORDS)))
        elif kind == "move":
            there, other = draw(st.sampled_from(places(table)))
            at[key] = copy.deepcopy(there[other])
        elif kind == "drop":
            del at[key]
        elif isinstance(at, dict):
            at[draw(st.sampled_from(WORDS) | texts)] = at.pop(key) if kind == "rename" else draw(data)
        if not places(table):
            break
    return table


def places(value):
    """Every (container, key) inside a table."""
    if not isinstance(value, (dict, list)):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def written(table):
    """A table as a file."""
    return "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items())


@st.composite
def altered_lines(draw):
    """A shipped study whose lines are gone, doubled or swapped."""
    lines = SHIPPED[draw(st.sampled_from(sorted(SHIPPED)))].splitlines()
    for _ in range(draw(st.integers(1, 4))):
        i, j = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        kind = draw(st.sampled_from(["drop", "double", "swap", "cut", "insert"]))
        if kind == "drop" and len(lines) > 1:
            del lines[i]
        elif kind == "double":
            lines.insert(j, lines[i])
        elif kind == "swap":
            lines[i], lines[j] = lines[j], lines[i]
        elif kind == "cut":
            lines[i] = lines[i][: draw(st.integers(0, 40))]
        else:
            lines.insert(i, draw(texts))
    return "\n".join(lines)


@given(altered_tables(), SEARCHERS)
@fuzz(400)
def test_a_study_of_other_values_is_a_plan_or_refused(write, table, searcher):
    write(written(table), searcher)


@given(altered_lines(), SEARCHERS)
@fuzz(300)
def test_a_study_of_other_lines_is_a_plan_or_refused(write, content, searcher):
    write(content, searcher)


@given(st.sampled_from(sorted(SHIPPED)).flatmap(lambda name: damaged(SHIPPED[name].encode())) | st.binary(max_size=200))
@example(b"\xff\xfe\x00")
@example(b"trials = 1" + b"0" * 5000)
@example(b"\xef\xbb\xbftrials = 1")
@fuzz(300)
def test_a_file_of_any_bytes_is_a_plan_or_refused(write, content):
    write(content)


CHANGES = st.one_of(
    texts,
    st.tuples(st.sampled_from(WORDS) | texts, st.sampled_from(WORDS) | texts, data | texts).map(
        lambda parts: f"{parts[0]}.{parts[1]}={parts[2] if isinstance(parts[2], str) else toml(parts[2])}"
    ),
    st.tuples(st.sampled_from(sorted(KEYS)), data).map(lambda parts: f"{parts[0]}={toml(parts[1])}"),
    st.tuples(st.sampled_from(sorted(KEYS)), texts).map("=".join),
)


@given(st.sampled_from([*sorted(TABLES), None]), SEARCHERS, st.lists(CHANGES, min_size=1, max_size=3))
@fuzz(500)
def test_any_change_of_a_study_is_a_plan_or_refused(name, searcher, changes):
    check(attempt(read_plan, name, searcher=searcher, changes=changes, flags={}))
    check(attempt(read_question, name, changes=changes, flags={}))


@given(
    texts | st.sampled_from(["a:b", ":", "a:", ":b", "os.path:", "json:dumps", "hpo:Space", "hpo.nothing:x", "..:x"])
)
@fuzz(200)
def test_any_name_of_a_study_is_a_plan_or_refused(name):
    found = attempt(read_plan, name, searcher=None, changes=[], flags={"direction": "maximize"})
    assert isinstance(found, (Plan, NotFoundError, LoadError, UsageError))


BOMBS = {
    "nested lists": "space = " + "[" * 100_000,
    "nested tables": "space = " + "{a = " * 50_000,
    "dotted keys": ".".join(["a"] * 50_000) + " = 1",
    "dotted tables": "[" + ".".join(["space"] * 100_000) + "]",
    "many digits": "trials = " + "9" * 900_000,
    "many keys": "[space]\n" + "\n".join(f"x{i} = 1" for i in range(10_000)),
    "many options": "[space]\nx = [" + ", ".join(map(str, range(100_000))) + "]",
    "one long text": f'question = "{"x" * 900_000}"',
    "one long key": f"{'x' * 900_000} = 1",
    "many tables": "\n".join(f"[[space.x{i}]]" for i in range(10_000)),
    "too long": "#" * 2_000_000,
    "chain": "[space]\nx0 = [1]\n"
    + "\n".join(f"x{i} = {{type = 'choice', options = [1], when = {{x{i - 1} = [1]}}}}" for i in range(1, 2000)),
    "deep options": "[space]\nx = " + written({"": deep(300)}).partition("= ")[2],
}


BOMBS |= {
    "dots in inline tables": f"x = {{{'.'.join(['a'] * 50_000)} = 1}}",
    "spaced dots": " . ".join(["a"] * 50_000) + " = 1",
    "quoted dots": ".".join(['"a"'] * 50_000) + " = 1",
    "literal dots": "[" + ".".join(["'a'"] * 50_000) + "]",
    "dots after a text": 'question = """a"b"""\n' + ".".join(["a"] * 50_000) + " = 1",
    "dots in a text": 'question = """a\n' + ".".join(["a"] * 50_000) + '"""',
    "quotes": "question = " + "'" * 900_000,
    "backslashes": 'question = "' + "\\" * 900_000,
    "letters": "x" * 900_000,
    "dots": "." * 900_000,
    "spaces": "x = " + " " * 900_000,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_takes_neither_time_nor_memory(write, kind):
    write(BOMBS[kind])
