"""How near preprocessing comes to slower references: N4, ANTs' Rigid, DLMUSE, on real scans.

python benchmarks/bench_preprocess_agreement.py [SCANS] (default ../shared/scans); about 35 minutes
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from real_scans import coarse_heads, scans_folder, whole_heads
from scipy import ndimage
from scipy.spatial.transform import Rotation

from neurofm.config import PreprocessConfig
from neurofm.preprocess.ants_images import ants_module, ras_matrix, to_ants
from neurofm.preprocess.bias_field import correct_bias
from neurofm.preprocess.brain_extraction import find_brain
from neurofm.preprocess.itk_transform import itk_text
from neurofm.preprocess.likeness import dice, likeness_of
from neurofm.preprocess.pipeline import Prepared, prepare_scan
from neurofm.preprocess.resampling import coarsen, crop_around, cropped, resample
from neurofm.preprocess.template_space import coarse_template, template_space
from neurofm.volumes.grids import template_grid
from neurofm.volumes.nifti import read_labels, read_volume
from neurofm.volumes.volume import Volume

Matrix = npt.NDArray[np.float64]

# MUSE's numbers; all others above zero are grey matter.
FLUID = (1, 46, 4, 11, 49, 50, 51, 52)
WHITE = (40, 41, 61, 62, *range(81, 96))
# Centre and half axes of the template's brain, mm.
CENTRE, HALF_AXES = np.array([0.0, -18.0, 10.0]), np.array([68.0, 85.0, 65.0])


@dataclass(frozen=True, eq=False)
class Head:
    """A scan cropped to its brain, the brain's mask, and what preprocessing made of it."""

    scan: Volume
    mask: Volume
    prepared: Prepared


def main(scans: Path) -> None:
    """Print one line a scan and the medians or means."""
    rows = []
    for path in whole_heads(scans):
        head = _head(path)
        config = PreprocessConfig()
        corrected = correct_bias(
            head.scan, head.mask, config.bias_field_spacing_mm, config.bias_field_shrink
        )
        rows.append((*_bias(head, corrected), *_registration(head, corrected)))
        print(path.name, " ".join(f"{value:.3f}" for value in rows[-1]), flush=True)
    print("median:", _named(np.median(rows, axis=0)))
    print("Dice with DLMUSE: brain, CSF, grey, white")
    table = []
    for path in coarse_heads(scans):
        reference = scans / "ixi10" / "dlmuse" / f"{path.name[:-7]}_DLMUSE.nii.gz"
        table.append(agreement(prepare_scan(path, PreprocessConfig()), reference))
        print(path.name, " ".join(f"{value:.3f}" for value in table[-1]), flush=True)
    print("mean:", " ".join(f"{value:.3f}" for value in np.mean(table, axis=0)))


def agreement(prepared: Prepared, reference: Path) -> tuple[float, ...]:
    """Dice coefficients of brain, CSF, grey and white matter with a MUSE label map."""
    labels = read_labels(reference)
    matrix = np.linalg.inv(prepared.transform @ labels.affine) @ prepared.image.affine
    moved = ndimage.affine_transform(
        labels.array, matrix[:3, :3], matrix[:3, 3], prepared.image.shape, order=0
    )
    truth = np.where(moved > 0, 2, 0)
    truth[np.isin(moved, FLUID)] = 1
    truth[np.isin(moved, WHITE)] = 3
    tissue = np.asarray(prepared.tissue.array)
    return dice(tissue > 0, moved > 0), *(dice(tissue == k, truth == k) for k in (1, 2, 3))


def _head(path: Path) -> Head:
    scan = read_volume(path).volume
    mask = find_brain(scan).mask
    box = crop_around(np.asarray(mask.array, dtype=bool), (6, 6, 6))
    inside = Volume(mask.array.astype(np.float32), scan.affine)
    return Head(cropped(scan, box), cropped(inside, box), prepare_scan(path, PreprocessConfig()))


