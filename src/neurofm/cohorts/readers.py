"""Sources to one index: recognise each source, list its scans, verify every file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from neurofm.cohorts.bids import is_bids_folder, list_bids
from neurofm.cohorts.bids_names import nifti_files
from neurofm.cohorts.failures import Failure
from neurofm.cohorts.index import participant_keys
from neurofm.cohorts.ixi import is_ixi_folder, list_ixi
from neurofm.cohorts.joining import earlier_failures, join_indexes
from neurofm.cohorts.known.description import KnownCohort
from neurofm.cohorts.known.reading import list_known
from neurofm.cohorts.leakage import refuse_overlap
from neurofm.cohorts.listing import ListedScan, Listing, absolute, frame_of, named
from neurofm.cohorts.loose import list_file, list_folder
from neurofm.cohorts.name_checks import case_notes, storable
from neurofm.cohorts.other_forms import refusal_of
from neurofm.cohorts.table import list_table
from neurofm.cohorts.text_table import TABLE_ENDINGS
from neurofm.cohorts.verification import Look, verify_scans
from neurofm.errors import TableError
from neurofm.progress import Progress, SilentProgress
from neurofm.volumes.formats import is_nifti_name
from neurofm.volumes.header import Orientation

_SUPPORTED = "give a BIDS or IXI folder, a CSV or TSV, a folder of NIfTI files, or a NIfTI file"
_SILENT = SilentProgress()


@dataclass(frozen=True, eq=False)
class Indexed:
    """An index and how it came about.

    Attributes:
        frame: the index; scans that cannot be used are in it, with their `problem`.
        failures: one for each of those.
        notes: what was odd but bearable, one line each.
    """

    frame: pd.DataFrame
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]


def index_sources(
    sources: Sequence[Path],
    verify: bool = True,
    progress: Progress = _SILENT,
    *,
    known: KnownCohort | None = None,
    root: Path | None = None,
    one_scan_per_participant: bool = False,
    volume_index: int | None = None,
    assume_orientation: Orientation | None = None,
) -> Indexed:
    """List the scans of all sources in one index and read every file once to verify it.

    Args:
        sources: BIDS folders, IXI folders, CSV or TSV tables, folders of NIfTI, NIfTI files. A
            folder that holds BIDS folders stands for the data sets in it, each a cohort. Or else
            indexes (.parquet) to be joined, whose files are not read again.
        verify: False only looks whether the files exist and begin as they should.
        progress: told of every verified file.
        known: the cohort whose folders all sources are, laid out as downloaded.
        root: where the paths of tables begin here, if the tables come from another machine.
        one_scan_per_participant: in a table without participants each line is another person.
        volume_index: which volume of a series counts, from 0; None refuses series.
        assume_orientation: how voxels lie where a header does not say; None refuses such files.

    Raises:
        TableError: a source that does not exist or holds no scan, a table that cannot be meant,
            or two sources of the same name.
        LeakageError: a table's split has a person, or copies of a file, in two parts.
    """
    if not sources:
        raise TableError("no source was given", _SUPPORTED)
    if all(Path(source).suffix.lower() == ".parquet" for source in sources):
        return _joined([Path(source) for source in dict.fromkeys(sources)])
    read_table = partial(
        list_table, root=root, one_scan_per_participant=one_scan_per_participant
    )  # fmt: skip
    listings = _known_listings(sources, known) if known else _listings(sources, read_table)
    scans, notes = _without_repeats([scan for listing in listings for scan in listing.scans])
    frame = storable(frame_of(scans))
    notes = [note for listing in listings for note in listing.notes] + notes + case_notes(frame)
    look = Look(verify, volume_index, assume_orientation)
    verified = verify_scans(frame, look, progress)
    refuse_overlap(verified.frame, verified.frame["split"])
    return Indexed(
        verified.frame, verified.failures, (*notes, *verified.notes, *_twins(verified.frame))
    )


def _joined(paths: Sequence[Path]) -> Indexed:
    frame = join_indexes(paths)
    refuse_overlap(frame, frame["split"])
    return Indexed(frame, earlier_failures(frame), (*case_notes(frame), *_twins(frame)))


def _known_listings(sources: Sequence[Path], known: KnownCohort) -> list[Listing]:
    """Of the folders of one cohort: people of the same number are the same."""
    return [list_known(Path(source), known) for source in dict.fromkeys(sources)]


def _listings(sources: Sequence[Path], read_table: Callable[[Path], Listing]) -> list[Listing]:
    data_sets = _data_sets(dict.fromkeys(sources))
    listings = [_listing(source, read_table) for source in data_sets]
    _require_distinct_cohorts(data_sets, listings)
    return listings


def _data_sets(sources: Iterable[Path]) -> list[Path]:
    """The sources, with each folder of data sets replaced by what lies in it."""
    found: dict[Path, None] = {}
    for source in map(Path, sources):
        inner = sorted(source.iterdir()) if source.is_dir() and not is_bids_folder(source) else []
        has_table = any(path.suffix.lower() in TABLE_ENDINGS for path in inner)
        if has_table or not any(path.is_dir() and is_bids_folder(path) for path in inner):
            found[source] = None
            continue
        for path in inner:
            if is_nifti_name(path) or (path.is_dir() and nifti_files(path)):
                found[path] = None
    return list(found)


def _listing(source: Path, read_table: Callable[[Path], Listing]) -> Listing:
    if is_nifti_name(source):
        return Listing((list_file(source, absolute(source).parent.name),))
    if not source.exists():
        raise TableError("does not exist", _SUPPORTED, source)
    if source.is_dir():
        return _folder_listing(source, absolute(source).name)
    if source.suffix.lower() in TABLE_ENDINGS:
        return read_table(source)
    if source.suffix.lower().startswith(".xls"):
        raise TableError("is a spreadsheet", "save it as CSV in UTF-8", source)
    if source.suffix.lower() == ".parquet":
        raise TableError(
            "is an index among other sources", "index those first, then join the indexes", source
        )
    return Listing((list_file(source, absolute(source).parent.name),))


def _folder_listing(folder: Path, cohort: str) -> Listing:
    if is_bids_folder(folder):
        listing = list_bids(folder, cohort)
    elif is_ixi_folder(folder):
        listing = list_ixi(folder, cohort)
    else:
        listing = list_folder(folder, cohort)
    if not listing.scans:
        other = refusal_of(folder)
        if other is not None:
            raise TableError(other.what, other.mend, folder)
        raise TableError("holds no T1-weighted NIfTI scan", _SUPPORTED, folder)
    return listing


def _require_distinct_cohorts(sources: Sequence[Path], listings: Sequence[Listing]) -> None:
    """Two places of one name would mix participants who only share a number."""
    origins: dict[str, Path] = {}
    for source, listing in zip(dict.fromkeys(sources), listings, strict=True):
        origin = absolute(source)
        if not origin.is_dir() and origin.suffix.lower() not in TABLE_ENDINGS:
            origin = origin.parent
        name = origin.stem if origin.suffix.lower() in TABLE_ENDINGS else origin.name
        if any(scan.cohort == name for scan in listing.scans):
            earlier = origins.setdefault(name, origin)
            if earlier != origin:
                raise TableError(
                    f"two sources are called '{name}', the other is {earlier}",
                    "rename one, or list both in a CSV with a column 'cohort'", source,
                )  # fmt: skip


def _without_repeats(scans: Sequence[ListedScan]) -> tuple[list[ListedScan], list[str]]:
    """Each file once; two lines that say different things of one file are an error."""
    by_path: dict[Path, ListedScan] = {}
    repeated: list[str] = []
    for scan in scans:
        path = absolute(scan.path)
        earlier = by_path.setdefault(path, scan)
        if earlier is scan:
            continue
        repeated.append(path.name)
        if (earlier.cohort, earlier.participant_id) != (scan.cohort, scan.participant_id) or (
            earlier.labels != scan.labels
        ):
            raise TableError(
                f"is listed for '{earlier.cohort}/{earlier.participant_id}' and again for "
                f"'{scan.cohort}/{scan.participant_id}' with other labels",
                "keep one of them", path,
            )  # fmt: skip
    notes = [f"{len(repeated)} scans were listed twice: {named(repeated)}"] if repeated else []
    return list(by_path.values()), notes


def _twins(frame: pd.DataFrame) -> list[str]:
    """Notes on identical files, above all under two participants."""
    notes = []
    usable = frame[frame["sha256"].notna()].assign(person=participant_keys(frame))
    for _, twins in usable.groupby("sha256", sort=False):
        if len(twins) == 1:
            continue
        people = named(sorted(set(twins["person"])))
        several = twins["person"].nunique() > 1
        what = "the same file stands under several participants" if several else "identical files"
        notes.append(f"{what}: {people} ({named(list(twins['scan_id']))})")
    return notes
