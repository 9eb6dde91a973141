"""What the doctor found out about one scan: sections of findings, and a verdict in one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes:
        label: what was looked at.
        value: what was found.
        remark: what to think of it; may be empty.
        matters: whether the remark has to be heeded before the scan is used.
    """

    label: str
    value: str
    remark: str = ""
    matters: bool = False


@dataclass(frozen=True)
class Section:
    """Findings that belong together."""

    title: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Diagnosis:
    """Everything about one scan.

    Attributes:
        path: the scan.
        sections: as far as the scan could be read.
        problem: why it cannot be used; empty where it can.
        mend: what to do about that; may be empty.
    """

    path: Path
    sections: tuple[Section, ...]
    problem: str = ""
    mend: str = ""

    @property
    def usable(self) -> bool:
        """Whether nothing forbids to use the scan."""
        return not self.problem

    @property
    def cautions(self) -> tuple[str, ...]:
        """The remarks that have to be heeded."""
        findings = (finding for section in self.sections for finding in section.findings)
        return tuple(finding.remark for finding in findings if finding.matters)

    @property
    def verdict(self) -> str:
        """One line: can be used; with care, and why; or cannot, why, and what to do."""
        if self.problem:
            line = f"cannot be used: {self.problem}" + (f"; {self.mend}" if self.mend else "")
        elif self.cautions:
            line = f"can be used, with care: {'; '.join(self.cautions)}"
        else:
            line = "can be used"
        return " ".join(line.split())
