"""What a folder of derivatives says of its scans' quality, read from index, sidecars, failures."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from neurofm.cohorts.failures import Failure
from neurofm.cohorts.index import read_index
from neurofm.errors import RunError
from neurofm.files import read_json
from neurofm.preprocess.contract import Contract, read_contract
from neurofm.preprocess.layout import FAILURES_FILE, INDEX_FILE
from neurofm.reports.quality_numbers import Number, describe_number, in_known_order

# From what needs a person first to what needs none.
VERDICTS = ("no result", "fail", "look", "pass")


@dataclass(frozen=True)
class CheckedScan:
    """One scan as quality control sees it.

    Attributes:
        name: its scan_id; of a scan without a result, its participant and file name.
        verdict: one of `VERDICTS`.
        reasons: why the verdict is not "pass"; they hold numbers, no names.
        notes: what was odd but bearable.
        failure: why there is no result; None where there is one.
        numbers: measured values by the names of the table's `numbers`.
        picture: relative to the derivatives; empty where there is none.
    """

    name: str
    cohort: str
    verdict: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    failure: Failure | None
    numbers: Mapping[str, float]
    picture: str


@dataclass(frozen=True)
class QualityTable:
    """All scans of a folder of derivatives.

    Attributes:
        scans: in the order of `VERDICTS`, then of the index.
        numbers: those measured on any scan.
        contract: how the scans were prepared.
        software: versions of each library among the scans.
    """

    scans: tuple[CheckedScan, ...]
    numbers: tuple[Number, ...]
    contract: Contract
    software: Mapping[str, tuple[str, ...]]

    @property
    def cohorts(self) -> tuple[str, ...]:
        """The cohorts' names, sorted."""
        return tuple(sorted({scan.cohort for scan in self.scans}))

    def counts(self, cohort: str | None = None) -> dict[str, int]:
        """Scans of each verdict, in a cohort or in all."""
        counted = Counter(scan.verdict for scan in self.scans if cohort in (None, scan.cohort))
        return {verdict: counted[verdict] for verdict in VERDICTS}


def read_quality(derivatives: Path) -> QualityTable:
    """Read the quality of all scans in a folder of `neurofm preprocess`.

    A scan whose sidecar cannot be read is kept, without numbers and with a note.

    Raises:
        ContractError: the folder holds no preprocessing.json.
        RunError: it holds no index.parquet, so preprocessing has never come to an end.
        TableError: index.parquet is damaged.
    """
    contract = read_contract(derivatives)
    path = derivatives / INDEX_FILE
    if not path.is_file():
        raise RunError(
            f"holds no {INDEX_FILE}: preprocessing has not come to its end",
            "give the same neurofm preprocess command again",
            derivatives,
        )
    software: dict[str, set[str]] = {}
    scans = [_scan_of(row, derivatives, software) for row in read_index(path).to_dict("records")]
    scans += [_lost_scan(lost) for lost in _read_failures(derivatives) if lost.step != "quality"]
    scans.sort(key=lambda scan: VERDICTS.index(scan.verdict))
    return QualityTable(
        tuple(scans),
        _numbers_of(scans),
        contract,
        {name: tuple(sorted(versions)) for name, versions in sorted(software.items())},
    )


def _scan_of(
    row: Mapping[Hashable, Any], derivatives: Path, software: dict[str, set[str]]
) -> CheckedScan:
    """One row of the index with its sidecar; what that says of versions goes into `software`."""
    image = PurePosixPath(str(row["image_path"]))
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ("its sidecar cannot be read, so picture and numbers are missing",)
    numbers: dict[str, float] = {}
    picture = ""
    try:
        record = read_json(
            derivatives / image.parent / f"{image.name.removesuffix('.nii.gz')}.json"
        )
        quality = record["quality"]
        numbers = {name: float(value) for name, value in quality.items() if _is_number(value)}
        reasons = tuple(map(str, quality["reasons"]))
        pictures = [name for name in record["outputs"] if name.endswith(".png")]
        picture = str(image.parent / pictures[0]) if pictures else ""
        notes = tuple(map(str, record["notes"]))
        for name, version in record["software"].items():
            software.setdefault(str(name), set()).add(str(version))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    verdict = str(row["verdict"])
    return CheckedScan(
        name=str(row["scan_id"]),
        cohort=str(row["cohort"]),
        verdict=verdict if verdict in VERDICTS else "look",
        reasons=reasons,
        notes=notes,
        failure=None,
        numbers=numbers,
        picture=picture,
    )


def _lost_scan(failure: Failure) -> CheckedScan:
    cohort, _, participant = failure.participant.partition("/")
    return CheckedScan(
        name=f"{participant}, {Path(failure.path).name}",
        cohort=cohort,
        verdict="no result",
        reasons=(),
        notes=(),
        failure=failure,
        numbers={},
        picture="",
    )


def _read_failures(derivatives: Path) -> list[Failure]:
    path = derivatives / FAILURES_FILE
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [
                Failure(row["path"], row["participant"], row["step"], row["kind"], row["reason"])
                for row in csv.DictReader(file)
            ]
        except (KeyError, ValueError, csv.Error) as error:
            raise RunError(
                f"is not the list of failures that neurofm writes ({error!r})",
                "give the same neurofm preprocess command again",
                path,
            ) from None


def _numbers_of(scans: Sequence[CheckedScan]) -> tuple[Number, ...]:
    largest: dict[str, float] = {}
    for scan in scans:
        for name, value in scan.numbers.items():
            largest[name] = max(largest.get(name, 0.0), abs(value))
    return tuple(describe_number(name, largest[name]) for name in in_known_order(set(largest)))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)
