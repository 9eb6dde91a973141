"""Pictures of a masked autoencoder's run: what it makes of a few scans it is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neurofm.config.objectives import MAEConfig
from neurofm.config.recipe import Recipe
from neurofm.data.loader import ScanLoader
from neurofm.data.mean_image import ENOUGH_SCANS, mean_image
from neurofm.data.participants import one_scan_each
from neurofm.objectives.mae import MAE
from neurofm.objectives.reconstruction import ReconstructedScan, reconstruct_scans
from neurofm.reports.reconstruction_picture import NORMALISED_NOTE, draw_reconstructions
from neurofm.store.reader import Store
from neurofm.training.objective import build_objective

_SHOWN_SCANS = 3


class RunPicture:
    """Called with an objective's tensors by name; always draws the same scans with the same masks.

    The objective is built anew from its tensors, so the one in training is not touched.

    Args:
        recipe: of the run.
        store: open.
        rows: of the store; their mean is the simple guess, the first that can be read are shown.
        device: where to compute.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        rows: list[int],
        device: torch.device,
    ) -> None:
        self.rows = rows
        self._recipe, self._store, self._device = recipe, store, device

    def __call__(self, state: Mapping[str, Tensor], epochs_done: int) -> bytes:
        """A PNG of the scans after so many epochs."""
        recipe = self._recipe
        autoencoder = build_objective(recipe, self._store.spacing_mm)
        assert isinstance(autoencoder, MAE)
        autoencoder.load_state_dict(dict(state))
        autoencoder.to(self._device).eval()
        scans: list[ReconstructedScan] = []
        for batch in ScanLoader(self._store).noted_batches([[row] for row in self.rows]):
            if len(scans) == _SHOWN_SCANS:
                break
            if not batch.bad_scans:
                moved = batch.to(self._device)
                scans += reconstruct_scans(autoencoder, moved, self._mean_image)
        title = f"After {epochs_done} of {recipe.training.epochs} epochs"
        if not epochs_done:
            title = "Before the first epoch"
        notes = [
            "Scans that pre-training sees, whole, with masks of their own; the mean image is of "
            f"{len(self.rows)} such scans."
        ]
        if autoencoder.config.normalise_patches:
            notes.append(NORMALISED_NOTE)
        return draw_reconstructions(scans, title, notes)

    @cached_property
    def _mean_image(self) -> Float[Tensor, "1 1 depth height width"]:
        return mean_image(self._store, self.rows)


def run_picture(
    recipe: Recipe, store: Store, frame: pd.DataFrame, device: torch.device
) -> RunPicture | None:
    """What draws a run; None where its objective reconstructs nothing.

    Args:
        recipe: of the run; its seed chooses the scans.
        store: open.
        frame: the rows of the store's index that the run sees.
        device: where to compute.
    """
    if not isinstance(recipe.objective, MAEConfig):
        return None
    rows = one_scan_each(frame, ENOUGH_SCANS, recipe.seed).index.tolist()
    return RunPicture(recipe, store, rows, device)