def _bias(head: Head, corrected: Volume) -> tuple[float, float, float]:
    """Correlation of the log fields, and white matter's variation by the reference and by ours."""
    inside = np.asarray(head.mask.array > 0) & (np.asarray(head.scan.array) > 0)
    field = ants_module().n4_bias_field_correction(
        to_ants(head.scan), mask=to_ants(head.mask), shrink_factor=3, return_bias_field=True
    ).numpy()  # fmt: skip
    scan, ours = np.asarray(head.scan.array), np.asarray(corrected.array)
    log_fields = np.log(field[inside]), np.log(scan[inside] / np.maximum(ours[inside], 1e-9))
    white = _white(head) & inside
    spread = [float(image[white].std() / image[white].mean()) for image in (scan / field, ours)]
    return float(np.corrcoef(*log_fields)[0, 1]), spread[0], spread[1]


def _white(head: Head) -> npt.NDArray[np.bool_]:
    """White matter of the result on the scan's own voxels, without its border."""
    tissue, image = head.prepared.tissue, head.scan
    matrix = np.linalg.inv(tissue.affine) @ head.prepared.transform @ image.affine
    white = ndimage.binary_erosion(np.asarray(tissue.array) == 3)
    moved = ndimage.affine_transform(
        white.astype(np.uint8), matrix[:3, :3], matrix[:3, 3], image.shape, order=0
    )
    return np.asarray(moved > 0)


def _registration(head: Head, corrected: Volume) -> tuple[float, ...]:
    """Likeness by ours, by Rigid and by the better of Rigid's two results; distances from both.

    Rigid descends from the centres of mass, and where it ends far from the template nothing is
    learnt from the distance. So it is started from our result too, and the better result counts.
    """
    stripped = Volume(corrected.array * head.mask.array, corrected.affine)
    template, ours = to_ants(coarse_template("nilearn", 1.0)), head.prepared.transform
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "ours.txt"
        start.write_text(itk_text(ours))
        slow = [_rigid(template, to_ants(stripped), each, folder) for each in (None, start)]
    likeness = [_likeness(stripped, matrix) for matrix in (ours, *slow)]
    better = slow[int(likeness[2] > likeness[1])]
    distances = (*_distances(ours, slow[0]), *_distances(ours, better))
    return likeness[0], likeness[1], max(likeness[1:]), *distances


def _rigid(template: object, moving: object, start: Path | None, folder: str) -> Matrix:
    ants = ants_module()
    found = ants.registration(
        fixed=template,
        moving=moving,
        type_of_transform="Rigid",
        initial_transform=[str(start)] if start else None,
        outprefix=f"{folder}/slow-",
        random_seed=1,
    )
    (name,) = found["fwdtransforms"]
    return np.asarray(np.linalg.inv(ras_matrix(ants.read_transform(name))))


def _likeness(stripped: Volume, matrix: Matrix) -> float:
    space = template_space("nilearn", 3.0)
    image = np.maximum(resample(coarsen(stripped, 2.0), template_grid(3.0), matrix), 0)
    return likeness_of(image, image > 0.1 * np.percentile(image[image > 0], 90), space).correlation


def _distances(ours: Matrix, slow: Matrix) -> tuple[float, float, float, float]:
    """Degrees, and mm at the centre, on average and at most at the brain's surface."""
    between = ours @ np.linalg.inv(slow)
    turn = np.linalg.norm(Rotation.from_matrix(between[:3, :3]).as_rotvec())
    directions = np.random.default_rng(0).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    places = np.vstack([CENTRE, CENTRE + directions * HALF_AXES])
    moved = places @ between[:3, :3].T + between[:3, 3]
    centre, *surface = np.linalg.norm(moved - places, axis=1)
    return float(np.degrees(turn)), float(centre), float(np.mean(surface)), float(np.max(surface))


def _named(values: npt.NDArray[np.float64]) -> str:
    names = (
        "correlation of log fields", "white-matter variation by N4", "by ours",
        "likeness by ours", "by Rigid", "by the better of two Rigid",
        "degrees from Rigid", "mm at the centre", "mm at the surface", "at most",
        "degrees from the better Rigid", "mm at the centre", "mm at the surface", "at most",
    )  # fmt: skip
    return ", ".join(f"{name} {value:.3f}" for name, value in zip(names, values, strict=True))


if __name__ == "__main__":
    main(scans_folder())
