"""The pages of an SQLite file, read one by one as its format says, where SQLite itself gives up.

A file is a row of pages; each table and index is a tree of them. Rows stand in the cells of a page, so every page that
is whole gives its rows, whatever became of the others. https://www.sqlite.org/fileformat2.html
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hpo.files import DATABASE

HEADER: Final = 100  # bytes at the beginning of page 1
SIZES: Final = (4096, 8192, 16384, 32768, 65536, 1024, 2048, 512)  # of pages, the usual one first
INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13  # types of pages
SAMPLE: Final = 2**24  # bytes of a file that are looked at where it does not say how large a page is
MAX_PAYLOAD: Final = 2**28  # bytes of a row: hpo writes none that is near it
_FIXED: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}  # serial type to bytes

Value = int | float | str | bytes | None


class BadCellError(ValueError):
    """Bytes that are no row."""


@dataclass(frozen=True)
class Cell:
    """One row of a page.

    Attributes:
        rowid: its key; None in an index or a table without.
        values: the columns as they are stored.
    """

    rowid: int | None
    values: tuple[Value, ...]


class Pages:
    """The pages of a file, numbered from 1.

    Args:
        data: the whole file.

    Attributes:
        size: of a page in bytes: as the header says, or the likeliest where it says nothing sensible.
        count: how many there are.
        intact_header: whether the file begins as an SQLite file does.
    """

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = memoryview(data)
        told = bytes(self._data[:HEADER])
        self.intact_header = told[:16] == DATABASE and _size(told) in SIZES
        self.size = _size(told) if self.intact_header else self._likeliest()
        reserved = told[20] if self.intact_header and told[20] <= self.size - 480 else 0
        self.usable = self.size - reserved
        self.count = -(-len(self._data) // self.size)

    def _likeliest(self) -> int:
        """The size of pages with which the most rows can be read."""

        def rows(size: int) -> int:
            self.size = self.usable = size
            self.count = -(-len(self._data) // size)
            pages = min(self.count, SAMPLE // size)
            return sum(1 for number in range(1, pages + 1) for _ in self.cells(number))

        return max(SIZES, key=rows)

    def close(self) -> None:
        """Let go of the file."""
        self._data.release()

    def page(self, number: int) -> memoryview:
        """The bytes of a page; of one that is not there, none."""
        return self._data[(number - 1) * self.size : number * self.size]

    def kind(self, number: int) -> int:
        """The type of a page; 0 where it is none of a tree."""
        page, at = self.page(number), self._begin(number)
        found = page[at] if len(page) > at + 8 else 0
        return found if found in (INDEX_INNER, TABLE_INNER, INDEX_LEAF, TABLE_LEAF) else 0

    def children(self, number: int) -> list[int]:
        """Pages below a page, of those that exist."""
        kind, page, at = self.kind(number), self.page(number), self._begin(number)
        if kind not in (INDEX_INNER, TABLE_INNER) or len(page) < at + 12:
            return []
        found = [struct.unpack_from(">I", page, at + 8)[0]]
        for offset in self._pointers(number):
            if offset + 4 <= len(page):
                found.append(struct.unpack_from(">I", page, offset)[0])
        return [child for child in found if 1 < child <= self.count]

    def cells(self, number: int) -> Iterator[Cell]:
        """The rows of a page that can be read."""
        kind = self.kind(number)
        if kind in (0, TABLE_INNER):
            return
        for offset in self._pointers(number):
            try:
                yield self._cell(number, kind, offset)
            except (BadCellError, IndexError, struct.error, UnicodeDecodeError, OverflowError):
                continue

    def free(self) -> set[int]:
        """Pages that hold nothing any more."""
        found: set[int] = set()
        if not self.intact_header or len(self._data) < HEADER:
            return found
        trunk = struct.unpack_from(">I", self._data, 32)[0]
        while 1 < trunk <= self.count and trunk not in found:
            found.add(trunk)
            page = self.page(trunk)
            if len(page) < 8:
                break
            trunk, n = struct.unpack_from(">II", page, 0)
            if n <= (len(page) - 8) // 4:
                found.update(struct.unpack_from(f">{n}I", page, 8))
        return found

    # -- inner part

    def _begin(self, number: int) -> int:
        return HEADER if number == 1 else 0

    def _pointers(self, number: int) -> Iterator[int]:
        """Where the cells of a page begin."""
        page, at = self.page(number), self._begin(number)
        count = struct.unpack_from(">H", page, at + 3)[0]
        first = at + (12 if page[at] in (INDEX_INNER, TABLE_INNER) else 8)
        for i in range(min(count, (len(page) - first) // 2)):
            offset = struct.unpack_from(">H", page, first + 2 * i)[0]
            if first <= offset < len(page):
                yield offset

    def _cell(self, number: int, kind: int, at: int) -> Cell:
        page = self.page(number)
        at += 4 if kind == INDEX_INNER else 0
        total, at = varint(page, at)
        rowid = None
        if kind == TABLE_LEAF:
            rowid, at = varint(page, at)
        if not 0 < total <= min(MAX_PAYLOAD, len(self._data)):
            raise BadCellError
        return Cell(rowid, record(self._payload(page, at, total, kind == TABLE_LEAF)))

    def _payload(self, page: memoryview, at: int, total: int, leaf: bool) -> bytes:
        usable = self.usable
        most = usable - 35 if leaf else (usable - 12) * 64 // 255 - 23
        if total <= most:
            return _taken(page, at, total)
        least = (usable - 12) * 32 // 255 - 23
        local = least + (total - least) % (usable - 4)
        local = local if local <= most else least
        parts = [_taken(page, at, local)]
        following = struct.unpack_from(">I", page, at + local)[0]
        left, seen = total - local, set()
        while left > 0:
            if not 1 < following <= self.count or following in seen:
                raise BadCellError
            seen.add(following)
            more = self.page(following)
            part = _taken(more, 4, min(left, usable - 4))
            following = struct.unpack_from(">I", more, 0)[0]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def _size(header: bytes) -> int:
    found = int.from_bytes(header[16:18], "big")
    return 65536 if found == 1 else found


def _taken(page: memoryview, at: int, count: int) -> bytes:
    found = bytes(page[at : at + count])
    if len(found) < count:
        raise BadCellError
    return found


def varint(data: memoryview | bytes, at: int) -> tuple[int, int]:
    """An integer of variable length as two's complement in 64 bits, and where it ends."""
    value = 0
    for i in range(8):
        byte = data[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value, at + 9


def record(payload: bytes) -> tuple[Value, ...]:
    """The columns of a row.

    Raises:
        BadCellError: it is none: the lengths do not add up.
    """
    end, at = varint(payload, 0)
    if not 1 <= end <= len(payload):
        raise BadCellError
    kinds = []
    while at < end:
        kind, at = varint(payload, at)
        kinds.append(kind)
    if at != end:
        raise BadCellError
    values: list[Value] = []
    for kind in kinds:
        length = _FIXED[kind] if kind in _FIXED else (kind - 12) // 2
        if kind in (10, 11) or kind < 0 or at + length > len(payload):
            raise BadCellError
        data = payload[at : at + length]
        at += length
        if kind == 0:
            values.append(None)
        elif kind == 7:
            values.append(struct.unpack(">d", data)[0])
        elif kind < 10:
            values.append(kind - 8 if kind >= 8 else int.from_bytes(data, "big", signed=True))
        else:
            values.append(data.decode() if kind % 2 else data)
    if at != len(payload):
        raise BadCellError
    return tuple(values)
