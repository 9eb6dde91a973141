"""What a step of a recipe costs, by arithmetic: operations, memory and weights, for each encoder.

An objective that passes its views through the encoder and puts something small on top needs nothing
here; one with a network of its own, as a masked autoencoder has, is named in `_transformer_costs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from neurofm.config.encoders import ResNetConfig, ViTConfig
from neurofm.config.objectives import MAEConfig, SimCLRConfig
from neurofm.config.recipe import Recipe
from neurofm.models.flops import Grid, convolutions, view_flops
from neurofm.models.footprint import (
    Footprint,
    encoder_weights,
    participant_bytes,
    projector_weights,
    view_footprint,
)
from neurofm.models.patches import token_grid
from neurofm.models.vit_flops import TransformerPass, mae_pass, vit_pass
from neurofm.models.vit_footprint import transformer_footprint
from neurofm.objectives.masking import masked_count
from neurofm.training.objective import views_a_scan
from neurofm.training.ways import Way

_STEM_PASSES = 2  # a streamed stem with batch norm convolves so many times more than a plain one
_SHORTCUT_PASSES = 4  # likewise the shortcut of a checkpointed block; its other layers once
_MLP_RATIO = 4  # widths of the largest tensor of a transformer's block


@dataclass(frozen=True)
class ViewCosts:
    """Of one view through the network that is trained.

    Attributes:
        flops: of its step, nothing computed twice.
        flops_again: of what the way computes twice.
        network: memory by layers.
        largest: numbers of the largest tensor that a layer makes of its whole batch at once.
        weights: trained, without the projector.
        has_tf32: whether float32 may be TF32, as it may in convolutions.
    """

    flops: int
    flops_again: int
    network: Footprint
    largest: int
    weights: int
    has_tf32: bool


@dataclass(frozen=True)
class StepCosts:
    """Of a step of the whole recipe.

    Attributes:
        view: one view's.
        views: of a participant.
        weights: trained, all.
        rows_at_once: scans encoded at a time by gradient caching; None for all together.
        grid: voxels of a volume (z, y, x).
    """

    view: ViewCosts
    views: int
    weights: int
    rows_at_once: int | None
    grid: Grid

    @property
    def flops(self) -> int:
        """Of a participant."""
        return self.views * (self.view.flops + self.view.flops_again)

    def activation_bytes(self, participants: int) -> int:
        """Of activations and volumes on one card."""
        volumes = participants * participant_bytes(self.grid)
        if self.rows_at_once is None:
            return self.view.network.step(participants, self.views) + volumes
        views = participants * self.views * 4 * math.prod(self.grid)  # kept whole, in float32
        return self.view.network.peak(min(participants, self.rows_at_once)) + views + volumes

    def largest_tensor(self, participants: int) -> int:
        """Numbers of the largest tensor that one layer makes at once."""
        return self.view.largest * min(participants, self.rows_at_once or participants)


def step_costs(recipe: Recipe, way: Way, grid: Grid) -> StepCosts:
    """Count what a step needs.

    Args:
        recipe: its encoder and objective are read.
        way: how it is computed.
        grid: voxels of a volume (z, y, x).

    Raises:
        ConfigError: a transformer's patch does not divide the volume.
    """
    if isinstance(recipe.encoder, ViTConfig):
        view = _transformer_costs(_passed(recipe, recipe.encoder, grid), way)
    else:
        view = _resnet_costs(recipe.encoder, way, grid)
    weights, objective = view.weights, recipe.objective
    if isinstance(objective, SimCLRConfig):
        weights += projector_weights(recipe.encoder.features, objective.projection_size)
    return StepCosts(view, views_a_scan(recipe), weights, way.cached, grid)


def _resnet_costs(config: ResNetConfig, way: Way, grid: Grid) -> ViewCosts:
    view, convs = view_flops(config, grid), convolutions(config, grid)
    is_batch_norm, again = config.norm == "batch", 0
    if way.saving.stem:
        again += (_STEM_PASSES if is_batch_norm else 1) * view.stem
    if way.saving.blocks:
        shortcuts = sum(each.flops for each in convs if each.kernel == 1)
        again += view.blocks + (_SHORTCUT_PASSES - 1) * shortcuts * is_batch_norm
    if way.cached is not None:
        again += view.stem + view.blocks
    stem, *others = convs
    whole = ([] if way.saving.stem else [stem]) + ([] if way.saving.blocks else others)
    return ViewCosts(
        flops=view.step,
        flops_again=again,
        network=view_footprint(config, grid, way.precision, way.saving),
        largest=max((each.channels_out * math.prod(each.grid) for each in whole), default=0),
        weights=encoder_weights(config),
        has_tf32=True,
    )


def _passed(recipe: Recipe, config: ViTConfig, grid: Grid) -> TransformerPass:
    objective = recipe.objective
    if not isinstance(objective, MAEConfig):
        return vit_pass(config, grid)
    masked = masked_count(math.prod(token_grid(config, grid)), objective.mask_ratio)
    return mae_pass(config, objective, grid, masked)


def _transformer_costs(passed: TransformerPass, way: Way) -> ViewCosts:
    flops = passed.flops
    again = passed.flops_again if way.saving.blocks else 0
    if way.cached is not None:
        again += flops.stem + flops.blocks
    stacks = [passed.blocks] + ([passed.decoding.blocks] if passed.decoding else [])
    return ViewCosts(
        flops=flops.step,
        flops_again=again,
        network=transformer_footprint(passed, way.precision, way.saving),
        largest=max(_MLP_RATIO * each.numbers for each in stacks),
        weights=passed.weights,
        has_tf32=False,  # apply_numerics: matrix products are never rounded
    )
