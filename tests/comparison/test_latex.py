"""The table for papers: what is bold, and that names stay names."""

import math
import re

from made_results import finals, task

from hpo.comparison.analyse import analyse
from hpo.comparison.latex import escape, latex

NAN = math.nan


def rising(base, n=20):
    return [base + i / 1000 for i in range(n)]


def cells(table):
    """Rows of the table as lists of cells."""
    return [line.removesuffix(r" \\").split(" & ") for line in table.splitlines() if line.endswith(r"\\")]


def test_the_table_is_medians_and_quartiles_with_the_best_in_bold():
    on = [task("moons"), task("wine", direction="minimize")]
    values = {
        ("moons", "tpe"): rising(0.9, 9),
        ("moons", "random"): rising(0.8, 9),
        ("moons", "grid"): rising(0.7, 9),
        ("wine", "tpe"): rising(0.9, 9),
        ("wine", "random"): rising(0.9, 9),
        ("wine", "grid"): rising(0.8, 9),
    }
    assert (
        latex(analyse(finals(on, values)))
        == r"""% median final value (quartiles) over 9 seeds; a run without success counts as worst
% bold: better than every other, p <= 0.05 adjusted by Holm's method over all tasks, and for looks
\begin{tabular}{lrr}
\toprule
searcher & moons & wine \\
 & accuracy, higher & accuracy, lower \\
\midrule
tpe & \textbf{0.904 (0.902, 0.906)} & 0.904 (0.902, 0.906) \\
random & 0.804 (0.802, 0.806) & 0.904 (0.902, 0.906) \\
grid & 0.704 (0.702, 0.706) & \textbf{0.804 (0.802, 0.806)} \\
\bottomrule
\end{tabular}
"""
    )


def test_nothing_is_bold_unless_it_is_told_apart_from_all_others():
    near = [v + (-1) ** i * 0.0002 for i, v in enumerate(rising(0.9))]
    values = {("moons", "a"): rising(0.9), ("moons", "b"): near, ("moons", "c"): rising(0.1)}
    assert "textbf" not in latex(analyse(finals([task()], values)))
    assert "textbf" not in latex(analyse(finals([task()], {("moons", "a"): rising(0.9)})))
    three = {key: of[:3] for key, of in values.items() if key[1] != "b"}
    assert "textbf" not in latex(analyse(finals([task()], three)))


def test_runs_without_success_count_as_the_worst():
    values = {("moons", "a"): [NAN, NAN, 0.3, 0.4, 0.5], ("moons", "b"): [NAN] * 3 + [0.1, 0.2]}
    table = cells(latex(analyse(finals([task()], values))))
    assert table[2] == ["a", "0.3 (--, 0.4)"]
    assert table[3] == ["b", "-- (--, 0.1)"]


def test_small_and_negative_values_are_set_as_mathematics():
    values = {("moons", "a"): [1.25e-7] * 5, ("moons", "b"): [-3.5] * 5}
    table = cells(latex(analyse(finals([task()], values))))
    assert table[2][1].startswith(r"$1.25 \cdot 10^{-7}$ (")
    assert table[3][1].startswith("$-3.5$ (")


def test_every_character_with_a_meaning_is_escaped():
    assert escape(r"a_b^2 {x} 50% #1 $y$ ~z & \input") == (
        r"a\_b\textasciicircum{}2 \{x\} 50\% \#1 \$y\$ \textasciitilde{}z \& \textbackslash{}input"
    )
    assert escape("[2ex]<a|b>") == r"{[}2ex{]}\textless{}a\textbar{}b\textgreater{}"
    assert escape("one\ntwo\x1b[0m") == r"one\textbackslash{}ntwo\textbackslash{}x1b{[}0m"
    assert escape("größe, 尺寸") == "größe, 尺寸"


def test_names_can_neither_end_a_row_nor_run_a_command():
    evil = "a & b \\\\ \\end{tabular} % {"
    table = latex(analyse(finals([task(evil)], {(evil, evil): rising(0.9, 5)})))
    assert table.count(r"\end{tabular}") == 1
    assert all(len(re.findall(r"(?<!\\)&", line)) == 1 for line in table.splitlines() if line.endswith(r"\\"))
