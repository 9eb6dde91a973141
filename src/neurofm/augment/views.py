"""The random views of SimCLR: crop, resize, flip, rotate, shift, contrast, then z-score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neurofm.augment.draws import ViewDraw, draw_view
from neurofm.augment.geometry import crop_and_resize, rotate_in_plane
from neurofm.config.learning import ViewsConfig
from neurofm.data.batch import Batch
from neurofm.data.prepare import zscore_in_mask_
from neurofm.errors import ScanError
from neurofm.seeds import random_stream

Images = Float[Tensor, "batch 1 depth height width"]
Masks = Bool[Tensor, "batch 1 depth height width"]


def make_views(batch: Batch, config: ViewsConfig, seed: int, view: int, spacing_mm: float) -> Batch:
    """Draw one view of every scan of a batch, z-scored inside the mask as the view moved it.

    The draws depend on seed, epoch, participant and view number only. A view without brain, of one
    intensity, or with a NaN is drawn again.

    Args:
        batch: intensities as they were packed.
        config: the chain's probabilities and ranges.
        seed: the recipe's seed.
        view: 0 or 1.
        spacing_mm: voxel size of the volumes.

    Raises:
        ScanError: a scan gave no usable view in `config.max_redraws` + 1 draws.
    """
    _, _, depth, height, width = batch.images.shape
    images, masks = torch.empty_like(batch.images), torch.empty_like(batch.masks)
    pending = list(range(len(batch)))
    for attempt in range(config.max_redraws + 1):
        for i in pending:
            stream = random_stream("view", seed, batch.epoch, batch.items[i], view, attempt)
            draw = draw_view(stream, config, (depth, height, width), spacing_mm)
            image, mask = apply_views(batch.images[i : i + 1], batch.masks[i : i + 1], [draw])
            images[i], masks[i] = zscore_in_mask_(image, mask)[0], mask[0]
        sound = _sound([images[i] for i in pending])
        pending = [i for i, usable in zip(pending, sound, strict=True) if not usable]
        if not pending:
            return replace(batch, images=images, masks=masks)
    raise ScanError(
        f"no usable view in {config.max_redraws + 1} draws (no brain, one intensity, or NaN)",
        "check its mask and image; pack without it",
        batch.items[pending[0]],
        "no-view",
    )


def apply_views(images: Images, masks: Masks, draws: Sequence[ViewDraw]) -> tuple[Images, Masks]:
    """Carry out one draw for each volume; the inputs stay as they are, nothing is z-scored yet.

    Equal to MONAI's SpatialCrop, Resize, Flip, Rotate, ShiftIntensity and AdjustContrast in this
    order, images trilinear and masks nearest (paper, section 4.2).

    Args:
        images: intensities.
        masks: inside the brain.
        draws: one for each volume of the batch.
    """
    views = [_apply_view(images[i : i + 1], masks[i : i + 1], draw) for i, draw in enumerate(draws)]
    if len(views) == 1:
        return views[0]
    return torch.cat([image for image, _ in views]), torch.cat([mask for _, mask in views])


def _apply_view(image: Images, mask: Masks, draw: ViewDraw) -> tuple[Images, Masks]:
    image, mask = crop_and_resize(image, mask, draw.crop_start, draw.crop_size, draw.flip)
    if draw.rotation_radians is not None:
        image, mask = rotate_in_plane(image, mask, draw.rotation_radians)
    if draw.shift:
        image.add_(draw.shift)
    if draw.gamma is not None:
        adjust_contrast_(image, draw.gamma)
    return image, mask


def adjust_contrast_(image: Images, gamma: float) -> Images:
    """Raise intensities, scaled to 0..1 between the view's minimum and maximum, to a power.

    In place: ((x - min) / (range + 1e-7)) ** gamma * range + min, over the whole view. The power
    is taken as exp2(gamma * log2(x)), several times faster on a CPU and equal to a few float32
    roundings.
    """
    lowest, highest = torch.aminmax(image)
    span = highest - lowest
    scaled = image.sub_(lowest).div_(span + 1e-7)
    return scaled.log2_().mul_(gamma).exp2_().mul_(span).add_(lowest)


def _sound(views: Sequence[Tensor]) -> list[bool]:
    """Whether each z-scored view holds brain (not all zero) and no NaN or Inf."""
    sizes = torch.stack([torch.linalg.vector_norm(view) for view in views])
    sound: list[bool] = (torch.isfinite(sizes) & (sizes > 0)).tolist()
    return sound
