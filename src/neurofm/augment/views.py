"""Random views: crop, resize, flip, rotate, affine, shift, contrast, z-score, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neurofm.augment.affine import move_affinely
from neurofm.augment.draws import ViewDraw, ViewKey, draw_for
from neurofm.augment.geometry import crop_and_resize, rotate_in_plane
from neurofm.augment.noise import add_noise_
from neurofm.augment.scanner import scanned_volume
from neurofm.config.learning import ViewsConfig
from neurofm.data.batch import Batch
from neurofm.data.prepare import zscore_in_mask, zscore_in_mask_
from neurofm.errors import ScanError

Images = Float[Tensor, "batch 1 depth height width"]
Masks = Bool[Tensor, "batch 1 depth height width"]
Usable = Bool[Tensor, " batch"]
ONE_INTENSITY = 1e-4  # standard deviations between lowest and highest; rounding stays below
_VOXELS_TOGETHER = 2**26  # on a GPU; what a rotation needs besides grows with it


def make_views(batch: Batch, config: ViewsConfig, seed: int, view: int, spacing_mm: float) -> Batch:
    """One view of every scan of a batch, z-scored as the recipe asks.

    The draws depend on seed, epoch, participant and view number only. A view without brain, of one
    intensity, or with a NaN is drawn again. Views that the batch brings are taken as they are; the
    second view is of the batch's second scans where it brings some.

    Args:
        batch: intensities as they were packed, or views made beforehand.
        config: the chain's probabilities and ranges.
        seed: the recipe's seed.
        view: 0 or 1.
        spacing_mm: voxel size of the volumes.

    Raises:
        ScanError: a scan gave no usable view in `config.max_redraws` + 1 draws.
    """
    if batch.views:
        return batch.views[view]
    views, unusable = draw_views(batch, config, seed, view, spacing_mm)
    if unusable:
        raise no_usable_view(batch.items[unusable[0]], config)
    return views


def draw_views(
    batch: Batch, config: ViewsConfig, seed: int, view: int, spacing_mm: float
) -> tuple[Batch, list[int]]:
    """Make views as `make_views` does, and tell the places of scans that gave no usable one."""
    if view and batch.second is not None:
        batch = batch.second
    _, _, depth, height, width = batch.images.shape
    images, masks = torch.empty_like(batch.images), torch.empty_like(batch.masks)
    pending = list(range(len(batch)))
    for attempt in range(config.max_redraws + 1):
        usable: list[Usable] = []
        for chosen in _portions(pending, batch.images):
            keys = [ViewKey(seed, batch.epoch, batch.items[i], view, attempt) for i in chosen]
            draws = [draw_for(key, config, (depth, height, width), spacing_mm) for key in keys]
            place = _place(chosen)
            finished = finished_views(batch.images[place], batch.masks[place], draws)
            images[place], masks[place] = finished[:2]
            usable.append(finished[2])
        sound: list[bool] = torch.cat(usable).tolist()
        pending = [i for i, is_usable in zip(pending, sound, strict=True) if not is_usable]
        if not pending:
            break
    return replace(batch, images=images, masks=masks), pending


def finished_views(
    images: Images, masks: Masks, draws: Sequence[ViewDraw]
) -> tuple[Images, Masks, Usable]:
    """Carry out one draw for each volume, with z-score and noise, and judge the views.

    A view z-scored last is 0 outside its mask, noise included. It is usable where it has brain of
    more than one intensity, all finite. One z-scored first is not masked; it is usable where it has
    brain and, before noise, more than one intensity, all finite.

    Args:
        images: intensities; they stay as they are.
        masks: inside the brain.
        draws: one for each volume, all with the same `zscore_first`.
    """
    images, masks = apply_views(images, masks, draws)
    if draws[0].zscore_first:
        lowest, highest = _bounds(images)
        finite = torch.isfinite(lowest) & torch.isfinite(highest)
        usable = finite & (highest - lowest > ONE_INTENSITY) & masks.flatten(1).any(dim=1)
    else:
        images = zscore_in_mask_(images, masks)
        sizes = torch.stack([torch.linalg.vector_norm(image) for image in images])
        usable = torch.isfinite(sizes) & (sizes > 0)
    for i, draw in enumerate(draws):
        if draw.noise is not None:
            where = None if draw.zscore_first else masks[i : i + 1]
            add_noise_(images[i : i + 1], where, draw.noise)
    return images, masks, usable


def apply_views(images: Images, masks: Masks, draws: Sequence[ViewDraw]) -> tuple[Images, Masks]:
    """Carry out one draw for each volume but for its last steps, z-score and noise.

    Equal to MONAI's SpatialCrop, Resize, Flip, Rotate, Affine, ShiftIntensity and AdjustContrast in
    this order, images trilinear and masks nearest (paper, section 4.2). Where drawn, scanner
    augmentation changes the crop's voxels before all that; where asked for, the whole scan is
    z-scored before all that. The inputs stay as they are.

    Args:
        images: intensities.
        masks: inside the brain.
        draws: one for each volume of the batch.
    """
    moved = [_cropped(images[i : i + 1], masks[i : i + 1], draw) for i, draw in enumerate(draws)]
    images, masks = _joined([image for image, _ in moved]), _joined([mask for _, mask in moved])
    angles = {i: d.rotation_radians for i, d in enumerate(draws) if d.rotation_radians is not None}
    if angles:
        place = _place(list(angles))
        rotated = rotate_in_plane(images[place], masks[place], list(angles.values()))
        if len(angles) == len(draws):
            images, masks = rotated
        else:
            images[place], masks[place] = rotated
    for i, draw in enumerate(draws):
        if draw.affine is not None:
            moved_image, moved_mask = move_affinely(
                images[i : i + 1], masks[i : i + 1], draw.affine
            )
            images[i], masks[i] = moved_image[0], moved_mask[0]
    for image, draw in zip(images, draws, strict=True):
        if draw.shift:
            image.add_(draw.shift)
    gammas = {i: d.gamma for i, d in enumerate(draws) if d.gamma is not None}
    if gammas:
        place = _place(list(gammas))
        images[place] = adjust_contrast_(images[place], list(gammas.values()))
    return images, masks


def adjust_contrast_(images: Images, gammas: Sequence[float]) -> Images:
    """Raise intensities, scaled to 0..1 between each view's minimum and maximum, to a power.

    In place: ((x - min) / (range + 1e-7)) ** gamma * range + min, over the whole view. The power
    is taken as exp2(gamma * log2(x)), several times faster on a CPU and equal to a few float32
    roundings.
    """
    lowest, highest = (bound[:, None, None, None, None] for bound in _bounds(images))
    powers = torch.tensor(gammas, dtype=images.dtype, device=images.device).view_as(lowest)
    span = highest - lowest
    scaled = images.sub_(lowest).div_(span + 1e-7)
    return scaled.log2_().mul_(powers).exp2_().mul_(span).add_(lowest)


def no_usable_view(item: str, config: ViewsConfig) -> ScanError:
    """What to raise where all draws of a scan gave no usable view."""
    return ScanError(
        f"no usable view in {config.max_redraws + 1} draws (no brain, one intensity, or NaN)",
        "check its mask and image; pack without it",
        item,
        "no-view",
    )


def _cropped(image: Images, mask: Masks, draw: ViewDraw) -> tuple[Images, Masks]:
    if draw.zscore_first:
        image = zscore_in_mask(image, mask)
    if draw.scanner is not None:
        image = scanned_volume(image, draw.scanner, draw.crop_start, draw.crop_size)
    return crop_and_resize(image, mask, draw.crop_start, draw.crop_size, draw.flip)


def _portions(pending: list[int], images: Images) -> list[list[int]]:
    """Scans to be worked on at once: one on a CPU, for its cache; on a GPU as many as fit."""
    together = 1 if images.device.type == "cpu" else max(1, _VOXELS_TOGETHER // images[0].numel())
    return [pending[start : start + together] for start in range(0, len(pending), together)]


def _place(chosen: list[int]) -> slice | list[int]:
    """An index of these rows; a view of the memory where they lie together."""
    first, end = chosen[0], chosen[-1] + 1
    return slice(first, end) if len(chosen) == end - first else chosen


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _bounds(images: Images) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Minimum and maximum of each volume."""
    if len(images) == 1:  # several times faster on a CPU than along a dimension
        lowest, highest = torch.aminmax(images)
        return lowest[None], highest[None]
    lowest, highest = torch.aminmax(images.flatten(1), dim=1)
    return lowest, highest
