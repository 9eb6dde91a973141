"""Training: a recipe and a store become a run folder; the same call continues it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch

from neurofm.augment.effect_check import check_effects
from neurofm.cohorts.leakage import refuse_torn_split
from neurofm.cohorts.sides import SEEN_IN_PRETRAINING
from neurofm.config.objectives import SupervisedConfig
from neurofm.config.recipe import Recipe
from neurofm.data.sampler import ParticipantSampler
from neurofm.distributed import (
    barrier,
    is_first,
    process_group,
    world_size,
)
from neurofm.errors import ConfigError, RunError
from neurofm.files import only_writer
from neurofm.models.lora import require_peft
from neurofm.progress import Progress, SilentProgress
from neurofm.store.reader import Store
from neurofm.training.manner import Manner
from neurofm.training.memory import explained_memory
from neurofm.training.objective import (
    Material,
    require_fitting_patches,
    require_whole_parts,
)
from neurofm.training.precision import choose_numerics
from neurofm.training.run import Pretrained, Run
from neurofm.training.run_folder import claim_run, is_finished, other_numerics
from neurofm.training.starting import (
    FROM_SCRATCH,
    StartingPoint,
    open_start,
    with_its_encoder,
)
from neurofm.training.stopping import stop_requests
from neurofm.training.task import build_task
from neurofm.training.watching import watched

__all__ = [
    "Manner", "Pretrained", "StartingPoint", "pretrain", "require_full_batch", "seen_rows", "train",
]  # fmt: skip

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
    TensorBoard events, checkpoints every `training.checkpoint_epochs` epochs and
    `training.checkpoint_steps` steps, and, last of all, `weights.safetensors` and `card.json`. A
    continued run on a CPU gives the same losses and weights bit for bit. With `torchrun`, the batch
    is shared by all processes and batch norm is synchronised.

    Args:
        recipe: seed, views, encoder, objective and training are read.
        store: open, of the recipe's spacing.
        folder: new, or of the same recipe and store.
        device: see `choose_device`.
        progress: shown pairs of views, with the loss as its note.
        how: checkpoints kept, time limits, where messages go.

    Raises:
        ConfigError: the store's spacing is not the recipe's, or a patch does not divide volumes.
        LeakageError: the split of the store's index puts one person on two sides.
        RunError: the folder is another run's, there are too few participants, no checkpoint is
            whole, several steps in a row gave no finite loss, too many scans could not be used,
            the features have collapsed and `health.stop_on_collapse` says so, the memory or the
            disk is full, or another process was lost.
        RunStoppedError: SIGTERM, SIGUSR1 or Ctrl-C came; call again to go on.
    """
    if isinstance(recipe.objective, SupervisedConfig):
        raise ConfigError("is no pre-training", "use: neurofm train", "objective.kind=supervised")
    frame = seen_rows(recipe, store)
    require_full_batch(recipe, frame)  # before the folder is the run's
    return _carry_out(recipe, store, folder, device, progress, how, frame)


def train(
    recipe: Recipe,
    store: Store,
    folder: Path,
    device: torch.device,
    progress: Progress = _SILENT,
    *,
    start: StartingPoint = FROM_SCRATCH,
    how: Manner = _DEFAULT,
) -> Pretrained:
    """Train an encoder and a linear head on a label, from scratch or from given weights.

    The people with the label are divided into training, validation and test parts (`task_roles`);
    the test part is never read here. After each epoch the validation part is predicted, and the
    weights of the best epoch are what remains: `weights.safetensors` with the head, and a card
    that says what it predicts. All else is as in `pretrain`.

    Args:
        recipe: its objective is supervised. The encoder of given weights takes the place of its
            own.
        store: open, of the recipe's spacing.
        folder: new, or of the same recipe, store and start.
        device: see `choose_device`.
        progress: shown scans, with the loss as its note.
        start: weights, and what is allowed with them.
        how: checkpoints kept, time limits, where messages go.

    Raises:
        ConfigError: the recipe is of a pre-training, or a value does not fit the store.
        WeightsError, ContractError, LeakageError: see `open_start`.
        RunError: a part has no labelled scan, and as in `pretrain`.
        RunStoppedError: SIGTERM, SIGUSR1 or Ctrl-C came; call again to go on.
    """
    if not isinstance(recipe.objective, SupervisedConfig):
        raise ConfigError(
            "has no labels", "use: neurofm pretrain", f"objective.kind={recipe.objective.kind}"
        )
    _require_spacing(recipe, store)
    if recipe.tuning.trained == "lora":
        require_peft()
    task = build_task(store.index, recipe.objective, recipe.split)
    begun = open_start(start, store, pd.concat([task.validation, task.test]), task.train)
    for note in (*task.notes, *(begun.notes if begun else ())):
        how.tell(f"Note: {note}")
    effective = with_its_encoder(recipe, begun)
    material = Material(task, begun)
    return _carry_out(effective, store, folder, device, progress, how, task.train, material)


