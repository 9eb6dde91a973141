"""The training embeddings at the end of a run, as the spread that goes with its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neurofm.config.recipe import Recipe
from neurofm.data.loader import ScanLoader
from neurofm.data.participants import one_scan_each
from neurofm.distributed import barrier, is_first
from neurofm.models.encoder import build_encoder
from neurofm.models.encoding import encode
from neurofm.models.population import (
    FEWEST_PARTICIPANTS,
    fit_population,
    judged_by,
    population_tensors,
)
from neurofm.models.weights import encoder_tensors
from neurofm.store.reader import Store

_SCANS_BETWEEN_SIGNS = 32  # of life, to the processes that wait for the first one


def training_population(
    recipe: Recipe,
    store: Store,
    frame: pd.DataFrame,
    state: Mapping[str, Tensor],
    *,
    unlearnt: pd.DataFrame | None,
    device: torch.device,
    tell: Callable[[], None],
) -> dict[str, Tensor]:
    """Embed some participants of a run, one scan each, by its final encoder.

    A scan that cannot be read is left out. To be called by all processes; the first one works.

    Args:
        recipe: `health.population_participants` at most are drawn by its seed.
        store: open.
        frame: rows of the store's index that the run has learnt from.
        state: the objective's tensors, adapters merged; read by the first process.
        unlearnt: rows of the validation part, by whose distances a new one is judged; None for
            none.
        device: where to encode.
        tell: called now and then, so that nobody takes this process for stuck.

    Returns:
        tensors to be saved with the weights; none for few participants, and in other processes.
    """
    parts = [
        _drawn(part, recipe) for part in (frame, frame.iloc[:0] if unlearnt is None else unlearnt)
    ]
    encoder = _encoder(recipe, store, state) if is_first() and any(parts) else None
    learnt, judges = (_embedded(rows, recipe, store, encoder, device, tell) for rows in parts)
    return population_tensors(judged_by(fit_population(learnt), judges))


def _drawn(part: pd.DataFrame, recipe: Recipe) -> list[int]:
    """Rows of the store, one a participant; none of too few participants."""
    chosen = one_scan_each(part, recipe.health.population_participants, recipe.seed)
    return [] if len(chosen) < FEWEST_PARTICIPANTS else [int(row) for row in chosen.index]


def _embedded(  # noqa: PLR0917 - the arguments of training_population
    rows: list[int],
    recipe: Recipe,
    store: Store,
    encoder: nn.Module | None,
    device: torch.device,
    tell: Callable[[], None],
) -> Float[np.ndarray, "participants features"]:
    loader, parts = ScanLoader(store), [np.zeros((0, recipe.encoder.features), np.float32)]
    for start in range(0, len(rows), _SCANS_BETWEEN_SIGNS):
        tell()
        if encoder is not None:
            few = [[row] for row in rows[start : start + _SCANS_BETWEEN_SIGNS]]
            parts.append(encode(encoder, loader.noted_batches(few), device))
        barrier()
    return np.concatenate(parts)


def _encoder(recipe: Recipe, store: Store, state: Mapping[str, Tensor]) -> nn.Module:
    encoder = build_encoder(recipe.encoder, spacing_mm=store.spacing_mm)
    encoder.load_state_dict(encoder_tensors(state))
    return encoder
