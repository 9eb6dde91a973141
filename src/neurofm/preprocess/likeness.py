"""How like the template a result looks, once the size of the head is taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from neurofm.preprocess.template_space import TemplateSpace

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# All comparisons are made on every n-th voxel, about this far apart.
_EVERY_MM = 3.0
# Smoothing, as a Gaussian's standard deviation, that leaves what all brains share.
_SMOOTHED_MM = 3.0
# How deep inside both brains the second correlation begins.
_DEPTH_MM = 9.0
# A lesion is darker than this share of the tissue deep inside, where the template has tissue as
# surely as this, on one side only, as large as this; and no more of the brain than this.
_DARK_SHARE = 0.6
_TISSUE_PRIOR = 0.7
_LESION_ML = 5.0
_LESION_SHARE = 0.25


@dataclass(frozen=True)
class Likeness:
    """A brain compared with the template's after stretching it along each axis to its size.

    A rigid registration keeps a small head small, which says nothing against it. The stretch comes
    from the spread of both masks along the template's axes. What is as dark as fluid on one side
    only, as after a stroke, says nothing against a registration: both correlations leave it out.

    Attributes:
        correlation: of both images over both brains, smoothed by 3 mm.
        inner_correlation: of both images deep inside both brains: contrast, not outline.
        shape_overlap: Dice coefficient of both masks.
        white_over_grey: mean intensity where the template has white matter over where it has grey.
    """

    correlation: float
    inner_correlation: float
    shape_overlap: float
    white_over_grey: float


NOTHING_ALIKE = Likeness(0.0, 0.0, 0.0, 0.0)


def likeness_of(image: Floats, brain: Mask, template: TemplateSpace) -> Likeness:
    """Compare a result with the template.

    Args:
        image: (x, y, z) intensities on the template's grid, in any unit.
        brain: (x, y, z) the brain mask.
        template: on the same grid.
    """
    spacing_mm = template.image.spacing_mm[0]
    step = max(1, round(_EVERY_MM / spacing_mm))
    every = (slice(None, None, step),) * 3
    voxel_mm = step * spacing_mm
    brain, image = brain[every], image[every]
    model = np.asarray(template.image.array[every], dtype=np.float32)
    model_brain = np.asarray(template.brain.array[every], dtype=bool)
    if brain.sum() < 100:
        return NOTHING_ALIKE
    shown = np.clip(image, 0, np.percentile(image[brain], 99.5)) * brain
    stretched, own_brain = _stretched(shown.astype(np.float32), brain, model_brain)
    sigma = _SMOOTHED_MM / voxel_mm
    first, second = (ndimage.gaussian_filter(each, sigma) for each in (stretched, model))
    depth = max(1, round(_DEPTH_MM / voxel_mm))
    inner = own_brain & ndimage.binary_erosion(model_brain, iterations=depth)
    priors = template.priors[:, *every]
    tissue = own_brain & (priors[1] + priors[2] > _TISSUE_PRIOR)
    sound = ~_lesion(first, tissue, inner, voxel_mm**3 / 1000)
    return Likeness(
        correlation=_correlation(first, second, (own_brain | model_brain) & sound),
        inner_correlation=_correlation(first, second, inner & sound),
        shape_overlap=dice(own_brain, model_brain),
        white_over_grey=_white_over_grey(stretched, own_brain, priors),
    )


def _lesion(image: Floats, tissue: Mask, inner: Mask, voxel_ml: float) -> Mask:
    """Where the image is dark in places of tissue, and bright in the mirror: nowhere if too large.

    Args:
        image: (x, y, z) smoothed and stretched; the grid's middle is the template's midline.
        tissue: where the template has tissue.
        inner: deep inside both brains.
        voxel_ml: volume of a voxel.
    """
    nowhere = np.zeros_like(tissue)
    if not (tissue & inner).any():
        return nowhere
    dark = tissue & (image < _DARK_SHARE * np.median(image[tissue & inner]))
    parts, _ = ndimage.label(ndimage.binary_opening(dark & ~dark[::-1]))
    large = np.bincount(parts.ravel()) * voxel_ml >= _LESION_ML
    large[0] = False
    # Two voxels more, for the smoothing has spread its edge.
    lesion = ndimage.binary_dilation(large[parts], iterations=2)
    return lesion if (lesion & inner).sum() <= _LESION_SHARE * inner.sum() else nowhere


def dice(first: Mask, second: Mask) -> float:
    """Twice the common voxels over the sum of both; 1 for two equal masks, 0 for two empty."""
    both = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / both if both else 0.0


def _stretched(image: Floats, brain: Mask, model: Mask) -> tuple[Floats, Mask]:
    """Image and mask moved and stretched so that the mask has the model's centre and spread."""
    own, wanted = np.argwhere(brain), np.argwhere(model)
    ratio = np.maximum(own.std(axis=0), 0.1) / wanted.std(axis=0)
    offset = own.mean(axis=0) - ratio * wanted.mean(axis=0)
    moved = ndimage.affine_transform(image, np.diag(ratio), offset, order=1)
    mask = ndimage.affine_transform(brain.astype(np.float32), np.diag(ratio), offset, order=1)
    return moved, np.asarray(mask > 0.5)


def _correlation(first: Floats, second: Floats, inside: Mask) -> float:
    a, b = first[inside], second[inside]
    if a.size < 100 or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _white_over_grey(image: Floats, brain: Mask, priors: Floats) -> float:
    _, grey, white = (prior * brain for prior in priors)
    if not (grey.sum() and white.sum() and (grey * image).sum() > 0):
        return 0.0
    bright = float((white * image).sum() / white.sum())
    return bright / float((grey * image).sum() / grey.sum())
