"""The commands on a store that lies on a file system that cannot be written."""

import pytest
from mounts import read_only

from hpo.errors import NoPermissionError

COMPARE = ("compare", "objectives:square", "--direction", "minimize", "--trials", 2, "--searchers", "random,grid",
           "--seeds", 1, "--name", "both", "--quiet")  # fmt: skip


@pytest.mark.ci
def test_what_only_reads_works_and_what_writes_is_refused_in_one_line(squares, home):
    (home / "kept").mkdir()
    path = home / "kept" / "hpo.db"
    (home / "hpo.db").rename(path)
    (home / "hpo.db-journal").unlink(missing_ok=True)
    assert squares(*COMPARE, "--store", path).code == 0
    before = path.read_bytes()
    with read_only(home / "kept"):
        for words in (["ls"], ["show", "squares"], ["show", "squares", "3"], ["best", "squares"],
                      ["export", "squares", "--format", "csv"], ["export", "squares", "--format", "jsonl"],
                      ["report", "squares"], ["report", "both"],
                      ["report", "both", "-o", home / "report.html"]):  # fmt: skip
            found = squares(*words, "--store", path)
            assert (found.code, found.err) == (0, ""), (words, found.err)
        ran = [
            squares("run", "objectives:square", "--direction", "minimize", "--store", path),
            squares("resume", "squares", "--trials", 20, "--store", path),
            squares(*COMPARE, "--store", path),
        ]
    for found in ran:
        assert (found.code, found.out) == (NoPermissionError.exit_code, "")
        [line] = found.err.splitlines()
        assert f"store {path} cannot be written: Read-only file system (errno 30, EROFS) for {path}" in line
    assert path.read_bytes() == before
