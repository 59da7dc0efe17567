"""A figure of a study on its own, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.errors import NoResultError
from hpo.report.figure import label
from hpo.report.studies import NEEDS, study_figure
from hpo.report.study_data import StudyData

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from hpo.stored_study import StoredStudy

TITLE = 40  # pixels


def plot(study: StoredStudy, key: str) -> go.Figure:
    """The drawing called `key` with a title, dark on white; see `StoredStudy.plot`."""
    data = StudyData(study)
    found = study_figure(key, data)
    if found is None:
        if not data.comparable:
            study.best  # noqa: B018  raises, saying why there is no result
        raise NoResultError(f"study {study.name!r} has nothing to show in figure {key!r}: it needs {NEEDS[key]}")
    if found.draw is None:
        raise NoResultError(f"figure {key!r} of study {study.name!r} is a table: {study.command('report')} shows it")
    drawing = found.draw()
    return drawing.update_layout(
        title={
            "text": f"{label(found.title)}: {label(study.name)}",
            "x": 0.02,
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 14},
        },
        margin={"t": drawing.layout.margin.t + TITLE},
        height=drawing.layout.height + TITLE,
        paper_bgcolor="#ffffff",
        plot_bgcolor="#ffffff",
        font={"color": "#222222"},
    )
