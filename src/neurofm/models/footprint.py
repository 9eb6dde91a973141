"""Arithmetic of memory: what a view keeps for its backward pass, and what that pass needs more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from neurofm.config.encoders import ResNetConfig
from neurofm.models.flops import Convolution, Grid, convolutions

Precision = Literal["float32", "bf16"]

_INDEX_BYTES = 8  # of the max pool: which voxel was the largest
_GRADIENTS = 3  # tensors of a layer's size alive at once while a plain block goes backward
_PIECE_VALUES = 2**23  # a piece of the batch has so many numbers, or one row
_PIECE_BYTES = 16  # each of them, on its way back through convolution and norm
_VOLUME_BYTES = 4 + 1  # float32 and mask


@dataclass(frozen=True)
class Saving:
    """What is computed twice to save memory; the gradient stays exact.

    Attributes:
        stem: the stem goes a few rows at a time and keeps its input only.
        blocks: each residual block keeps its input only and goes a few rows at a time.
    """

    stem: bool = False
    blocks: bool = False


@dataclass(frozen=True)
class Segment:
    """Some layers whose backward pass runs as one.

    Attributes:
        kept: bytes a view keeps of them from forward to backward.
        working: bytes a view needs more while they go backward.
        piece: numbers of a view's largest tensor where the batch goes back in pieces, else 0.
    """

    kept: int
    working: int
    piece: int = 0

    def piece_bytes(self, views: int) -> int:
        """Of the piece under way: near a fixed size, at least one view."""
        rows = max(1, _PIECE_VALUES // self.piece) if self.piece else 0
        return _PIECE_BYTES * self.piece * min(views, rows)


@dataclass(frozen=True)
class Footprint:
    """Bytes of a pass of views through the encoder and back.

    Attributes:
        segments: the encoder's, in their order; what is common to all comes first.
    """

    segments: tuple[Segment, ...]

    @property
    def kept(self) -> int:
        """For each view, from its forward to its backward pass."""
        return sum(segment.kept for segment in self.segments)

    def peak(self, views: int) -> int:
        """At the worst moment of the backward pass, which frees the later segments first."""
        kept, worst = 0, 0
        for segment in self.segments:
            kept += segment.kept
            worst = max(worst, views * (kept + segment.working) + segment.piece_bytes(views))
        return worst

    def step(self, participants: int, views: int) -> int:
        """Of a step: while the last of a participant's views go back, the others are still kept."""
        return (views - 1) * participants * self.kept + self.peak(participants)


@dataclass(frozen=True)
class _Sizes:
    """Bytes of one number of an activation, by where it stands.

    Autocast computes group norm in float32, so there the norm's input and output are float32, and
    the next convolution keeps its own copy in bf16.
    """

    convolved: int
    normed: int

    @property
    def passed(self) -> int:
        """What goes from block to block."""
        return min(4, self.normed)


def view_footprint(
    config: ResNetConfig, grid: Grid, precision: Precision, saving: Saving
) -> Footprint:
    """Bytes of views in training, by the encoder's layers.

    Every convolution's output is kept for the norm behind it, and every ReLU's output for the next
    layer (the ReLU overwrites what the norm gave).

    Args:
        config: widths, the stem's stride and the norm.
        grid: voxels of a volume (z, y, x).
        precision: of the convolutions.
        saving: what is computed twice.
    """
    half = precision == "bf16"
    sizes = _Sizes(2, 2) if half else _Sizes(4, 4)
    if half and config.norm == "group":
        sizes = _Sizes(4, 4 + 2)
    stem, *others = convolutions(config, grid)
    segments = [_stem(stem, others[0], sizes, saving)]
    blocks: dict[str, list[Convolution]] = {}
    for each in others:
        blocks.setdefault(each.name.rsplit(".conv")[0].split(".downsample")[0], []).append(each)
    place = others[0]
    for convs in blocks.values():
        segments.append(_block(convs, place, sizes, saving))
        place = convs[1]
    images = (2 if half and not saving.stem else 4) * math.prod(grid)  # the stem's input
    return Footprint((Segment(images, 0), *segments))


def participant_bytes(grid: Grid) -> int:
    """Bytes of a participant's volumes on the device: the batch, the next one, and one view."""
    return 3 * _VOLUME_BYTES * math.prod(grid)


def encoder_weights(config: ResNetConfig) -> int:
    """Weights of the encoder."""
    found = convolutions(config, (1, 1, 1))
    kernels = sum(c.channels_in * c.channels_out * c.kernel**3 for c in found)
    norms = sum(2 * each.channels_out for each in found)
    biases = sum(each.channels_out for each in found if each.kernel == 1)
    return kernels + norms + biases


def projector_weights(features: int, projection_size: int) -> int:
    """Weights of a projector: two layers without biases."""
    return features * (features + projection_size)


def _stem(stem: Convolution, following: Convolution, sizes: _Sizes, saving: Saving) -> Segment:
    pooled = stem.channels_out * math.prod(following.grid)
    whole = stem.channels_out * math.prod(stem.grid)
    if not saving.stem:
        kept = (sizes.convolved + sizes.passed) * whole + (_INDEX_BYTES + sizes.normed) * pooled
        return Segment(kept, 2 * sizes.passed * whole)
    return Segment(sizes.normed * pooled, 0, whole)


def _block(convs: list[Convolution], before: Convolution, sizes: _Sizes, saving: Saving) -> Segment:
    """A residual block: its own tensors, the last of which is the next block's input."""
    one, given = _numbers(convs[0]), _numbers(before)
    if not saving.blocks:
        kept = (len(convs) * sizes.convolved + 2 * sizes.normed) * one
        return Segment(kept, _GRADIENTS * sizes.passed * one)
    # backward holds two convolutions' outputs, whether a ReLU was active, and the gradient that
    # came; the one that goes on takes a convolution's place but where its shape is another; the
    # block's own output, kept for the next block, is free again
    needed = (2 * sizes.convolved + 1 + sizes.passed - sizes.normed) * one
    needed += sizes.passed * given if len(convs) > 2 else 0
    return Segment(sizes.normed * one, needed, max(one, given))


def _numbers(convolution: Convolution) -> int:
    return convolution.channels_out * math.prod(convolution.grid)
