"""What a damaged store still holds: the rows of every page that can be read."""

import re
from collections.abc import Iterator
from typing import Final

from hpo.errors import DataError
from hpo.store import codec
from hpo.store.database import Row
from hpo.store.pages import Cell, Pages
from hpo.store.schema import SCHEMA
from hpo.store.scratch import Scratch

_DEFINITION: Final = re.compile(r"CREATE TABLE (\w+) \((.*?)\n\) STRICT(, WITHOUT ROWID)?;", re.DOTALL)
_COLUMN: Final = re.compile(r"^    (\w+) +(INTEGER|TEXT|REAL)(.*)$", re.MULTILINE)
_KINDS: Final = {"INTEGER": (int,), "TEXT": (str,), "REAL": (int, float)}
_INDEX_OF_TRIALS: Final = ("trials_by_state", "trials_by_value", "evaluations_by_trial")  # say which trials there were


class Table:
    """A table of the schema: how its rows look in a page.

    Attributes:
        name: of the table.
        columns: name to the types that a value may have as it is stored.
        keyed: whether rows have a rowid.
    """

    def __init__(self, name: str, body: str, keyed: bool) -> None:
        self.name = name
        self.keyed = keyed
        self.columns: dict[str, tuple[type, ...]] = {}
        for column, kind, rest in _COLUMN.findall(body):
            null = () if "NOT NULL" in rest else (type(None),)
            self.columns[column] = (*_KINDS[kind], *null)
        self._own_key = "PRIMARY KEY" in body.partition("\n    name")[0]  # the rowid under a name of its own

    def row(self, cell: Cell) -> Row | None:
        """A cell as a row of this table; None: it is none."""
        values = list(cell.values)
        if (cell.rowid is not None) is not self.keyed or len(values) != len(self.columns):
            return None
        if self._own_key and self.keyed:
            if values[0] is not None:
                return None
            values[0] = cell.rowid
        if not all(type(value) in kinds for value, kinds in zip(values, self.columns.values(), strict=True)):
            return None
        found = dict(zip(self.columns, values, strict=True))
        return found if self._own_key or not self.keyed else found | {"rowid": cell.rowid}  # which keeps their order


TABLES: Final = {name: Table(name, body, not keyless) for name, body, keyless in _DEFINITION.findall(SCHEMA)}


class Rescued:
    """The rows of a damaged file, in a temporary database without any promise between them.

    Attributes:
        db: the rows.
        unread: pages of the file that are no part of it any more: cut off, zeroed, or nothing that SQLite writes.
    """

    def __init__(self, pages: Pages) -> None:
        self.db = Scratch()
        self.db.execute("CREATE TABLE known (study INTEGER, number INTEGER, evaluation INTEGER)")
        self._pages = pages
        self._seen: set[int] = pages.free()
        self._roots = self._read_roots()
        for name, root in sorted(self._roots.items()):
            self._read_tree(name, root)
        self._read_orphans()

    def lost(self, study: int) -> tuple[int, int]:
        """How many trials and evaluations an index or another row tells of, which are not there."""
        trials = self.db.query(
            "SELECT count(*) AS n FROM (SELECT number FROM known WHERE study = :study AND number IS NOT NULL"
            " UNION SELECT number FROM evaluations WHERE study = :study"
            " EXCEPT SELECT number FROM trials WHERE study = :study)", {"study": study}
        )[0]["n"]  # fmt: skip
        evaluations = self.db.query(
            "SELECT count(*) AS n FROM (SELECT evaluation FROM known WHERE study = :study AND evaluation IS NOT NULL"
            " UNION SELECT evaluation FROM logs WHERE study = :study"
            " EXCEPT SELECT id FROM evaluations WHERE study = :study)", {"study": study}
        )[0]["n"]  # fmt: skip
        return trials, evaluations

    def _read_roots(self) -> dict[str, int]:
        """Table or index to the first page of its tree."""
        found = {}
        for number in self._walk(1):
            for cell in self._pages.cells(number):
                if cell.rowid is not None and len(cell.values) == 5:
                    _, name, _, root, _ = cell.values
                    if isinstance(name, str) and isinstance(root, int) and 1 < root <= self._pages.count:
                        found[name] = root
        return found

    def _walk(self, root: int) -> Iterator[int]:
        """The pages of a tree that nothing else has claimed."""
        waiting = [root]
        while waiting:
            number = waiting.pop()
            if number in self._seen or not self._pages.kind(number):
                continue
            self._seen.add(number)
            yield number
            waiting += self._pages.children(number)

    def _read_tree(self, name: str, root: int) -> None:
        for number in self._walk(root):
            for cell in self._pages.cells(number):
                self._note(name, cell) if name not in TABLES else self._keep(name, cell)

    def _read_orphans(self) -> None:
        """Pages that hung below one that is lost: what they hold is told by how it looks."""
        for number in range(1, self._pages.count + 1):
            if number in self._seen or not self._pages.kind(number):
                continue
            cells = list(self._pages.cells(number))
            for cell in cells:
                if (name := _table_of(cell, cells)) is not None:
                    self._keep(name, cell)
                elif len(cell.values) == 3:
                    self._note("", cell)

    def _keep(self, name: str, cell: Cell) -> None:
        row = TABLES[name].row(cell)
        if row is not None:
            try:
                self.db.insert(name, [row], "OR IGNORE")  # the first one of a key was in the table's own tree
            except DataError:  # of the right types, and not what hpo writes
                return

    def _note(self, index: str, cell: Cell) -> None:
        """What an entry of an index tells of a row."""
        values = cell.values
        if not values or not all(isinstance(value, int) for value in (values[0], values[-1])):
            return
        number = values[1] if index == "evaluations_by_trial" else values[-1] if index in _INDEX_OF_TRIALS else None
        evaluation = values[-1] if index.startswith("evaluations") else None
        if index == "" and type(values[1]) is int:
            evaluation = values[-1]
        elif index == "" and type(values[1]) is str:
            number = values[-1]
        if type(number) is int or type(evaluation) is int:
            self.db.execute("INSERT INTO known VALUES (?, ?, ?)", (values[0], number, evaluation))


def _table_of(cell: Cell, cells: list[Cell]) -> str | None:
    """The table whose rows look like a cell; None: it is of an index, or of none."""
    found = [name for name, table in TABLES.items() if table.row(cell) is not None]
    if found == ["logs", "user_attrs"]:  # alike but for what is in the text
        return "user_attrs" if codec.readable(*(other.values[-1] for other in cells)) else "logs"
    return found[0] if len(found) == 1 else None
