"""The template as each step needs it: coarse for registration, on the output grid for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.preprocess.resampling import coarsen, resample
from neurofm.preprocess.template_source import stripped_template
from neurofm.volumes.grids import template_grid
from neurofm.volumes.template import packaged_template
from neurofm.volumes.volume import Volume

# Millimetres the atlas is blurred by: a rigid registration leaves sulci beside the atlas's.
_ATLAS_BLUR_MM = 2.0


@dataclass(frozen=True, eq=False)
class TemplateSpace:
    """The stripped T1 template and its tissue priors on one output grid; shared, read-only.

    Attributes:
        image: stripped T1, zero outside the brain.
        brain: bool, the template's brain.
        priors: (3, x, y, z) float32, probability of CSF, GM and WM, blurred; they sum to one.
    """

    image: Volume
    brain: Volume
    priors: npt.NDArray[np.float32]


@lru_cache(maxsize=2)
def template_space(template: str, spacing_mm: float) -> TemplateSpace:
    """The template on `template_grid(spacing_mm)`, made once a process.

    Args:
        template: as in `template_source.template_files`.
        spacing_mm: spacing of the output grid.
    """
    grid = template_grid(spacing_mm)
    image = resample(stripped_template(template), grid, np.eye(4))
    grey = resample(packaged_template("gm"), grid, np.eye(4))
    white = resample(packaged_template("wm"), grid, np.eye(4))
    fluid = np.clip(1 - grey - white, 0, 1)
    blur = _ATLAS_BLUR_MM / spacing_mm
    priors = np.stack([ndimage.gaussian_filter(tissue, blur) for tissue in (fluid, grey, white)])
    priors = (priors / priors.sum(axis=0)).astype(np.float32)
    brain = np.asarray(image > 0.1 * np.percentile(image[image > 0], 90))
    for array in (image, brain, priors):
        array.flags.writeable = False
    return TemplateSpace(Volume(image, grid.affine), Volume(brain, grid.affine), priors)


@lru_cache(maxsize=2)
def coarse_template(template: str, spacing_mm: float) -> Volume:
    """The stripped T1 template at about `spacing_mm`, for registration."""
    coarse = coarsen(stripped_template(template), spacing_mm)
    coarse.array.flags.writeable = False
    return coarse
