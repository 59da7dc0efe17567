"""Files become tables, or a message says why not."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo.errors import DataError, HpoError, NoPermissionError, NotFoundError, UsageError
from hpo.training.reading import read_table

FRAME = pd.DataFrame({"a": [0.1, 1 / 3, np.nan], "b": ["x", None, "ü"], "c": [True, False, True], "d": [1, 2, 3]})
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def test_every_kind_of_file_gives_the_same_table(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    FRAME.to_csv(tmp_path / "t.CSV.gz", index=False, compression="gzip")
    FRAME.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    FRAME.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "bom.csv").write_text(FRAME.to_csv(index=False), "utf-8-sig")
    for file in tmp_path.iterdir():
        pd.testing.assert_frame_equal(read_table(file), FRAME, check_dtype=False, rtol=1e-15)


def test_chosen_columns_are_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("zip,n\n00123,1\n45678,2\n")
    assert read_table(tmp_path / "t.csv", ["zip", "absent"])["zip"].tolist() == ["00123", "45678"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("t.csv", PNG, DataError, r"'.*t.csv' is not text: it begins with b'\\x89PNG"),
        ("t.csv", gzip.compress(b"a,b\n1,2\n", mtime=0), DataError, "is not text"),
        ("t.csv", "a,b\nü,1\n".encode("utf-16"), DataError, "is not text"),
        ("t.csv", "a,b\nü,1\n".encode("latin-1"), DataError, "is not UTF-8 text .*: save it as UTF-8"),
        ("t.csv", b"", DataError, "is empty"),
        ("t.csv", b"\n \n", DataError, "is empty"),
        ("t.csv", b"a,b\n", DataError, "has a header but no rows"),
        ("t.csv", b"a,b,a\n1,2,3\n", DataError, "more than one column of a name, 'a'"),
        ("t.csv", b"a;b\n1;2\n", DataError, "one column, 'a;b': expected columns separated by commas"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", DataError, "is not a table: .*line 3"),
        ("t.csv", b"a,b\n1,2,3\n1,2,3\n", DataError, "is not a table"),
        ("t.csv", b'a,b\n"1,2\n3,4\n', DataError, "is not a table: .*EOF inside string"),
        ("t.csv.gz", b"a,b\n1,2\n", DataError, "cannot be read: Not a gzipped file"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 999, mtime=0)[:-20], DataError, "cannot be read"),
        ("t.parquet", b"a,b\n1,2\n", DataError, "is not Parquet: it begins with b'a,b"),
        ("t.parquet", b"PAR1 and nothing more", DataError, "is damaged"),
        ("t.xlsx", b"PK", UsageError, r"ends in '.xlsx', expected .csv, .csv.gz, .tsv or .parquet"),
        ("t", b"a,b\n1,2\n", UsageError, "ends in ''"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    name: str, content: bytes, error: type[HpoError], message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        read_table(tmp_path / name)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFoundError, match=r"no data file '.*t.csv'"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(UsageError, match="is a directory"):
        read_table(tmp_path / "t.csv")

    def refused(*args: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(NoPermissionError, match="may not be read"):
        read_table(tmp_path / "other.csv")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FRAME.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="needs pyarrow: pip install pyarrow"):
        read_table(tmp_path / "t.parquet")


def test_a_column_of_numbers_and_text_is_text_however_long_it_is(tmp_path: Path) -> None:
    rows = 200_000  # more than pandas reads at once
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * rows + "x,2\n")
    assert set(read_table(tmp_path / "t.csv")["a"]) == {"1", "x"}
