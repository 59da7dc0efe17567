"""The study store: one SQLite file, written by one driver per study and read by anyone.

the file      place, filesystem, refusal: where it is and whether it can be used; lock: who drives a study
              database: connections, transactions, errors; version: other schemas; damage: what is said of it
its content   schema: the tables; codec: values in columns; rows: records made of rows
              reader, store: studies; told: trials of other studies; comparisons; remove
one study     scratch: a temporary database; stored_copy: a study in one, as lines of JSON, and into a store
              transfer, checked_json: a study from lines that nobody vouches for
its health    backup: a copy of it; untouched: read without a change
              invariants: what is true of every study; examine: `hpo doctor`
a rescue      of pages (pages) the rows (rescue), of rows studies (mend), of studies a new store (salvage)
"""

from hpo.store.store import Store, default_path

__all__ = ["Store", "default_path"]
