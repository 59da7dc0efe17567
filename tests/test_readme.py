"""The README's programs, commands and transcripts run as they stand.

Making a virtual environment and installing into it is left to `.ci/run`, which runs the test command itself. Of printed
output all but numbers with decimals must be as the README shows it: times differ from run to run, and last digits from
machine to machine.
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
OUTPUTS = dict(re.findall(r"```python\n([^`]*)```\n\n```text\n(.*?)```", TEXT, re.DOTALL))  # of programs
TRANSCRIPTS = re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
HPO_COMMANDS = [command for command in COMMANDS if command.startswith(("hpo ", "python -c "))]


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "HPO_STORE": "", "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def without_decimals(text: str) -> list[str]:
    """The lines of a text, with # for every number with decimals and one space for several."""
    numbers = re.sub(r"[-+]?\d+\.\d+(e[-+]?\d+)?", "#", text)
    return [" ".join(line.split()) for line in numbers.strip().splitlines()]


def test_a_program_with_search_stands_in_the_first_40_lines() -> None:
    head = "\n".join(TEXT.splitlines()[:40])
    assert re.search(r"```python\n.*search\(.*```", head, re.DOTALL)


def test_both_commands_set_everything_up() -> None:
    setups = [line for block in SHELL for line in block.splitlines() if "-m venv" in line]
    assert any("pip install -c constraints.txt ." in s and s.endswith("hpo run --searcher tpe") for s in setups)
    assert any("'.[test]'" in s and "pytest" in s for s in setups)


@pytest.mark.ci
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_program_runs_as_pasted(number: int, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAMS[number], "utf-8")
    done = run([sys.executable, "program.py"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout or PROGRAMS[number].startswith("# "), "a program prints; a module with a file name need not"
    if PROGRAMS[number] in OUTPUTS:
        assert without_decimals(done.stdout) == without_decimals(OUTPUTS[PROGRAMS[number]])


def write_files(folder: Path) -> None:
    """The modules and study files of the README, those with a name."""
    for kind in ("toml", "python"):
        for name, content in re.findall(rf"```{kind}\n# (\S+)\n(.*?)```", TEXT, re.DOTALL):
            (folder / name).write_text(content, "utf-8")


@pytest.mark.ci
@pytest.mark.parametrize("number", range(len(TRANSCRIPTS)))
def test_transcript_is_what_happens(number: int, tmp_path: Path) -> None:
    """Commands that end in & go on until the transcript ends."""
    write_files(tmp_path)
    running: list[subprocess.Popen[bytes]] = []
    try:
        for part in TRANSCRIPTS[number].removeprefix("$ ").split("\n$ "):
            command, _, shown = part.partition("\n")
            if command.endswith(" &"):
                arguments = ["sh", "-c", f"exec {command.removesuffix(' &')}"]
                running.append(subprocess.Popen(arguments, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL))
                continue
            done = run(["sh", "-c", command], tmp_path)
            assert without_decimals(done.stdout) == without_decimals(shown), f"{command}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == 0, f"{command}\n{done.stderr}"
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


@pytest.mark.ci
def test_commands_run_in_order_as_they_stand(tmp_path: Path) -> None:
    assert len(HPO_COMMANDS) >= 5
    write_files(tmp_path)
    for command in HPO_COMMANDS:
        done = run(["sh", "-c", command], tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
