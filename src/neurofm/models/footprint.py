"""Arithmetic of memory: what a view keeps for its backward pass, and what that pass needs more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from neurofm.config.learning import EncoderConfig
from neurofm.models.flops import Convolution, Grid, convolutions

_INDEX_BYTES = 8  # of the max pool: which voxel was the largest
_GRADIENTS = 3  # tensors of a layer's size alive at once while its block goes backward
_STEM_CHUNKS = 8  # a streamed stem works on no more than this part of its output at a time
_VOLUME_BYTES = 4 + 1  # float32 and mask


@dataclass(frozen=True)
class Saving:
    """What is computed twice to save memory; the gradient stays exact.

    Attributes:
        stem: the stem is streamed: only its input and statistics are kept.
        blocks: each residual block keeps its input only.
        sub_batches: a block goes through its backward pass in so many parts of the batch.
    """

    stem: bool = False
    blocks: bool = False
    sub_batches: int = 1


@dataclass(frozen=True)
class Footprint:
    """Bytes for one view of one scan.

    Attributes:
        kept: from its forward to its backward pass.
        working: on top of everything kept, at the worst moment of its backward pass.
    """

    kept: int
    working: int


@dataclass(frozen=True)
class _Segment:
    """Some layers whose backward pass runs as one: what they keep, what that pass needs."""

    kept: int
    needed: int


def view_footprint(
    config: EncoderConfig,
    grid: Grid,
    precision: Literal["float32", "bf16"],
    saving: Saving,
) -> Footprint:
    """Bytes of a view in training, by the encoder's layers.

    Every convolution's output is kept for the batch norm behind it, and every ReLU's output for
    the next layer (the ReLU overwrites what the norm gave).

    Args:
        config: widths and the stem's stride.
        grid: voxels of a volume (z, y, x).
        precision: of the activations.
        saving: what is computed twice.
    """
    size = 4 if precision == "float32" else 2
    stem, *others = convolutions(config, grid)
    segments = [_stem(stem, others[0], size, saving)]
    blocks: dict[str, list[Convolution]] = {}
    for each in others:
        blocks.setdefault(each.name.rsplit(".conv")[0].split(".downsample")[0], []).append(each)
    segments += [_block(convs, size, saving) for convs in blocks.values()]
    kept, worst = 0, 0
    for segment in segments:  # backward frees the later ones first
        kept += segment.kept
        worst = max(worst, kept + segment.needed)
    images = size * math.prod(grid)  # the stem's input, for the gradient of its weights
    return Footprint(kept + images, max(0, worst - kept))


def participant_bytes(grid: Grid) -> int:
    """Bytes of a participant's volumes on the device: the batch, the next one, and one view."""
    return 3 * _VOLUME_BYTES * math.prod(grid)


def parameter_count(config: EncoderConfig, projection_size: int) -> int:
    """Weights of encoder and projector."""
    found = convolutions(config, (1, 1, 1))
    kernels = sum(c.channels_in * c.channels_out * c.kernel**3 for c in found)
    norms = sum(2 * each.channels_out for each in found)
    biases = sum(each.channels_out for each in found if each.kernel == 1)
    features = config.widths[-1]
    return kernels + norms + biases + features * (features + projection_size)


def _stem(stem: Convolution, following: Convolution, size: int, saving: Saving) -> _Segment:
    pooled = stem.channels_out * math.prod(following.grid)
    whole = size * stem.channels_out * math.prod(stem.grid)
    if saving.stem:
        return _Segment(size * pooled, 2 * _GRADIENTS * whole // _STEM_CHUNKS)
    return _Segment(2 * whole + (_INDEX_BYTES + size) * pooled, 2 * whole)


def _block(convs: list[Convolution], size: int, saving: Saving) -> _Segment:
    """A residual block: its own tensors, the last of which is the next block's input."""
    one = size * convs[0].channels_out * math.prod(convs[0].grid)
    own = (len(convs) + 2) * one  # each convolution's output, and two ReLUs'
    if not saving.blocks:
        return _Segment(own, _GRADIENTS * one)
    return _Segment(one, one + (own + (_GRADIENTS - 2) * one) // saving.sub_batches)
