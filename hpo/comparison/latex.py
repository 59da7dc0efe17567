r"""A comparison as a table for a paper; needs `\usepackage{booktabs}`."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Final

from hpo.comparison.analysis import Analysis, TaskAnalysis
from hpo.comparison.curves import quantile
from hpo.text import value_text

_ESCAPES: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # else what an optional argument of \\ begins with
    "]": "{]}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}


def latex(analysis: Analysis) -> str:
    """A `tabular` of searchers by tasks: median final value and quartiles over seeds.

    Bold is what is better beyond chance than every other searcher on that task; a run without success counts as worse
    than any other, and `--` is a quantile at such a run.
    """
    results = analysis.results
    head = ["searcher", *(escape(task.name) for task in results.tasks)]
    rows = [[escape(label), *(_cell(one, label) for one in analysis.tasks.values())] for label in results.searchers]
    better = {"maximize": "higher", "minimize": "lower"}
    what = ["", *(escape(f"{task.metric}, {better[task.direction]}") for task in results.tasks)]
    lines = [
        rf"\begin{{tabular}}{{l{'r' * len(results.tasks)}}}",
        r"\toprule",
        _row(head),
        _row(what),
        r"\midrule",
        *map(_row, rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    notes = [
        f"% median final value (quartiles) over {len(results.seeds)} seeds; a run without success counts as worst",
        "% bold: better than every other, p <= 0.05 adjusted by Holm's method over all tasks, and for looks",
    ]
    return "\n".join([*notes, *lines, ""])


def escape(text: str) -> str:
    """Text as LaTeX prints it, in one line; what has no meaning in LaTeX stays as it is."""
    return "".join(_ESCAPES.get(c, c) for c in unicodedata.normalize("NFC", value_text(text)))


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(one: TaskAnalysis, label: str) -> str:
    low, middle, high = (quantile(one.task, one.final[label], q) for q in (0.25, 0.5, 0.75))
    text = f"{_number(middle)} ({_number(low)}, {_number(high)})"
    others = len(one.final) - 1
    return rf"\textbf{{{text}}}" if others and sum(pair.better == label for pair in one.pairs) == others else text


def _number(value: float) -> str:
    r"""Four significant digits; `--` for a run without success, `1.2 \cdot 10^{-7}` for what is far from 1."""
    if not math.isfinite(value):
        return "--"
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    if exponent:
        return rf"${mantissa} \cdot 10^{{{int(exponent)}}}$"
    return mantissa if not mantissa.startswith("-") else f"${mantissa}$"
