"""What signals do to a run."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from hpo.errors import Interrupt
from hpo.signals import listen_again, listening
from hpo.store.untouched import new_store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def handlers():
    return [signal.getsignal(number) for number in HEARD]


def test_the_first_ctrl_c_asks_to_stop_and_says_so():
    notes = []
    with listening(notes.append) as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
    assert len(notes) == 1
    assert "again" in notes[0]


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 143),
        ([signal.SIGINT, signal.SIGTERM], 143),
    ],
)
def test_more_end_the_run_where_it_is(numbers, code):
    def receive():
        with listening(lambda line: None):
            for number in numbers:
                os.kill(os.getpid(), number)

    with pytest.raises(Interrupt) as caught:
        receive()
    assert caught.value.exit_code == code


def test_no_objective_swallows_an_interrupt():
    assert not issubclass(Interrupt, Exception)


def test_a_note_that_cannot_be_printed_ends_nothing():
    def reentrant(line):
        raise RuntimeError("reentrant call")

    with listening(reentrant) as stop:
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.requested


def test_handlers_are_put_back():
    before = handlers()
    with listening(lambda line: None):
        assert handlers() != before
    assert handlers() == before
    with pytest.raises(ValueError, match="inside"), listening(lambda line: None):
        raise ValueError("inside")
    assert handlers() == before


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        with listening(lambda line: None) as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_changes():
    found = []

    def work():
        with listening(lambda line: None) as stop:
            found.append((handlers(), stop.requested))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(handlers(), False)]


def test_a_third_signal_ends_the_process_at_once():
    code = """
import os, signal
from hpo.errors import Interrupt
from hpo.signals import listen_again, listening
with listening(lambda line: None):
    for _ in range(3):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except Interrupt:
            pass
print("never printed")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (130, "")


def test_handlers_that_somebody_has_replaced_come_back_when_asked_for():
    with listening(lambda line: None) as stop:
        ours = handlers()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        listen_again()
        assert handlers() == ours
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
    before = handlers()
    listen_again()  # nobody listens: nothing to bring back
    assert handlers() == before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_store_that_is_being_written_is_cleared_away_by_a_signal(tmp_path, name):
    before = signal.getsignal(getattr(signal, name))

    def write():
        with new_store(str(tmp_path / "copy.db"), overwrite=False) as file:
            file.write(b"half")
            os.kill(os.getpid(), getattr(signal, name))

    with pytest.raises(Interrupt):
        write()
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(getattr(signal, name)) is before
