"""A masked autoencoder's reconstruction of whole scans, with its error and that of simple guesses.

Masks here are of step 0, which no run takes: they depend on the recipe's seed and the participant
alone, so reconstructions by one run can be compared over its epochs, and none was trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neurofm.data.batch import Batch
from neurofm.data.prepare import zscore_in_mask
from neurofm.models.patches import patchify, unpatchify
from neurofm.models.vit import take
from neurofm.objectives.mae import MAE, Reconstruction, patch_moments
from neurofm.objectives.simple_predictors import from_mean_image, nearest_visible

_NO_STEP = 0


@dataclass(frozen=True)
class MaskedError:
    """Mean squared error of a scan's masked patches, in squared standard deviations of its brain.

    Attributes:
        all_patches: over all of them.
        brain_patches: over those that hold brain; NaN where none does.
    """

    all_patches: float
    brain_patches: float


@dataclass(frozen=True, eq=False)
class ReconstructedScan:
    """A scan, what was hidden of it, and what was made of the rest; all "depth height width".

    Attributes:
        original: z-scored inside the brain, 0 outside.
        brain: its mask.
        hidden: inside a masked patch.
        reconstruction: the predicted patches between the visible ones.
        model: its error.
        nearest_visible: the error of a copy of the nearest visible patch.
        mean_image: the error of the mean image's patch; None where there is no mean image.
    """

    original: Float[np.ndarray, "depth height width"]
    brain: Bool[np.ndarray, "depth height width"]
    hidden: Bool[np.ndarray, "depth height width"]
    reconstruction: Float[np.ndarray, "depth height width"]
    model: MaskedError
    nearest_visible: MaskedError
    mean_image: MaskedError | None

    @property
    def error(self) -> Float[np.ndarray, "depth height width"]:
        """Reconstruction less original; 0 where nothing was hidden."""
        return np.asarray(self.reconstruction - self.original)


@torch.inference_mode()
def reconstruct_scans(
    autoencoder: MAE,
    batch: Batch,
    mean_image: Float[Tensor, "1 1 depth height width"] | None = None,
) -> tuple[ReconstructedScan, ...]:
    """Hide patches of whole scans and predict them, by weights that stay as they are.

    Args:
        autoencoder: on the device of the batch.
        batch: intensities as they were packed; no view is drawn of them.
        mean_image: of the scans it was trained on.
    """
    images = zscore_in_mask(batch.images, batch.masks)
    made = autoencoder.reconstruct(images, batch.items, _NO_STEP)
    sides, grid = autoencoder.encoder.config.patch_voxels, autoencoder.encoder.trained_grid
    target = take(made.patches, made.masking.masked)
    is_brain = patchify(batch.masks, sides).any(dim=2).gather(1, made.masking.masked)
    predicted = predicted_voxels(made, autoencoder.config.normalise_patches)
    copied = nearest_visible(made.patches, made.masking, sides, grid)
    errors = [_errors(guess, target, is_brain) for guess in (predicted, copied)]
    if mean_image is not None:
        mean = from_mean_image(mean_image.to(images.device), made.masking, sides)
        errors.append(_errors(mean, target, is_brain))
    places = made.masking.masked[:, :, None].expand_as(predicted)
    volumes = (
        unpatchify(made.patches.scatter(1, places, predicted), sides, grid),
        unpatchify(torch.zeros_like(made.patches).scatter(1, places, 1.0), sides, grid) > 0,
    )
    whole, hidden = (volume[:, 0].cpu().numpy() for volume in volumes)
    original, brain = images[:, 0].cpu().numpy(), batch.masks[:, 0].cpu().numpy()
    return tuple(
        ReconstructedScan(
            original[i],
            brain[i],
            hidden[i],
            whole[i],
            model=errors[0][i],
            nearest_visible=errors[1][i],
            mean_image=errors[2][i] if len(errors) > 2 else None,
        )
        for i in range(len(batch))
    )


def predicted_voxels(
    made: Reconstruction, are_normalised: bool
) -> Float[Tensor, "batch masked voxels"]:
    """The masked patches as predicted, in the volume's own units.

    Where the objective normalises patches, a prediction has no mean and scale of its own; it is
    given those of the hidden patch, which the simple guesses are not told.
    """
    predicted = made.predicted.to(made.patches.dtype)
    if not are_normalised:
        return predicted
    mean, deviation = patch_moments(take(made.patches, made.masking.masked))
    return predicted * deviation + mean


def _errors(
    predicted: Float[Tensor, "batch masked voxels"],
    target: Float[Tensor, "batch masked voxels"],
    is_brain: Bool[Tensor, "batch masked"],
) -> list[MaskedError]:
    squared = (predicted - target).square().mean(dim=2)
    pairs = zip(squared, is_brain, strict=True)
    return [MaskedError(float(each.mean()), float(each[brain].mean())) for each, brain in pairs]
