"""What is kept of one preprocessed scan: five files and a sidecar that says they are complete."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurofm.config import PreprocessConfig
from neurofm.files import read_json, sha256_of, write_bytes, write_json, write_text
from neurofm.preprocess.back_ends import back_end_versions
from neurofm.preprocess.contract import Contract
from neurofm.preprocess.itk_transform import itk_mat, itk_text
from neurofm.preprocess.naming import SPACE, Layout, OutputNames
from neurofm.preprocess.picture import draw_check
from neurofm.preprocess.pipeline import Prepared
from neurofm.preprocess.template_space import template_space
from neurofm.versions import software_record
from neurofm.volumes.nifti import write_volume

# Files and folders of a scan.
FILES_PER_SCAN = 9
# Measured at 1 mm: image 0.68, mask 0.02, tissue 0.04; picture and sidecar 120 kB.
_BYTES_PER_VOXEL = 0.74
_OTHER_BYTES = 130_000


@dataclass(frozen=True)
class Plan:
    """What all scans of one call share.

    Attributes:
        folder: the derivatives.
        config: the recipe's `preprocess` section.
        contract: of that section.
        layout: the names of the results.
    """

    folder: Path
    config: PreprocessConfig
    contract: Contract
    layout: Layout


@dataclass(frozen=True)
class Summary:
    """What the derivatives' index says of one scan beside its paths."""

    csf_ml: float
    gm_ml: float
    wm_ml: float
    brain_ml: float
    verdict: str
    reasons: tuple[str, ...]


def write_outputs(
    plan: Plan, names: OutputNames, prepared: Prepared, mask_path: Path | None
) -> Summary:
    """Write one scan's results; the sidecar comes last, so its presence says they are whole.

    Args:
        plan: where to, and by what contract.
        names: the scan's files.
        prepared: the scan.
        mask_path: the mask that was given, if any; its checksum is recorded.
    """
    folder = plan.folder
    (folder / names.sidecar).unlink(missing_ok=True)
    write_volume(folder / names.image, prepared.image, np.float32, space="mni152")
    write_volume(folder / names.brain_mask, prepared.brain_mask, np.uint8, space="mni152")
    write_volume(folder / names.tissue, prepared.tissue, np.uint8, space="mni152")
    _write_transform(folder / names.transform, prepared.transform)
    write_bytes(folder / names.picture, _picture(prepared, plan.config.template))
    record = _record(prepared, plan, mask_path) | {"outputs": _outputs(folder, names)}
    write_json(folder / names.sidecar, record)
    return _summary(record)


def finished_summary(
    plan: Plan,
    names: OutputNames,
    input_sha256: str,
    mask_path: Path | None,
    verify: bool = False,
) -> Summary | None:
    """The summary of a scan that an earlier run finished with the same input, or None.

    Args:
        plan: where to, and by what contract.
        names: the scan's files.
        input_sha256: of the scan's file.
        mask_path: the mask that is given, if any.
        verify: read every result and compare its checksum, not only its size.
    """
    try:
        record = read_json(plan.folder / names.sidecar)
        same = (
            record["contract"] == plan.contract.fingerprint()
            and record["input_sha256"] == input_sha256
            and record["mask_sha256"] == _mask_sha256(mask_path)
            and _are_whole(plan.folder, names, record["outputs"], verify)
        )
        return _summary(record) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def estimated_bytes(contract: Contract) -> int:
    """About what the results of one scan take, from what they took of whole heads at 1 mm."""
    return int(_BYTES_PER_VOXEL * np.prod(contract.grid_shape)) + _OTHER_BYTES


def _record(prepared: Prepared, plan: Plan, mask_path: Path | None) -> dict[str, Any]:
    """The sidecar: no header text, no path, nothing about the machine but its kind."""
    return {
        "contract": plan.contract.fingerprint(),
        "input_sha256": prepared.input_sha256,
        "mask_sha256": _mask_sha256(mask_path),
        "SkullStripped": True,
        "SpatialReference": SPACE,
        "brain_source": prepared.brain_source,
        "steps": [step.model_dump(mode="json") for step in plan.contract.steps],
        "seconds": prepared.seconds,
        "quality": asdict(prepared.quality),
        "white_stripe": asdict(prepared.stripe),
        "transform": prepared.transform.tolist(),
        "notes": list(prepared.notes),
        "software": software_record() | back_end_versions(plan.config),
    }


def _summary(record: dict[str, Any]) -> Summary:
    quality = record["quality"]
    return Summary(
        csf_ml=quality["csf_ml"],
        gm_ml=quality["gm_ml"],
        wm_ml=quality["wm_ml"],
        brain_ml=quality["brain_ml"],
        verdict=quality["verdict"],
        reasons=tuple(quality["reasons"]),
    )


def _picture(prepared: Prepared, template: str) -> bytes:
    """The caption names nobody, so the picture can be passed on."""
    quality = prepared.quality
    space = template_space(template, prepared.image.spacing_mm[0])
    return draw_check(
        np.asarray(prepared.image.array, dtype=np.float32),
        np.asarray(prepared.tissue.array, dtype=np.uint8),
        np.asarray(space.brain.array, dtype=bool),
        ": ".join(filter(None, [quality.verdict, ", ".join(quality.reasons)])),
    )


def _write_transform(path: Path, transform: npt.NDArray[np.float64]) -> None:
    if path.suffix == ".mat":
        write_bytes(path, itk_mat(transform))
    else:
        write_text(path, itk_text(transform))


def _files_of(folder: Path, names: OutputNames) -> list[Path]:
    files = (names.image, names.brain_mask, names.tissue, names.transform, names.picture)
    return [folder / name for name in files]


def _outputs(folder: Path, names: OutputNames) -> dict[str, dict[str, int | str]]:
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in _files_of(folder, names)
    }


def _are_whole(
    folder: Path, names: OutputNames, recorded: dict[str, dict[str, int | str]], verify: bool
) -> bool:
    if verify:
        return recorded == _outputs(folder, names)
    sizes = {path.name: path.stat().st_size for path in _files_of(folder, names)}
    return {name: entry["bytes"] for name, entry in recorded.items()} == sizes


def _mask_sha256(mask_path: Path | None) -> str | None:
    return None if mask_path is None else sha256_of(mask_path)
