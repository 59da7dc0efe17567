"""Where a new store finds no room, the message names the disk that is full."""

import tempfile

import pytest
from mounts import small_disk


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("backup", "disk/out.db"), "disk: No space left on device: make room there, or name another place"),
        (("import", "squares.jsonl", "--store", "disk/out.db"), "out.db: the disk is full (No space left on device)"),
    ],
)
def test_a_full_disk_is_told_by_its_name_and_nothing_is_left_there(squares, home, command, told):
    (home / "squares.jsonl").write_text(squares("export", "--format", "jsonl").out)
    with small_disk(home / "disk", 60):
        found = squares(*command)
        assert found.code == 74
        assert told in found.err
        assert list((home / "disk").iterdir()) == []


def test_who_salvages_without_room_for_a_copy_is_told_how_much_it_takes(squares, home, monkeypatch):
    with small_disk(home / "disk", 60):
        monkeypatch.setattr(tempfile, "tempdir", str(home / "disk"))
        found = squares("doctor", "--salvage", "out.db")
    assert found.code == 74
    assert "No space left on device; TMPDIR names another folder with 1 MiB of room" in found.err
    assert not (home / "out.db").exists()
