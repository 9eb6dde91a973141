"""Pre-training: a recipe and a store become a run folder; the same call continues it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch

from neurofm.augment.effect_check import check_effects
from neurofm.config.recipe import Recipe
from neurofm.distributed import (
    barrier,
    is_first,
    process_group,
    world_size,
)
from neurofm.errors import ConfigError, RunError
from neurofm.files import only_writer
from neurofm.progress import Progress, SilentProgress
from neurofm.store.reader import Store
from neurofm.training.manner import Manner
from neurofm.training.memory import explained_memory
from neurofm.training.objective import require_fitting_patches
from neurofm.training.precision import choose_numerics
from neurofm.training.run import Pretrained, Run
from neurofm.training.run_folder import claim_run, is_finished, other_numerics
from neurofm.training.stopping import stop_requests
from neurofm.training.watching import watched

__all__ = ["Manner", "Pretrained", "pretrain", "seen_rows"]

_SEEN_SPLITS = ("pretrain", "train")
_SILENT = SilentProgress()
_DEFAULT = Manner()
_BEHIND_WATCH = 60.0  # seconds: torch's own limit, should the watch not act


def pretrain(
    recipe: Recipe,
    store: Store,
    folder: Path,
    device: torch.device,
    progress: Progress = _SILENT,
    *,
    how: Manner = _DEFAULT,
) -> Pretrained:
    """Pre-train the recipe's encoder on a store; the same call continues an interrupted run.

    Participants in the split "pretrain" or "train", or in none, are seen once an epoch; any other
    split never. `folder` receives `recipe.yaml`, `software.json`, `data.json`, `log.jsonl`,
    TensorBoard events, checkpoints after each epoch and every `training.checkpoint_steps` steps,
    and, last of all, `weights.safetensors` and `card.json`. A continued run on a CPU gives the same
    losses and weights bit for bit. With `torchrun`, the batch is shared by all processes and batch
    norm is synchronised.

    Args:
        recipe: seed, views, encoder, objective and training are read.
        store: open, of the recipe's spacing.
        folder: new, or of the same recipe and store.
        device: see `choose_device`.
        progress: shown pairs of views, with the loss as its note.
        how: checkpoints kept, time limits, where messages go.

    Raises:
        ConfigError: the store's spacing is not the recipe's, or a patch does not divide its volumes.
        RunError: the folder is another run's, there are too few participants, no checkpoint is
            whole, several steps in a row gave no finite loss, the features have collapsed and
            `health.stop_on_collapse` says so, the memory or the disk is full, or
            another process was lost.
        RunStoppedError: SIGTERM, SIGUSR1 or Ctrl-C came; call again to go on.
    """
    frame = seen_rows(recipe, store)
    require_fitting_patches(recipe.encoder, store.shape)
    with (
        stop_requests(how.tell) as stop,  # first: torchrun's SIGTERM must not cut off last words
        process_group(device, how.join_seconds, how.timeout_seconds + _BEHIND_WATCH) as meeting,
        watched(meeting, how.timeout_seconds, how.give_up) as watch,
        explained_memory(recipe.training.batch_size // world_size()),
        only_writer(folder) if is_first() else nullcontext(),
    ):
        if is_first():
            claim_run(folder, recipe, store, device)
            _warn(folder, recipe, device, how.tell)
        barrier()
        if is_finished(folder):
            return Pretrained(recipe.training.epochs, 0, "this run is finished already")
        run = Run(recipe, store, folder, device=device, frame=frame)
        shown = progress if is_first() else _SILENT
        return run.to_the_end(stop, shown, watch, how)


def _warn(folder: Path, recipe: Recipe, device: torch.device, tell: Callable[[str], None]) -> None:
    slow = choose_numerics(recipe.training, device).warning
    effects = check_effects(recipe.views, recipe.store.spacing_mm)
    vain = [effect.warning for effect in effects]
    for warning in (slow, other_numerics(folder, recipe, device), *vain):
        if warning:
            tell(warning)


def seen_rows(recipe: Recipe, store: Store) -> pd.DataFrame:
    """Rows of the store's index that pre-training may see; see `pretrain` for errors."""
    if store.spacing_mm != recipe.store.spacing_mm:
        raise ConfigError(
            f"the store's spacing is {store.spacing_mm:g} mm, the recipe's "
            f"{recipe.store.spacing_mm:g} mm",
            f"add store.spacing_mm={store.spacing_mm:g}, or pack a store of the recipe's spacing",
            "store.spacing_mm",
        )
    split = store.index["split"]
    frame = store.index[split.isna() | split.isin(_SEEN_SPLITS)]
    if frame.empty:
        raise RunError(
            "no scan is in the split 'pretrain'", "see the split of its index", store.folder
        )
    return frame
