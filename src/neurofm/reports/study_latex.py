"""The table of a study for a paper: LaTeX, the interval and the paper's value below each value."""

from __future__ import annotations

from neurofm.reports.study_table import StudyCell, StudyTable

_CODES = str.maketrans(
    {
        "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
        "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "<": "$<$", ">": "$>$", "[": "{[}", "±": r"$\pm$", "\N{MINUS SIGN}": "$-$",
        "↑": r"$\uparrow$", "↓": r"$\downarrow$", "²": "$^2$",
    }
)  # fmt: skip


def as_latex(table: StudyTable) -> str:
    """A tabular that needs no package but booktabs."""
    lines = [
        rf"\begin{{tabular}}{{l{'c' * len(table.headings)}}}",
        r"\toprule",
        _line("model", *map(_text, table.headings)),
        r"\midrule",
    ]
    was_baseline = False
    for row in table.rows:
        if row.is_baseline and not was_baseline:
            lines.append(r"\midrule")
        was_baseline = row.is_baseline
        lines.append(_line(_text(row.model), *map(_cell, row.cells)))
    lines += [r"\bottomrule", _note(table), r"\end{tabular}", ""]
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return " & ".join(cells) + r" \\"


def _note(table: StudyTable) -> str:
    said = "In small type: the interval over the test participants."
    if table.has_published:
        said += " In italics: the paper's Table 2, on its own cohorts."
    return _line(rf"\multicolumn{{{1 + len(table.headings)}}}{{l}}{{\footnotesize {said}}}")


def _cell(cell: StudyCell | None) -> str:
    """The value, and what goes with it in lines of its own."""
    if cell is None:
        return "--"
    value = _text(cell.value)
    lines = [rf"\textbf{{{value}}}" if cell.is_best else value]
    if cell.interval:
        lines.append(rf"{{\footnotesize {_text(cell.interval)}}}")
    if cell.published:
        lines.append(rf"\textit{{{_text(cell.published)}}}")
    if len(lines) == 1:
        return lines[0]
    stacked = r"\\".join(lines)
    return rf"\begin{{tabular}}[t]{{@{{}}c@{{}}}}{stacked}\end{{tabular}}"


def _text(text: str) -> str:
    return text.translate(_CODES)
