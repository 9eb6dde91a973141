"""Loose NIfTI files: a folder of them or a single one, with no table beside them."""

from __future__ import annotations

from pathlib import Path

from neurofm.cohorts.bids_names import nifti_files, nifti_stem, parse_bids_name
from neurofm.cohorts.listing import ListedScan, Listing
from neurofm.cohorts.other_forms import note_on


def list_folder(folder: Path, cohort: str) -> Listing:
    """Every NIfTI file below a folder; only the T1w files where any is called so.

    The participant is read from a BIDS name, else each file counts as a participant.
    """
    files = nifti_files(folder)
    t1w = [path for path in files if (name := parse_bids_name(path)) and name.suffix == "T1w"]
    notes = [f"{cohort}: no table: no labels"]
    if t1w and len(t1w) < len(files):
        notes.append(f"{cohort}: {len(files) - len(t1w)} files that are not called T1w were left")
    notes += [f"{cohort}: {note}" for note in note_on(folder)]
    chosen = t1w or files
    if chosen and not t1w:
        notes.append(
            f"{cohort}: each file counts as one participant; list them in a CSV if that is wrong"
        )
    return Listing(tuple(list_file(path, cohort) for path in chosen), tuple(notes))


def list_file(path: Path, cohort: str) -> ListedScan:
    """One file as a scan, named by its BIDS parts or else by its file name."""
    name = parse_bids_name(path)
    if name is None:
        return ListedScan(cohort, nifti_stem(path), path)
    return ListedScan(cohort, name.participant, path, name.session, name.parts)
