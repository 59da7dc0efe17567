"""What is wrong with a study of a store, read as `hpo doctor` reads it."""

import contextlib
from pathlib import Path

from hpo.store.invariants import Violation, unreadable, violations
from hpo.store.untouched import Untouched


def wrong(path: Path, study: int) -> list[Violation]:
    """Everything that hpo did not write, of the study with this id; empty: it is sound."""
    with contextlib.closing(Untouched(path)) as db:
        return [*violations(db, study), *unreadable(db, study)]
