"""`hpo backup`: a copy of a store."""

import os
from pathlib import Path

import click

from hpo.cli import options, render


@click.command("backup")
@click.argument("out", type=click.Path(dir_okay=False, readable=False))
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@options.store
@options.as_json
def command(out: str, force: bool, store: str | None, as_json: bool) -> None:
    """Copy the store into the file OUT, which is a store itself; also while studies run, which wait that long.

    The copy holds what was saved at one moment, and is checked before it gets its name. Files that trials keep beside
    the store (STORE-files) are not part of it. A plain `cp` of a store in use can give half a transaction.
    """
    from hpo.errors import UsageError
    from hpo.store import Store
    from hpo.store.backup import back_up
    from hpo.store.untouched import new_store

    opened = Store(store)
    if os.path.exists(out) and os.path.samefile(out, opened.path):
        raise UsageError(f"{out!r} is the store itself: name another file")
    with new_store(out, overwrite=force) as file:
        back_up(opened.db, Path(file.name))
    size, studies = os.path.getsize(out), len(Store(out).studies())
    if as_json:
        render.emit_json({"store": str(opened.path), "backup": out, "bytes": size, "studies": studies})
    else:
        render.line(f"{out}: {studies} {'study' if studies == 1 else 'studies'}, {size / 2**20:.1f} MiB, checked")
