"""The golden scan of a bundle: a phantom made anew anywhere, and what each step makes of it."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import nn

from neurofm.cohorts.phantom import simulate_session
from neurofm.cohorts.phantom_people import draw_person
from neurofm.config import PhantomConfig, PreprocessConfig
from neurofm.config.knobs import Section
from neurofm.data.prepare import model_input, zscore_in_mask
from neurofm.errors import WeightsError
from neurofm.files import write_json
from neurofm.models.checksums import GOLDEN_FILE
from neurofm.preprocess.pipeline import prepare_scan
from neurofm.versions import software_record
from neurofm.volumes.nifti import write_volume

GOLDEN_PHANTOM = PhantomConfig(participants=1, spacing_mm=2.0)
GOLDEN_SEED = 2026
TOLERANCE = 1e-4
STEPS = (
    "raw phantom", "registration", "brain mask", "preprocessed volume", "model input", "embedding",
)  # fmt: skip
_BLOCKS = 6  # along each axis of a volume
_DIGITS = 8  # more than float32 has
RECORDED_TO = 10.0**-_DIGITS


class GoldenStep(Section):
    """What one step gave.

    Attributes:
        name: of the step, in words.
        shape: of its array.
        sha256: of the array's bytes; equal ones need no tolerance.
        values: the array itself where it is small, or else the means of 6 x 6 x 6 blocks.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str
    values: tuple[float, ...]

    def deviation(self, found: GoldenStep) -> float:
        """The largest difference of the values over the largest value; inf for other shapes."""
        if self.sha256 == found.sha256:
            return 0.0
        if self.shape != found.shape:
            return float("inf")
        wanted, given = np.array(self.values), np.array(found.values)
        largest = float(np.abs(wanted).max())
        difference = float(np.abs(wanted - given).max())
        return difference / largest if largest else difference


class Golden(Section):
    """The definition of a golden scan and what was made of it, step by step.

    Attributes:
        phantom: the cohort whose first participant it is.
        seed: of the cohort.
        preprocess: how it was prepared.
        steps: from the raw scan to the embedding.
        software: versions that made them.
    """

    phantom: PhantomConfig
    seed: int
    preprocess: PreprocessConfig
    steps: tuple[GoldenStep, ...]
    software: dict[str, str]


def make_golden(
    encoder: nn.Module,
    spacing_mm: float,
    preprocess: PreprocessConfig,
    phantom: PhantomConfig = GOLDEN_PHANTOM,
    seed: int = GOLDEN_SEED,
) -> Golden:
    """Simulate the scan, prepare and encode it on the CPU, and record every step.

    Args:
        encoder: frozen, in evaluation mode.
        spacing_mm: of the volumes it takes.
        preprocess: how to prepare the scan.
        phantom: the cohort whose first participant is scanned.
        seed: of the cohort.
    """
    raw = simulate_session(phantom, seed, draw_person(phantom, seed, 1), 0).acquisition.image
    with tempfile.TemporaryDirectory(prefix="neurofm-golden-") as folder:
        path = Path(folder) / "phantom.nii.gz"
        write_volume(path, raw, dtype=np.int16)
        prepared = prepare_scan(path, preprocess)
    images, masks = model_input(prepared.image, prepared.brain_mask, spacing_mm)
    volume = zscore_in_mask(images, masks)
    with torch.inference_mode():
        embedding = encoder(volume)[0].float()
    arrays: tuple[npt.NDArray[np.generic], ...] = (
        raw.array,
        prepared.transform,
        np.asarray(prepared.brain_mask.array, np.uint8),
        prepared.image.array,
        volume[0, 0].numpy(),
        embedding.numpy(),
    )
    steps = tuple(_step(name, array) for name, array in zip(STEPS, arrays, strict=True))
    return Golden(
        phantom=phantom,
        seed=seed,
        preprocess=preprocess,
        steps=steps,
        software=software_record(),
    )


def write_golden(folder: Path, golden: Golden) -> None:
    """Write `golden.json` atomically."""
    write_json(folder / GOLDEN_FILE, golden.model_dump(mode="json"))


def read_golden(folder: Path) -> Golden:
    """Read `golden.json` of a bundle.

    Raises:
        WeightsError: the folder has none, or one this version of neurofm does not know.
    """
    path = folder / GOLDEN_FILE
    if not path.is_file():
        raise WeightsError(
            f"has no {GOLDEN_FILE} to compare this installation with",
            "give a folder of neurofm bundle, or name a scan to be looked at",
            folder,
        )
    try:
        golden = Golden.model_validate_json(path.read_text(encoding="utf-8"), strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise WeightsError(f"'{key}': {fault['msg']}", "make the bundle again", path) from None
    if tuple(step.name for step in golden.steps) != STEPS:
        raise WeightsError("records other steps than this neurofm", "make the bundle again", path)
    return golden


def _step(name: str, array: npt.NDArray[np.generic]) -> GoldenStep:
    whole = np.ascontiguousarray(array)
    values = _block_means(whole) if whole.ndim == 3 else whole.astype(np.float64).ravel()
    return GoldenStep(
        name=name,
        shape=whole.shape,
        sha256=hashlib.sha256(whole.tobytes()).hexdigest(),
        values=tuple(float(f"{value:.{_DIGITS}g}") for value in values),
    )


def _block_means(array: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    blocks = array.astype(np.float64)
    for axis in range(3):
        parts = np.array_split(blocks, min(_BLOCKS, blocks.shape[axis]), axis)
        blocks = np.stack([part.mean(axis=axis) for part in parts], axis)
    return blocks.ravel()
