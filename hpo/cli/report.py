"""`hpo report`: studies and comparisons as one page, or as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from hpo.cli import options, render

if TYPE_CHECKING:
    from hpo.report.figure import Table
    from hpo.report.page import Section


@click.command("report")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "-o", "--output", type=click.Path(readable=False), metavar="FILE", help="Write one HTML file, complete in itself."
)
@click.option("--force", is_flag=True, help="Write over an existing file.")
@options.store
@options.as_json
def command(names: tuple[str, ...], output: str | None, force: bool, store: str | None, as_json: bool) -> None:
    """Report on studies and comparisons NAME (default: the latest): verdict, figures with captions and data, trials.

    With -o a page that opens in any browser, without network; without, the data of its figures as tables.
    """
    from hpo.files import check_new
    from hpo.report.build import sections, write_report

    if output is None:
        if force:
            raise click.UsageError("--force is for -o FILE", click.get_current_context())
        found = [section for section in sections(_subjects(names, store)) if not section.folded]
        render.emit_json([_data(section) for section in found]) if as_json else _print(found)
        return
    check_new(output, force)
    found = write_report(_subjects(names, store), output, force)
    figures = sum(len(section.figures) for section in found)
    if as_json:
        render.emit_json({"path": output, "figures": figures})
    else:
        render.line(
            f"{output}: {figures} figure{'s' * (figures != 1)} on {', '.join(s.name for s in found if not s.folded)}"
        )


def _subjects(names: Sequence[str], path: str | None) -> list[Any]:
    """Studies and comparisons by name, both where both are called so; without a name what was made last."""
    from hpo import load_comparison
    from hpo.errors import NotFoundError, did_you_mean
    from hpo.store import Store
    from hpo.store.comparisons import Comparisons
    from hpo.study import load_study
    from hpo.text import composed

    store = Store(path)
    comparisons, runs = Comparisons(store).all(), Comparisons(store).studies()
    studies = store.studies()
    if not names:
        made = [(row.id, row.name) for row in studies if row.id not in runs]  # numbers tell the order: clocks jump
        for row in comparisons[-1:]:
            made.append((min((run.study for run in Comparisons(store).runs(row.id)), default=0), row.name))
        if not made:
            raise NotFoundError(f"store {store.path} has no study yet: `hpo run` makes one")
        names = [max(made)[1]]
    found: list[Any] = []
    for name in dict.fromkeys(names):
        spellings = (name, composed(name))
        known: list[Any] = [load_comparison(row.name, path) for row in comparisons if row.name in spellings]
        known += [load_study(row.name, path) for row in studies if row.name in spellings]
        if not known:
            own = {row.name for row in studies if row.id not in runs}
            near = did_you_mean(name, {row.name for row in comparisons} | own)
            raise NotFoundError(f"no study or comparison {name!r} in store {store.path}: {near}")
        found += known
    return found


def _data(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.title,
        "facts": section.facts,
        "verdict": section.sentences,
        "figures": [
            {
                "key": f.key,
                "title": f.title,
                "caption": f.caption,
                "reading": f.reading,
                "head": f.table.head,
                "rows": f.table.rows,
            }
            for f in section.figures
        ],
    }


def _print(found: Sequence[Section]) -> None:
    for index, section in enumerate(found):
        if index:
            render.line()
        render.line(section.title)
        render.line()
        for sentence in section.sentences:
            render.paragraph(sentence)
        render.facts(section.facts)
        for figure in section.figures:
            render.line()
            render.paragraph(f"{figure.title}. {figure.caption}")
            _print_table(figure.table)


def _print_table(table: Table) -> None:
    """Print a table, and rows whose text has several lines after it."""
    long = [row for row in table.rows if any(isinstance(cell, str) and "\n" in cell for cell in row)]
    render.table(table.head, [row for row in table.rows if row not in long])
    for row in long:
        for cell in row:
            render.line(str(cell))
