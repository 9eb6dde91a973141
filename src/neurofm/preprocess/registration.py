"""Linear registration of a stripped scan to the template, with ANTs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurofm.errors import ScanError
from neurofm.preprocess.ants_images import ants_module, ras_matrix, to_ants
from neurofm.preprocess.itk_transform import itk_text
from neurofm.preprocess.resampling import crop_around, cropped
from neurofm.preprocess.starting_pose import starting_pose
from neurofm.volumes.volume import Volume

Matrix = npt.NDArray[np.float64]

# Background of the template that the comparison sees, around its brain.
_MARGIN_MM = 20.0


def register(brain: Volume, template: Volume, kind: Literal["rigid", "affine"]) -> Matrix:
    """The (4, 4) matrix, scan mm -> template mm, that lays a stripped scan on the template.

    Starts from `starting_pose`; Mattes mutual information, two levels down to the given resolution.
    Single-threaded and seeded: equal inputs give equal matrices.

    Args:
        brain: stripped, bias-corrected, zero outside the brain.
        template: stripped T1 template at about the same spacing.
        kind: "rigid", or "affine" (12 parameters).

    Raises:
        ScanError: ANTs gave no transform, or one that is no plain finite matrix.
    """
    return _descend(brain, template, "Rigid" if kind == "rigid" else "Affine")


def register_by_shape(brain: Volume, template: Volume) -> Matrix:
    """Like a rigid `register`, but of the brain enlarged to the template's size meanwhile.

    A similarity transform (7 parameters) whose scaling is taken out again about the brain's centre.
    Where a small head may slide about inside the larger template, sizes that match hold it.

    Raises:
        ScanError: as `register`.
    """
    found = _descend(brain, template, "Similarity")
    left, _, right = np.linalg.svd(found[:3, :3])
    centre = brain.affine @ np.append(np.argwhere(np.asarray(brain.array) > 0).mean(axis=0), 1)
    rigid = np.eye(4)
    rigid[:3, :3] = left @ right
    rigid[:3, 3] = (found @ centre)[:3] - rigid[:3, :3] @ centre[:3]
    return rigid


def _descend(brain: Volume, template: Volume, transform: str) -> Matrix:
    ants = ants_module()
    with tempfile.TemporaryDirectory(prefix="neurofm-") as folder:
        start = Path(folder) / "start.txt"
        start.write_text(itk_text(starting_pose(brain, template)), encoding="utf-8")
        found = ants.registration(
            fixed=to_ants(_around_the_brain(template)),
            moving=to_ants(brain),
            type_of_transform=transform,
            outprefix=str(Path(folder) / "to-template-"),
            initial_transform=[str(start)],
            aff_random_sampling_rate=0.5,
            aff_iterations=(100, 10),
            aff_shrink_factors=(2, 1),
            aff_smoothing_sigmas=(1, 0),
        )
        names = found["fwdtransforms"]
        # ANTs gives the map of points template -> scan.
        from_template = ras_matrix(ants.read_transform(names[0])) if names else np.zeros((4, 4))
    determinant = np.linalg.det(from_template)
    if not np.isfinite(determinant) or abs(determinant) < 1e-3:
        raise ScanError(
            "registration to the template gave no transform",
            "look at the scan",
            kind="registration",
        )
    return np.asarray(np.linalg.inv(from_template))


def _around_the_brain(template: Volume) -> Volume:
    array = np.asarray(template.array)
    x, y, z = (int(np.ceil(_MARGIN_MM / spacing)) for spacing in template.spacing_mm)
    return cropped(template, crop_around(np.asarray(array > 0.1 * array.max()), (x, y, z)))
