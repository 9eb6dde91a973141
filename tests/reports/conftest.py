"""A folder of derivatives, written as preprocessing does, with names that must not leak."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neurofm.cohorts.failures import Failure, write_failures
from neurofm.cohorts.index import COLUMNS, write_index
from neurofm.config import PreprocessConfig
from neurofm.files import write_bytes, write_json
from neurofm.preprocess.contract import contract_of, write_contract
from neurofm.preprocess.picture import draw_check

Scan = tuple[str, str, str, dict[str, float]]
WriteDerivatives = Callable[..., Path]


@pytest.fixture(scope="session")
def picture() -> bytes:
    image = np.linspace(0, 1, 12**3, dtype=np.float32).reshape(12, 12, 12)
    tissue = np.zeros(image.shape, np.uint8)
    tissue[3:9, 2:10, 3:9] = 2
    return draw_check(image, tissue, tissue > 0, "pass")


@pytest.fixture(scope="session")
def write_derivatives(picture: bytes) -> WriteDerivatives:
    def write(folder: Path, scans: list[Scan], failures: list[Failure]) -> Path:
        """Each scan is (participant, cohort, verdict, numbers)."""
        rows = []
        for participant, cohort, verdict, numbers in scans:
            stem = f"{cohort}/sub-{participant}/anat/sub-{participant}_space-X"
            quality = {"verdict": verdict, "reasons": [], **numbers}
            if verdict != "pass":
                quality["reasons"] = ["correlation with the template 0.50"]
            record = {
                "quality": quality,
                "notes": ["a note about it"],
                "software": {"python": "3.11.7", "scipy": "1.15.3"},
                "outputs": {f"sub-{participant}_space-X_desc-check.png": {}},
            }
            write_json(folder / f"{stem}_desc-preproc_T1w.json", record)
            write_bytes(folder / f"{stem}_desc-check.png", picture)
            rows.append(
                dict.fromkeys(COLUMNS)
                | {
                    "scan_id": f"{cohort}_{participant}",
                    "cohort": cohort,
                    "participant_id": participant,
                    "path": f"/data/secret/{participant}.nii.gz",
                    "image_path": f"{stem}_desc-preproc_T1w.nii.gz",
                    "verdict": verdict,
                }
            )
        columns = [*COLUMNS, "image_path", "verdict"]
        write_index(pd.DataFrame(rows, columns=columns), folder / "index.parquet")
        write_failures(failures, folder / "failures.csv")
        write_contract(folder, contract_of(PreprocessConfig(spacing_mm=6)))
        return folder

    return write


@pytest.fixture
def derivatives(write_derivatives: WriteDerivatives, tmp_path: Path) -> Path:
    """Four scans with a result, one of them failed, and one without; two cohorts."""
    numbers = {"brain_ml": 1400.0, "correlation": 0.8, "scale": 1.0}
    scans: list[Scan] = [
        ("anna", "east", "pass", numbers | {"brain_ml": 1234.0}),
        ("bert", "east", "look", numbers | {"brain_ml": 850.0}),
        ("carl", "east", "fail", numbers | {"correlation": 0.5}),
        ("dora", "west", "pass", numbers | {"new_number_mm": 12.34}),
    ]
    failures = [
        Failure("/data/secret/carl.nii.gz", "east/carl", "quality", "quality", "look at carl.png"),
        Failure("/data/secret/emil.nii.gz", "west/emil", "read", "truncated", "emil.nii.gz ends"),
    ]
    return write_derivatives(tmp_path / "derivatives", scans, failures)
