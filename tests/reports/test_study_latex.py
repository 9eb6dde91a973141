"""The table of a study in LaTeX: its signs, its lines, and that a page takes it."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import pytest

from neurofm.config.study import load_study
from neurofm.reports.study_latex import as_latex
from neurofm.reports.study_table import StudyCell, StudyRow, StudyTable
from neurofm.study.published import METRICS, published

_SIGNS = (
    'Größe_ñ 50 % & #2 [x] ~^ {a} \\b <c> é Ł ± − × ≥ “q” "p" – … µ α ² ↓ | * 3\u00a0mm e\u0301'
)
_DOCUMENT = r"""\documentclass[a4paper]{article}
\usepackage{booktabs,tabularx}
\begin{document}
\begin{table} \caption{A table.} \input{table2.tex} \end{table}
\end{document}
"""


def _cell(row: str, task: str, runs: int) -> StudyCell:
    mean, sd = (0.913, 0.021) if METRICS[task] == "AUC" else (15.28, 0.18)
    spread = sd if runs > 1 else math.nan
    return StudyCell(
        mean, spread, mean - sd, mean + sd, runs, published(row, task), METRICS[task], runs > 1
    )


@pytest.fixture(scope="module")
def table() -> StudyTable:
    """The paper's rows and tasks, a row of awkward signs, and baselines."""
    study = load_study("paper")
    names = [*(model.name for model in study.models), _SIGNS, "random-weight encoder, as of simclr"]
    rows = [
        StudyRow(
            name,
            tuple(_cell(name, str(task.published), 5 if place < 6 else 1) for task in study.tasks),
            place > 6,
        )
        for place, name in enumerate(names)
    ]
    rows.append(StudyRow("age only", (*rows[-1].cells[:3], None), True))
    headings = tuple(
        f"{task.title}, mean absolute error ({task.unit}) ↓"
        if task.unit
        else f"{task.title}, AUC ↑"
        for task in study.tasks
    )
    return StudyTable(study.tasks, headings, tuple(rows))


def test_the_file_says_what_it_needs_and_is_as_wide_as_its_text(table: StudyTable) -> None:
    latex = as_latex(table)
    assert r"\usepackage{booktabs,tabularx}" in latex.splitlines()[0]
    assert r"\begin{tabularx}{\linewidth}" in latex
    assert latex.isascii() is False
    assert r"\textbf{Sex}\linebreak AUC~$\uparrow$" in latex
    text = latex[latex.index(r"\begin{tabularx}") :]
    assert text.count("&") == len(table.tasks) * (1 + len(table.rows)) + 1  # one \& of a name


def test_signs_of_latex_are_text_in_it(table: StudyTable) -> None:
    (line,) = [line for line in as_latex(table).splitlines() if line.startswith("Größe")]
    assert line.startswith(
        r"Größe\_ñ 50 \% \& \#2 {[}x] \textasciitilde{}\textasciicircum{} \{a\} "
        r"\textbackslash{}b $<$c$>$ é Ł $\pm$ $-$ $\times$ $\geq$ “q” ''p'' – … $\mu$ "
        r"$\alpha$ $^2$ $\downarrow$ $|$ {*} 3~mm é & "
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_pdflatex_sets_it_on_a_page_and_nothing_is_too_wide(
    table: StudyTable, tmp_path: Path
) -> None:
    (tmp_path / "table2.tex").write_text(as_latex(table), encoding="utf-8")
    (tmp_path / "page.tex").write_text(_DOCUMENT, encoding="ascii")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    log = (tmp_path / "page.log").read_text(encoding="latin-1")
    if "booktabs.sty' not found" in log or "tabularx.sty' not found" in log:
        pytest.skip("needs LaTeX's packages booktabs and tabularx")
    assert done.returncode == 0, log
    assert "(1 page" in log
    assert "Overfull" not in log
