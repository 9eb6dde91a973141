"""One scan through every step: from a file to a normalised brain on the template's grid."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.config import PreprocessConfig
from neurofm.errors import ScanError
from neurofm.preprocess.alignment import align
from neurofm.preprocess.bias_field import correct_bias
from neurofm.preprocess.brain_extraction import Brain, BrainSource, find_brain
from neurofm.preprocess.quality import BRAIN_BOUNDS_ML, Quality, judge
from neurofm.preprocess.resampling import crop_around, cropped, resample
from neurofm.preprocess.stripped import largest_component
from neurofm.preprocess.synthseg import synthseg_labels, tissue_of_labels
from neurofm.preprocess.template_space import template_space
from neurofm.preprocess.tissue import label_tissue
from neurofm.preprocess.white_stripe import Stripe, find_stripe
from neurofm.volumes.grids import Grid, template_grid
from neurofm.volumes.nifti import read_foreign_mask, read_volume
from neurofm.volumes.volume import Volume

# Millimetres kept around the brain; beyond, nothing can reach the result.
_MARGIN_MM = 6.0
# Voxels this many times above the brain's brightest usual ones are outliers, not tissue.
_OUTLIER_FACTOR = 4.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """One preprocessed scan.

    Attributes:
        image: float32 on `template_grid(config.spacing_mm)`, white-matter mean 0 and white stripe
            deviation 1; outside the brain, what an intensity of zero is in these units.
        brain_mask: bool, same grid.
        tissue: uint8, same grid: 0 background, 1 CSF, 2 grey matter, 3 white matter.
        transform: (4, 4) scan mm -> template mm, RAS+.
        quality: numbers and verdict.
        stripe: the unit of the image.
        brain_source: how the brain was found.
        input_sha256: of the file that was read.
        seconds: wall time of each step, in order.
        notes: what was odd but bearable.
    """

    image: Volume
    brain_mask: Volume
    tissue: Volume
    transform: npt.NDArray[np.float64]
    quality: Quality
    stripe: Stripe
    brain_source: BrainSource
    input_sha256: str
    seconds: dict[str, float]
    notes: tuple[str, ...]


@dataclass
class StepClock:
    """Knows which step is running and how long each took; outlives an error in one."""

    current: str = "start"
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block as step `name`; on an error `current` keeps the name."""
        self.current = name
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 3)


def prepare_scan(
    path: Path,
    config: PreprocessConfig,
    mask_path: Path | None = None,
    *,
    expected_sha256: str | None = None,
    clock: StepClock | None = None,
) -> Prepared:
    """Bring one T1-weighted scan to MNI152: stripped, bias-corrected, labelled, normalised.

    Equal files give equal voxels, whatever else the machine does.

    Args:
        path: a NIfTI file of one 3D scan.
        config: the recipe's `preprocess` section.
        mask_path: a brain mask on the scan's own grid, used instead of brain extraction.
        expected_sha256: the indexed checksum; a file that has changed since is refused.
        clock: filled with the seconds of each step; tells the step of an error.

    Raises:
        ScanError: the scan cannot be read, or a step has no believable result. A result that is
            believable in part only has the verdict "look" or "fail" instead.
    """
    clock = clock or StepClock()
    try:
        return _prepare(path, config, mask_path, expected_sha256, clock)
    except ScanError as error:
        if error.where is not None:
            raise
        raise ScanError(error.what, error.mend, path, error.kind) from None


