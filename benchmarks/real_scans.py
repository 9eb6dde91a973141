"""The real scans the preprocessing benchmarks run on: the first argument, or ../shared/scans."""

from __future__ import annotations

import sys
from pathlib import Path

DEFAULT = Path(__file__).parents[2] / "shared" / "scans"


def scans_folder() -> Path:
    """The folder of scans; ends the program with status 0 and a line where there is none."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    if not folder.is_dir():
        print(f"skipped: no scans in {folder}; give their folder as the first argument")
        sys.exit(0)
    return folder


def whole_heads(folder: Path) -> list[Path]:
    """The whole heads of one scanner, 1 x 1.33 x 1.33 mm."""
    return sorted(folder.glob("ds000011/sub-*/anat/*_T1w.nii.gz"))


def stripped_heads(folder: Path) -> list[Path]:
    """Scans that came stripped, 0.87 x 0.87 x 1 mm."""
    return sorted(folder.glob("ds002748/sub-*/anat/*_T1w.nii.gz"))


def coarse_heads(folder: Path) -> list[Path]:
    """Whole heads at 2 mm, with a reference segmentation."""
    return sorted(folder.glob("ixi10/T1/*.nii.gz"))


def fine_heads(folder: Path) -> list[Path]:
    """Whole heads at 0.7 mm."""
    return sorted(folder.glob("studyforrest/*_T1w.nii.gz"))


def all_heads(folder: Path) -> list[Path]:
    """Every scan."""
    return [
        *whole_heads(folder), *stripped_heads(folder), *coarse_heads(folder), *fine_heads(folder)
    ]  # fmt: skip
