"""The README's programs and commands run as they stand.

Making a virtual environment and installing into it is left to `.ci/run`, which runs the test command itself, and then
the commands here, which take a minute.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    line.rpartition("&& ")[2].replace(".venv/bin/", "").partition("  #")[0].strip()
    for block in SHELL
    for line in block.splitlines()
]
HPO_COMMANDS = [command for command in COMMANDS if command.startswith(("hpo ", "python -c "))]


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "HPO_STORE": "", "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_program_with_search_stands_in_the_first_40_lines() -> None:
    head = "\n".join(TEXT.splitlines()[:40])
    assert re.search(r"```python\n.*search\(.*```", head, re.DOTALL)


def test_both_commands_set_everything_up() -> None:
    setups = [line for block in SHELL for line in block.splitlines() if "-m venv" in line]
    assert any("pip install -c constraints.txt ." in s and s.endswith("hpo run --searcher tpe") for s in setups)
    assert any("'.[test]'" in s and "pytest" in s for s in setups)


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_runs_as_pasted(number: int, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAMS[number], "utf-8")
    done = run([sys.executable, "program.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout or PROGRAMS[number].startswith("# "), "a program prints; a module with a file name need not"


@pytest.mark.slow
def test_commands_run_in_order_as_they_stand(tmp_path: Path) -> None:
    assert len(HPO_COMMANDS) >= 5
    for block in re.findall(r"```toml\n# (\S+)\n(.*?)```", TEXT, re.DOTALL):
        (tmp_path / block[0]).write_text(block[1], "utf-8")
    for block in re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, re.DOTALL):
        (tmp_path / block[0]).write_text(block[1], "utf-8")
    for command in HPO_COMMANDS:
        done = run(["sh", "-c", command], tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