def _prepare(
    path: Path,
    config: PreprocessConfig,
    mask_path: Path | None,
    expected_sha256: str | None,
    clock: StepClock,
) -> Prepared:
    with clock.step("read"):
        read = read_volume(
            path,
            volume_index=config.volume_index,
            assume_orientation=config.assume_orientation,
            expected_sha256=expected_sha256,
        )
        given = read_foreign_mask(mask_path, config.assume_orientation) if mask_path else None
    with clock.step("brain-extraction"):
        brain = find_brain(read.volume, given.volume if given else None, config.brain_extraction)
        scan, mask, notes = _only_the_brain(read.volume, brain)
        scan, mask, to_centre = _centred(scan, mask)
    with clock.step("bias-field"):
        scan = correct_bias(scan, mask, config.bias_field_spacing_mm, config.bias_field_shrink)
    with clock.step("registration"):
        from_centre = align(scan, mask, config)
        transform = from_centre @ to_centre
    space = template_space(config.template, config.spacing_mm)
    with clock.step("resampling"):
        grid = template_grid(config.spacing_mm)
        image = np.maximum(resample(scan, grid, from_centre), 0)
        inside = np.asarray(resample(mask, grid, from_centre) > 0.5)
    with clock.step("tissue"):
        inside = _whole(inside)
        if config.tissue == "synthseg":
            tissue = tissue_of_labels(synthseg_labels(read.volume), inside, grid, transform)
        else:
            tissue = label_tissue(image, inside, space.priors)
    with clock.step("normalisation"):
        stripe = find_stripe(image[inside])
        image[~inside] = 0
        normalised = stripe.apply(image)
    with clock.step("quality"):
        seen = Grid(read.volume.shape, read.volume.affine)
        quality = judge(image, tissue, transform, space, seen)
    return Prepared(
        image=Volume(normalised, grid.affine),
        brain_mask=Volume(tissue > 0, grid.affine),
        tissue=Volume(tissue, grid.affine),
        transform=transform,
        quality=quality,
        stripe=stripe,
        brain_source=brain.source,
        input_sha256=read.sha256,
        seconds=dict(clock.seconds),
        notes=read.notes + (given.notes if given else ()) + notes,
    )


def _only_the_brain(scan: Volume, brain: Brain) -> tuple[Volume, Volume, tuple[str, ...]]:
    """Crop scan and mask (as float32) to the brain; refuse sizes no brain has; cut outliers."""
    brain_ml = float(brain.mask.array.sum()) * scan.voxel_ml
    low, high = BRAIN_BOUNDS_ML
    if not low <= brain_ml <= high:
        raise ScanError(
            f"the brain found in it has {brain_ml:.0f} mL, expected {low:.0f} to {high:.0f}",
            "look at the scan, or give a mask_path",
            kind="brain-size",
        )
    x, y, z = (int(np.ceil(_MARGIN_MM / spacing)) for spacing in scan.spacing_mm)
    box = crop_around(np.asarray(brain.mask.array, dtype=bool), (x, y, z))
    scan, mask = cropped(scan, box), cropped(brain.mask, box)
    array = np.ascontiguousarray(scan.array, dtype=np.float32)
    inside = np.ascontiguousarray(mask.array, dtype=np.float32)
    limit = _OUTLIER_FACTOR * float(np.percentile(array[inside > 0][::4], 99))
    if not limit > 0:
        raise ScanError("its brain is nowhere bright", "look at the scan", kind="constant")
    notes: tuple[str, ...] = ()
    if brain.source == "already-stripped":
        notes = ("came stripped; the brain is kept as it is",)
    outliers = int((array > limit).sum())
    if outliers:
        notes += (f"{outliers} voxels brighter than {limit:.4g} cut to it",)
    return (
        Volume(np.clip(array, 0, limit), scan.affine),
        Volume(inside, mask.affine),
        notes,
    )


def _centred(scan: Volume, mask: Volume) -> tuple[Volume, Volume, npt.NDArray[np.float64]]:
    """Both with the middle of the grid at 0 mm, and the shift that brings the scan there.

    A file stores the place of its first voxel, rounded, and which voxel is the first depends on the
    order of the axes. From the middle, all 48 orders give the same numbers to the last bit.
    """
    affine, to_centre = scan.affine.copy(), np.eye(4)
    affine[:3, 3] = -scan.affine[:3, :3] @ ((np.array(scan.shape) - 1) / 2)
    to_centre[:3, 3] = affine[:3, 3] - scan.affine[:3, 3]
    return Volume(scan.array, affine), Volume(mask.array, affine), to_centre


def _whole(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask without specks and holes."""
    if not inside.any():
        raise ScanError(
            "no part of the brain lies on the template", "look at the scan", kind="registration"
        )
    box = crop_around(inside, (1, 1, 1))
    whole = np.zeros_like(inside)
    whole[box] = ndimage.binary_fill_holes(largest_component(inside[box]))
    return whole
