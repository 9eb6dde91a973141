"""Occlusion: how much a number falls when a box of the brain is hidden (Zeiler and Fergus 2014)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from neurofm.progress import Progress

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]


@torch.inference_mode()
def occlusion_map(
    readout: nn.Module,
    volume: Tensor,
    brain: Mask,
    whole: float,
    *,
    window: int,
    stride: int,
    progress: Progress,
    what: str = "Occluding",
) -> Image:
    """The mean loss of the number over all windows that hide a voxel; 0 outside the brain.

    Hidden voxels become 0, which is the brain's mean and what lies outside it.

    Args:
        readout: (1, 1, depth, height, width) to (1, 1).
        volume: z-scored in the brain, 0 outside.
        brain: (z, y, x).
        whole: the number of the volume as it is.
        window: side of the cube that is hidden, in voxels.
        stride: voxels from one window to the next, not more than `window`.
        progress: told about every window.
        what: the work, in words.
    """
    boxes = list(windows(brain, window, stride))
    lost, count = np.zeros(brain.shape, np.float64), np.zeros(brain.shape, np.int64)
    progress.start(what, len(boxes), "windows")
    for box in boxes:
        hidden = volume.clone()
        hidden[0, 0][box] = 0
        lost[box] += whole - float(readout(hidden))
        count[box] += 1
        progress.advance()
    progress.finish()
    return np.where(brain, lost / np.maximum(count, 1), 0).astype(np.float32)


def windows(brain: Mask, window: int, stride: int) -> Iterator[Box]:
    """The cubes of a regular grid over a brain that hold some of it; together they hold it all."""
    starts = (_starts(brain, axis, window, stride) for axis in range(3))
    for corner in itertools.product(*starts):
        z, y, x = (slice(max(0, low), low + window) for low in corner)
        if brain[z, y, x].any():
            yield z, y, x


def _starts(brain: Mask, axis: int, window: int, stride: int) -> range:
    """First voxels of the windows along an axis, standing out as far at one end as at the other."""
    along = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))
    if not len(along):
        return range(0)
    low, length = int(along[0]), int(along[-1] - along[0]) + 1
    count = max(1, math.ceil((length - window) / stride) + 1)
    first = low - (window + (count - 1) * stride - length) // 2
    return range(first, first + count * stride, stride)
