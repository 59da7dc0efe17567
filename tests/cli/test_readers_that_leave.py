"""Every command whose output goes to somebody who has left already ends quietly."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.ci, pytest.mark.skipif(sys.platform == "win32", reason="needs bash")]
COMMANDS = (
    "--help", "ls", "ls --json", "ls --all", "show squares", "show squares --json", "show squares 3", "best squares",
    "best squares --json", "export squares --format csv", "export squares --format jsonl", "report squares",
    "searchers", "searchers tpe", "studies", "run --help",
)  # fmt: skip


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_whose_reader_has_left_ends_quietly(squares, home, line):
    found = subprocess.run(
        f"set -o pipefail; (sleep 0.2; '{sys.executable}' -m hpo {line}) | true", shell=True, executable="/bin/bash",
        cwd=home, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
