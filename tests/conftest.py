"""Fixtures of all tests; jaxtyping's shapes are checked while they run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jaxtyping
import numpy as np
import pytest

# Every annotated shape in the tensor packages is checked at each call made by a test.
_HOOK = jaxtyping.install_import_hook(
    [
        "neurofm.data",
        "neurofm.augment",
        "neurofm.models",
        "neurofm.objectives",
        "neurofm.training",
    ],
    "beartype.beartype",
)

_SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans and reference values, where this machine has it."""
    if not _SHARED.is_dir():
        pytest.skip("needs the reference material in ../shared, which only developers have")
    return _SHARED


FAKE_SPACING_MM = 6.0


def _fake_contract(note: str = "fake") -> Any:
    from neurofm.preprocess.contract import Contract
    from neurofm.volumes.grids import template_grid

    grid = template_grid(FAKE_SPACING_MM)
    affine = tuple((row[0], row[1], row[2], row[3]) for row in grid.affine.tolist())
    return Contract(
        version=1,
        steps=(),
        template_sha256=note,
        grid_shape=grid.shape,
        grid_affine=affine,
        normalisation="none",
    )


def _fake_scan(seed: int) -> tuple[Any, Any]:
    """An image (background -12) and its ellipsoid mask on the template grid."""
    from neurofm.volumes.grids import template_grid
    from neurofm.volumes.volume import Volume

    grid = template_grid(FAKE_SPACING_MM)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in grid.shape], indexing="ij")
    inside = sum((axis / 0.7) ** 2 for axis in axes) < 1
    noise = np.random.default_rng(seed).normal(0, 3, grid.shape)
    image = np.where(inside, noise, -12).astype(np.float32)
    return Volume(image, grid.affine), Volume(inside, grid.affine)


def _fake_row(number: int) -> dict[str, object]:
    """An index row; every participant has two scans."""
    participant, session = f"p{number // 2:02d}", f"s{number % 2}"
    return {
        "scan_id": f"fake_{participant}_{session}",
        "cohort": "fake",
        "participant_id": participant,
        "session_id": session,
        "path": f"/raw/{number}.nii.gz",
        "mask_path": None,
        "age_years": 20.0 + number,
        "sex": "F" if number % 4 < 2 else "M",
        "diagnosis": None,
        "site": None,
        "split": "pretrain",
        "bytes": 1,
        "sha256": f"{number:064d}",
        "problem": None,
        "image_path": f"fake/scan{number:02d}_T1w.nii.gz",
        "brain_mask_path": f"fake/scan{number:02d}_mask.nii.gz",
        "verdict": "pass",
    }


def _write_fake_derivatives(folder: Path, scans: int) -> Path:
    import pandas as pd

    from neurofm.cohorts.index import write_index
    from neurofm.preprocess.contract import write_contract
    from neurofm.volumes.nifti import write_volume

    rows = [_fake_row(number) for number in range(scans)]
    for number, row in enumerate(rows):
        image, mask = _fake_scan(number)
        write_volume(folder / str(row["image_path"]), image)
        write_volume(folder / str(row["brain_mask_path"]), mask, np.uint8)
    write_index(pd.DataFrame(rows), folder / "index.parquet")
    write_contract(folder, _fake_contract())
    return folder


@pytest.fixture
def fake() -> SimpleNamespace:
    """Makers of fake derivatives on a 6 mm grid: contract(note), scan(seed), write(folder, n)."""
    return SimpleNamespace(contract=_fake_contract, scan=_fake_scan, write=_write_fake_derivatives)


@pytest.fixture
def derivatives(tmp_path: Path) -> Path:
    """What `neurofm preprocess` leaves, without its hours: five scans of three participants."""
    return _write_fake_derivatives(tmp_path / "derivatives", 5)
