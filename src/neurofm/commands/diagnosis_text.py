"""A diagnosis on screen: a heading for each section, a line for each finding, the verdict last."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from neurofm.inference.diagnosis import Diagnosis, Finding

_LABEL_WIDTH = 22


def print_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    """Print one diagnosis; colours only where the console has them."""
    console.print(Text(_plain(str(diagnosis.path)), style="bold"), soft_wrap=True)
    for section in diagnosis.sections:
        console.print(Text(section.title, style="bold cyan"))
        for finding in section.findings:
            console.print(_line(finding), soft_wrap=True)
    style = "bold red" if not diagnosis.usable else "bold yellow" if diagnosis.cautions else "green"
    console.print(Text(f"Verdict: {_plain(diagnosis.verdict)}", style=style), soft_wrap=True)


def _line(finding: Finding) -> Text:
    line = Text(f"  {finding.label:{_LABEL_WIDTH}s}", style="dim")
    line.append(_plain(finding.value), style="default not dim")
    if finding.remark:
        line.append(" - " if finding.value else "", style="default not dim")
        style = "yellow not dim" if finding.matters else "default not dim"
        line.append(_plain(finding.remark), style=style)
    return line


def _plain(text: str) -> str:
    """One line that any terminal can show, whatever a file is called."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())
