"""Studies and trials as HTML for notebooks; every foreign text is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hpo.text import duration, number, printable, states_text, value_text
from hpo.trial import Trial

if TYPE_CHECKING:
    from hpo.stored_study import StoredStudy

ROWS = 20


def _text(text: str) -> str:
    """Neither markup nor characters that turn the line round."""
    return escape(printable(text))


def _table(head: list[str], rows: list[list[str]]) -> str:
    cells = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def trial_html(trial: Trial) -> str:
    """One trial as a table of its facts and hyperparameters."""
    rows = [
        ["state", str(trial.state) + (f" ({trial.reason})" if trial.reason else "")],
        ["value", number(trial.value)],
        ["epochs", str(trial.epochs)],
        ["time", duration(trial.seconds)],
        *[[name, value_text(value)] for name, value in trial.params.items()],
    ]
    return _table([f"trial {trial.number}", ""], rows)


def study_html(study: StoredStudy) -> str:
    """The study's head, its best trial, and its latest trials."""
    counts = states_text(study.counts())
    head = f"<p><b>{_text(study.name)}</b>: {_text(study.spec.searcher)}, {_text(counts)}</p>"
    total = sum(study.counts().values())
    latest = study.page(max(0, total - ROWS), ROWS)
    names = list(study.spec.space)[:8]
    rows = [
        [str(t.number), str(t.state), number(t.value), str(t.epochs), *[value_text(t.params.get(n, "")) for n in names]]
        for t in latest
    ]
    note = f"<p>the latest {len(latest)} of {total} trials</p>" if total > len(latest) else ""
    table = _table(["number", "state", "value", "epochs", *names], rows)
    return head + (trial_html(study.best) if study.has_result else "") + note + table
