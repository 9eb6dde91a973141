"""The table of a study for a paper: LaTeX, the interval and the paper's value below each value."""

from __future__ import annotations

import unicodedata

from neurofm.reports.study_table import StudyCell, StudyTable

_HEAD = r"""% Written by neurofm. In the preamble: \usepackage{booktabs,tabularx}
% In the text: \begin{table} \caption{...} \input{table2.tex} \end{table}
% It is as wide as the text, or the column, that it stands in: table* in two columns; with more than
% four tasks a landscape page (pdflscape). Letters of other alphabets than Latin: lualatex."""
_CODES = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
        "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        # Signs that begin an option, or that the usual font has no letter for.
        "[": "{[}", "*": "{*}", '"': "''", "<": "$<$", ">": "$>$", "|": "$|$",
        "±": r"$\pm$", "\N{MINUS SIGN}": "$-$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$",
        "↑": r"$\uparrow$", "↓": r"$\downarrow$", "²": "$^2$", "³": "$^3$", "°": r"$^\circ$",
        "\N{MICRO SIGN}": r"$\mu$", "α": r"$\alpha$", "β": r"$\beta$", "Δ": r"$\Delta$",
        "\N{NO-BREAK SPACE}": "~", "\N{THIN SPACE}": r"\,", "\N{NARROW NO-BREAK SPACE}": r"\,",
    }
)  # fmt: skip
_NEXT = r"\linebreak "  # \newline would push a centred line to the left
_BETWEEN = r"\addlinespace[3pt]"


def as_latex(table: StudyTable) -> str:
    """A table as wide as the text that it stands in, with what it needs of packages said first."""
    columns = rf"*{{{len(table.headings)}}}{{>{{\centering\arraybackslash}}X}}"
    lines = [
        _HEAD,
        r"{\footnotesize\setlength{\tabcolsep}{3pt}%",
        r"\begin{tabularx}{\linewidth}"
        rf"{{@{{}}>{{\raggedright\arraybackslash}}p{{0.23\linewidth}}{columns}@{{}}}}",
        r"\toprule",
        _line("model", *_headings(table)),
        r"\midrule",
    ]
    was_baseline = False
    for row in table.rows:
        if row.is_baseline and not was_baseline:
            lines.append(r"\midrule")
        was_baseline = row.is_baseline
        lines += [_line(_text(row.model), *map(_cell, row.cells)), _BETWEEN]
    lines += [r"\bottomrule", r"\end{tabularx}\par}", _note(table), ""]
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return " & ".join(cells) + r" \\"


def _headings(table: StudyTable) -> list[str]:
    """Each with its title in a line of its own."""
    lines = []
    for task, heading in zip(table.tasks, table.headings, strict=True):
        metric = heading.removeprefix(f"{task.title}, ")
        unbroken = "~".join(map(_text, metric.rsplit(" ", maxsplit=1)))  # the arrow is not alone
        lines.append(rf"\textbf{{{_text(task.title)}}}{_NEXT}{unbroken}")
    return lines


def _note(table: StudyTable) -> str:
    said = (
        r"$\pm$: standard deviation over runs. In small type: the interval over the test "
        "participants. Bold: the best of the models."
    )
    if table.has_published:
        said += " In italics: the paper's Table 2, on its own cohorts."
    return rf"{{\scriptsize\smallskip\noindent {said}\par}}"


def _cell(cell: StudyCell | None) -> str:
    """The value, and what goes with it in lines of its own."""
    if cell is None:
        return "--"
    value = _text(cell.value)
    lines = [rf"\textbf{{{value}}}" if cell.is_best else value]
    if cell.interval:
        lines.append(rf"{{\scriptsize {_text(cell.interval)}}}")
    if cell.published:
        lines.append(rf"\textit{{{_text(cell.published)}}}")
    return _NEXT.join(lines)


def _text(text: str) -> str:
    return unicodedata.normalize("NFC", text).translate(_CODES)
