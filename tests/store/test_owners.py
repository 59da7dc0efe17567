"""Whether somebody drives a study is asked without keeping anybody out."""

import subprocess
import sys

from hpo.store.lock import DriverLock, is_held


def test_a_lock_is_held_as_long_as_its_process_lives(tmp_path):
    path = tmp_path / "lock"
    assert not is_held(path)
    code = "import sys; from hpo.store.lock import DriverLock; from pathlib import Path\n"
    code += "lock = DriverLock(Path(sys.argv[1])); lock.acquire(); print('locked', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "locked\n"
        assert is_held(path)
    finally:
        process.kill()
        process.communicate()
    assert path.exists()
    assert not is_held(path)
    assert path.exists()


def test_asking_keeps_nobody_out(tmp_path):
    lock = DriverLock(tmp_path / "lock")
    assert lock.acquire()
    assert is_held(lock.path)
    lock.release()
    lock.path.touch()
    assert not is_held(lock.path)
    assert lock.acquire()
    lock.release()
