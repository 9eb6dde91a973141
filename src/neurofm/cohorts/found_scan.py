"""What a reader found: one scan before its file has been judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NIFTI_ENDINGS = (".nii.gz", ".nii")


@dataclass(frozen=True, eq=False)
class FoundScan:
    """One scan a source lists.

    Attributes:
        cohort: name of its cohort.
        participant_id: text, as the source writes it.
        path: its file, which need not exist.
        session_id: None where the source has no sessions.
        detail: what else tells it from the participant's other scans ("run-2"), or "".
        labels: age_years, sex, diagnosis, site, split, mask_path and any other column.
    """

    cohort: str
    participant_id: str
    path: Path
    session_id: str | None = None
    detail: str = ""
    labels: Mapping[str, object] = field(default_factory=dict)

    @property
    def scan_id(self) -> str:
        """Readable name: cohort, participant, session, detail."""
        parts = (self.cohort, self.participant_id, self.session_id, self.detail)
        return "_".join(part for part in parts if part)


def stem_of(path: Path) -> str:
    """File name without its NIfTI ending."""
    for ending in NIFTI_ENDINGS:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


def nifti_files(folder: Path) -> list[Path]:
    """Every NIfTI file below a folder, in the order of their names; hidden ones left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(NIFTI_ENDINGS)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
