"""Worker processes: the same results as in one process, whatever trials do to the one they are in."""

import os
import sys

import pytest
from worker_trials import drain, job, make, pids, results, run_code, unsendable

from hpo import FunctionObjective
from hpo.errors import LoadError, UsageError
from hpo.execution import Execution
from hpo.executors.in_process import InProcessExecutor
from hpo.executors.workers.log import END, Log
from hpo.executors.workers.machine import environments
from hpo.trial import State

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="workers are tested on Linux")


@pytest.fixture(scope="module")
def one():
    """An executor with one worker, for tests that leave it alive."""
    executor = make(workers=1)
    yield executor
    executor.close()


def test_results_are_those_of_one_process(one):
    """With global generators that are seeded, also of a module that is imported inside."""
    code = "import random; trial.report(0.5, 3); import numpy; value = random.random() + numpy.random.rand()"
    jobs = [job(number, code) for number in range(4)]
    here = InProcessExecutor(FunctionObjective(run_code))
    expected = results(here, jobs)
    for number, found in results(one, jobs).items():
        assert (found.value, found.curve, found.state) == (
            expected[number].value,
            expected[number].curve,
            State.DONE,
        )
        assert (found.params, found.attempts, found.charged, found.log) == (jobs[number].params, 1, 1, "")


def test_errors_are_those_of_one_process(one):
    """Also exits that are raised; an exception is not tried again."""
    codes = [
        "1 / 0",
        "raise SystemExit(3)",
        "raise KeyboardInterrupt",
        "value = float('nan')",
        "value = 'x'",
        "input()",
    ]
    jobs = [job(number, code) for number, code in enumerate(codes)]
    found = results(one, jobs)
    expected = results(InProcessExecutor(FunctionObjective(run_code)), jobs[:-1])
    for number, outcome in expected.items():
        assert (found[number].state, found[number].reason) == (State.FAILED, outcome.reason)
        assert (found[number].error, found[number].attempts) == (outcome.error, 1)
    assert "EOFError" in found[5].error  # nobody is there to be asked


def test_a_worker_starts_with_neither_torch_nor_numpy():
    executor = make(lambda p: print(*__import__("sys").modules) or 0.0, workers=1)
    try:
        modules = results(executor, [job(0)])[0].log.split()
    finally:
        executor.close()
    assert not {"torch", "numpy", "pandas", "optuna", "sqlite3"} & set(modules)


def test_functions_that_no_module_holds_are_sent_as_code():
    offset = 2

    def inner(p):
        return p["x"] + offset

    executor = make(lambda p: inner(p), workers=1)
    try:
        assert results(executor, [job(0, x=1)])[0].value == 3.0
    finally:
        executor.close()


def test_what_cannot_be_sent_is_refused_with_advice_unless_a_module_has_it():
    generator = (i for i in ())
    with pytest.raises(UsageError, match=r"cannot be sent to a worker process .*module:function"):
        make(lambda p: next(generator))
    objective = FunctionObjective(unsendable, direction="minimize", path="worker_trials:unsendable")
    executor = objective.executor(Execution(workers=1))
    try:
        assert results(executor, [job(0, x=1)])[0].value == 1.0
    finally:
        executor.close()


def test_a_worker_that_cannot_import_the_objective_says_why(monkeypatch):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not entry.endswith("tests")])
    executor = make()
    try:
        executor.submit([job(0, "pass")])
        with pytest.raises(LoadError, match=r"could not start: .*exit code 1(.|\n)*No module named 'worker_trials'"):
            drain(executor)
    finally:
        executor.close()


def test_a_batched_function_is_not_sent_to_workers():
    objective = FunctionObjective(lambda ps: [0.0], batched=True)
    with pytest.raises(UsageError, match="batched"):
        objective.check_execution(Execution(workers=2))
    objective.check_execution(Execution())
    FunctionObjective(run_code).check_execution(Execution(workers=2, trial_timeout=1.0, trial_memory=10, fresh=True))


# -- what a trial prints


def test_all_that_a_trial_prints_is_in_its_log_and_nowhere_else(one, capfd):
    code = r"""
import ctypes, os, subprocess, sys
print("printed")
print("\x1b[31mred\r", file=sys.stderr)
subprocess.run(["echo", "by a child"])
os.write(1, b"\xff\x00\n")
ctypes.CDLL(None).printf(b"buffered in C\n")
sys.stdout.write("no newline")
"""
    found = results(one, [job(0, code), job(1, "pass")])
    log = found[0].log
    assert log.startswith("printed\n\x1b[31mred\r\nby a child\n\\xff\x00\n")
    assert log.endswith(("no newlinebuffered in C\n", "buffered in C\nno newline"))
    assert found[1].log == ""
    assert capfd.readouterr() == ("", "")


def test_of_much_output_both_ends_are_kept(one):
    found = results(one, [job(0, "for i in range(300):\n print(f'{i:>7}' * 10_000)")])[0]
    assert found.log.startswith("      0      0")
    assert found.log.endswith("    299    299\n")
    assert f"\n... {300 * 70_001 - 2 * END} bytes left out ...\n" in found.log


