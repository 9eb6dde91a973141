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
from neurofm.preprocess.naming import SPACE, OutputNames
from neurofm.preprocess.picture import draw_check
from neurofm.preprocess.pipeline import Prepared
from neurofm.preprocess.template_space import template_space
from neurofm.versions import package_version, software_record
from neurofm.volumes.nifti import write_volume

_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Plan:
    """What all scans of one call share.

    Attributes:
        folder: the derivatives.
        config: the recipe's `preprocess` section.
        contract: of that section.
    """

    folder: Path
    config: PreprocessConfig
    contract: Contract


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
    write_text(folder / names.transform, itk_transform(prepared.transform))
    write_bytes(folder / names.picture, _picture(prepared, plan.config.template))
    record = _record(prepared, plan, mask_path) | {"outputs": _sizes(folder, names)}
    write_json(folder / names.sidecar, record)
    return _summary(record)


def finished_summary(
    plan: Plan, names: OutputNames, input_sha256: str, mask_path: Path | None
) -> Summary | None:
    """The summary of a scan that an earlier run finished with the same input, or None."""
    try:
        record = read_json(plan.folder / names.sidecar)
        same = (
            record["contract"] == plan.contract.fingerprint()
            and record["input_sha256"] == input_sha256
            and record["outputs"] == _sizes(plan.folder, names)
            and record["mask_sha256"] == _mask_sha256(mask_path)
        )
        return _summary(record) if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def itk_transform(transform: npt.NDArray[np.float64]) -> str:
    """A transform as an ITK text file, which `antsApplyTransforms` takes for this scan.

    Args:
        transform: (4, 4) scan mm -> template mm, RAS+. The file holds what ITK wants: the map of
            points from template to scan, in LPS+.
    """
    matrix = _LPS_FROM_RAS @ np.linalg.inv(transform) @ _LPS_FROM_RAS
    parameters = [*matrix[:3, :3].ravel(), *matrix[:3, 3]]
    return (
        "#Insight Transform File V1.0\n#Transform 0\n"
        "Transform: AffineTransform_double_3_3\n"
        f"Parameters: {' '.join(repr(float(value)) for value in parameters)}\n"
        "FixedParameters: 0 0 0\n"
    )


def describe_dataset(folder: Path, cohort: str) -> None:
    """Write the `dataset_description.json` that makes a cohort's folder BIDS derivatives."""
    write_json(
        folder / "dataset_description.json",
        {
            "Name": f"neurofm: {cohort}",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [
                {"Name": "neurofm", "Version": package_version("neurofm") or "unknown"}
            ],
        },
    )


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


def _sizes(folder: Path, names: OutputNames) -> dict[str, int]:
    files = (names.image, names.brain_mask, names.tissue, names.transform, names.picture)
    return {Path(name).name: (folder / name).stat().st_size for name in files}


def _mask_sha256(mask_path: Path | None) -> str | None:
    return None if mask_path is None else sha256_of(mask_path)
