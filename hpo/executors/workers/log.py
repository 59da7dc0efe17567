"""What a trial prints: its beginning and its end."""

from typing import Final

END: Final = 32_768  # bytes kept of the beginning, and of the end


class Log:
    """Takes any amount of output in constant memory."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._size = 0
        self._head = bytearray()
        self._tail = bytearray()

    def add(self, content: bytes) -> None:
        """Take more output."""
        self._size += len(content)
        room = END - len(self._head)
        self._head += content[:room]
        self._tail += content[max(0, room) :][-END:]
        if len(self._tail) > 4 * END:
            del self._tail[:-END]

    def text(self) -> str:
        """All of it, or both ends with a line between them; what is no UTF-8 as backslashes."""
        tail = self._tail[-END:]
        if left_out := self._size - len(self._head) - len(tail):
            return f"{_text(self._head)}\n... {left_out} bytes left out ...\n{_text(tail)}"
        return _text(self._head + tail)


def _text(content: bytearray) -> str:
    return content.decode(errors="backslashreplace")
