"""Messages between two processes of ours: pickled, each behind its length."""

import pickle
from io import FileIO
from typing import Any

_HEADER = 8  # bytes of the length


def frame(content: bytes) -> bytes:
    """A pickled message as it goes through the pipe."""
    return len(content).to_bytes(_HEADER, "little") + content


def write(file: FileIO, content: bytes) -> None:
    """Write all of `content`; an unbuffered file takes as much at once as it likes."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def send(file: FileIO, message: object) -> None:
    """Write a message."""
    write(file, frame(pickle.dumps(message)))


def receive(file: FileIO) -> Any:
    """The next message.

    Raises:
        EOFError: the other end is closed, or, where the file does not block, the message is not there as a whole.
    """
    return pickle.loads(_exactly(file, int.from_bytes(_exactly(file, _HEADER), "little")))  # noqa: S301 # our own


def _exactly(file: FileIO, size: int) -> bytearray:
    parts = bytearray()
    while len(parts) < size:
        part = file.read(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return parts
