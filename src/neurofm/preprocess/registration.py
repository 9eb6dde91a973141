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

# Background of the template that the comparison sees, around its brain.
_MARGIN_MM = 20.0


def register(
    brain: Volume, template: Volume, kind: Literal["rigid", "affine"]
) -> npt.NDArray[np.float64]:
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
    ants = ants_module()
    start = starting_pose(brain, template)
    with tempfile.TemporaryDirectory(prefix="neurofm-") as folder:
        start_file = Path(folder) / "start.txt"
        start_file.write_text(itk_text(start), encoding="utf-8")
        found = ants.registration(
            fixed=to_ants(_around_the_brain(template)),
            moving=to_ants(brain),
            type_of_transform="Rigid" if kind == "rigid" else "Affine",
            outprefix=str(Path(folder) / "to-template-"),
            initial_transform=[str(start_file)],
            aff_random_sampling_rate=0.3,
            aff_iterations=(300, 60),
            aff_shrink_factors=(2, 1),
            aff_smoothing_sigmas=(1, 0.5),
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
