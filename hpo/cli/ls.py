"""`hpo ls`: what is in a store."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import options, render
from hpo.text import states_text

if TYPE_CHECKING:
    from hpo.store import Store
    from hpo.store.comparisons import ComparisonRow, Comparisons
    from hpo.store.reader import StudyRow


@click.command("ls")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="The latest so many studies and comparisons.",
)
@click.option("--all", "everything", is_flag=True, help="The studies of comparisons, too.")
@options.store
@options.as_json
def command(limit: int, everything: bool, store: str | None, as_json: bool) -> None:
    """List the studies of a store, oldest first, and its comparisons, whose studies are left out."""
    from hpo.store import Store
    from hpo.store.comparisons import Comparisons
    from hpo.store.damage import blaming

    opened = Store(store)
    comparisons = Comparisons(opened)
    hidden = set() if everything else comparisons.studies()
    with blaming(opened.path):
        rows = [row for row in opened.studies() if row.id not in hidden]
        made = comparisons.all()
        data = [_study(row, opened) for row in rows[-limit:]]
        compared = [_comparison(row, comparisons) for row in made[-limit:]]
    if as_json:
        render.emit_json(data + compared)
        return
    if not data and not compared:
        render.line(f"no study yet in {opened.path}: `hpo run` makes one")
        return
    if data:
        head = ["study", "searcher", "trials", "best", "created"]
        render.table(
            head, [[d["name"], d["searcher"], states_text(d["states"]), d["best"], d["created"]] for d in data]
        )
    if compared:
        head = ["comparison", "tasks", "searchers", "seeds", "runs", "created"]
        render.table(head, [[c["comparison"], *(", ".join(c[k]) for k in head[1:3]), *_rest(c)] for c in compared])
    cut = [f"{len(of)} {what}" for of, what in ((rows, "studies"), (made, "comparisons")) if len(of) > limit]
    if cut:
        render.line(f"the latest {limit} of {' and of '.join(cut)}; --limit shows more")


def _study(row: StudyRow, store: Store) -> dict[str, Any]:
    """A study as one JSON object."""
    best = store.best(row.id, row.spec["direction"])
    return {
        "name": row.name,
        "searcher": row.spec["searcher"],
        "states": store.counts(row.id),
        "best": best.value if best else None,
        "created": _time(row.created_ms),
    }


def _comparison(row: ComparisonRow, comparisons: Comparisons) -> dict[str, Any]:
    """A comparison as one JSON object."""
    from hpo.store.comparisons import REFERENCE

    runs = [run for run in comparisons.runs(row.id) if run.searcher != REFERENCE]
    return {
        "comparison": row.name,
        "tasks": list(row.plan["tasks"]),
        "searchers": list(row.plan["searchers"]),
        "seeds": row.plan["seeds"],
        "runs": len(runs),
        "ended": sum(run.ended is not None for run in runs),
        "created": _time(row.created_ms),
    }


def _rest(found: dict[str, Any]) -> list[Any]:
    """The last cells of its row."""
    return [found["seeds"], f"{found['ended']} of {found['runs']} ended", found["created"]]


def _time(ms: int) -> str:
    """A time in UTC."""
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).isoformat("T", "seconds")
