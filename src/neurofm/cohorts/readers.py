"""From sources to an index: recognise what each source is, list its scans, judge every file."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofm.cohorts.bids import is_bids, read_bids
from neurofm.cohorts.failures import Failure, failure_of
from neurofm.cohorts.found_scan import NIFTI_ENDINGS, FoundScan
from neurofm.cohorts.index import build_index, participant_keys
from neurofm.cohorts.ixi import is_ixi, read_ixi
from neurofm.cohorts.listed import read_file, read_folder, read_scan_table
from neurofm.errors import ScanError, TableError
from neurofm.progress import Progress, SilentProgress
from neurofm.volumes.integrity import FileReport, judge_file

_TABLE_ENDINGS = (".csv", ".tsv", ".txt")


@dataclass(frozen=True, eq=False)
class Indexed:
    """The scans of all sources.

    Attributes:
        frame: the index; scans that cannot be read are in it, with their `problem`.
        failures: the same scans as rows of `failures.csv`.
        notes: what was odd but bearable.
    """

    frame: pd.DataFrame
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


def index_sources(
    sources: Sequence[Path], verify: bool = True, progress: Progress | None = None
) -> Indexed:
    """List the scans of BIDS, IXI and plain folders, tables and single files.

    Args:
        sources: folders, tables and NIfTI files.
        verify: read each file once from end to end (checksums, header, voxels).
        progress: told about every file.

    Raises:
        TableError: a source does not exist, holds no scan, or has a table that cannot be used.
    """
    scans: list[FoundScan] = []
    notes: list[str] = []
    for source in sources:
        found, more = _read_source(source)
        if not found:
            raise TableError("holds no T1-weighted scan", "see docs: Cohorts and the index", source)
        scans.extend(found)
        notes.extend(more)
    scans = sorted(scans, key=lambda scan: (scan.scan_id, str(scan.path)))
    reports = _judge(scans, verify, progress or SilentProgress())
    rows, failures = [], []
    where_noted: dict[str, list[str]] = defaultdict(list)
    for scan, name, report in zip(scans, _unique_names(scans), reports, strict=True):
        rows.append(_row(scan, name, report))
        if isinstance(report, ScanError):
            key = f"{scan.cohort}/{scan.participant_id}"
            failures.append(failure_of(report, str(scan.path), key, "index"))
        elif report is not None:
            for note in report.notes:
                where_noted[note].append(str(scan.path))
    frame = build_index(rows)
    for note, paths in where_noted.items():
        notes.append(f"{paths[0] if len(paths) == 1 else f'{len(paths)} scans'}: {note}")
    notes.extend(_duplicates(frame))
    return Indexed(frame, tuple(failures), tuple(notes))


def _read_source(source: Path) -> tuple[list[FoundScan], tuple[str, ...]]:
    if source.is_dir():
        if is_bids(source):
            return read_bids(source)
        return read_ixi(source) if is_ixi(source) else read_folder(source)
    if not source.exists():
        raise TableError("no such file or folder", "check the path", source)
    if source.name.lower().endswith(NIFTI_ENDINGS):
        return read_file(source)
    if source.suffix.lower() in _TABLE_ENDINGS:
        return read_scan_table(source)
    raise TableError(
        "is no folder, table or NIfTI file", "give a folder, .csv, .tsv, .nii or .nii.gz", source
    )


def _judge(
    scans: Sequence[FoundScan], verify: bool, progress: Progress
) -> list[FileReport | ScanError | None]:
    def judge(scan: FoundScan) -> FileReport | ScanError | None:
        try:
            if verify:
                return judge_file(scan.path)
            if not scan.path.is_file():
                return ScanError("no such file", "check the path", scan.path, "missing")
        except ScanError as error:
            return error
        return None

    reports = []
    progress.start("reading", len(scans), "scan")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for report in pool.map(judge, scans):
            reports.append(report)
            progress.advance()
    progress.finish()
    return reports


def _row(scan: FoundScan, name: str, report: FileReport | ScanError | None) -> dict[str, object]:
    row: dict[str, object] = {
        **scan.labels,
        "scan_id": name,
        "cohort": scan.cohort,
        "participant_id": scan.participant_id,
        "session_id": scan.session_id,
        "path": os.path.abspath(scan.path),  # noqa: PTH100 - symbolic links stay as they are
    }
    if isinstance(report, ScanError):
        row["problem"] = str(ScanError(report.what, report.mend))
    elif report is not None:
        row |= {"bytes": report.bytes, "sha256": report.sha256}
    return row


def _unique_names(scans: Sequence[FoundScan]) -> list[str]:
    """The scan ids, numbered where two scans would share one."""
    counts = Counter(scan.scan_id for scan in scans)
    seen: Counter[str] = Counter()
    names = []
    for scan in scans:
        seen[scan.scan_id] += 1
        many = counts[scan.scan_id] > 1
        names.append(f"{scan.scan_id}_{seen[scan.scan_id]}" if many else scan.scan_id)
    return names


def _duplicates(frame: pd.DataFrame) -> list[str]:
    """A note for every file that stands under more than one name."""
    notes = []
    known = frame[frame["sha256"].notna()].assign(key=participant_keys(frame))
    for _, rows in known.groupby("sha256"):
        if len(rows) > 1:
            whose = "two participants" if rows["key"].nunique() > 1 else "one participant"
            notes.append(f"the same image under {whose}: {', '.join(rows['scan_id'])}")
    return notes
