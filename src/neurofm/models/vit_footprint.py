"""Arithmetic of a transformer's memory: what a volume keeps for backward, and what that needs more.

Attention is taken to be one that never holds all scores at once: torch's flash attention (bf16 on a
GPU; CPU) and its memory-efficient attention (float32 on a GPU) keep queries, keys, values, their
result and a number for each token and head. The plain way, which torch takes where neither has a
kernel, would keep tokens x tokens numbers for each head as well.
"""

from __future__ import annotations

from neurofm.models.footprint import Footprint, Precision, Saving, Segment
from neurofm.models.vit_flops import Blocks, Decoding, TransformerPass

_FLOAT32 = 4
_STREAMS = 2  # inputs of a block's two norms: float32 in every precision, as positions are
_PRODUCTS = 1 + 3 + 1 + 1 + 4 + 4  # widths kept by a block in the precision of its products:
# normed; queries, keys, values; result of attention; normed; before and after the activation
_WIDEST = 4  # widths between the two layers of the MLP
_STATISTICS = 2 * 2  # numbers of a token: mean and deviation in two norms


def transformer_footprint(
    volume: TransformerPass, precision: Precision, saving: Saving
) -> Footprint:
    """Bytes of volumes in training, by layer; the loss of a masked autoencoder is the last.

    Args:
        volume: what of one passes through which layers.
        precision: of the linear layers and attention.
        saving: what is computed twice.
    """
    each = 2 if precision == "bf16" else _FLOAT32
    entering = (volume.blocks.tokens - 1) * volume.patch_voxels
    segments = [Segment(each * entering, 0), *_blocks(volume.blocks, each, saving)]
    if volume.decoding is not None:
        segments.append(Segment(each * volume.blocks.numbers, 0))  # what the decoder embeds
        segments += _blocks(volume.decoding.blocks, each, saving)
        segments += _prediction(volume, volume.decoding, each)
    return Footprint(tuple(segments))


def _blocks(blocks: Blocks, each: int, saving: Saving) -> list[Segment]:
    """A segment for every block, then the norm behind them."""
    stream = _FLOAT32 * blocks.numbers
    inside = (_STREAMS - 1) * stream + _PRODUCTS * each * blocks.numbers
    inside += _FLOAT32 * blocks.tokens * (blocks.heads + _STATISTICS)
    # the gradient that came, its copy for the products, and the gradient of what is widest
    gradients = stream + (_copied(each) + _WIDEST * each) * blocks.numbers
    block = Segment(stream + inside, gradients)
    if saving.blocks:
        block = Segment(stream, inside + gradients)
    return [block] * blocks.depth + [Segment(stream, stream)]


def _prediction(volume: TransformerPass, decoding: Decoding, each: int) -> list[Segment]:
    """The choice of the masked patches and their prediction; the loss, beside all patches."""
    width, hidden = decoding.blocks.width, decoding.masked * volume.patch_voxels
    chosen = _FLOAT32 * decoding.blocks.numbers + each * decoding.masked * width
    whole = _FLOAT32 * volume.patches * volume.patch_voxels
    targets, differences, squares = (_FLOAT32 * hidden,) * 3
    predicted = (each + 2 * _copied(each)) * hidden
    return [
        Segment(chosen, each * hidden),
        Segment(differences, whole + targets + predicted + squares),
    ]


def _copied(each: int) -> int:
    """Bytes of a float32 number's copy in the precision of the products, where it needs one."""
    return each if each < _FLOAT32 else 0
