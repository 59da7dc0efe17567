"""Whether a store's schema is this version's, or one that can be read all the same."""

import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.environment import own_version
from hpo.errors import DataError
from hpo.store.damage import way_out
from hpo.store.schema import APPLICATION_ID, VERSION

_LONGEST_VERSION = 40  # characters


@dataclass(frozen=True)
class Schema:
    """What a database consists of.

    Attributes:
        objects: (kind, name) to definition, without comments and SQLite's own tables and indexes.
        columns: table to the names of its columns.
    """

    objects: Mapping[tuple[str, str], str]
    columns: Mapping[str, set[str]]


def schema_of(connection: Any) -> Schema:
    """The schema of the database that an SQLite connection has open."""
    rows = connection.execute(  # of a damaged file anything may be a number, or bytes
        "SELECT CAST(type AS TEXT), CAST(name AS TEXT), CAST(coalesce(sql, '') AS TEXT) FROM sqlite_master"
    ).fetchall()
    objects = {
        (kind, name): " ".join(re.sub("--.*", "", sql).split())
        for kind, name, sql in rows
        if not (kind in ("table", "index") and name.startswith("sqlite_"))
    }
    columns = {name: _columns(connection, name) for kind, name in objects if kind == "table"}
    return Schema(objects, columns)


def check(connection: Any, expected: Schema, path: Path, *, writable: bool) -> None:
    """Raise DataError unless a file is a store of this version, or a newer one that can be read for the time being.

    Args:
        connection: to the file.
        expected: this version's schema.
        path: the file, for messages.
        writable: whether it is to be written, which only this version's is.
    """
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != APPLICATION_ID:
        raise DataError(
            f"{path} is another program's SQLite file (application_id {application}): "
            "it is left as it is; name another store with --store"
        )
    found = schema_of(connection)
    if version != VERSION:
        age = "a newer" if version > VERSION else "an older"
        writer = _writer(connection, found) or f"{age} hpo"
        said = f"store {path} has schema {version}, written by {writer}; this is hpo {own_version()}"
        if version < VERSION or writable:
            verb = "writes" if writable else "reads"
            raise DataError(f"{said}, which {verb} schema {VERSION}: install {age} hpo for it, or use another store")
        if lacking := _lacking(found, expected):
            raise DataError(f"{said}, which reads schema {VERSION} and misses {lacking}: install {age} hpo for it")
        warnings.warn(f"{said}: it is read as far as this hpo knows it, and cannot be written", stacklevel=1)
    elif strange := sorted(name for name, _ in found.objects.items() ^ expected.objects.items()):
        (kind, name) = strange[0]
        raise DataError(
            f"store {path}: unexpected, missing or altered {kind} {name!r}: another program changed the file; "
            f"{way_out(path)}"
        )


def _columns(connection: Any, table: str) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}


def _lacking(found: Schema, expected: Schema) -> str | None:
    """What a newer store has not that this version reads; None: it only has more."""
    for kind, name in expected.objects:
        if (kind, name) not in found.objects:
            return f"{kind} {name!r}"
        if kind == "index" and found.objects[kind, name] != expected.objects[kind, name]:  # queries name their indexes
            return f"index {name!r} as it was"
        if kind == "table" and (columns := expected.columns[name] - found.columns[name]):
            return f"column {min(columns)!r} of table {name!r}"
    return None


def _writer(connection: Any, found: Schema) -> str | None:
    """The hpo that wrote the store last, if a store of another version tells."""
    if not {"environment", "started_ms"} <= found.columns.get("runs", set()):
        return None
    rows = connection.execute("SELECT environment FROM runs ORDER BY started_ms DESC LIMIT 1").fetchall()
    try:
        version = json.loads(rows[0][0])["packages"]["hpo-arena"]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    return f"hpo {version}" if isinstance(version, str) and len(version) <= _LONGEST_VERSION else None
