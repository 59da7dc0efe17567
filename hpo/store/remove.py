"""Studies and comparisons are taken out of a store."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hpo.live_trial import study_folder
from hpo.store.store import Store, now_ms

KEEPER = ""  # the name of no study: its row keeps the uses of test data of those that were removed
_TABLES = ("winners", "user_attrs", "logs", "evaluations", "trials", "events", "runs")


def remove(store: Store, studies: Sequence[int], comparisons: Sequence[int] = ()) -> None:
    """Take studies out, and comparisons whose runs are among them, in one transaction.

    How often test data was used is a promise to the studies that stay: those rows stay, too.

    Args:
        store: opened for writing.
        studies: ids; nobody drives one of them.
        comparisons: ids.
    """
    with store.db.transaction() as db:
        for comparison in comparisons:
            for table in ("comparison_runs", "looks"):
                db.execute(f"DELETE FROM {table} WHERE comparison = ?", (comparison,))  # noqa: S608  (fixed)
            db.execute("DELETE FROM comparisons WHERE id = ?", (comparison,))
        for study in studies:
            if db.execute("SELECT 1 FROM tests WHERE study = ?", (study,)).fetchone():
                db.execute("UPDATE tests SET study = ? WHERE study = ?", (keeper(db), study))
            for table in _TABLES:
                db.execute(f"DELETE FROM {table} WHERE study = ?", (study,))  # noqa: S608  (fixed)
            db.execute("DELETE FROM studies WHERE id = ?", (study,))


@contextlib.contextmanager
def files_of(store: Store, studies: Sequence[int]) -> Iterator[None]:
    """Files of trials of studies that are removed inside the block: gone when it ends, back if it fails.

    They get another name first, since the next study may get the number of a removed one.
    """
    moved: list[tuple[Path, Path]] = []
    try:
        for study in studies:
            folder = study_folder(store.files, study)
            if folder.is_dir() and not folder.is_symlink():
                aside = folder.with_name(f".removed-{study}-{os.getpid()}")
                folder.rename(aside)
                moved.append((folder, aside))
        yield
    except BaseException:
        for folder, aside in moved:
            aside.rename(folder)
        raise
    for _, aside in moved:
        shutil.rmtree(aside, ignore_errors=True)


def keeper(db: Any) -> int:
    """The id of the row that keeps uses of test data; made when it is first needed."""
    found = db.execute("SELECT id FROM studies WHERE name = ?", (KEEPER,)).fetchone()
    if found is None:
        sql = "INSERT INTO studies (name, spec, enqueued, created_ms) VALUES (?, '{}', 0, ?)"
        return int(db.execute(sql, (KEEPER, now_ms())).lastrowid)
    return int(found[0])