@pytest.mark.parametrize("sizes", [[], [10], [END, END], [END, END, 1], [3 * END], [1] * 10, [END - 1, 5 * END, 7]])
def test_a_log_keeps_both_ends(sizes):
    whole, log = b"", Log()
    for i, size in enumerate(sizes):
        content = bytes([65 + i]) * size
        whole += content
        log.add(content)
    left_out = len(whole) - 2 * END
    expected = (
        whole if left_out <= 0 else whole[:END] + f"\n... {left_out} bytes left out ...\n".encode() + whole[-END:]
    )
    assert log.text() == expected.decode()


# -- what a trial does to its process


@pytest.mark.parametrize(
    "code",
    [
        "import os; [os.close(n) for n in (0, 1, 2)]",
        "import sys; sys.stdout.close(); sys.stderr.close(); sys.stdin.close()",
        "import sys; sys.stdout = sys.stderr = None",
        "import os; os.dup2(os.open(os.devnull, os.O_RDWR), 1)",
        "import os; os.chdir('/'); os.environ['NEW'] = 'x'; os.environ.pop('PATH')",
        "import signal; [signal.signal(n, signal.SIG_IGN) for n in (2, 15)]; signal.alarm(1)",
        "import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    ],
)
def test_the_next_trial_finds_everything_as_it_was(one, code):
    look = """
import os, signal, sys
print("out"); print("err", file=sys.stderr); subprocess = os.system("echo system")
print(os.getcwd(), os.environ.get("NEW"), "PATH" in os.environ, signal.getsignal(15) == 0, signal.alarm(0))
"""
    found = results(one, [job(0, code), job(1, look)])
    assert found[0].state == State.DONE
    assert sorted(found[1].log.split("\n")[:3]) == ["err", "out", "system"]
    assert found[1].log.split("\n")[3] == f"{os.getcwd()} None True True 0"


def test_processes_that_a_trial_forks_never_go_on_as_the_worker(one):
    code = """
import os
if (pid := os.fork()) == 0:
    value = 13.0
    {end}
else:
    value = float(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    before = results(one, [job(0, "pass")]) and pids(one)
    found = results(one, [job(0, code.format(end="pass")), job(1, code.format(end="trial.report(3.0, 0); 1 / 0"))])
    assert (found[0].value, found[1].value) == (0.0, 1.0)
    assert "ZeroDivisionError" in found[1].log
    assert found[1].curve == {}
    assert pids(one) == before


def test_fresh_processes_are_used_once():
    executor = make(workers=None, fresh=True)
    try:
        found = results(executor, [job(number, "import os; print(os.getpid())") for number in range(3)])
    finally:
        executor.close()
    assert len({outcome.log for outcome in found.values()}) == 3


# -- its share of the machine


def test_gpus_are_handed_out_in_turn(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 5")
    assert [env["CUDA_VISIBLE_DEVICES"] for env in environments(3)] == ["3", "5", "3"]
    executor = make(workers=2)
    try:
        code = "import os, time; print(os.environ['CUDA_VISIBLE_DEVICES']); time.sleep(1)"
        found = results(executor, [job(number, code) for number in range(2)])
    finally:
        executor.close()
    assert {outcome.log for outcome in found.values()} == {"3\n", "5\n"}


def test_hidden_gpus_stay_hidden_and_others_are_listed(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert environments(1)[0]["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-aa)'\necho 'GPU 1: B (UUID: GPU-bb)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert [env["CUDA_VISIBLE_DEVICES"] for env in environments(3)] == ["GPU-aa", "GPU-bb", "GPU-aa"]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert "CUDA_VISIBLE_DEVICES" not in environments(1)[0]


def test_cores_are_shared_unless_the_user_said_how(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [environments(n)[0]["OMP_NUM_THREADS"] for n in (1, 3, 20)] == ["8", "2", "1"]
    assert environments(3)[0]["MKL_NUM_THREADS"] == "7"


@pytest.mark.ci
def test_workers_are_fresh_interpreters_that_nothing_was_forked_into(one):
    """CUDA cannot be used in a fork of a process that has used it: nothing of this one may be there."""
    import torch

    sys.of_the_parent = torch.ones(1)
    code = """
import os, sys
print(hasattr(sys, "of_the_parent"), "torch" in sys.modules, sys.argv[0])
import torch
print(torch.cuda._is_in_bad_fork(), torch.cuda.is_initialized())
if torch.cuda.is_available():
    value = float(torch.ones(3, device="cuda").sum())
"""
    try:
        if torch.cuda.is_available():
            torch.ones(1, device="cuda")
        found = results(one, [job(0, code)])[0]
    finally:
        del sys.of_the_parent
    assert (found.state, found.log) == (State.DONE, "False False -c\nFalse False\n"), found.error
