"""The study store: one SQLite file, written by one driver per study and read by anyone."""

from hpo.store.store import Store, default_path

__all__ = ["Store", "default_path"]
