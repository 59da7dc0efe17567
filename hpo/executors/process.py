"""An interpreter of its own at the other end of two pipes.

It is started afresh, so the user's program needs no `if __name__ == "__main__"` and nothing is forked amid threads; it
ends when its pipe does, however this process ended. A thread here reads what it sends.
"""

from __future__ import annotations

import contextlib
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any, cast

from hpo.executors import frames


class Process:
    """The side that starts it.

    Args:
        program: Python text that it runs. Its standard input carries messages to it, see `frames`, its output others
            back.
        setup: the first message to it, pickled.
        inbox: takes (this, message) for each message, (this, None) at its end.
        cwd: its working directory; None: this one's.
        env: its environment; None: this one's.
        stderr: as for `subprocess.Popen`.

    Attributes:
        ready: whether it has begun to listen; kept by the owner.
    """

    def __init__(
        self,
        program: str,
        setup: bytes,
        inbox: queue.SimpleQueue[Any],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stderr: int | None = None,
    ) -> None:
        self.ready = False
        self._process = subprocess.Popen(  # noqa: S603 # ourselves
            [sys.executable, "-c", program],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=cwd,
            env=env,
            start_new_session=True,  # Ctrl-C is for this process
        )
        self._commands, self._answers = cast(FileIO, self._process.stdin), cast(FileIO, self._process.stdout)
        self._inbox = inbox
        self._reader = threading.Thread(target=self._read, args=(setup,), name="hpo-process", daemon=True)
        self._reader.start()

    @property
    def code(self) -> int:
        """How its process ended, as `subprocess` counts; see `Reason.died`."""
        return self._process.returncode

    def send(self, message: object) -> None:
        """Send a message; one that is gone already does not matter here, since the reader tells."""
        self._write(pickle.dumps(message))

    def stop(self) -> None:
        """Tell it to end; at once if it has no state to clean up."""
        if not self.ready:
            self.kill()
        with contextlib.suppress(OSError):  # it is gone already
            self._commands.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self, patience: float) -> None:
        """Wait for its end, at most `patience` seconds, after which it is killed."""
        self.stop()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self._reader.join()
        self._answers.close()

    def _write(self, content: bytes) -> None:
        try:
            frames.write(self._commands, frames.frame(content))
        except (OSError, ValueError):  # it is gone or closed, which the reader tells
            return
        except BaseException:  # an interrupt: half a message would be taken for the beginning of the next
            self.kill()
            raise

    def _read(self, setup: bytes) -> None:
        self._write(setup)  # takes until the interpreter has started; nothing else is sent before it is ready
        try:
            while True:
                message = self._receive()
                self._inbox.put((self, message))
        except EOFError:  # it ends
            pass
        except Exception:  # whatever cannot be read, nothing after it can
            self.kill()
        finally:
            self._inbox.put((self, None))

    def _receive(self) -> Any:
        return frames.receive(self._answers)
