"""Columns become inputs by their kind, of new tables as of the first one."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.preprocessing import OneHotEncoder

from hpo.errors import DataError, UsageError
from hpo.training.schema import Column, Schema, as_frame, infer

ROWS = 60


def table() -> pd.DataFrame:
    draws = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "age": draws.normal(40, 10, ROWS),
            "children": draws.integers(0, 5, ROWS),
            "member": draws.random(ROWS) < 0.5,
            "city": draws.choice(["Rome", "Oslo", "Bonn"], ROWS),
            "size": pd.Categorical(draws.choice(["s", "m"], ROWS)),
        }
    )


def inferred(frame: pd.DataFrame) -> tuple[Schema, list[str]]:
    return infer(frame, np.arange(len(frame)))


def test_numbers_stay_and_text_becomes_an_input_for_each_level() -> None:
    frame = table()
    schema, notices = inferred(frame)
    assert [column.kind for column in schema.columns] == ["number", "number", "boolean", "levels", "levels"]
    assert schema.inputs == ("age", "children", "member", "city=Bonn", "city=Oslo", "city=Rome", "size=m", "size=s")
    x, unknown = schema.encode(frame)
    own = OneHotEncoder(sparse_output=False).fit_transform(frame[["city", "size"]])
    assert np.array_equal(x, np.column_stack([frame[["age", "children", "member"]].to_numpy(float), own]))
    assert (x.dtype, unknown, notices) == (np.float64, {}, [])


def test_a_schema_survives_as_json() -> None:
    schema, _ = inferred(table().assign(day=datetime.date(2020, 1, 1)))
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "a schema is dict"),
        ([{"name": "a"}], "expected name, kind"),
        ([{"name": "a", "kind": "number", "more": 1}], "expected name, kind"),
        ([{"name": 1, "kind": "number"}], "expected a text for name"),
        ([{"name": "a", "kind": "code"}], "one of number, boolean, levels, unused"),
        ([{"name": "a", "kind": "levels", "levels": ["b", "b"]}], "expected different texts"),
        ([{"name": "a", "kind": "levels", "levels": []}], "expected different texts"),
        ([{"name": "a", "kind": "number", "levels": ["b"]}], "expected different texts"),
        ([{"name": "a", "kind": "number"}] * 2, "more than one column of a name, 'a'"),
    ],
)
def test_another_json_is_no_schema(data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Schema.from_json(data)


def test_columns_are_matched_by_name_whatever_their_order() -> None:
    schema, _ = inferred(table())
    shuffled = table()[["size", "age", "city", "member", "children"]].assign(more="anything")
    assert np.array_equal(schema.encode(shuffled)[0], schema.encode(table())[0])
    with pytest.raises(DataError, match="the table lacks 'city', 'size': it needs every column"):
        schema.encode(table().drop(columns=["city", "size"]))


def test_missing_and_unknown_levels_are_zero_everywhere_and_unknown_ones_are_counted() -> None:
    schema = Schema((Column("city", "levels", ("Bonn", "Rome")), Column("n", "levels", ("1", "2"))))
    x, unknown = schema.encode(pd.DataFrame({"city": ["Rome", None, "Oslo", "Paris"], "n": [1.0, np.nan, 2.0, 1.0]}))
    assert x.tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert unknown == {"city": 2}


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_numbers_that_float32_cannot_hold_count_as_missing(value: float) -> None:
    frame = pd.DataFrame({"a": [1.0, value, 3.0]})
    schema, notices = inferred(frame)
    assert np.isnan(schema.encode(frame)[0]).tolist() == [[False], [True], [False]]
    assert notices == ["infinite values count as missing: 'a' (1)"]


def test_text_where_a_number_is_expected_is_named_with_its_row() -> None:
    schema = Schema.of_numbers(["age"])
    assert np.array_equal(schema.encode(pd.DataFrame({"age": ["4", None, "5.5"]}))[0][:, 0], [4, np.nan, 5.5], True)
    with pytest.raises(DataError, match="column 'age', row 3: found 'old', expected a number"):
        schema.encode(pd.DataFrame({"age": ["4", None, "old"]}))
    with pytest.raises(DataError, match=r"column 'age' holds datetime64.*, expected numbers"):
        schema.encode(pd.DataFrame({"age": pd.to_datetime(["2020-01-01"])}))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([f"name {i}" for i in range(ROWS)], r"text with more than 50 different values: 'a' \(60; 'name 0', say\)"),
        (["1,5", "?"] * 2 + [str(i) for i in range(ROWS - 4)], r"'a' \(58; '1,5', say\)"),
        (pd.date_range("2020-01-01", periods=ROWS), "dates or times: 'a'"),
        (["2020-01-01", "2020-02-01T10:00"] * 30, "dates or times: 'a'"),
        ([datetime.date(2020, 1, 1)] * ROWS, "dates or times: 'a'"),
        ([None] * ROWS, "without a value in rows that train or validate: 'a'"),
        ([np.nan] * ROWS, "without a value in rows that train or validate: 'a'"),
        ([[1, 2]] * ROWS, "neither numbers nor text: 'a'"),
        ([1 + 2j] * ROWS, "neither numbers nor text: 'a'"),
    ],
)
def test_columns_that_cannot_be_used_are_left_out_with_the_reason(values: object, reason: str) -> None:
    frame = table().assign(a=values)
    schema, (notice,) = inferred(frame)
    assert pd.Series([notice]).str.contains(reason).all(), notice
    assert schema.columns[-1] == Column("a", "unused")
    assert np.array_equal(schema.encode(frame.drop(columns="a"))[0], inferred(table())[0].encode(table())[0])
    with pytest.raises(DataError, match="no column can be used as an input: left out"):
        inferred(frame[["a"]])


def test_text_of_many_different_numbers_counts_as_numbers() -> None:
    values = np.array([[str(i / 4), "x"] for i in range(ROWS)])  # NumPy makes all of it text
    schema, notices = inferred(as_frame(values))
    assert [column.kind for column in schema.columns] == ["number", "levels"]
    assert np.array_equal(schema.encode(values)[0][:, 0], np.arange(ROWS) / 4)
    assert notices == []


def test_categories_of_numbers_are_levels() -> None:
    schema, _ = inferred(pd.DataFrame({"a": pd.Categorical([3, 1, 10])}))
    assert (schema.inputs, schema.texts) == (("a=1", "a=10", "a=3"), ("a",))
    assert schema.encode(pd.DataFrame({"a": [10.0, 2.0, np.nan]}))[0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_levels_of_test_rows_are_not_looked_at() -> None:
    frame = pd.DataFrame({"a": ["x", "y", "z"]})
    schema, _ = infer(frame, np.array([0, 2]))
    assert schema.inputs == ("a=x", "a=z")
    assert schema.encode(frame)[1] == {"a": 1}


def test_nullable_columns_and_objects_are_what_their_values_are() -> None:
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None, 3], dtype="Int64"),
            "f": pd.array([1.5, None, 2.5], dtype="Float64"),
            "b": pd.array([True, None, False], dtype="boolean"),
            "o": pd.Series([True, None, False], dtype=object),
            "n": pd.Series([1, None, 2.5], dtype=object),
        }
    )
    schema, _ = inferred(frame)
    assert [column.kind for column in schema.columns] == ["number", "number", "boolean", "boolean", "number"]
    expected = [[1, 1.5, 1, 1, 1], [np.nan] * 5, [3, 2.5, 0, 0, 2.5]]
    assert np.array_equal(schema.encode(frame)[0], expected, equal_nan=True)


def test_very_large_tables_are_kept_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    schema, _ = inferred(table())
    double = schema.encode(table())[0]
    monkeypatch.setattr("hpo.training.schema._LARGE", double.size - 1)
    single = schema.encode(table())[0]
    assert single.dtype == np.float32
    assert np.array_equal(single, double.astype(np.float32))


def test_arrays_are_matched_by_position() -> None:
    schema, _ = inferred(as_frame(np.arange(6.0).reshape(3, 2)))
    assert schema.inputs == ("x0", "x1")
    assert schema.encode([[1, 2], [3, 4]])[0].tolist() == [[1, 2], [3, 4]]
    with pytest.raises(UsageError, match="inputs have 3 columns, expected 2: 'x0', 'x1'"):
        schema.encode(np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (sparse.csr_matrix(np.eye(3)), r"sparse \(csr_matrix\): make them dense"),
        (np.zeros((2, 3, 4)), r"shape \(2, 3, 4\), expected \(rows, columns\)"),
        ([1, 2, 3], r"shape \(3,\), expected"),
        ([[1, 2], [3]], "do not form an array"),
    ],
)
def test_what_is_no_table_is_refused(x: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        as_frame(x)


def test_column_names_that_differ_by_type_alone_are_refused() -> None:
    with pytest.raises(DataError, match="more than one column of a name, '1'"):
        as_frame(pd.DataFrame([[1, 2]], columns=[1, "1"]))
