"""Files that users ask for."""

import contextlib
import errno
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from hpo.errors import CannotCreateError, NoPermissionError, StorageError
from hpo.files import check_new, new_file


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with new_file(path) as file:
        file.write(b"whole")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError), new_file(tmp_path / "a.txt") as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(CannotCreateError, match=r"a\.txt' exists: give another name, or --force"), new_file(path):
        raise AssertionError("not refused")
    with new_file(path, overwrite=True) as file:
        file.write(b"new")
    assert path.read_text() == "new"


def test_only_a_database_takes_the_place_of_a_database(tmp_path: Path) -> None:
    path = tmp_path / "hpo.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (x)")
    before = path.read_bytes()
    with (
        pytest.raises(CannotCreateError, match=r"hpo\.db' is a database, such as a store of studies: give another"),
        new_file(path, overwrite=True) as file,
    ):
        file.write(b"a page")
    assert path.read_bytes() == before
    with new_file(path, overwrite=True, database=True) as file:
        file.write(before + before)
    assert path.read_bytes() == before + before


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(CannotCreateError, match="exists"), new_file(path):
        path.write_text("another's")
    assert path.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("no/such.txt", CannotCreateError, "no folder .*no'; make it first"),
        (".", CannotCreateError, "no ordinary file"),
        ("x" * 300, CannotCreateError, "cannot create"),
    ],
)
def test_where_no_file_can_be_is_told(name: str, error: type[Exception], match: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=match), new_file(tmp_path / name) as file:
        file.write(b"x")


def test_devices_are_not_replaced() -> None:
    with pytest.raises(CannotCreateError, match="no ordinary file"):
        check_new(os.devnull, overwrite=True)


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, StorageError), (errno.EACCES, NoPermissionError), (errno.EROFS, CannotCreateError)],
)
def test_the_systems_errors_are_told(number: int, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error, match=os.strerror(number)), new_file(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))


def test_without_links_files_are_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with new_file(tmp_path / "a.txt") as file:
        file.write(b"x")
    assert (tmp_path / "a.txt").read_bytes() == b"x"


@pytest.mark.skipif(os.name != "posix", reason="only folders of POSIX systems can be synced")
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_name_of_a_file_is_synced_after_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    synced: list[bool] = []  # whether it was a folder
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(stat.S_ISDIR(os.fstat(file).st_mode)), real(file)))
    with new_file(tmp_path / "a.txt", overwrite) as file:
        file.write(b"x")
    assert synced == [False, True]
