"""What `neurofm preprocess` wrote, given in place of raw scans: its whole folder, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from neurofm.cohorts.bids_names import nifti_files, nifti_stem, parse_bids_name
from neurofm.cohorts.failures import Failure
from neurofm.cohorts.index import participant_keys, read_index
from neurofm.cohorts.listing import ListedScan, absolute, frame_of
from neurofm.errors import TableError
from neurofm.files import read_json
from neurofm.preprocess.contract import FILE_NAME, Contract, read_contract
from neurofm.preprocess.layout import FAILURES_FILE, INDEX_FILE

_PLACES = {"image_path", "brain_mask_path", "verdict"}
_SIDECAR_KEYS = {"contract", "input_sha256"}
_MEND = "give raw scans, or by itself the whole folder neurofm preprocess wrote"


@dataclass(frozen=True, eq=False)
class Derivatives:
    """The scans of a folder that `neurofm preprocess` wrote.

    Attributes:
        table: a row a scan, with the `reason` why it is unusable.
        contract: how they were preprocessed.
        failures: the unusable scans.
    """

    table: pd.DataFrame
    contract: Contract
    failures: tuple[Failure, ...]


def whole_folder(sources: Sequence[Path]) -> Sequence[Path]:
    """The sources; an only one that is the index of derivatives or a store becomes its folder."""
    if len(sources) == 1 and _is_their_index(sources[0]):
        return (sources[0].parent,)
    return sources


def is_derivatives(sources: Sequence[Path]) -> bool:
    """Whether the only source is a folder that `neurofm preprocess` has finished."""
    wanted = (FILE_NAME, INDEX_FILE)
    return len(sources) == 1 and all((sources[0] / name).is_file() for name in wanted)


def open_derivatives(folder: Path) -> Derivatives:
    """The preprocessed scans of a folder, and those that failed with the reason why.

    Raises:
        TableError: its index is none of preprocessed scans, or its list of failures is damaged.
        ContractError, ConfigError: it does not say how they were preprocessed.
    """
    table = read_index(folder / INDEX_FILE)
    if not set(table.columns) >= _PLACES:
        raise TableError(
            "names no preprocessed scans", "give the folder neurofm preprocess wrote", folder
        )
    contract = read_contract(folder)
    failures = {_plain(failure.path): failure for failure in _read_failures(folder / FAILURES_FILE)}
    failed = table[table["verdict"] == "fail"]
    for path, person in zip(failed["path"], participant_keys(failed), strict=True):
        failure = Failure(path, person, "quality", "quality", "failed its quality checks")
        failures.setdefault(_plain(path), failure)
    listed = set(table["path"].map(_plain))
    others = [failure for path, failure in failures.items() if path not in listed]
    if others:
        rows = frame_of([_listed(failure) for failure in others], taken=set(table["scan_id"]))
        table = pd.concat([table, rows], ignore_index=True)
    reasons = {path: failure.reason for path, failure in failures.items()}
    reason = table["path"].map(_plain).map(reasons).astype("string")
    return Derivatives(table.assign(reason=reason), contract, tuple(failures.values()))


def refuse_preprocessed(paths: Iterable[Path]) -> None:
    """Refuse what neurofm has preprocessed among raw scans: it would be preprocessed again.

    Args:
        paths: files and folders; of a folder only what lies in derivatives is looked through.

    Raises:
        TableError: names the first.
    """
    for path in paths:
        if _is_preprocessed(path):
            raise TableError("was preprocessed by neurofm already", _MEND, path)
        if _holds_preprocessed(path):
            raise TableError("holds scans that neurofm preprocessed", _MEND, path)


def _read_failures(path: Path) -> list[Failure]:
    if not path.is_file():
        return []
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        columns = [rows[name] for name in ("path", "participant", "step", "kind", "reason")]
    except (OSError, ValueError, KeyError) as error:
        mend = "the command that wrote it writes it again"
        raise TableError(f"cannot be read ({error})", mend, path) from None
    return [Failure(*map(str, row)) for row in zip(*columns, strict=True)]


def _listed(failure: Failure) -> ListedScan:
    """A scan that failed before it had results."""
    cohort, _, person = failure.participant.partition("/")
    path = Path(failure.path)
    name = parse_bids_name(path)
    session, parts = (name.session, name.parts) if name else (None, ())
    return ListedScan(cohort, person, path, session, parts)


def _plain(path: object) -> str:
    """A path as failures name it."""
    return str(Path(str(path)))


def _is_their_index(path: Path) -> bool:
    return path.name == INDEX_FILE and path.is_file() and path.with_name(FILE_NAME).is_file()


def _holds_preprocessed(path: Path) -> bool:
    """Whether a folder or an index is, or is a part of, what `neurofm preprocess` wrote."""
    if is_derivatives((path,)) or _is_their_index(path):
        return True
    above = (path, *absolute(path).parents)
    is_inside = path.is_dir() and any((each / FILE_NAME).is_file() for each in above)
    return is_inside and any(map(_is_preprocessed, nifti_files(path)))


def _is_preprocessed(path: Path) -> bool:
    """Whether the JSON beside an image is the one that neurofm writes after preprocessing it."""
    try:
        sidecar = read_json(path.with_name(f"{nifti_stem(path)}.json"))
    except (OSError, ValueError):
        return False
    return isinstance(sidecar, dict) and set(sidecar) >= _SIDECAR_KEYS
