"""`hpo ls`: what is in a store."""

import datetime

import click

from hpo.cli import options, render


@click.command("ls")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The latest so many studies.")
@options.store
@options.as_json
def command(limit: int, store: str | None, as_json: bool) -> None:
    """List the studies of a store, oldest first."""
    from hpo.store import Store

    opened = Store(store)
    rows = opened.studies()
    data = []
    for row in rows[-limit:]:
        best = opened.best(row.id, row.spec["direction"])
        data.append(
            {
                "name": row.name,
                "searcher": row.spec["searcher"],
                "states": opened.counts(row.id),
                "best": best.value if best else None,
                "created": datetime.datetime.fromtimestamp(row.created_ms / 1000, datetime.UTC).isoformat(
                    "T", "seconds"
                ),
            }
        )
    if as_json:
        render.emit_json(data)
        return
    if not data:
        render.line(f"no study yet in {opened.path}: `hpo run` makes one")
        return
    table = [
        [
            d["name"],
            d["searcher"],
            ", ".join(f"{n} {s}" for s, n in sorted(d["states"].items())),
            d["best"],
            d["created"],
        ]
        for d in data
    ]
    render.table(["study", "searcher", "trials", "best", "created"], table)
    if len(rows) > limit:
        render.line(f"the latest {limit} of {len(rows)} studies; --limit shows more")