def _carry_out(  # noqa: PLR0917 - the arguments of pretrain and train
    recipe: Recipe,
    store: Store,
    folder: Path,
    device: torch.device,
    progress: Progress,
    how: Manner,
    frame: pd.DataFrame,
    material: Material | None = None,
) -> Pretrained:
    require_fitting_patches(recipe.encoder, store.shape)
    start = material.start.card.weights_sha256 if material and material.start else None
    with (
        stop_requests(how.tell) as stop,  # first: torchrun's SIGTERM must not cut off last words
        process_group(device, how.join_seconds, how.timeout_seconds + _BEHIND_WATCH) as meeting,
        watched(meeting, how.timeout_seconds, how.give_up) as watch,
        explained_memory(recipe.training.batch_size // world_size()),
        only_writer(folder) if is_first() else nullcontext(),
    ):
        require_whole_parts(recipe.training, world_size())
        if is_first():
            claim_run(folder, recipe, store, device, start)
            _warn(folder, recipe, device, how.tell)
        barrier()
        if is_finished(folder):
            return Pretrained(recipe.training.epochs, 0, "this run is finished already")
        shown = progress if is_first() else _SILENT
        # No name for the run: what it holds must be gone when the processes part.
        return Run(recipe, store, folder, device=device, frame=frame, material=material).to_the_end(
            stop, shown, watch, how
        )


def _warn(folder: Path, recipe: Recipe, device: torch.device, tell: Callable[[str], None]) -> None:
    slow = choose_numerics(recipe.training, device).warning
    effects = check_effects(recipe.views, recipe.store.spacing_mm)
    vain = [effect.warning for effect in effects]
    for warning in (slow, other_numerics(folder, recipe, device), *vain):
        if warning:
            tell(warning)


def seen_rows(recipe: Recipe, store: Store) -> pd.DataFrame:
    """Rows of the store's index that pre-training may see; see `pretrain` for errors."""
    _require_spacing(recipe, store)
    refuse_torn_split(store.index)
    frame = _seen_of(store.index)
    if frame.empty:
        raise RunError(
            "no scan is in the split 'pretrain'", "see the split of its index", store.folder
        )
    return frame


def require_full_batch(recipe: Recipe, index: pd.DataFrame) -> None:
    """See that an index has the people for a pre-training, before their scans are prepared.

    Raises:
        RunError: those whom it may see do not fill a batch.
    """
    sampler = ParticipantSampler(_seen_of(index), recipe.seed, recipe.views.epoch_of)
    sampler.require_batch(recipe.training.batch_size)


def _seen_of(index: pd.DataFrame) -> pd.DataFrame:
    split = index["split"]
    return index[split.isna() | split.isin(SEEN_IN_PRETRAINING)]


def _require_spacing(recipe: Recipe, store: Store) -> None:
    if store.spacing_mm != recipe.store.spacing_mm:
        raise ConfigError(
            f"the store's spacing is {store.spacing_mm:g} mm, the recipe's "
            f"{recipe.store.spacing_mm:g} mm",
            f"add store.spacing_mm={store.spacing_mm:g}, or pack a store of the recipe's spacing",
            "store.spacing_mm",
        )
