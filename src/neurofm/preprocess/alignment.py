"""A brain laid on the template: registered, and again by its shape where that looks wrong."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurofm.config import PreprocessConfig
from neurofm.preprocess.likeness import likeness_of
from neurofm.preprocess.registration import register, register_by_shape
from neurofm.preprocess.resampling import coarsen, resample
from neurofm.preprocess.template_space import TemplateSpace, coarse_template, template_space
from neurofm.volumes.grids import template_grid
from neurofm.volumes.volume import Volume

# Grid on which a result is compared with the template.
_COMPARED_MM = 3.0
# Right registrations of real scans correlate by 0.74 and more, see `Likeness`.
_DOUBTFUL = 0.7


def align(scan: Volume, mask: Volume, config: PreprocessConfig) -> npt.NDArray[np.float64]:
    """The (4, 4) matrix, scan mm -> template mm, of one scan.

    A rigid registration whose result does not look like the template is made again by the brain's
    shape, and the better of the two is taken.

    Args:
        scan: bias-corrected.
        mask: the brain as float32, on the same grid.
        config: the recipe's `preprocess` section.

    Raises:
        ScanError: ANTs gave no transform.
    """
    spacing_mm = max(config.registration_spacing_mm, min(config.spacing_mm, _COMPARED_MM))
    stripped = scan.array.astype(np.float32) * mask.array.astype(np.float32)
    brain = coarsen(Volume(stripped, scan.affine), spacing_mm)
    template = coarse_template(config.template, spacing_mm)
    first = register(brain, template, config.transform)
    if config.transform == "affine":
        return first
    space = template_space(config.template, _COMPARED_MM)
    if _correlation(brain, first, space) >= _DOUBTFUL:
        return first
    second = register_by_shape(brain, template)
    return max(first, second, key=lambda matrix: _correlation(brain, matrix, space))


def _correlation(brain: Volume, transform: npt.NDArray[np.float64], space: TemplateSpace) -> float:
    image = np.maximum(resample(brain, template_grid(_COMPARED_MM), transform), 0)
    if not image.any():
        return 0.0
    inside = image > 0.1 * np.percentile(image[image > 0], 90)
    return likeness_of(image, np.asarray(inside), space).correlation
