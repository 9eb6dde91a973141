"""A step of a masked autoencoder with ViT-Tiny: masked share, time, memory, wait for scans."""

from __future__ import annotations

import math
from dataclasses import replace

from gpu_steps import Option, Stage, measure_option

from neurofm.models.patches import token_grid
from neurofm.objectives.masking import masked_count

_VIEWS = {  # as in recipes/mae-paper-tiny.yaml
    "rotation_probability": 0,
    "intensity_shift_probability": 0,
    "gamma_probability": 0,
}


def measure_mae(
    stage: Stage, option: Option, deadline: float, seconds_to_read: float
) -> dict[str, object]:
    """A row as of `measure_option`, with the seconds a participant's step waits for its scan.

    Args:
        stage: where; its recipe is replaced.
        option: how.
        deadline: of `time.monotonic()`.
        seconds_to_read: one scan, while the device computes.
    """
    small = 16 if stage.device.type == "cuda" else 2
    row = measure_option(mae_stage(stage), option, small, deadline)
    seconds = row.get("s/participant")
    return row | {"s waiting": max(0.0, seconds_to_read - seconds)} if seconds else row


def mae_stage(stage: Stage) -> Stage:
    """The same with the paper's masked autoencoder and ViT-Tiny; with smaller ones on a CPU."""
    encoder: dict[str, object] = {"kind": "vit"}
    objective: dict[str, object] = {"kind": "mae"}
    if stage.device.type == "cpu":
        encoder |= {"width": 24, "depth": 2, "patch_voxels": [5, 4, 4]}
        objective |= {"decoder_width": 24, "decoder_depth": 1, "decoder_heads": 3}
    return replace(stage, sections={"encoder": encoder, "objective": objective, "views": _VIEWS})


def mask_counts(stage: Stage) -> tuple[int, int]:
    """Masked patches, and all patches of a volume."""
    recipe = Option("any").recipe(stage, 2)
    patches = math.prod(token_grid(recipe.encoder, stage.grid))
    return masked_count(patches, recipe.objective.mask_ratio), patches
